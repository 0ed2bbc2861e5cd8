// The API's routes of alerts, and what comes back from sinks.
#pragma once
#include "control/api_router.h"

namespace weir::control {

Result<nlohmann::json> api_alerts(ApiCall& call);
Result<nlohmann::json> api_close_alert(ApiCall& call);
Result<nlohmann::json> api_callback(ApiCall& call);

}  // namespace weir::control

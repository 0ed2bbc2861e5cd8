// The API's routes of tickets: what waits for a reviewer, and the reviewer's word.
#pragma once
#include "control/api_router.h"

namespace weir::control {

Result<nlohmann::json> api_tickets(ApiCall& call);
Result<nlohmann::json> api_ticket(ApiCall& call);
Result<nlohmann::json> api_estimate(ApiCall& call);
Result<nlohmann::json> api_approve(ApiCall& call);
Result<nlohmann::json> api_deny(ApiCall& call);

}  // namespace weir::control

// What `weir explain` and POST /v1/explain tell of one judgement.
#pragma once
#include <nlohmann/json.hpp>

#include "decide/policy_compiler.h"

namespace weir::control {

nlohmann::ordered_json to_json(const decide::Explanation& explanation);

}  // namespace weir::control

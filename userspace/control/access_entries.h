// Who may do what under a configuration, as entries of report/access_list.h: names alone, no secret, and no place in a file.
#pragma once
#include <nlohmann/json.hpp>

#include "core/config.h"

namespace weir::control {

[[nodiscard]] nlohmann::json access_entry(const GrantConfig& grant);
// Grants, approvals, roles of the API, who may answer through sinks, static identities, groups of certificates, and targets with their mode.
[[nodiscard]] nlohmann::json access_entries(const Config& config);

}  // namespace weir::control

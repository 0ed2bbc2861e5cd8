// Rules and grants as `weir rules list`, `weir grants` and the API show them.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.h"

namespace weir::control {

std::string_view name_of(RuleAction action);
std::vector<std::string> verb_names(VerbSet verbs);
std::string hours_text(const HoursConfig& hours);   // "Mon-Fri 07:00-19:00 Europe/Berlin", "always"

nlohmann::ordered_json to_json(const RuleConfig& rule);
nlohmann::ordered_json to_json(const GrantConfig& grant);

}  // namespace weir::control

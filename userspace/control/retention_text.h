// How verbs tell of what was destroyed by policy.
#pragma once
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "control/cli_text.h"
#include "control/config_values.h"
#include "control/logging.h"
#include "record/retention_plan.h"
#include "record/verify.h"

namespace weir::control {

inline std::string keep_text(uint64_t seconds) { return text_of(std::chrono::microseconds(std::chrono::seconds(static_cast<int64_t>(seconds)))); }

inline std::string gone_text(const record::Gone& gone) { return "expired on " + gone.at + " by the policy \"" + gone.policy + "\" (" + keep_text(gone.keep_s) + ")"; }

inline nlohmann::ordered_json expired_json(const record::ExpiredByPolicy& expired) {
  nlohmann::ordered_json policies = nlohmann::ordered_json::array();
  for (const auto& each : expired.policies) policies.push_back({{"name", each.name}, {"keep_s", each.keep_s}, {"sessions", each.sessions}});
  return {{"sessions", expired.sessions}, {"archives", expired.archives}, {"first", expired.first}, {"last", expired.last}, {"first_seal", expired.first_seal}, {"last_seal", expired.last_seal},
          {"in_progress", expired.in_progress}, {"policies", std::move(policies)}};
}

inline void print_expired(std::ostream& out, const record::ExpiredByPolicy& expired) {
  if (expired.sessions == 0) return;
  out << "Expired under policy: " << counted(expired.sessions, "session") << ", " << counted(expired.archives, "archive") << ", from " << expired.first << " to " << expired.last;
  for (const auto& each : expired.policies) out << (&each == expired.policies.data() ? ": " : ", ") << each.sessions << " by " << escape_bytes(each.name) << " (" << keep_text(each.keep_s) << ")";
  out << "\n";
}

}  // namespace weir::control

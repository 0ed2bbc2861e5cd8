#include "control/api_auth.h"

#include <algorithm>

namespace weir::control {
namespace {

bool has(const std::vector<std::string>& names, const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); }

bool holds(const ApiRoleConfig& role, const identify::VerifiedToken& token) {
  return has(role.subjects, token.subject) || std::any_of(token.groups.begin(), token.groups.end(), [&](const std::string& group) { return has(role.groups, group); });
}

}  // namespace

std::string_view name_of(ApiRole role) {
  switch (role) {
    case ApiRole::kAdmin: return "admin";
    case ApiRole::kReviewer: return "reviewer";
    case ApiRole::kAuditor: return "auditor";
  }
  return "";
}

RoleSet roles_of(const ApiConfig& config, const identify::VerifiedToken& token) {
  if (!config.issuers.empty() && !has(config.issuers, token.issuer)) return 0;
  RoleSet roles = 0;
  const auto add = [&](ApiRole role, const ApiRoleConfig& who) {
    if (holds(who, token)) roles = static_cast<RoleSet>(roles | role_bit(role));
  };
  add(ApiRole::kAdmin, config.admin);
  add(ApiRole::kReviewer, config.reviewer);
  add(ApiRole::kAuditor, config.auditor);
  return roles;
}

ApiCaller caller_of(const ApiConfig& config, const identify::VerifiedToken& token) {
  return {token.subject, token.issuer, token.token_id, roles_of(config, token)};
}

}  // namespace weir::control

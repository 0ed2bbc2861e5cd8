// Who asks the API, and what roles a token gives.
// Must never: give a role for a name that another issuer may hand out, where `api.issuers` says whose names count.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/config.h"
#include "identify/token.h"

namespace weir::control {

enum class ApiRole : uint8_t { kAdmin, kReviewer, kAuditor };
inline constexpr ApiRole kApiRoles[] = {ApiRole::kAdmin, ApiRole::kReviewer, ApiRole::kAuditor};
std::string_view name_of(ApiRole role);

using RoleSet = uint8_t;
constexpr RoleSet role_bit(ApiRole role) { return static_cast<RoleSet>(1u << static_cast<unsigned>(role)); }
constexpr bool has_role(RoleSet set, ApiRole role) { return (set & role_bit(role)) != 0; }

struct ApiCaller {
  std::string subject, issuer, token_id;
  RoleSet roles = 0;
};

// A subject that is named, or a member of a group that is; of an issuer that counts.
[[nodiscard]] RoleSet roles_of(const ApiConfig& config, const identify::VerifiedToken& token);
[[nodiscard]] ApiCaller caller_of(const ApiConfig& config, const identify::VerifiedToken& token);

// The engine, as the API's threads see it beside ControlHandler.
class ApiHost {
 public:
  virtual ~ApiHost() = default;
  // Any thread.  Errors: kDenied, without a part of the token.
  virtual Result<ApiCaller> authenticate(std::string_view token) = 0;
};

}  // namespace weir::control

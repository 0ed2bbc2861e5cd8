// What comes back from a sink: an answer to a ticket, in our own form or in Slack's.  Read only after its signature was checked.
// Must never: take a field that is not ours, or a ticket, a person or an action from anywhere but the signed body.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::control {

struct CallbackBody {
  uint64_t ticket = 0;
  bool is_approval = false;
  std::string by;            // As the sink names people.
  std::string reason;        // May be empty.
  bool is_nothing = false;   // A button that only opens a page.
};

// Error::code of what the API answers with a status of its own.
inline constexpr int kCallbackUnsigned = 401, kCallbackForbidden = 403;

// application/json: {"ticket": "17", "action": "approve" | "deny", "by": "...", "reason"?, "nonce"?}.  Errors: kInvalid.
[[nodiscard]] Result<CallbackBody> read_callback(std::string_view content_type, std::string_view body);
// application/x-www-form-urlencoded, payload=JSON of Slack's block_actions: user.id, actions[0].{action_id, value}.  Errors: kInvalid.
[[nodiscard]] Result<CallbackBody> read_slack_callback(std::string_view content_type, std::string_view body);

}  // namespace weir::control

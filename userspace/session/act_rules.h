// What an act has to bring along before it is looked at, and the form in which it goes on the record.  No engine, no clock.
// Must never: cut a reason short (what is on the record is what was said), or take two names of one person for two people.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "control/control_handler.h"

namespace weir::session {

inline constexpr std::size_t kReasonMax = 1024;   // Bytes.

// The reason that `arguments` give.  Answers of reviewers and bypasses always need one; reload, revoke and cut where `is_required`
// (changes.require_reason); for a binding, which its own subject's token makes, it may be left out.
// Errors: kInvalid: it is missing, longer than kReasonMax, or not printable UTF-8 on one line.
[[nodiscard]] Result<std::string> reason_of(std::string_view verb, const nlohmann::json& arguments, bool is_required);

// An act's text: `object` {by, object, outcome, ...} and a salt, since the evidence log holds a digest of the act for ever, from
// which nobody shall guess what it was.
[[nodiscard]] std::string act_text(nlohmann::json object);

}  // namespace weir::session

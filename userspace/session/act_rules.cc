#include "session/act_rules.h"

#include "control/config_values.h"
#include "record/keys.h"

namespace weir::session {
namespace {

// Bytes that are no UTF-8 would be replaced on the record, and then nobody knows what was said.
bool is_utf8(const std::string& text) {
  try {
    (void)nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

}  // namespace

Result<std::string> reason_of(std::string_view verb, const nlohmann::json& arguments, bool is_required) {
  const auto found = arguments.find("reason");
  if (found != arguments.end() && !found->is_string()) return fail(Error::Kind::kInvalid, "the reason is not a text");
  std::string reason = found == arguments.end() ? std::string() : found->get<std::string>();
  if (reason.size() > kReasonMax) return fail(Error::Kind::kInvalid, "the reason is longer than " + std::to_string(kReasonMax) + " bytes: name a ticket that says more");
  if (!control::is_printable(reason) || !is_utf8(reason)) return fail(Error::Kind::kInvalid, "the reason is not one line of printable UTF-8");
  const bool is_change = verb == "reload" || verb == "revoke" || verb == "cut";
  const bool is_bypass = verb == "bypass" || verb == "bypass-end";
  const bool is_retention = verb == "hold-add" || verb == "hold-remove" || verb == "retention-run" || verb == "sign-off";
  const bool is_answer = verb == "approve" || verb == "deny" || verb == "change-approve" || verb == "change-deny";
  const bool is_blank = reason.find_first_not_of(' ') == std::string::npos;
  if (is_blank && (is_answer || is_bypass || is_retention || (is_change && is_required))) return fail(Error::Kind::kInvalid, "a reason is required: --reason TEXT (a ticket number)");
  return reason;
}

std::string act_text(nlohmann::json object) {
  object["salt"] = record::random_hex(16);
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace weir::session

#include "control/callback_body.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "control/config_values.h"
#include "identify/strict_json.h"

namespace weir::control {
namespace {

using nlohmann::json;

constexpr std::size_t kTextMax = 1'000;

std::string_view media_type(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ')) type.remove_suffix(1);
  return type;
}

tl::unexpected<Error> wrong(std::string message) { return fail(Error::Kind::kInvalid, std::move(message)); }

Result<std::string> text_of(const json& object, const char* name, bool is_required) {
  const auto found = object.find(name);
  if (found == object.end() && !is_required) return std::string();
  if (found == object.end() || !found->is_string()) return wrong(std::string("field ") + name + " is missing, or no text");
  const std::string& text = found->get_ref<const std::string&>();
  if (text.size() > kTextMax || !is_printable(text) || (is_required && text.empty())) return wrong(std::string("field ") + name + ": at most 1000 bytes of printable UTF-8");
  return text;
}

Result<uint64_t> ticket_of(const std::string& text) {
  const auto number = parse_number(text);
  if (!number || *number == 0) return wrong("a ticket is named by its number");
  return number;
}

// One application/x-www-form-urlencoded value; false: a percent sign that escapes nothing.
bool decode_form(std::string_view text, std::string& out) {
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '+') {
      out += ' ';
    } else if (text[at] != '%') {
      out += text[at];
    } else {
      if (at + 2 >= text.size() || digit(text[at + 1]) < 0 || digit(text[at + 2]) < 0) return false;
      out += static_cast<char>(digit(text[at + 1]) * 16 + digit(text[at + 2]));
      at += 2;
    }
  }
  return true;
}

}  // namespace

Result<CallbackBody> read_callback(std::string_view content_type, std::string_view body) {
  if (media_type(content_type) != "application/json") return wrong("Content-Type: application/json is needed");
  const auto object = identify::parse_strict_json(body);
  if (!object) return wrong("the body: " + object.error().message);
  constexpr std::string_view kKnown[] = {"ticket", "action", "by", "reason", "nonce"};
  for (const auto& [name, value] : object->items()) {
    if (std::find(std::begin(kKnown), std::end(kKnown), name) == std::end(kKnown)) return wrong("the body has a field that is none of ticket, action, by, reason, nonce");
  }
  const auto ticket = text_of(*object, "ticket", true), action = text_of(*object, "action", true), by = text_of(*object, "by", true), reason = text_of(*object, "reason", false),
             nonce = text_of(*object, "nonce", false);
  for (const auto* each : {&ticket, &action, &by, &reason, &nonce}) {
    if (!*each) return tl::unexpected<Error>(each->error());
  }
  if (*action != "approve" && *action != "deny") return wrong("action is approve or deny");
  const auto number = ticket_of(*ticket);
  if (!number) return tl::unexpected<Error>(number.error());
  return CallbackBody{*number, *action == "approve", *by, *reason, false};
}

Result<CallbackBody> read_slack_callback(std::string_view content_type, std::string_view body) {
  if (media_type(content_type) != "application/x-www-form-urlencoded") return wrong("Content-Type: application/x-www-form-urlencoded is needed");
  constexpr std::string_view kName = "payload=";
  std::string text;
  if (!body.starts_with(kName) || body.find('&') != std::string_view::npos || !decode_form(body.substr(kName.size()), text)) return wrong("the body is one field, payload");
  const auto payload = identify::parse_strict_json(text);
  if (!payload) return wrong("payload: " + payload.error().message);
  if (payload->value("type", json()) != "block_actions") return wrong("payload: type block_actions is taken alone");
  const auto user = payload->find("user"), actions = payload->find("actions");
  if (user == payload->end() || !user->is_object() || actions == payload->end() || !actions->is_array() || actions->size() != 1 || !(*actions)[0].is_object()) {
    return wrong("payload: a user and one action are needed");
  }
  const auto by = text_of(*user, "id", true), action = text_of((*actions)[0], "action_id", true);
  for (const auto* each : {&by, &action}) {
    if (!*each) return tl::unexpected<Error>(each->error());
  }
  if (*action == "weir_open") return CallbackBody{0, false, *by, "", true};
  if (*action != "weir_approve" && *action != "weir_deny") return wrong("payload: the action is none of ours");
  const auto value = text_of((*actions)[0], "value", true);
  if (!value) return tl::unexpected<Error>(value.error());
  const auto number = ticket_of(*value);
  if (!number) return tl::unexpected<Error>(number.error());
  return CallbackBody{*number, *action == "weir_approve", *by, "", false};
}

}  // namespace weir::control

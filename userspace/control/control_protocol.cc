#include "control/control_protocol.h"

#include <array>
#include <utility>

namespace weir::control {
namespace {

using nlohmann::json;
constexpr std::array<std::pair<Error::Kind, std::string_view>, 6> kKinds = {{{Error::Kind::kInvalid, "invalid"},
                                                                             {Error::Kind::kNotFound, "not-found"},
                                                                             {Error::Kind::kDenied, "denied"},
                                                                             {Error::Kind::kUnavailable, "unavailable"},
                                                                             {Error::Kind::kCorrupt, "corrupt"},
                                                                             {Error::Kind::kSystem, "system"}}};

// Texts may hold a peer's bytes: what is not UTF-8 is replaced, never thrown over.
std::string line_of(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"; }

}  // namespace

std::string_view name_of(Error::Kind kind) {
  for (const auto& [value, name] : kKinds) {
    if (value == kind) return name;
  }
  return "system";
}

std::string encode_request(const ControlRequest& request) { return line_of({{"verb", request.verb}, {"arguments", request.arguments}}); }

Result<ControlRequest> decode_request(std::string_view line) {
  const json parsed = json::parse(line, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("verb") || !parsed["verb"].is_string()) {
    return fail(Error::Kind::kInvalid, "not a request: one line {\"verb\": ..., \"arguments\": {...}} is needed");
  }
  ControlRequest request{parsed["verb"].get<std::string>(), parsed.value("arguments", json::object())};
  if (!request.arguments.is_object()) return fail(Error::Kind::kInvalid, "arguments must be an object");
  return request;
}

std::string encode_answer(const Result<json>& answer) {
  if (answer) return line_of({{"result", *answer}});
  return line_of({{"error", {{"kind", name_of(answer.error().kind)}, {"message", answer.error().message}}}});
}

Result<json> decode_answer(std::string_view line) {
  const json parsed = json::parse(line, nullptr, false);
  if (parsed.is_object() && parsed.contains("result")) return parsed["result"];
  if (!parsed.is_object() || !parsed.contains("error") || !parsed["error"].is_object()) {
    return fail(Error::Kind::kCorrupt, "the engine's answer cannot be read");
  }
  const json& error = parsed["error"];
  const json kind = error.value("kind", json()), message = error.value("message", json());
  Error::Kind value = Error::Kind::kSystem;
  for (const auto& [known, name] : kKinds) {
    if (kind.is_string() && kind.get<std::string>() == name) value = known;
  }
  return fail(value, message.is_string() ? message.get<std::string>() : "the engine gave no reason");
}

}  // namespace weir::control

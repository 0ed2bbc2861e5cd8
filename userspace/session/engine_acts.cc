// Who may ask the engine what, and that it stands on the record: the one door of the control socket and the API.
#include <algorithm>

#include "control/control_protocol.h"
#include "record/keys.h"
#include "session/engine_state.h"

namespace weir::session {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kActTimeout{2};   // To be on disk; a group takes milliseconds.
constexpr std::size_t kObjectMax = 512;

enum class Sort : uint8_t {
  kPlain,    // Shows how the gateway does, nothing of anybody: asked every few seconds by machines.
  kLook,     // Shows what people did or may do: not without a trace.
  kGive,     // Lets somebody in, or changes what is in force: not without a trace.
  kTake,     // Takes something from somebody: also when the record is full.
  kUnknown,
};

Sort sort_of(std::string_view verb) {
  if (verb == "status") return Sort::kPlain;
  if (verb == "reload" || verb == "bind" || verb == "approve") return Sort::kGive;
  if (verb == "revoke" || verb == "cut" || verb == "deny" || verb == "refused") return Sort::kTake;
  for (const std::string_view look : {"bindings", "sessions", "profile", "rules", "grants", "tickets", "view"}) {
    if (verb == look) return Sort::kLook;
  }
  return Sort::kUnknown;
}

std::string text_at(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return "";
  return (found->is_string() ? found->get<std::string>() : found->dump()).substr(0, kObjectMax);
}

json by(const control::ControlPeer& peer) {
  if (peer.is_api()) {
    json who = {{"via", "api"}, {"subject", peer.subject}, {"issuer", peer.issuer}, {"address", peer.address}};
    if (!peer.role.empty()) who["role"] = peer.role;
    if (!peer.token_id.empty()) who["token_id"] = peer.token_id;
    return who;
  }
  json who = {{"via", "socket"}, {"uid", peer.uid}};
  if (peer.login_uid != control::ControlPeer::kNoLogin) who["login_uid"] = peer.login_uid;
  return who;
}

// Never the arguments as a whole: one of them is a token.
std::string object_of(std::string_view verb, const json& arguments, const Result<json>& answer) {
  if (verb == "reload") return "configuration";
  if (verb == "revoke") return text_at(arguments, "which");
  if (verb == "cut") return arguments.contains("session") ? "session " + text_at(arguments, "session") : "binding " + text_at(arguments, "binding");
  if (verb == "bind") return text_at(arguments, "address") + (answer ? " to " + text_at(*answer, "subject") + ", binding " + text_at(*answer, "id") : "");
  if (verb == "approve" || verb == "deny" || (verb == "tickets" && arguments.contains("ticket"))) {
    return "ticket " + text_at(arguments, "ticket") + (answer && verb != "tickets" ? " of " + text_at(*answer, "subject") + ", by " + text_at(*answer, "by") + ": " + text_at(*answer, "what") : "");
  }
  if (verb == "view") return text_at(arguments, "object");
  if (verb == "refused") return text_at(arguments, "act");
  return std::string(verb);
}

std::string outcome_of(std::string_view verb, const Result<json>& answer) {
  if (verb == "refused") return "denied: role";
  if (answer) return "done";
  const std::string& message = answer.error().message;
  return std::string(control::name_of(answer.error().kind)) + ": " + message.substr(0, std::min(message.find('\n'), kObjectMax));
}

Act act_of(std::string_view verb, const json& arguments, const control::ControlPeer& peer, const Result<json>& answer) {
  Act act;
  act.name = verb == "view" ? text_at(arguments, "act") : std::string(verb);
  // The salt: the evidence log holds a digest of the act for ever, from which nobody shall guess what it was.
  act.text = json{{"by", by(peer)}, {"object", object_of(verb, arguments, answer)}, {"outcome", outcome_of(verb, answer)}, {"salt", record::random_hex(16)}}.dump(-1, ' ', false, json::error_handler_t::replace);
  act.reason = text_at(arguments, "reason");
  act.is_done = answer.has_value() && verb != "refused";
  return act;
}

}  // namespace

Result<json> Engine::handle(std::string_view verb, const json& arguments, const control::ControlPeer& peer) {
  const std::lock_guard lock(control_mutex_);
  const Sort sort = sort_of(verb);
  if (sort == Sort::kUnknown || (verb == "refused" && !peer.is_api())) return fail(Error::Kind::kInvalid, "unknown request \"" + std::string(verb.substr(0, 40)) + "\"");
  if (sort == Sort::kGive && segments_->counts().is_full) {
    return fail(Error::Kind::kUnavailable, "the record has no room for what is asked: free space, or lower record.journal.reserve");
  }
  auto answer = carry_out(verb, arguments, peer);
  if (sort == Sort::kPlain || record_act(act_of(verb, arguments, peer, answer))) return answer;
  if (sort == Sort::kLook) return fail(Error::Kind::kUnavailable, "the record cannot take that this was looked at, so it is not shown: free space, or lower record.journal.reserve");
  return answer;
}

Result<json> Engine::carry_out(std::string_view verb, const json& arguments, const control::ControlPeer& peer) {
  if (verb == "status") return status();
  if (verb == "reload") return reload(arguments, peer);
  if (verb == "bind") return bind(arguments);
  if (verb == "revoke") return revoke(arguments, peer);
  if (verb == "cut") return cut(arguments, peer);
  if (verb == "bindings") return bindings();
  if (verb == "sessions") return sessions();
  if (verb == "profile") return profile();
  if (verb == "rules") return rules();
  if (verb == "grants") return grants();
  if (verb == "tickets") return list_tickets(arguments);
  if (verb == "approve" || verb == "deny") return answer_ticket(verb, arguments, peer);
  return json::object();   // view, refused: the act is all.
}

// False: it is not on disk, which is counted and said.
bool Engine::record_act(Act act) {
  const std::string name = control::escape_bytes(act.name);
  auto recorded = cores_.front()->hand_over_act(std::move(act));
  if (recorded.wait_for(kActTimeout) == std::future_status::ready && recorded.get()) {
    ++acts_recorded_;
    return true;
  }
  ++acts_unrecorded_;
  logging_->log().error("record: \"{}\" is not on it: the journal has no room, or its disk does not answer", name);
  return false;
}

Result<control::ApiCaller> Engine::authenticate(std::string_view token) {
  std::shared_ptr<identify::TokenVerifier> tokens;
  ApiConfig roles;
  {
    const std::lock_guard lock(auth_mutex_);
    tokens = tokens_;
    roles = roles_;
  }
  const auto verified = tokens->verify(token, wall_seconds());
  if (!verified) return tl::unexpected<Error>(verified.error());
  return control::caller_of(roles, *verified);
}

}  // namespace weir::session

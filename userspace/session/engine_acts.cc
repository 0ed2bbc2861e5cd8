// Who may ask the engine what, and that it stands on the record: the one door of the control socket and the API.
#include <algorithm>

#include "control/config_parts.h"
#include "control/control_protocol.h"
#include "session/act_rules.h"
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
  if (verb == "status" || verb == "bound" || verb == "sink-tests") return Sort::kPlain;
  for (const std::string_view give : {"reload", "bind", "approve", "bypass", "change-approve", "callback", "close-alert", "test-sinks", "hold-remove", "retention-run", "sign-off"}) {
    if (verb == give) return Sort::kGive;
  }
  if (verb == "revoke" || verb == "cut" || verb == "deny" || verb == "change-deny" || verb == "bypass-end" || verb == "refused" || verb == "hold-add") return Sort::kTake;
  for (const std::string_view look : {"bindings", "sessions", "profile", "rules", "grants", "explain", "tickets", "estimate", "changes", "alerts", "bypasses", "view", "retention", "holds"}) {
    if (verb == look) return Sort::kLook;
  }
  return Sort::kUnknown;
}

bool is_pending(const json& answer) { return answer.is_object() && answer.contains("pending"); }

std::string shown_at(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return "";
  return (found->is_string() ? found->get<std::string>() : found->dump()).substr(0, std::string_view(name) == "reason" ? kReasonMax : kObjectMax);
}

json by(const control::ControlPeer& peer) {
  if (peer.is_portal) {
    json who = {{"via", "portal"}, {"address", peer.address}};
    for (const auto& [name, value] : {std::pair{"subject", &peer.subject}, {"issuer", &peer.issuer}, {"token_id", &peer.token_id}}) {
      if (!value->empty()) who[name] = *value;
    }
    return who;
  }
  if (peer.is_callback()) return {{"via", "callback"}, {"sink", peer.sink}, {"subject", peer.subject}, {"address", peer.address}};
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
  if (verb == "reload") return "configuration" + (answer && answer->contains("change") ? ": " + control::change_text((*answer)["change"]) : "");
  if (verb == "revoke") return shown_at(arguments, "which");
  if (verb == "cut") return arguments.contains("session") ? "session " + shown_at(arguments, "session") : "binding " + shown_at(arguments, "binding");
  if (verb == "bind") return shown_at(arguments, "address") + (answer ? " to " + shown_at(*answer, "subject") + ", binding " + shown_at(*answer, "id") : "");
  if (verb == "approve" || verb == "deny" || verb == "estimate" || (verb == "tickets" && arguments.contains("ticket"))) {
    return "ticket " + shown_at(arguments, "ticket") + (answer && (verb == "approve" || verb == "deny") ? " of " + shown_at(*answer, "subject") + ", by " + shown_at(*answer, "by") + ": " + shown_at(*answer, "what") : "");
  }
  if (verb == "explain") return shown_at(arguments, "who") + " on " + shown_at(arguments, "target");  // Not the statement: it may hold what masks cover.
  if (verb.starts_with("change-") || (verb == "changes" && arguments.contains("change"))) {
    return "change " + shown_at(arguments, "change") + (answer && verb != "changes" ? ", " + shown_at(*answer, "act") + " by " + shown_at(*answer, "by") + ": " + shown_at(*answer, "text") : "");
  }
  if (verb == "callback") return arguments.contains("ticket") ? shown_at(arguments, "action") + " ticket " + shown_at(arguments, "ticket") : "no signed answer";
  if (verb == "close-alert") return "alert " + shown_at(arguments, "alert") + (answer ? ", rule " + shown_at(*answer, "rule") + ", as " : " as ") + shown_at(arguments, "as");
  if (verb == "test-sinks") return arguments.contains("sink") ? "sink " + shown_at(arguments, "sink") : "all sinks";
  if (verb == "alerts" && arguments.contains("alert")) return "alert " + shown_at(arguments, "alert");
  if (verb == "bypass") return shown_at(arguments, "target") + (answer && !is_pending(*answer) ? " until " + shown_at(*answer, "until") : " for " + shown_at(arguments, "for"));
  if (verb == "bypass-end") return shown_at(arguments, "target") + (answer ? ": " + shown_at(*answer, "counts") : "");
  if (verb == "hold-add") return answer ? shown_at(*answer, "id") + ": " + shown_at(*answer, "what") : "a legal hold";
  if (verb == "hold-remove") return shown_at(arguments, "hold") + (answer && !is_pending(*answer) ? ": " + shown_at(*answer, "what") : "");
  if (verb == "retention-run") return "what is due" + (answer && !is_pending(*answer) ? ": " + shown_at(*answer, "expired") + " sessions expired" : "");
  if (verb == "sign-off") return answer ? shown_at(*answer, "what") : shown_at(arguments, "decision") + ": grants";
  if (verb == "view") return shown_at(arguments, "object");
  if (verb == "refused") return shown_at(arguments, "act");
  return std::string(verb);
}

// What is different now, for who reads the record by machine.
json change_of(std::string_view verb, const Result<json>& answer) {
  if (!answer || !answer->is_object()) return nullptr;
  if (verb == "reload") return answer->value("change", json());
  if (verb.starts_with("change-")) {
    json asked = json::object();
    for (const char* key : {"number", "act", "by", "asked", "reason", "digest", "change"}) asked[key] = answer->value(key, json());
    return asked;
  }
  if (is_pending(*answer)) return nullptr;
  if (verb == "sign-off") return {{"decision", answer->at("decision")}, {"list", answer->at("list")}, {"config", answer->at("config")}, {"grants", answer->at("grants")}};
  if (verb == "revoke") return {{"revoked", answer->value("revoked", json::array())}, {"cut", answer->value("cut", 0)}};
  if (verb == "cut") return {{"cut", answer->value("cut", 0)}};
  if (verb == "close-alert") {
    json judged = json::object();
    for (const char* key : {"number", "event", "severity", "rule", "subject", "target", "session", "count", "first", "last", "as", "closed"}) judged[key] = answer->value(key, json());
    return judged;
  }
  if (verb != "bind") return nullptr;
  json change = json::object();
  for (const char* key : {"id", "subject", "address", "issuer", "assurance", "groups", "until", "ended"}) change[key] = answer->value(key, json());
  return change;
}

std::string outcome_of(std::string_view verb, const json& arguments, const Result<json>& answer) {
  if (verb == "refused") return "denied: " + (arguments.contains("why") ? shown_at(arguments, "why") : "role");
  if (answer && is_pending(*answer)) return "waits for a second person: change " + shown_at(*answer, "pending");
  if (answer) return "done";
  const std::string& message = answer.error().message;
  return std::string(control::name_of(answer.error().kind)) + ": " + message.substr(0, std::min(message.find('\n'), kObjectMax));
}

Act act_of(std::string_view verb, const json& arguments, const control::ControlPeer& peer, const Result<json>& answer) {
  Act act;
  act.name = verb == "view" ? shown_at(arguments, "act") : std::string(verb);
  json text = {{"by", by(peer)}, {"object", object_of(verb, arguments, answer)}, {"outcome", outcome_of(verb, arguments, answer)}};
  if (json change = change_of(verb, answer); !change.is_null()) text["change"] = std::move(change);
  act.text = act_text(std::move(text));
  act.reason = shown_at(arguments, "reason");
  act.is_done = answer.has_value() && !is_pending(*answer) && verb != "refused";
  return act;
}

}  // namespace

Result<json> Engine::handle(std::string_view verb, const json& arguments, const control::ControlPeer& peer) {
  const std::lock_guard lock(control_mutex_);
  const Sort sort = sort_of(verb);
  if (sort == Sort::kUnknown || (verb == "refused" && !peer.is_api() && !peer.is_portal) || (verb == "callback") != peer.is_callback()) return fail(Error::Kind::kInvalid, "unknown request \"" + std::string(verb.substr(0, 40)) + "\"");
  if (sort == Sort::kGive && segments_->counts().is_full) {
    return fail(Error::Kind::kUnavailable, "the record has no room for what is asked: free space, or lower record.journal.reserve");
  }
  control::ControlPeer who = peer;
  json asked = json::object();  // Of a callback, once its signature has held.
  const bool is_callback = verb == "callback";
  const bool is_waiting = needs_second_person(verb);
  const auto reason = reason_of(verb, arguments, config().changes_require_reason || is_waiting);
  impersonation_ = Impersonation::kNone;
  auto answer = !reason      ? tl::unexpected<Error>(reason.error())
                : is_waiting ? ask_change(std::string(verb), arguments, peer)
                             : is_callback ? callback(arguments, who, asked) : carry_out(verb, arguments, peer);
  Act act = act_of(verb, is_callback ? asked : arguments, who, answer);
  act.impersonation = impersonation_;
  if (sort == Sort::kPlain || record_act(std::move(act))) return answer;
  if (sort == Sort::kLook) return fail(Error::Kind::kUnavailable, "the record cannot take that this was looked at, so it is not shown: free space, or lower record.journal.reserve");
  return answer;
}

Result<json> Engine::carry_out(std::string_view verb, const json& arguments, const control::ControlPeer& peer) {
  if (verb == "status") return status();
  if (verb == "reload") return reload(arguments, peer);
  if (verb == "bound") return bound(arguments);
  if (verb == "bind") return bind(arguments, peer);
  if (verb == "revoke") return revoke(arguments, peer);
  if (verb == "cut") return cut(arguments, peer);
  if (verb == "bindings") return bindings();
  if (verb == "sessions") return sessions();
  if (verb == "profile") return profile();
  if (verb == "rules") return rules();
  if (verb == "grants") return grants();
  if (verb == "sign-off") return sign_off(arguments);
  if (verb == "explain") return explain(arguments);
  if (verb == "bypass") return start_bypass(arguments, peer);
  if (verb == "bypass-end") return end_bypass(arguments);
  if (verb == "bypasses") return list_bypasses();
  if (verb == "retention") return show_retention();
  if (verb == "holds") return list_holds();
  if (verb == "hold-add") return add_hold(arguments, peer);
  if (verb == "hold-remove") return remove_hold(arguments);
  if (verb == "retention-run") return run_retention();
  if (verb == "tickets") return list_tickets(arguments);
  if (verb == "alerts") return list_alerts(arguments);
  if (verb == "close-alert") return close_alert(arguments, peer);
  if (verb == "test-sinks") return test_sinks(arguments);
  if (verb == "sink-tests") return sink_tests(arguments);
  if (verb == "approve" || verb == "deny") return answer_ticket(verb, arguments, peer);
  if (verb == "estimate") return estimate_ticket(arguments);
  if (verb == "changes") return list_changes(arguments);
  if (verb == "change-approve" || verb == "change-deny") return answer_change(verb, arguments, peer);
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

// What each route of the API does: mostly one question to the engine, the same that the control socket asks.
#include <algorithm>

#include "control/api_router.h"
#include "control/api_alerts.h"
#include "control/api_sessions.h"
#include "control/api_tickets.h"
#include "control/config_values.h"
#include "control/session_filter.h"
#include "record/reader.h"

namespace weir::control {
namespace {

using nlohmann::json;

constexpr RoleSet kAdmin = role_bit(ApiRole::kAdmin), kReviewer = role_bit(ApiRole::kReviewer), kAuditor = role_bit(ApiRole::kAuditor);
constexpr RoleSet kAnyRole = kAdmin | kReviewer | kAuditor;
constexpr uint64_t kListDefault = 100, kListMax = 1'000;
constexpr std::size_t kStatementMax = 32u << 10;  // Below body_size_max, its JSON escapes aside.

uint64_t id_of(const ApiCall& call) { return parse_number(call.id).value_or(0); }

Result<json> ask(ApiCall& call, std::string_view verb, json arguments = json::object()) { return call.services.handler.handle(verb, arguments, call.peer); }

Result<json> health(ApiCall&) { return json{{"status", "ok"}}; }
Result<json> status(ApiCall& call) { return ask(call, "status"); }
Result<json> bindings(ApiCall& call) { return ask(call, "bindings"); }
Result<json> rules(ApiCall& call) { return ask(call, "rules"); }
Result<json> rules_profile(ApiCall& call) { return ask(call, "profile"); }
Result<json> grants(ApiCall& call) { return ask(call, "grants"); }
Result<json> sign_off(ApiCall& call) {
  json arguments = {{"decision", call.field("decision")}, {"reason", call.field("reason")}};
  if (call.fields.contains("grants")) arguments["grants"] = call.fields["grants"];
  for (const char* name : {"all", "list"}) {
    if (const std::string text = call.field(name); !text.empty()) arguments[name] = text;
  }
  return ask(call, "sign-off", std::move(arguments));
}
// The engine's own judgement: who, target and the rest as the engine takes them; nothing is sent to the target.
Result<json> explain(ApiCall& call) { return ask(call, "explain", call.fields); }
Result<json> changes(ApiCall& call) {
  const auto all = flag_of(call, "all");
  if (!all) return tl::unexpected<Error>(all.error());
  return ask(call, "changes", {{"all", *all}});
}
Result<json> change(ApiCall& call) { return ask(call, "changes", {{"change", id_of(call)}}); }
Result<json> change_approve(ApiCall& call) { return ask(call, "change-approve", {{"change", id_of(call)}, {"reason", call.field("reason")}}); }
Result<json> change_deny(ApiCall& call) { return ask(call, "change-deny", {{"change", id_of(call)}, {"reason", call.field("reason")}}); }
Result<json> reload(ApiCall& call) { return ask(call, "reload", {{"reason", call.field("reason")}}); }
Result<json> bypasses(ApiCall& call) { return ask(call, "bypasses"); }
Result<json> bypass(ApiCall& call) { return ask(call, "bypass", {{"target", call.field("target")}, {"for", call.field("for")}, {"reason", call.field("reason")}}); }
Result<json> bypass_end(ApiCall& call) { return ask(call, "bypass-end", {{"target", call.field("target")}, {"reason", call.field("reason")}}); }
Result<json> cut(ApiCall& call) { return ask(call, "cut", {{"session", id_of(call)}, {"reason", call.field("reason")}}); }

// The address is the connection's own: nobody binds another one's.
Result<json> bind(ApiCall& call) {
  json arguments = {{"address", call.peer.address}, {"token", call.request.token}};
  if (const std::string reason = call.field("reason"); !reason.empty()) arguments["reason"] = reason;
  return ask(call, "bind", std::move(arguments));
}

Result<json> revoke(ApiCall& call) {
  const char* const names[] = {"id", "address", "subject", "token_id"};
  std::string which;
  for (const char* name : names) {
    if (call.field(name).empty()) continue;
    if (!which.empty()) return fail(Error::Kind::kInvalid, "name one of id, address, subject and token_id");
    which = call.field(name);
  }
  if (which.empty()) return fail(Error::Kind::kInvalid, "name a binding by its id, an address, a subject or a token's id");
  return ask(call, "revoke", {{"which", which}, {"reason", call.field("reason")}});
}

Result<json> metrics(ApiCall& call) {
  const std::string text = call.services.handler.metrics();
  const std::size_t size = text.size();
  call.is_answered = true;
  call.sink(answer_head(200, "text/plain; version=0.0.4; charset=utf-8", &size, "") + text);
  return json();
}

Result<uint64_t> limit_of(const ApiCall& call) {
  const std::string text = call.query("limit");
  const auto number = text.empty() ? Result<uint64_t>(kListDefault) : parse_number(text);
  if (!number || *number == 0 || *number > kListMax) return fail(Error::Kind::kInvalid, "parameter limit is 1 to " + std::to_string(kListMax));
  return number;
}

Result<json> list(const ApiCall& call, const record::SessionFilter& filter) {
  json all = json::array();
  const auto listed = record::list_sessions(call.services.place(), filter, [&](const std::string& line) {
    all.push_back(json::parse(line, nullptr, false));
    return true;
  });
  if (!listed) return tl::unexpected<Error>(listed.error());
  return all;
}

Result<json> sessions(ApiCall& call) {
  auto read = session_filter_of(call);
  if (!read) return tl::unexpected<Error>(read.error());
  record::SessionFilter& filter = *read;
  const auto limit = limit_of(call);
  if (!limit) return tl::unexpected<Error>(limit.error());
  filter.count_max = *limit;
  if (auto seen = look(call, "sessions", asked_of_events(filter).empty() ? "sessions" : asked_of_events(filter)); !seen) return tl::unexpected<Error>(seen.error());
  uint64_t locked = 0;
  filter.tell_locked = [&](uint64_t) { ++locked; };
  auto listed = list(call, filter);
  if (locked != 0) call.headers = "Weir-Locked: " + std::to_string(locked) + "\r\n";
  return listed;
}

Result<json> session(ApiCall& call) {
  record::SessionFilter filter;
  filter.session = id_of(call);
  if (auto seen = look(call, "session", "session " + call.id); !seen) return tl::unexpected<Error>(seen.error());
  auto found = list(call, filter);
  if (!found) return found;
  if (found->empty()) return fail(Error::Kind::kNotFound, "session " + call.id + " is not in this record");
  return found->front();
}

Result<json> replay(ApiCall& call) {
  ChunkedAnswer lines(call, "application/x-ndjson");
  Result<void> seen;
  bool is_first = true, is_taken = true;
  const auto replayed = record::replay(call.services.place(), id_of(call), [&](const std::string& line) {
    if (std::exchange(is_first, false)) seen = look(call, "replay", "session " + call.id);
    is_taken = seen && lines.add(line + "\n");
    return is_taken;
  });
  if (!seen) return tl::unexpected<Error>(seen.error());
  if (!replayed) return tl::unexpected<Error>(replayed.error());
  if (!is_taken || !lines.end()) return fail(Error::Kind::kUnavailable, "the client went away");
  return json();
}

Result<json> events(ApiCall& call) {
  record::ActFilter filter;
  filter.act = call.query("act");
  if (auto span = span_of(call, filter.since, filter.until); !span) return tl::unexpected<Error>(span.error());
  const auto limit = limit_of(call);
  if (!limit) return tl::unexpected<Error>(limit.error());
  filter.count_max = *limit;
  if (auto seen = look(call, "events", "events"); !seen) return tl::unexpected<Error>(seen.error());
  json all = json::array();
  const auto listed = record::list_acts(call.services.place(), filter, [&](const std::string& line) {
    all.push_back(json::parse(line, nullptr, false));
    return true;
  });
  if (!listed) return tl::unexpected<Error>(listed.error());
  return all;
}

Result<json> retention(ApiCall& call) { return ask(call, "retention"); }
Result<json> holds(ApiCall& call) { return ask(call, "holds"); }
Result<json> hold_remove(ApiCall& call) { return ask(call, "hold-remove", {{"hold", call.field("hold")}, {"reason", call.field("reason")}}); }
Result<json> retention_run(ApiCall& call) { return ask(call, "retention-run", {{"reason", call.field("reason")}}); }
Result<json> hold_add(ApiCall& call) {
  json arguments = {{"reason", call.field("reason")}};
  for (const char* name : {"subject", "target", "from", "to"}) {
    if (const std::string text = call.field(name); !text.empty()) arguments[name] = text;
  }
  if (const std::string text = call.field("session"); !text.empty()) {
    const auto number = parse_number(text);
    if (!number) return fail(Error::Kind::kInvalid, "session: " + number.error().message);
    arguments["session"] = *number;
  }
  return ask(call, "hold-add", std::move(arguments));
}

}  // namespace

std::span<const ApiRoute> api_routes() {
  static const std::vector<ApiRoute> kRoutes = {
      {.method = "GET", .path = "/v1/health", .access = ApiAccess::kOpen, .run = health},
      {.method = "GET", .path = "/v1/status", .roles = kAnyRole, .run = status},
      {.method = "GET", .path = "/v1/metrics", .roles = kAdmin | kAuditor, .run = metrics},
      {.method = "GET", .path = "/v1/bindings", .roles = kAdmin | kAuditor, .run = bindings},
      {.method = "POST", .path = "/v1/bindings", .access = ApiAccess::kToken, .done = 201, .fields = {{"reason"}}, .faults = {409}, .run = bind},
      {.method = "POST", .path = "/v1/bindings/revoke", .roles = kAdmin, .fields = {{"id"}, {"address"}, {"subject"}, {"token_id"}, {"reason", true}}, .faults = {202, 404}, .run = revoke},
      {.method = "GET", .path = "/v1/sessions", .roles = kAdmin | kAuditor, .queries = {{"live"}, {"blocked"}, {"who"}, {"subject"}, {"group"}, {"target"}, {"verb"}, {"object"}, {"rule"}, {"verdict"}, {"request"}, {"text"}, {"since"}, {"until"}, {"limit"}, {"before"}}, .run = sessions},
      {.method = "GET", .path = "/v1/sessions/{id}", .roles = kAdmin | kAuditor, .faults = {404}, .run = session},
      {.method = "POST", .path = "/v1/sessions/{id}/cut", .roles = kAdmin, .fields = {{"reason", true}}, .faults = {202, 404}, .run = cut},
      {.method = "GET", .path = "/v1/sessions/{id}/replay", .roles = kAuditor, .faults = {404}, .run = replay},
      {.method = "GET", .path = "/v1/export", .roles = kAuditor, .queries = {{"format"}, {"live"}, {"blocked"}, {"who"}, {"subject"}, {"group"}, {"target"}, {"verb"}, {"object"}, {"rule"}, {"verdict"}, {"request"}, {"text"}, {"since"}, {"until"}, {"limit"}, {"before"}}, .run = api_export},
      {.method = "GET", .path = "/v1/events", .roles = kAuditor, .queries = {{"act"}, {"since"}, {"until"}, {"limit"}}, .run = events},
      {.method = "GET", .path = "/v1/rules", .roles = kAnyRole, .run = rules},
      {.method = "GET", .path = "/v1/rules/profile", .roles = kAnyRole, .run = rules_profile},
      {.method = "GET", .path = "/v1/grants", .roles = kAnyRole, .run = grants},
      {.method = "POST", .path = "/v1/grants/sign-off", .roles = kAdmin | kReviewer, .fields = {{.name = "grants", .is_list = true}, {"all"}, {"decision", true}, {"reason", true}, {"list"}}, .faults = {404, 409}, .run = sign_off},
      {.method = "POST",
       .path = "/v1/explain",
       .roles = kAdmin | kAuditor,
       .fields = {{"who", true}, {"target", true}, {"login"}, {"database"}, {.name = "sql", .size_max = kStatementMax}, {"application_name"}, {"assurance"}, {"at"},
                  {.name = "groups", .is_list = true}, {.name = "params", .is_list = true}},
       .faults = {404},
       .run = explain},
      {.method = "GET", .path = "/v1/tickets", .roles = kReviewer, .queries = {{"all"}}, .run = api_tickets},
      {.method = "GET", .path = "/v1/tickets/{id}", .roles = kReviewer, .faults = {404}, .run = api_ticket},
      {.method = "GET", .path = "/v1/tickets/{id}/estimate", .roles = kReviewer, .faults = {404, 409, 422}, .run = api_estimate},
      {.method = "POST", .path = "/v1/tickets/{id}/approve", .roles = kReviewer, .fields = {{"reason", true}, {"until"}}, .faults = {404, 409}, .run = api_approve},
      {.method = "POST", .path = "/v1/tickets/{id}/deny", .roles = kReviewer, .fields = {{"reason", true}}, .faults = {404, 409}, .run = api_deny},
      {.method = "GET", .path = "/portal", .access = ApiAccess::kPage, .show = &Portal::home},
      {.method = "POST", .path = "/portal/sign-in", .access = ApiAccess::kPage, .show = &Portal::start},
      {.method = "GET", .path = "/portal/callback", .access = ApiAccess::kPage, .show = &Portal::callback},
      {.method = "GET", .path = "/portal/confirm", .access = ApiAccess::kPage, .show = &Portal::confirm_page},
      {.method = "POST", .path = "/portal/confirm", .access = ApiAccess::kPage, .show = &Portal::confirm},
      {.method = "POST", .path = "/portal/sign-out", .access = ApiAccess::kPage, .show = &Portal::sign_out},
      {.method = "GET", .path = "/v1/bypasses", .roles = kAdmin, .run = bypasses},
      {.method = "POST", .path = "/v1/bypasses", .roles = kAdmin, .done = 201, .fields = {{"target", true}, {"for", true}, {"reason", true}}, .faults = {202, 404}, .run = bypass},
      {.method = "POST", .path = "/v1/bypasses/end", .roles = kAdmin, .fields = {{"target", true}, {"reason", true}}, .faults = {404}, .run = bypass_end},
      {.method = "GET", .path = "/v1/retention", .roles = kAdmin | kAuditor, .run = retention},
      {.method = "POST", .path = "/v1/retention/run", .roles = kAdmin, .fields = {{"reason", true}}, .run = retention_run},
      {.method = "GET", .path = "/v1/retention/holds", .roles = kAdmin | kAuditor, .run = holds},
      {.method = "POST", .path = "/v1/retention/holds", .roles = kAdmin, .done = 201, .fields = {{"session"}, {"subject"}, {"target"}, {"from"}, {"to"}, {"reason", true}}, .run = hold_add},
      {.method = "POST", .path = "/v1/retention/holds/remove", .roles = kAdmin, .fields = {{"hold", true}, {"reason", true}}, .faults = {404, 409}, .run = hold_remove},
      {.method = "POST", .path = "/v1/reload", .roles = kAdmin, .fields = {{"reason", true}}, .faults = {202, 409}, .run = reload},
      {.method = "GET", .path = "/v1/changes", .roles = kAdmin | kAuditor, .queries = {{"all"}}, .run = changes},
      {.method = "GET", .path = "/v1/changes/{id}", .roles = kAdmin | kAuditor, .faults = {404}, .run = change},
      {.method = "POST", .path = "/v1/changes/{id}/approve", .roles = kAdmin, .fields = {{"reason", true}}, .faults = {404, 409}, .run = change_approve},
      {.method = "POST", .path = "/v1/changes/{id}/deny", .roles = kAdmin, .fields = {{"reason", true}}, .faults = {404, 409}, .run = change_deny},
      {.method = "GET", .path = "/v1/alerts", .roles = kAnyRole, .queries = {{"all"}}, .run = api_alerts},
      {.method = "POST", .path = "/v1/alerts/{id}/close", .roles = kAdmin | kReviewer, .fields = {{"as", true}, {"reason", true}}, .faults = {404, 409}, .run = api_close_alert},
      {.method = "POST", .path = "/v1/callbacks/{sink}", .access = ApiAccess::kSigned, .fields = {{"ticket", true}, {"action", true}, {"by", true}, {"reason"}, {"nonce"}}, .faults = {404, 409}, .run = api_callback},
  };
  return kRoutes;
}

}  // namespace weir::control

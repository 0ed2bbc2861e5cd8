#include "control/api_tickets.h"

#include "control/config_values.h"

namespace weir::control {
namespace {

using nlohmann::json;

// The role opens the door; who may answer which ticket is asked of the token again, by the ticket's own approval.
Result<json> answer(ApiCall& call, std::string_view verb) {
  json arguments = {{"ticket", parse_number(call.id).value_or(0)}, {"reason", call.field("reason")}, {"token", call.request.token}};
  if (const std::string until = call.field("until"); !until.empty()) arguments["until"] = until;
  return call.services.handler.handle(verb, arguments, call.peer);
}

}  // namespace

Result<json> api_tickets(ApiCall& call) {
  const std::string all = call.query("all");
  if (!all.empty() && all != "true" && all != "false") return fail(Error::Kind::kInvalid, "parameter all is neither true nor false");
  return call.services.handler.handle("tickets", {{"all", all == "true"}}, call.peer);
}
Result<json> api_ticket(ApiCall& call) { return call.services.handler.handle("tickets", {{"ticket", parse_number(call.id).value_or(0)}}, call.peer); }
Result<json> api_estimate(ApiCall& call) { return call.services.handler.handle("estimate", {{"ticket", parse_number(call.id).value_or(0)}}, call.peer); }
Result<json> api_approve(ApiCall& call) { return answer(call, "approve"); }
Result<json> api_deny(ApiCall& call) { return answer(call, "deny"); }

}  // namespace weir::control

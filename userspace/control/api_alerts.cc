#include "control/api_alerts.h"

#include "control/config_values.h"

namespace weir::control {

using nlohmann::json;

Result<json> api_alerts(ApiCall& call) {
  const std::string all = call.query("all");
  if (!all.empty() && all != "true" && all != "false") return fail(Error::Kind::kInvalid, "parameter all is neither true nor false");
  return call.services.handler.handle("alerts", {{"all", all == "true"}}, call.peer);
}

Result<json> api_close_alert(ApiCall& call) {
  return call.services.handler.handle("close-alert", {{"alert", parse_number(call.id).value_or(0)}, {"as", call.field("as")}, {"reason", call.field("reason")}}, call.peer);
}

// The body goes on as it came: the signature is over its bytes.
Result<json> api_callback(ApiCall& call) {
  return call.services.handler.handle("callback",
                                      {{"body", call.request.body},
                                       {"content_type", call.request.content_type},
                                       {"signature", call.request.signature},
                                       {"slack_signature", call.request.slack_signature},
                                       {"slack_timestamp", call.request.slack_timestamp}},
                                      call.peer);
}

}  // namespace weir::control

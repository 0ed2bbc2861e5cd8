// Writes one OCSF event of each kind that the exporter makes: what ocsf.py looks at where there is no lab.
#include <iostream>

#include "report/export.h"

using nlohmann::json;

int main() {
  const auto exporter = weir::report::make_exporter(weir::report::ExportFormat::kOcsf, [](std::string_view text) { std::cout << text; }, "0.0.0");
  const weir::report::Proof sealed{"2027/03/01/17.weir", 1, 42, std::string(64, 'a'), 1'803'888'010'000'000'000};
  uint64_t unit = 0, seq = 0;
  const auto entry = [&](const char* kind, json more) {
    json event = {{"seq", ++seq}, {"at", "2027-03-01T08:00:01.500000001Z"}, {"kind", kind}, {"verb", kind}, {"text", ""}, {"verdict", "allow"}, {"rule", ""}, {"outcome", ""}};
    event.update(more);
    return json::parse(event.dump(-1, ' ', false, json::error_handler_t::replace));   // As a reader has it: whole numbers are unsigned.
  };
  const json full = {{"client", "198.18.1.2:50566"}, {"server", "[2001:db8::5]:5432"}, {"policy", "abcd"}, {"groups", {"dba", "team"}}, {"issuer", "https://idp.example"}, {"token_id", "t1"}, {"proof", "token"},
                     {"assurance", "credential"}, {"mode", "enforce"}, {"acting_for", {"user:carl"}}};
  json certificate = full;
  certificate["proof"] = "certificate";
  uint64_t id = 16;
  for (const json& facts : {full, certificate, json::object()}) {
    json session = {{"id", ++id}, {"target", "orders-db"}, {"subject", id == 17 ? "user:ann" : id == 18 ? "svc:report" : ""}, {"opened", "2027-03-01T08:00:00.000000001Z"}, {"facts", facts}};
    if (id == 19) session["target"] = "";
    exporter->begin_session(json::parse(session.dump()), id == 19 ? "" : "gw");
    exporter->add(entry("opened", {{"text", "{}"}}), sealed);
    for (const char* verdict : {"allow", "block"}) {
      exporter->add(entry("login", {{"unit", ++unit}, {"verdict", verdict}, {"text", id == 19 ? "no JSON" : R"({"login":"app","database":"shop","application_name":"psql"})"}}), sealed);
      exporter->add(entry("response", {{"in_reply_to", unit}, {"outcome", "passed"}}), sealed);
    }
    for (const char* outcome : {"passed", "blocked", "error:42703", "skipped", "unread", "waiting", "unknown", ""}) {
      for (const char* verdict : {"allow", "mask", "hold", "block", "terminate"}) {
        exporter->add(entry("command", {{"unit", ++unit}, {"outcome", outcome}, {"verdict", verdict}, {"rule", verdict[0] == 'a' ? "" : "a-rule"}, {"reason", "why"}, {"text", "select '\x7f\xc2\x9b \xe2\x82\xac'"}, {"grant", "read"},
                                        {"request_id", "r-1"}, {"params", json::array({"1", nullptr})}}), sealed);
        exporter->add(entry("response", {{"in_reply_to", unit}, {"outcome", "passed"}, {"rows", 3u}, {"masked", unit % 2}, {"bytes", 17u}, {"rule", "mask-people"}}), sealed);
      }
    }
    for (const char* verb : {"read", "write", "ddl", "admin", "exec", "shell", "file", "forward", "impersonate", "replicate", "session", "new"}) {
      exporter->add(entry("command", {{"unit", ++unit}, {"outcome", "skipped"}, {"verbs", {verb}}, {"objects", {"public.people"}}}), {});
    }
    exporter->add(entry("command", {{"unit", ++unit}, {"outcome", "passed"}, {"verdict", "block"}, {"observed", true}, {"verbs", {"read", "write"}}, {"objects", {"public.a", "public.b"}}, {"params", {{"odd", 1.5}}}}), {});
    exporter->add(entry("closed", {{"reason", "client closed"}, {"account", {{"to_target", {{"kernel", 7u}}}, {"to_client", {{"kernel", 9u}}}}}}), {});
    exporter->end_session();
  }
}

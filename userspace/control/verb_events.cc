// events: what people did to the gateway, and what of its record they looked at.
#include <boost/program_options/value_semantic.hpp>

#include "control/cli_text.h"
#include "control/config_values.h"
#include "control/record_options.h"
#include "control/verbs.h"
#include "core/json_fields.h"
#include "record/reader.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::json;
using nlohmann::ordered_json;

std::string digits_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? std::to_string(found->get<uint64_t>()) : "";
}

std::string who_text(const json& act) {
  const json by = act.value("by", json::object());
  if (!by.is_object()) return "";
  if (text_at(by, "via") == "api") return text_at(by, "subject") + " at " + text_at(by, "issuer") + (text_at(by, "role").empty() ? "" : " as " + text_at(by, "role")) + " from " + text_at(by, "address");
  const std::string login = digits_at(by, "login_uid");
  return "uid " + digits_at(by, "uid") + (login.empty() ? "" : ", login uid " + login);
}

Result<record::ActFilter> filter_of(const VerbCall& call) {
  record::ActFilter filter;
  filter.act = call.text("act");
  if (auto period = read_period(call, filter); !period) return tl::unexpected<Error>(period.error());
  return filter;
}

int run_events(VerbCall& call) {
  const auto filter = filter_of(call);
  if (!filter) return call.fail(filter.error());
  const auto folder = record_folder(call);
  if (!folder) return kExitUsage;
  const auto place = record_place(call, *folder);
  if (!place) return call.fail(place.error());
  ordered_json list = ordered_json::array();
  TextTable table({{"AT"}, {"WHO"}, {"ACT"}, {"OBJECT"}, {"OUTCOME"}, {"REASON"}});
  const auto listed = record::list_acts(*place, *filter, [&](const std::string& line) {
    const json act = json::parse(line, nullptr, false);
    if (!act.is_object()) return true;
    const std::string outcome = text_at(act, "outcome");
    table.add({text_at(act, "at").substr(0, 19) + "Z", who_text(act), text_at(act, "act"), text_at(act, "object"), {outcome, outcome == "done" ? Colour::kNone : Colour::kRed}, text_at(act, "reason")});
    list.push_back(ordered_json::parse(line, nullptr, false));
    return true;
  });
  if (!listed) return call.fail(listed.error());
  if (call.json) call.print_json(list);
  else table.print(call.terminal.out, call.colour);
  return kExitDone;
}

}  // namespace

Verb events_verb() {
  return {.name = "events",
          .group = "The record",
          .summary = "list what was done to the gateway, and who looked at what",
          .synopsis = "[--act NAME] [--since TIME] [--until TIME] [--limit N] [--state FOLDER] [--key-file FILE]",
          .description = "Newest first: bind, revoke, cut, reload, approve, deny, and looks at tickets, bindings, rules, grants, sessions and replays, over the socket and over the API, also those that were refused. "
                         "Read from the record itself: works without an engine, and on a copy.\n"
                         "JSON: [{at, act, by: {via, uid, login_uid} or {via, subject, issuer, role, address}, object, reason, outcome, change, session, seq}]; change says what was "
                         "changed: of a reload {digest, files, parts: [{kind, name, how}]}, of a bind and a revoke the bindings",
          .exits = "0 done\n2 the command line is wrong, or the configuration does not say where the state is\n5 the record cannot be read",
          .example = "weir events --since 8h\nweir events --act replay --json | jq '.[].by.subject'\nweir events --act reload --json | jq '.[].change.parts[] | select(.kind == \"rule\")'",
          .add_options = [](po::options_description& options) {
            options.add_options()("act", po::value<std::string>()->value_name("NAME"), "only this act, such as revoke")
                ("since", po::value<std::string>()->value_name("TIME"), "done at or after; a time, or how long ago, such as 8h")
                ("until", po::value<std::string>()->value_name("TIME"), "done before")
                ("limit", po::value<uint64_t>()->value_name("N"), "at most so many; 1000 if not given")
                ("state", po::value<std::string>()->value_name("FOLDER"), "a state folder or a copy of one; else the configuration's");
            add_key_file(options);
          },
          .run = run_events};
}

}  // namespace weir::control

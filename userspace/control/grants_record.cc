#include "control/grants_record.h"

#include <algorithm>

#include "control/cli_text.h"
#include "control/logging.h"
#include "control/record_options.h"
#include "core/json_fields.h"
#include "core/time_text.h"
#include "record/evidence_log.h"

namespace weir::control {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

std::string list_at(const json& entry, const char* key, std::string_view if_empty = "all") {
  std::string text;
  const auto found = entry.find(key);
  if (found == entry.end() || !found->is_array()) return std::string(if_empty);
  for (const json& each : *found) text += (text.empty() ? "" : " ") + (each.is_string() ? each.get<std::string>() : each.dump());
  return text.empty() ? std::string(if_empty) : text;
}

std::string who_of(const json& entry) {
  const json& who = entry.contains("who") ? entry["who"] : entry;
  const std::string subjects = list_at(who, "subjects", ""), groups = list_at(who, "groups", "");
  if (subjects.empty() && groups.empty()) return text_at(entry, "kind") == "grant" ? "anybody who is bound" : "";
  return subjects + (groups.empty() ? "" : (subjects.empty() ? "groups " : " in groups ") + groups);
}

void print_list(VerbCall& call, const report::AccessFound& found) {
  TextTable grants({{"GRANT"}, {"WHO"}, {"TARGETS"}, {"LOGINS"}, {"VERBS"}, {"OBJECTS"}, {"HOURS"}, {"UNTIL"}, {"APPROVAL"}});
  TextTable others({{"KIND"}, {"NAME"}, {"WHO"}, {"MORE"}});
  for (const json& entry : found.entries) {
    const std::string kind = text_at(entry, "kind"), name = text_at(entry, "name");
    if (kind == "grant") {
      const std::string until = text_at(entry, "until");
      grants.add({name, who_of(entry), list_at(entry, "targets"), list_at(entry, "logins"), list_at(entry, "verbs", "none"), list_at(entry, "objects"), text_at(entry, "hours"),
                  until.empty() ? TextTable::Cell("no end", Colour::kYellow) : TextTable::Cell(until), text_at(entry, "approval")});
      continue;
    }
    std::string more;
    for (const auto& [key, value] : entry.items()) {
      if (key == "kind" || key == "name" || key == "subjects" || key == "groups" || value.is_null()) continue;
      more += (more.empty() ? "" : ", ") + key + " " + (value.is_string() ? value.get<std::string>() : value.dump());
    }
    others.add({kind, name, who_of(entry), more});
  }
  grants.print(call.terminal.out, call.colour);
  call.terminal.out << "\n";
  others.print(call.terminal.out, call.colour);
}

}  // namespace

Result<void> read_access(const record::RecordPlace& place, std::chrono::sys_seconds at, report::AccessAt& access) {
  record::ActFilter filter;
  filter.until = at + std::chrono::seconds(1);
  filter.count_max = UINT64_MAX;
  const auto listed = record::list_acts(place, filter, [&](const std::string& line) {
    const json act = json::parse(line, nullptr, false);
    return !act.is_object() || access.add_act(act);
  });
  if (!listed) return listed;
  if (place.log.empty()) return {};
  const auto head = record::read_head(place.log);
  if (!head) return head.error().kind == Error::Kind::kNotFound ? Result<void>() : tl::unexpected<Error>(head.error());
  return record::read_entries(place.log, head->checkpoint.size, [&](uint64_t index, Bytes entry) {
    if (const json object = json::parse(as_text(entry), nullptr, false); object.is_object()) access.add_log_entry(index, object);
  });
}

int run_grants_at(VerbCall& call) {
  for (const char* other : {"no-end", "ending", "unused", "target", "group"}) {
    if (call.has(other)) return call.fail(kExitUsage, std::string("--at shows the whole list of a date; --") + other + " is of the configuration now");
  }
  const auto at = call.text("at") == "now" ? Result<std::chrono::sys_seconds>(std::chrono::ceil<std::chrono::seconds>(std::chrono::system_clock::now())) : parse_moment(call.text("at"));
  if (!at) return call.fail(kExitUsage, "--at " + at.error().message);
  const auto folder = record_folder(call);
  if (!folder) return kExitUsage;
  const auto place = record_place(call, *folder);
  if (!place) return call.fail(place.error());
  const std::string at_text = utc_text(*at);
  tell_engine(call, "grants-at", "who could do what at " + at_text);
  report::AccessAt access(at_text);
  if (auto read = read_access(*place, *at, access); !read) return call.fail(read.error());
  const auto found = access.found();
  if (call.json) {
    ordered_json answer{{"at", at_text}, {"known", found.has_value()}, {"why", found ? "" : access.why()}, {"without_gateway", access.gap()}};
    if (found) {
      answer["since"] = found->since;
      answer["put_by"] = found->why;
      answer["digest"] = found->digest;
      answer["config"] = found->config;
      answer["session"] = found->session;
      answer["seq"] = found->sequence;
      answer["log_entry"] = found->leaf ? ordered_json(*found->leaf) : ordered_json(nullptr);
      answer["entries"] = ordered_json::array();
      for (const json& entry : found->entries) {
        answer["entries"].push_back(ordered_json::parse(entry.dump()));
        answer["entries"].back()["digest"] = report::access_entry_digest(entry);
      }
    }
    call.print_json(answer);
    return found ? kExitDone : kExitFinding;
  }
  if (!access.gap().empty()) call.terminal.out << "No gateway ran then: from " << access.gap() << ".  What follows was in force before.\n";
  if (!found) return call.fail(kExitFinding, "who could do what at " + at_text + " is not known: " + access.why());
  call.terminal.out << "At " << at_text << ": access list " << found->digest << "\n  of the configuration " << found->config << "\n  on the record since " << found->since << " (" << escape_bytes(found->why) << "): session "
                    << found->session << ", event " << found->sequence
                    << (found->leaf ? ", entry " + std::to_string(*found->leaf) + " of the evidence log (its digest there: " + found->leaf_digest + ")" : std::string(", not in the evidence log yet")) << "\n\n";
  print_list(call, *found);
  return kExitDone;
}

int run_sign_off(VerbCall& call) {
  const std::vector<std::string> names(call.words().begin() + 1, call.words().end());
  if (call.has("all") == !names.empty()) return call.fail(kExitUsage, "name grants, or give --all; `weir grants --at now` lists them");
  const std::string decision = call.text("decision");
  if (decision != "keep" && decision != "change" && decision != "remove") return call.fail(kExitUsage, "say what was decided: --decision keep, change or remove");
  if (call.text("reason").empty()) return call.fail(kExitUsage, "a reason is required: --reason TEXT");
  const auto config = call.load_state();
  if (!config) return kExitUsage;
  json arguments = {{"decision", decision}, {"reason", call.text("reason")}};
  if (call.has("all")) arguments["all"] = true;
  else arguments["grants"] = names;
  if (call.has("list")) arguments["list"] = call.text("list");
  int code = kExitDone;
  const auto answer = call.ask(*config, "sign-off", arguments, code);
  if (!answer) return code;
  if (call.json) call.print_json(*answer);
  else call.terminal.out << escape_bytes(text_at(*answer, "what")) << "\non the record, with the access list " << escape_bytes(text_at(*answer, "list")) << "\n";
  return kExitDone;
}

}  // namespace weir::control

// grants: who may do what, as a list that a reviewer can read.
#include <algorithm>
#include <boost/program_options/value_semantic.hpp>

#include "control/cli_text.h"
#include "control/config_values.h"
#include "control/verbs.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::ordered_json;

constexpr weir::Verb kGrantable[] = {weir::Verb::kRead,  weir::Verb::kWrite, weir::Verb::kDdl,     weir::Verb::kAdmin,       weir::Verb::kExec,
                                     weir::Verb::kShell, weir::Verb::kFile,  weir::Verb::kForward, weir::Verb::kImpersonate, weir::Verb::kReplicate};

std::vector<std::string> verb_names(VerbSet verbs) {
  std::vector<std::string> names;
  for (const weir::Verb verb : kGrantable) {
    if ((verbs & bit(verb)) != 0) names.emplace_back(name_of(verb));
  }
  return names;
}

std::string list_text(const std::vector<std::string>& entries, std::string_view if_empty) {
  std::string text;
  for (const std::string& entry : entries) text += (text.empty() ? "" : " ") + entry;
  return entries.empty() ? std::string(if_empty) : text;
}

std::string who_text(const WhoConfig& who) {
  if (who.subjects.empty() && who.groups.empty()) return "anybody who is bound";
  std::string text;
  if (!who.subjects.empty()) text += list_text(who.subjects, "");
  if (!who.groups.empty()) text += (text.empty() ? "groups " : " in groups ") + list_text(who.groups, "");
  return text;
}

std::string hours_text(const HoursConfig& hours) {
  static constexpr const char* kDays[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
  std::string text;
  for (const HoursConfig::Span& span : hours.spans) {
    char times[48];
    std::snprintf(times, sizeof times, "%s%s-%s %02d:%02d-%02d:%02d", text.empty() ? "" : ", ", kDays[span.first_day % 7], kDays[span.last_day % 7], span.from_minute / 60, span.from_minute % 60,
                  span.to_minute / 60, span.to_minute % 60);
    text += times;
  }
  return text.empty() ? "always" : text + " " + hours.zone;
}

ordered_json to_json(const GrantConfig& grant) {
  ordered_json object{{"name", grant.name},
                      {"who", {{"subjects", grant.who.subjects}, {"groups", grant.who.groups}}},
                      {"targets", grant.targets},
                      {"logins", grant.logins},
                      {"databases", grant.databases},
                      {"verbs", verb_names(grant.verbs)},
                      {"objects", grant.objects},
                      {"hours", hours_text(grant.hours)},
                      {"assurance", name_of(grant.assurance)},
                      {"request_id", grant.request_id_required ? "required" : "optional"},
                      {"approval", grant.approval},
                      {"tags", grant.tags},
                      {"file", grant.place.file},
                      {"line", grant.place.line}};
  object["until"] = grant.until == std::chrono::sys_seconds{} ? ordered_json(nullptr) : ordered_json(text_of(grant.until));
  return object;
}

int run_grants(VerbCall& call) {
  const auto loaded = call.load(false);
  if (!loaded) return kExitUsage;
  std::chrono::sys_seconds ending = std::chrono::sys_seconds::max();
  if (call.has("ending")) {
    const auto within = parse_duration(call.text("ending"));
    if (!within) return call.fail(kExitUsage, "--ending " + within.error().message);
    ending = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now() + *within);
  }
  ordered_json list = ordered_json::array();
  TextTable table({{"GRANT"}, {"WHO"}, {"TARGETS"}, {"LOGINS"}, {"VERBS"}, {"OBJECTS"}, {"HOURS"}, {"UNTIL"}});
  for (const GrantConfig& grant : loaded->config.grants) {
    const bool has_end = grant.until != std::chrono::sys_seconds{};
    const auto has = [](const std::vector<std::string>& names, const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); };
    if (call.has("no-end") && has_end) continue;
    if (call.has("ending") && (!has_end || grant.until > ending)) continue;
    if (call.has("target") && !has(grant.targets, call.text("target"))) continue;
    if (call.has("group") && !has(grant.who.groups, call.text("group"))) continue;
    list.push_back(to_json(grant));
    table.add({grant.name, who_text(grant.who), list_text(grant.targets, "all"), list_text(grant.logins, "all"), list_text(verb_names(grant.verbs), "none"), list_text(grant.objects, "all"),
               hours_text(grant.hours), has_end ? TextTable::Cell(text_of(grant.until)) : TextTable::Cell("no end", Colour::kYellow)});
  }
  if (call.json) call.print_json(list);
  else table.print(call.terminal.out, call.colour);
  return kExitDone;
}

}  // namespace

Verb grants_verb() {
  return {.name = "grants",
          .group = "Configuration and policy",
          .summary = "list who may do what",
          .synopsis = "[--no-end] [--ending TIME] [--target NAME] [--group NAME]",
          .description = "All grants of the configuration on disk, in file order. What no grant admits is blocked.",
          .exits = "0 done\n2 the configuration is wrong",
          .example = "weir grants\nweir grants --no-end\nweir grants --ending 30d --json",
          .add_options = [](po::options_description& options) {
            options.add_options()("no-end", "only grants without an end")
                ("ending", po::value<std::string>()->value_name("TIME"), "only grants that end within this time, such as 30d")
                ("target", po::value<std::string>()->value_name("NAME"), "only grants that name this target")
                ("group", po::value<std::string>()->value_name("NAME"), "only grants that name this group");
          },
          .run = run_grants};
}

}  // namespace weir::control

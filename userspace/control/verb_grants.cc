// grants: who may do what, as a list that a reviewer can read.
#include <algorithm>
#include <boost/program_options/value_semantic.hpp>

#include "control/cli_text.h"
#include "control/config_values.h"
#include "control/policy_json.h"
#include "control/verbs.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::ordered_json;

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

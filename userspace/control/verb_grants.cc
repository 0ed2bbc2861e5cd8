// grants: who may do what, as a list that a reviewer can read.
#include <algorithm>
#include <boost/program_options/value_semantic.hpp>

#include "control/cli_text.h"
#include "control/config_values.h"
#include "control/control_client.h"
#include "control/grants_record.h"
#include "control/policy_json.h"
#include "control/record_options.h"
#include "control/verbs.h"
#include "core/json_fields.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::json;
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

// Uses by grant, as the engine has counted them; an empty object: no engine runs.
std::optional<json> ask_uses(VerbCall& call, const Config& config, int& code) {
  json uses = json::object();
  if (!call.has("unused") && !is_answering(config.control.socket)) return uses;
  const auto answer = call.ask(config, "grants", json::object(), code);
  if (!answer) return std::nullopt;
  for (const json& grant : *answer) {
    if (grant.is_object() && grant.contains("uses") && grant.contains("name")) uses[grant["name"].get<std::string>()] = grant["uses"];
  }
  return uses;
}

std::string use_text(const json& uses) {
  if (!uses.is_object()) return "not known";
  const std::string last = text_at(uses, "last");
  if (last.empty()) return "never since " + text_at(uses, "since");
  return std::to_string(uses.value("count", uint64_t{0})) + ", last " + last + " by " + text_at(uses, "last_subject");
}

int run_grants(VerbCall& call) {
  const bool is_sign_off = !call.words().empty() && call.words()[0] == "sign-off";
  if (!call.words().empty() && !is_sign_off) return call.fail(kExitUsage, "say `weir grants` for the list, or `weir grants sign-off`");
  for (const char* option : {"all", "decision", "reason", "list"}) {
    if (!is_sign_off && call.has(option)) return call.fail(kExitUsage, std::string("--") + option + " is for `weir grants sign-off`");
  }
  if (is_sign_off && call.has("at")) return call.fail(kExitUsage, "--at is for the list; what is signed off is what is in force now");
  if (is_sign_off) return run_sign_off(call);
  if (call.has("at")) return run_grants_at(call);
  const auto loaded = call.load(false);
  if (!loaded) return kExitUsage;
  int code = kExitDone;
  const auto all_uses = ask_uses(call, loaded->config, code);
  if (!all_uses) return code;
  std::string unused_before;  // RFC 3339 in UTC, of one width: texts stand in the order of time.
  if (call.has("unused")) {
    const auto within = parse_duration(call.text("unused"));
    if (!within) return call.fail(kExitUsage, "--unused " + within.error().message);
    unused_before = text_of(std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now() - *within));
  }
  std::size_t too_young = 0;
  std::chrono::sys_seconds ending = std::chrono::sys_seconds::max();
  if (call.has("ending")) {
    const auto within = parse_duration(call.text("ending"));
    if (!within) return call.fail(kExitUsage, "--ending " + within.error().message);
    ending = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now() + *within);
  }
  ordered_json list = ordered_json::array();
  TextTable table({{"GRANT"}, {"WHO"}, {"TARGETS"}, {"LOGINS"}, {"VERBS"}, {"OBJECTS"}, {"HOURS"}, {"UNTIL"}, {"USED"}});
  for (const GrantConfig& grant : loaded->config.grants) {
    const bool has_end = grant.until != std::chrono::sys_seconds{};
    const auto has = [](const std::vector<std::string>& names, const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); };
    if (call.has("no-end") && has_end) continue;
    if (call.has("ending") && (!has_end || grant.until > ending)) continue;
    if (call.has("target") && !has(grant.targets, call.text("target"))) continue;
    const auto uses = all_uses->find(grant.name);
    if (call.has("unused")) {
      if (uses == all_uses->end()) continue;  // Of another configuration than the one in force.
      const std::string last = text_at(*uses, "last"), since = text_at(*uses, "since");
      if (last > unused_before) continue;
      if (last.empty() && since > unused_before) {
        ++too_young;
        continue;
      }
    }
    if (call.has("group") && !has(grant.who.groups, call.text("group"))) continue;
    list.push_back(to_json(grant));
    list.back()["uses"] = uses == all_uses->end() ? ordered_json(nullptr) : ordered_json::parse(uses->dump());
    table.add({grant.name, who_text(grant.who), list_text(grant.targets, "all"), list_text(grant.logins, "all"), list_text(verb_names(grant.verbs), "none"), list_text(grant.objects, "all"),
               hours_text(grant.hours), has_end ? TextTable::Cell(text_of(grant.until)) : TextTable::Cell("no end", Colour::kYellow),
               use_text(uses == all_uses->end() ? json(nullptr) : *uses)});
  }
  if (too_young != 0) {
    call.terminal.err << "weir grants: " << counted(too_young, "grant") << " never used, and counted for less than " << call.text("unused") << "; not listed\n";
  }
  if (call.json) call.print_json(list);
  else table.print(call.terminal.out, call.colour);
  return kExitDone;
}

}  // namespace

Verb grants_verb() {
  return {.name = "grants",
          .group = "Configuration and policy",
          .summary = "list who may do what, now or at a date; sign off a review",
          .synopsis = "[--at TIME] [FILTER...] | sign-off GRANT...|--all --decision DECISION --reason TEXT",
          .description = "All grants of the configuration on disk, in file order. What no grant admits is blocked.\n"
                         "Where an engine runs, it says how often each admitted a command that passed, when last and for whom, and since when it counts: since the grant was first in force.\n"
                         "--at TIME: who could do what then, from the record alone (grants, approvals, roles, static identities, mode of targets), with the entry of the evidence log that proves it; where the record does not hold it, it says so. "
                         "Works without an engine, and on a copy.\n"
                         "sign-off: a reviewer's word on grants as they are in force: who (the login on this host), the decision, the reason and the digest of what was reviewed go on the record, and into the evidence pack; it changes no grant. --list: the digest that `weir grants --at now` showed; refused if another list is in force since.\n"
                         "JSON: [{name, who, targets, ..., until, uses: {count, last, last_subject, since}}]; uses is null where no engine says. --at: {at, known, why, without_gateway, since, put_by, digest, config, session, seq, log_entry, entries: [{kind, name, ..., digest}]}. sign-off: {decision, list, config, grants: [{name, digest}], what}",
          .exits = "0 done\n1 --at: it is not known; sign-off: there is no such grant\n2 the command line or the configuration is wrong\n3 --unused or sign-off, and no engine runs, or the record cannot take it\n"
                   "4 --at: the archives are encrypted, and no key was given; sign-off: not allowed, or another list is in force\n5 --at: the record cannot be read",
          .example = "weir grants\nweir grants --at 2027-03-31T00:00:00Z\nweir grants --at now --json | jq -r .digest\nweir grants sign-off --all --decision keep --reason 'Q1 review, REV-7'\nweir grants sign-off agents-read --decision remove --reason 'REV-7: nobody uses it'\nweir grants --no-end\nweir grants --unused 90d\nweir grants --ending 30d --json",
          .add_options = [](po::options_description& options) {
            options.add_options()("no-end", "only grants without an end")
                ("ending", po::value<std::string>()->value_name("TIME"), "only grants that end within this time, such as 30d")
                ("unused", po::value<std::string>()->value_name("TIME"), "only grants that nobody has used for this time, such as 90d")
                ("target", po::value<std::string>()->value_name("NAME"), "only grants that name this target")
                ("group", po::value<std::string>()->value_name("NAME"), "only grants that name this group")
                ("at", po::value<std::string>()->value_name("TIME"), "who could do what then: a time, how long ago (90d), or now")
                ("state", po::value<std::string>()->value_name("FOLDER"), "--at: a state folder or a copy of one; else the configuration's")
                ("all", "sign-off: every grant in force")
                ("decision", po::value<std::string>()->value_name("WHAT"), "sign-off: keep, change or remove")
                ("reason", po::value<std::string>()->value_name("TEXT"), "sign-off: why; required")
                ("list", po::value<std::string>()->value_name("DIGEST"), "sign-off: the access list that was reviewed");
            add_key_file(options);
          },
          .run = run_grants};
}

}  // namespace weir::control

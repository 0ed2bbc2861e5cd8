// retention: how long the record is kept, what is held, what would go and when.  Looking reads the files, also beside an engine or
// without one; holds and a run are asked of the engine, and stand on the record.
#include <boost/program_options/value_semantic.hpp>
#include <map>

#include "control/cli_text.h"
#include "control/config_values.h"
#include "control/logging.h"
#include "control/pending_change.h"
#include "control/record_options.h"
#include "control/retention_text.h"
#include "control/verbs.h"
#include "core/json_fields.h"
#include "core/time_text.h"
#include "record/retention_plan.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr uint64_t kRowsDefault = 1'000;

std::string second_text(int64_t ns) { return utc_text(std::chrono::sys_seconds(std::chrono::seconds(ns / 1'000'000'000))); }

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// "default" last, as what counts where no rule fits.
std::string where_of(const RetentionRuleConfig& rule) {
  std::string text;
  const auto add = [&](const char* name, const std::vector<std::string>& values) {
    if (!values.empty()) text += (text.empty() ? "" : "; ") + std::string(name) + " " + joined(values);
  };
  add("targets", rule.targets);
  add("tags", rule.tags);
  add("rules", rule.rules);
  add("groups", rule.groups);
  add("subjects", rule.subjects);
  return text;
}

struct Inputs { Config config; record::RecordPlace place; std::string folder; std::vector<record::Hold> holds; };
std::optional<Inputs> inputs_of(VerbCall& call, int& code) {
  auto loaded = call.load(false);
  code = kExitUsage;
  if (!loaded || !loaded->is_usable()) return std::nullopt;
  Inputs in{.config = std::move(loaded->config), .place = {}, .folder = {}, .holds = {}};
  in.folder = call.has("state") ? call.text("state") : in.config.state;
  in.place = record::RecordPlace::of(in.folder);
  auto holds = record::read_holds(in.folder, in.config.retention);
  if (!holds) {
    code = call.fail(holds.error());
    return std::nullopt;
  }
  in.holds = std::move(*holds);
  return in;
}

ordered_json row_json(const record::PlanRow& row) {
  ordered_json line = {{"session", row.session}, {"parts", row.parts},          {"target", row.target},
                       {"subject", row.subject}, {"sealed", second_text(row.sealed_ns)}, {"due", second_text(row.due_ns)},
                       {"policy", row.by.policy}, {"keep_s", row.by.keep.count()}, {"held_by", row.held_by}, {"expiring", row.is_expiring}};
  if (!row.problem.empty()) line["problem"] = row.problem;
  return line;
}

// --plan: what goes until --at, in the order of its seals.
int run_plan(VerbCall& call) {
  int code = kExitDone;
  const auto in = inputs_of(call, code);
  if (!in) return code;
  record::PlanOptions options{.config = in->config.retention, .holds = in->holds};
  options.due_by = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  if (call.has("at")) {
    const auto at = parse_time(call.text("at"));
    if (!at) return call.fail(kExitUsage, "--at " + at.error().message);
    options.due_by = *at;
  }
  if (call.has("all")) options.due_by.reset();
  if (call.has("after")) options.after = call.options["after"].as<uint64_t>();
  const uint64_t limit = call.has("limit") ? call.options["limit"].as<uint64_t>() : kRowsDefault;
  tell_engine(call, "retention-plan", "what expires");
  uint64_t rows = 0, held = 0, unreadable = 0, last = 0;
  bool is_cut = false;
  TextTable table({{"SESSION", TextTable::Align::kRight}, {"SEALED"}, {"DUE"}, {"POLICY"}, {"SUBJECT"}, {"TARGET"}, {"HELD BY"}});
  if (call.json) call.terminal.out << "[";
  const auto planned = record::plan_retention(in->place, options, [&](const record::PlanRow& row) {
    is_cut = rows == limit;
    if (is_cut) return false;
    if (call.json) {
      call.terminal.out << (rows == 0 ? "\n" : ",\n") << row_json(row).dump(-1, ' ', false, json::error_handler_t::replace);
    } else {
      const std::string stays = !row.problem.empty() ? "cannot be read: " + row.problem : row.is_expiring ? "(is being destroyed)" : joined(row.held_by);
      table.add({row.session, second_text(row.sealed_ns), second_text(row.due_ns), row.by.policy + " (" + keep_text(static_cast<uint64_t>(row.by.keep.count())) + ")", escape_bytes(row.subject), escape_bytes(row.target),
                 TextTable::Cell(escape_bytes(stays), stays.empty() ? Colour::kNone : Colour::kYellow)});
    }
    ++rows;
    held += row.held_by.empty() ? 0 : 1;
    unreadable += row.problem.empty() ? 0 : 1;
    last = row.session;
    return static_cast<bool>(call.terminal.out);
  });
  if (call.json) call.terminal.out << (rows == 0 ? "]\n" : "\n]\n");
  if (!planned) return call.fail(planned.error());
  if (call.json) return kExitDone;
  table.print(call.terminal.out, call.colour);
  call.terminal.out << counted(rows - held - unreadable, "session") << (call.has("all") ? " kept" : " due") << ", " << held << " held";
  if (unreadable != 0) call.terminal.out << ", " << unreadable << " that cannot be read and stay";
  call.terminal.out << "\n";
  if (is_cut) call.terminal.out << "there is more: --after " << last << ", or --limit\n";
  return kExitDone;
}

// Policies, how many sessions each keeps, what is gone, what is held.
int run_show(VerbCall& call) {
  int code = kExitDone;
  const auto in = inputs_of(call, code);
  if (!in) return code;
  struct Kept { uint64_t sessions = 0; int64_t oldest_ns = 0, next_ns = 0; };
  std::map<std::string, Kept> kept;
  uint64_t total = 0, held = 0, unreadable = 0;
  const auto walked = record::plan_retention(in->place, {.config = in->config.retention, .holds = in->holds}, [&](const record::PlanRow& row) {
    ++total;
    held += row.held_by.empty() ? 0 : 1;
    unreadable += row.problem.empty() ? 0 : 1;
    Kept& one = kept[row.by.policy];
    if (one.sessions++ == 0) one.oldest_ns = row.sealed_ns;
    if (row.held_by.empty() && row.problem.empty() && (one.next_ns == 0 || row.due_ns < one.next_ns)) one.next_ns = row.due_ns;
    return true;
  });
  if (!walked) return call.fail(walked.error());
  const auto gone = record::count_gone(in->place.log, std::nullopt, std::nullopt);
  if (!gone) return call.fail(gone.error());
  const auto gone_by = [&](const std::string& policy) {
    uint64_t count = 0;
    for (const record::GoneCount& each : *gone) count += each.policy == policy ? each.sessions : 0;
    return count;
  };
  std::vector<RetentionRuleConfig> rules = in->config.retention.rules;
  RetentionRuleConfig otherwise;
  otherwise.name = record::kDefaultPolicy;
  otherwise.keep = in->config.retention.keep;
  rules.push_back(otherwise);
  ordered_json policies = ordered_json::array(), holds = ordered_json::array();
  TextTable table({{"POLICY"}, {"KEEPS"}, {"WHERE"}, {"KEPT", TextTable::Align::kRight}, {"EXPIRED", TextTable::Align::kRight}, {"OLDEST"}, {"NEXT TO EXPIRE"}});
  for (const RetentionRuleConfig& rule : rules) {
    const Kept& one = kept[rule.name];
    const std::string oldest = one.oldest_ns == 0 ? "" : second_text(one.oldest_ns), next = one.next_ns == 0 ? "" : second_text(one.next_ns);
    const bool is_default = rule.name == record::kDefaultPolicy;
    policies.push_back({{"name", rule.name}, {"keep_s", rule.keep.count()}, {"where", {{"targets", rule.targets}, {"tags", rule.tags}, {"rules", rule.rules}, {"groups", rule.groups}, {"subjects", rule.subjects}}},
                        {"kept", one.sessions}, {"expired", gone_by(rule.name)}, {"oldest", oldest}, {"next", next}});
    table.add({rule.name, keep_text(static_cast<uint64_t>(rule.keep.count())), is_default ? "where no other fits" : escape_bytes(where_of(rule)), one.sessions, gone_by(rule.name), oldest, next});
  }
  TextTable held_table({{"HOLD"}, {"COVERS"}, {"BY"}, {"SINCE"}, {"REASON"}});
  for (const record::Hold& hold : in->holds) {
    holds.push_back(ordered_json(record::to_json(hold)));
    held_table.add({hold.id, escape_bytes(record::words_of(hold)), escape_bytes(hold.by), hold.is_configured ? "configuration" : utc_text_if_set(hold.at), escape_bytes(hold.reason)});
  }
  if (call.json) {
    uint64_t expired = 0;
    for (const record::GoneCount& each : *gone) expired += each.sessions;
    call.print_json({{"policies", policies}, {"kept", total}, {"held", held}, {"unreadable", unreadable}, {"expired", expired}, {"holds", holds}});
    return kExitDone;
  }
  table.print(call.terminal.out, call.colour);
  call.terminal.out << "Of several that fit, the one that keeps longest counts.\n";
  if (unreadable != 0) call.terminal.out << paint(counted(unreadable, "session") + " cannot be read, and stay: weir verify says why", Colour::kYellow, call.colour) << "\n";
  if (in->holds.empty()) {
    call.terminal.out << "no legal holds\n";
    return kExitDone;
  }
  call.terminal.out << "\n";
  held_table.print(call.terminal.out, call.colour);
  call.terminal.out << counted(held, "session") << " held\n";
  return kExitDone;
}

int run_now(VerbCall& call) {
  const auto config = call.load_state();
  if (!config) return kExitUsage;
  int code = kExitDone;
  const auto answer = call.ask(*config, "retention-run", {{"reason", call.text("reason")}}, code);
  if (!answer || is_pending_change(call, *answer, code)) return code;
  if (call.json) call.print_json(*answer);
  else if (const std::string problem = text_at(*answer, "problem"); !problem.empty()) call.terminal.out << paint(escape_bytes(problem), Colour::kRed, call.colour) << "\n";
  else call.terminal.out << counted(number_at(*answer, "expired"), "session") << " expired now, " << number_at(*answer, "held") << " held" << (answer->value("goes_on", false) ? "; more is on its way" : "") << "\n";
  return text_at(*answer, "problem").empty() ? kExitDone : kExitFinding;
}

int run_hold_add(VerbCall& call) {
  json arguments = {{"reason", call.text("reason")}};
  if (call.has("session")) arguments["session"] = call.options["session"].as<uint64_t>();
  if (call.has("who")) arguments["subject"] = call.text("who");
  if (call.has("target")) arguments["target"] = call.text("target");
  for (const char* key : {"from", "to"}) {
    if (call.has(key)) arguments[key] = call.text(key);
  }
  if (arguments.size() == 1) return call.fail(kExitUsage, "say what is held: --session N, --who SUBJECT, --target NAME, --from TIME, --to TIME; of several all must fit");
  const auto config = call.load_state();
  if (!config) return kExitUsage;
  int code = kExitDone;
  const auto answer = call.ask(*config, "hold-add", arguments, code);
  if (!answer || is_pending_change(call, *answer, code)) return code;
  if (call.json) call.print_json(*answer);
  else call.terminal.out << text_at(*answer, "id") << " holds " << escape_bytes(text_at(*answer, "what")) << "\n";
  return kExitDone;
}

int run_hold_remove(VerbCall& call, const std::string& id) {
  const auto config = call.load_state();
  if (!config) return kExitUsage;
  int code = kExitDone;
  const auto answer = call.ask(*config, "hold-remove", {{"hold", id}, {"reason", call.text("reason")}}, code);
  if (!answer || is_pending_change(call, *answer, code)) return code;
  if (call.json) call.print_json(*answer);
  else call.terminal.out << id << " is lifted: " << escape_bytes(text_at(*answer, "what")) << " expires when it is due\n";
  return kExitDone;
}

int run_hold_list(VerbCall& call) {
  int code = kExitDone;
  const auto in = inputs_of(call, code);
  if (!in) return code;
  if (call.json) {
    ordered_json all = ordered_json::array();
    for (const record::Hold& hold : in->holds) all.push_back(ordered_json(record::to_json(hold)));
    call.print_json(all);
    return kExitDone;
  }
  if (in->holds.empty()) call.terminal.out << "no legal holds\n";
  for (const record::Hold& hold : in->holds) {
    call.terminal.out << hold.id << "  " << escape_bytes(record::words_of(hold)) << ", by " << escape_bytes(hold.by) << (hold.is_configured ? " (configuration)" : " at " + utc_text_if_set(hold.at)) << ": " << escape_bytes(hold.reason) << "\n";
  }
  return kExitDone;
}

int run_retention(VerbCall& call) {
  const std::vector<std::string>& words = call.words();
  const bool needs_reason = (!words.empty() && words.size() > 1 && words[1] != "list") || call.has("run");
  if (call.has("plan") && call.has("run")) return call.fail(kExitUsage, "--plan looks, --run destroys: one of them");
  if (needs_reason && call.text("reason").find_first_not_of(' ') == std::string::npos) return call.fail(kExitUsage, "a reason is required: --reason TEXT (a case, a ticket number)");
  if (words.empty()) return call.has("plan") ? run_plan(call) : call.has("run") ? run_now(call) : run_show(call);
  if (words[0] == "hold" && words.size() == 2 && words[1] == "add") return run_hold_add(call);
  if (words[0] == "hold" && words.size() == 2 && words[1] == "list") return run_hold_list(call);
  if (words[0] == "hold" && words.size() == 3 && words[1] == "remove") return run_hold_remove(call, words[2]);
  return call.fail(kExitUsage, "weir retention; --plan; --run; hold add; hold list; hold remove ID");
}

}  // namespace

Verb retention_verb() {
  return {.name = "retention",
          .group = "The record",
          .summary = "how long the record is kept, what would expire and when; legal holds",
          .synopsis = "[--plan [--at TIME | --all] | --run --reason TEXT] | hold add ... | hold list | hold remove ID --reason TEXT",
          .description = "Without anything: each policy of `retention`, how many sessions it keeps, the oldest, the next to expire, and what is held. Reads the manifest of every session that is kept.\n"
                         "--plan lists what is due (at --at), by which policy, and what is held and by what. --run looks now, not at the next of the looks that happen by themselves (each minute).\n"
                         "A legal hold keeps what all of its conditions fit, whatever its age, until it is removed: --session, --who, --target, or sessions that lived in [--from, --to). What is expiring already is past holding.\n"
                         "What expires is destroyed for good: its wrapped keys, then its archive; a tombstone in the evidence log says so, and the rest of the record verifies.\n"
                         "JSON: {policies: [{name, keep_s, where, kept, expired, oldest, next}], kept, held, unreadable, expired, holds: [...]}; --plan: [{session, parts, target, subject, sealed, due, policy, keep_s, held_by: [ID..], "
                         "expiring, problem?}]; --run: {expired, held, waiting, unreadable, goes_on, problem}; hold add, remove: {id, what, ...}; hold list: [{id, session?, subject?, target?, from?, until?, reason, by, at, configured}]",
          .exits = "0 done\n1 there is no such hold, or --run failed: nothing is lost, it is tried again\n2 the command line or the configuration is wrong, or the reason is missing\n3 the engine is not running\n4 not root, nor the engine's user\n5 the record cannot be read",
          .example = "weir retention\nweir retention --plan --at 2027-12-31T00:00:00Z\nweir retention hold add --who user:mallory --from 2027-01-01T00:00:00Z --reason 'case 17'\nweir retention hold remove hold-1 --reason 'case 17 is closed'",
          .add_options = [](po::options_description& options) {
            options.add_options()("plan", "what is due")("at", po::value<std::string>()->value_name("TIME"), "--plan: due then; default: now")("all", "--plan: all that is kept, also what is not due")
                ("after", po::value<uint64_t>()->value_name("SESSION"), "--plan: go on behind this one")("limit", po::value<uint64_t>()->value_name("N"), "--plan: at most so many; default 1000")
                ("run", "destroy what is due now")("session", po::value<uint64_t>()->value_name("N"), "hold add: one session")("who", po::value<std::string>()->value_name("SUBJECT"), "hold add: of one identity")
                ("target", po::value<std::string>()->value_name("NAME"), "hold add: of one target")("from", po::value<std::string>()->value_name("TIME"), "hold add: lived at that time or later")
                ("to", po::value<std::string>()->value_name("TIME"), "hold add: lived before that time")("reason", po::value<std::string>()->value_name("TEXT"), "why; a case, a ticket number")
                ("state", po::value<std::string>()->value_name("FOLDER"), "a state folder or a copy of one; else the configuration's");
          },
          .run = run_retention};
}

}  // namespace weir::control

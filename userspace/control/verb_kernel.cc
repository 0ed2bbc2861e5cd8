// up, down, doctor: the kernel side, for the command line.
#include <boost/program_options/value_semantic.hpp>

#include "control/cli_text.h"
#include "control/config_values.h"
#include "control/control_client.h"
#include "control/portal_settings.h"
#include "control/signer_findings.h"
#include "control/verbs.h"
#include "core/json_fields.h"
#include "record/reader.h"
#include "record/retention_plan.h"
#include "record/sealed_view.h"
#include "steer/steer.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::ordered_json;

void add_set(po::options_description& options) {
  options.add_options()("set", po::value<std::vector<std::string>>()->value_name("KEY=VALUE"), "override one key of the configuration; may be given several times");
}

int run_plan(VerbCall& call, const Config& config) {
  const auto plan = steer::plan(config);
  if (!plan) return call.fail(plan.error());
  if (call.json) {
    call.print_json({{"steps", plan->steps}, {"clashes", plan->clashes}, {"notes", plan->notes}});
  } else {
    std::size_t number = 0;
    for (const std::string& step : plan->steps) {
      ++number;
      call.terminal.out << (number < 10 ? " " : "") << number << "  " << step << "\n";
    }
    for (const std::string& note : plan->notes) call.terminal.out << paint("note   " + note, Colour::kYellow, call.colour) << "\n";
    for (const std::string& clash : plan->clashes) call.terminal.out << paint("clash  " + clash, Colour::kRed, call.colour) << "\n";
    if (plan->clashes.empty()) call.terminal.out << "nothing stands in the way; `weir up` does this\n";
  }
  return plan->clashes.empty() ? kExitDone : kExitFinding;
}

int run_up(VerbCall& call) {
  const auto loaded = call.load(false);
  if (!loaded) return kExitUsage;
  if (call.has("plan")) return run_plan(call, loaded->config);
  if (const auto up = steer::up(loaded->config); !up) return call.fail(up.error());
  if (call.json) {
    call.print_json({{"up", true}});
  } else {
    call.terminal.out << "up: target-bound traffic goes to the engine, and nowhere while there is none; `weir run` serves\n";
  }
  return kExitDone;
}

int run_down(VerbCall& call) {
  const auto config = call.load_state();
  if (!config) return kExitUsage;
  const auto left = steer::down(*config);
  if (!left) return call.fail(left.error());
  if (call.json) {
    call.print_json({{"down", true}, {"left", *left}});
  } else {
    for (const std::string& line : *left) call.terminal.out << paint("left as it is: " + line, Colour::kYellow, call.colour) << "\n";
    call.terminal.out << "down: the kernel forwards as if there were no gateway\n";
  }
  return left->empty() ? kExitDone : kExitFinding;
}

std::string_view name_of(steer::Finding::Level level) {
  switch (level) {
    case steer::Finding::Level::kOk: return "ok";
    case steer::Finding::Level::kWarn: return "warn";
    case steer::Finding::Level::kFail: return "fail";
  }
  return "fail";
}

Colour colour_of(steer::Finding::Level level) {
  return level == steer::Finding::Level::kOk ? Colour::kGreen : level == steer::Finding::Level::kWarn ? Colour::kYellow : Colour::kRed;
}

// The configuration itself, as one finding.
steer::Finding config_finding(const LoadedConfig& loaded) {
  steer::Finding finding{"configuration", steer::Finding::Level::kOk, loaded.config.file, ""};
  std::size_t errors = 0;
  for (const ConfigProblem& problem : loaded.problems) errors += problem.severity == ConfigProblem::Severity::kError ? 1 : 0;
  if (errors == 0) return finding;
  finding.level = steer::Finding::Level::kFail;
  finding.found = counted(errors, "error") + ", the first: " + text_of(loaded.problems.front());
  finding.fix = "weir check";
  return finding;
}

// How people come to be bound to their address.
void add_sign_in(const IdentityConfig& identity, std::vector<steer::Finding>& findings) {
  using Level = steer::Finding::Level;
  for (const IssuerConfig& issuer : identity.issuers) {
    if (issuer.client_id.empty()) continue;
    if (is_by_portal_alone(identity, issuer.name)) {
      findings.push_back({"sign-in", Level::kOk, "people of " + issuer.name + " " + how_to_sign_in(identity), ""});
    } else {
      findings.push_back({"sign-in", Level::kWarn, "people of " + issuer.name + " may sign in by a code: whoever gets one of them to enter it binds an address of their own choice", "identity.portal for it, and no device among login.flows"});
    }
  }
}

// Whether they take anything is not known before somebody tries.
void add_sinks(const NotifyConfig& notify, std::vector<steer::Finding>& findings) {
  if (notify.sinks.empty()) return;
  std::string names;
  for (const SinkConfig& sink : notify.sinks) names += (names.empty() ? "" : ", ") + sink.name;
  findings.push_back({"notify", steer::Finding::Level::kOk, "alerts go to " + names + "; try them with `weir alerts test`", ""});
}

// What a running engine says of who signs its log beside it.
void add_countersigners(const Config& config, std::vector<steer::Finding>& findings) {
  using Level = steer::Finding::Level;
  if (config.record.witnesses.empty() && config.record.timestamps.url.empty()) {
    findings.push_back({"evidence log", Level::kWarn, "nobody else signs it: a rewrite by who holds its key shows only against a checkpoint that was kept", "record.log.witnesses, record.log.timestamps"});
    return;
  }
  if (!is_answering(config.control.socket)) return;
  const auto status = ask_engine(config.control.socket, "status", nlohmann::json::object());
  if (!status) return;
  const auto signers = status->find("countersigned");
  if (signers == status->end() || !signers->is_array()) return;
  for (const nlohmann::json& signer : *signers) {
    const std::string state = text_at(signer, "state"), name = text_at(signer, "by");
    const bool is_well = state == "good" || state == "new";
    findings.push_back({"evidence log", is_well ? Level::kOk : state == "away" ? Level::kWarn : Level::kFail,
                        name + (is_well ? " signs it" : " does not sign it (" + state + "): " + text_at(signer, "failed")),
                        is_well ? "" : state == "contradicts" ? "keep the folder as it is, and ask the witness what it has seen" : "record.log, and what is set at the other side"});
  }
}

void add_encryption(const RecordConfig& record, std::vector<steer::Finding>& findings) {
  if (record.encryption_key_file.empty()) {
    findings.push_back({"record", steer::Finding::Level::kWarn, "session archives are compressed, and not encrypted", "set record.encryption.key_file"});
  } else {
    findings.push_back({"record", steer::Finding::Level::kOk, "session archives are encrypted, for the gateway and " + counted(record.encryption_auditors.size(), "auditor"), ""});
  }
}

void add_retention(const Config& config, std::vector<steer::Finding>& findings) {
  const auto holds = record::read_holds(config.state, config.retention);
  if (!holds) {
    findings.push_back({"retention", steer::Finding::Level::kFail, holds.error().message, "put back a copy of it that is whole; `weir events --act hold-add` has what was held"});
  } else {
    findings.push_back({"retention", steer::Finding::Level::kOk, "sessions are kept for " + text_of(std::chrono::microseconds(config.retention.keep)) + ", other times by " + counted(config.retention.rules.size(), "rule") + "; " + counted(holds->size(), "legal hold"), ""});
  }
}

// Without it lists read the archives: slow, not wrong.
void add_index(const std::string& state, std::vector<steer::Finding>& findings) {
  const record::RecordPlace place = record::RecordPlace::of(state);
  if (place.index.empty()) return;
  const auto view = record::view_by_index(place);
  if (view || view.error().kind == Error::Kind::kNotFound) return;
  findings.push_back({"index", steer::Finding::Level::kWarn, view.error().message, "a running engine makes it again (weir status says how far it is), and so does weir index --rebuild"});
}

int run_doctor(VerbCall& call) {
  const LoadedConfig loaded = load_config(call.config_path(), call.config_options(true));
  std::vector<steer::Finding> findings{config_finding(loaded)};
  for (steer::Finding& finding : steer::doctor(loaded.config)) findings.push_back(std::move(finding));
  add_sign_in(loaded.config.identity, findings);
  add_sinks(loaded.config.notify, findings);
  add_countersigners(loaded.config, findings);
  add_encryption(loaded.config.record, findings);
  add_signer(loaded.config, findings);
  add_retention(loaded.config, findings);
  add_index(loaded.config.state, findings);
  bool has_failed = false;
  ordered_json list = ordered_json::array();
  for (const steer::Finding& finding : findings) {
    has_failed = has_failed || finding.level == steer::Finding::Level::kFail;
    list.push_back({{"check", finding.check}, {"level", name_of(finding.level)}, {"found", finding.found}, {"fix", finding.fix}});
  }
  if (call.json) {
    call.print_json({{"ok", !has_failed}, {"findings", std::move(list)}});
    return has_failed ? kExitFinding : kExitDone;
  }
  TextTable table({{""}, {"CHECK"}, {"FOUND"}});
  for (const steer::Finding& finding : findings) {
    table.add({{std::string(name_of(finding.level)), colour_of(finding.level)}, finding.check, finding.found});
    if (!finding.fix.empty()) table.add({"", "", "fix: " + finding.fix});
  }
  table.print(call.terminal.out, call.colour);
  return has_failed ? kExitFinding : kExitDone;
}

}  // namespace

Verb up_verb() {
  return {.name = "up",
          .group = "Kernel side",
          .summary = "attach programs, routes and the egress guard",
          .synopsis = "[--plan] [--set KEY=VALUE]",
          .description = "Attaches the kernel side in the network namespace of the caller: egress guard first, then routes, the listener link and the "
                         "programs on the client and target interfaces. From then on, what goes to a target goes to the engine, and nowhere while there is no engine. "
                         "All or nothing: after an error everything is undone. On a gateway that is up already, what is missing is put back.\n"
                         "--plan prints every step and every clash, and changes nothing.",
          .exits = "0 done\n1 --plan: something stands in the way\n2 the configuration is wrong, or something stands in the way\n3 the kernel cannot do it; `weir doctor` has the fix\n4 a capability is missing: run as root",
          .example = "weir up --plan\nweir up",
          .add_options = [](po::options_description& options) {
            options.add_options()("plan", "say what would be done, and do nothing");
            add_set(options);
          },
          .run = run_up};
}

Verb down_verb() {
  return {.name = "down",
          .group = "Kernel side",
          .summary = "take all of that away again",
          .synopsis = "",
          .description = "Undoes what `weir up` recorded, also when the configuration has changed since: rules, routes, filters, links and settings are as they were "
                         "before. The egress guard goes last. From then on the kernel forwards to targets as if there were no gateway.",
          .exits = "0 done, or was not up\n1 done, but something that others have changed meanwhile was left as it is\n2 the configuration is wrong\n4 a capability is missing: run as root",
          .example = "weir down",
          .run = run_down};
}

Verb doctor_verb() {
  return {.name = "doctor",
          .group = "Look",
          .summary = "check kernel, network, privileges and configuration, with the fix for each fault",
          .synopsis = "",
          .description = "Checks what the gateway needs of this host: kernel features, settings, capabilities, routes, listeners that clash, other programs and rules, "
                         "and that the target's way back comes through here. Each fault has its fix. Changes nothing.",
          .exits = "0 nothing that keeps the gateway from working\n1 at least one fault",
          .example = "weir doctor\nweir doctor --json | jq '.findings[] | select(.level == \"fail\")'",
          .run = run_doctor};
}

}  // namespace weir::control

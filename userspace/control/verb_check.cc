// check: every mistake of a configuration in one run, and what the gateway will be able to see at each target.
#include <boost/program_options/value_semantic.hpp>
#include <thread>

#include "control/api_tls.h"
#include "control/cli_text.h"
#include "control/config_values.h"
#include "control/policy_tools.h"
#include "control/verbs.h"
#include "core/core_count.h"
#include "parse/registry.h"
#include "transport/capability.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::ordered_json;

ordered_json to_json(const ConfigProblem& problem) {
  return {{"severity", problem.severity == ConfigProblem::Severity::kError ? "error" : "warning"},
          {"file", problem.place.file},
          {"line", problem.place.line},
          {"column", problem.place.column},
          {"message", problem.message},
          {"hint", problem.hint}};
}

struct TargetVerdict {
  std::string target;
  transport::CapabilityVerdict verdict;
};

std::vector<TargetVerdict> verdicts_of(const Config& config) {
  std::vector<TargetVerdict> verdicts;
  for (const TargetConfig& target : config.targets) {
    verdicts.push_back({target.name, transport::capability(target, config, find_protocol(target.protocol) != nullptr)});
  }
  return verdicts;
}

int print_limits(VerbCall& call, const Config& config) {
  const uint32_t cores = core_count(config.engine, std::thread::hardware_concurrency());
  const LimitTable limits = limit_table(config, cores);
  if (call.json) {
    ordered_json rows = ordered_json::array();
    for (const LimitRow& row : limits.rows) {
      rows.push_back({{"name", row.name}, {"value", row.value}, {"default", row.preset}, {"when_hit", row.when_hit}, {"memory", row.memory}, {"formula", row.formula}});
    }
    call.print_json({{"cores", cores}, {"limits", std::move(rows)}, {"memory", {{"fixed", limits.fixed}, {"at_most", limits.at_most}}}});
    return kExitDone;
  }
  TextTable table({{"LIMIT"}, {"VALUE", TextTable::Align::kRight}, {"DEFAULT", TextTable::Align::kRight}, {"MEMORY", TextTable::Align::kRight}, {"WHEN HIT"}});
  for (const LimitRow& row : limits.rows) {
    table.add({row.name, {row.value, row.value == row.preset ? Colour::kNone : Colour::kYellow}, row.preset, row.memory == 0 ? "" : human_size(row.memory), row.when_hit});
  }
  table.print(call.terminal.out, call.colour);
  call.terminal.out << "\nMemory on " << counted(cores, "core") << ": " << human_size(limits.fixed) << " at start-up, " << human_size(limits.at_most)
                    << " if every limit is reached at once:\n";
  for (const LimitRow& row : limits.rows) {
    if (row.memory != 0) call.terminal.out << "  " << human_size(row.memory) << " = " << row.formula << "\n";
  }
  return kExitDone;
}

int run_check(VerbCall& call) {
  LoadedConfig loaded = load_config(call.config_path(), call.config_options(true));
  std::vector<TargetVerdict> verdicts;
  if (loaded.is_usable()) {
    if (call.has("limits")) return print_limits(call, loaded.config);
    const auto policy = compile_for_tools(loaded.config, loaded.problems);
    if (!policy && loaded.is_usable()) loaded.problems.push_back({ConfigProblem::Severity::kError, {call.config_path(), 0, 0}, policy.error().message, ""});
    verdicts = verdicts_of(loaded.config);
    if (!loaded.config.api.listen.empty()) {
      if (const auto context = make_api_context(loaded.config.api); !context) {
        loaded.problems.push_back({ConfigProblem::Severity::kError, {call.config_path(), 0, 0}, "api: " + context.error().message, ""});
      }
    }
  }
  std::size_t errors = 0;
  for (const ConfigProblem& problem : loaded.problems) errors += problem.severity == ConfigProblem::Severity::kError ? 1 : 0;
  if (call.json) {
    ordered_json problems = ordered_json::array(), targets = ordered_json::array();
    for (const ConfigProblem& problem : loaded.problems) problems.push_back(to_json(problem));
    for (const TargetVerdict& of : verdicts) {
      targets.push_back({{"name", of.target}, {"capability", transport::name_of(of.verdict.kind)}, {"reason", of.verdict.reason}, {"fix", of.verdict.fix}, {"trust", of.verdict.trust}});
    }
    call.print_json({{"ok", errors == 0}, {"file", loaded.config.file}, {"digest", loaded.config.digest}, {"problems", std::move(problems)}, {"targets", std::move(targets)}});
    return errors == 0 ? kExitDone : kExitUsage;
  }
  call.print_problems(loaded.problems);
  for (const TargetVerdict& of : verdicts) {
    call.terminal.out << paint(transport::text_of(of.verdict, of.target), of.verdict.admits() ? Colour::kNone : Colour::kRed, call.colour) << "\n";
  }
  if (errors != 0) {
    call.terminal.err << counted(errors, "error") << " in " << call.config_path() << "\n";
    return kExitUsage;
  }
  call.terminal.out << call.config_path() << " is right: " << counted(loaded.config.targets.size(), "target") << ", " << counted(loaded.config.grants.size(), "grant") << ", "
                    << counted(loaded.config.rules.size(), "rule") << "; digest " << loaded.config.digest.substr(0, 16) << "\n";
  return kExitDone;
}

}  // namespace

Verb check_verb() {
  return {.name = "check",
          .group = "Configuration and policy",
          .summary = "find every mistake of the configuration, with its line",
          .synopsis = "[--limits] [--set KEY=VALUE]",
          .description = "Reads the configuration and its rule files, checks files, names, types, ranges and rules, and prints every mistake with file:line:column and the nearest "
                         "key or name. Warnings say what has no effect in this version, and what is allowed but risky. Then each target's capability verdict: what the gateway can see "
                         "there with this configuration, and what clients that verify the server need.\n--limits prints every limit with its value, what happens when it is hit, and the memory.",
          .exits = "0 right, perhaps with warnings\n2 at least one error",
          .example = "weir check\nweir check --config new.yaml --set state=/tmp/try\nweir check --limits",
          .add_options = [](po::options_description& options) {
            options.add_options()("limits", "print all limits with the memory sum")
                ("set", po::value<std::vector<std::string>>()->value_name("KEY=VALUE"), "override one key of the configuration; may be given several times");
          },
          .run = run_check};
}

}  // namespace weir::control

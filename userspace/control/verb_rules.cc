// rules: prove, measure and list them.
#include <boost/program_options/value_semantic.hpp>
#include <cstdio>

#include "control/cli_text.h"
#include "control/policy_json.h"
#include "control/policy_tools.h"
#include "control/verbs.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::ordered_json;
using CompiledPtr = std::shared_ptr<const decide::CompiledPolicy>;

std::string place_text(const SourcePlace& place) { return place.file + ":" + std::to_string(place.line); }

int run_test(VerbCall& call, const Config& config, const CompiledPtr& policy) {
  const auto facts = facts_for_tools(config);
  const std::vector<decide::ExampleFailure> failures = policy->test_examples(*facts);
  std::size_t examples = 0, without = 0;
  for (const RuleConfig& rule : config.rules) {
    examples += rule.match_examples.size() + rule.no_match_examples.size();
    without += rule.match_examples.empty() && rule.no_match_examples.empty() ? 1 : 0;
  }
  for (const DataKindConfig& kind : config.data_kinds) examples += kind.match_examples.size() + kind.no_match_examples.size();
  if (call.json) {
    ordered_json list = ordered_json::array();
    for (const decide::ExampleFailure& failure : failures) {
      list.push_back({{"rule", failure.rule}, {"file", failure.place.file}, {"line", failure.place.line}, {"example", failure.example}, {"should_match", failure.should_match}, {"why", failure.why}});
    }
    call.print_json({{"ok", failures.empty()}, {"examples", examples}, {"rules", config.rules.size()}, {"without_examples", without}, {"failures", std::move(list)}});
  } else {
    for (const decide::ExampleFailure& failure : failures) {
      call.terminal.out << paint(place_text(failure.place) + ": " + failure.rule + (failure.should_match ? " should match: " : " should not match: "), Colour::kRed, call.colour)
                        << failure.example << "\n    " << failure.why << "\n";
    }
    call.terminal.out << counted(examples, "example") << " of " << counted(config.rules.size(), "rule") << " and " << counted(config.data_kinds.size(), "data kind") << ": "
                      << (failures.empty() ? "all hold" : counted(failures.size(), "failure"));
    if (without != 0) call.terminal.out << "; " << counted(without, "rule") << " without any";
    call.terminal.out << "\n";
  }
  return failures.empty() ? kExitDone : kExitFinding;
}

int run_list(VerbCall& call, const Config& config) {
  ordered_json list = ordered_json::array();
  TextTable table({{"RULE"}, {"THEN"}, {"SEVERITY"}, {"TAGS"}, {"WHERE IT STANDS"}, {"WHY"}});
  for (const RuleConfig& rule : config.rules) {
    std::string tags;
    for (const std::string& tag : rule.tags) tags += (tags.empty() ? "" : " ") + tag;
    list.push_back(to_json(rule));
    table.add({rule.id, std::string(name_of(rule.then)) + (rule.observe ? " (observe)" : ""), rule.severity, tags, place_text(rule.place), rule.why});
  }
  if (call.json) call.print_json(list);
  else table.print(call.terminal.out, call.colour);
  return kExitDone;
}

int run_costs(VerbCall& call, const CompiledPtr& policy) {
  DiskFiles files;
  const auto sample = files.read(call.text("sample"), 64u << 20);
  if (!sample) return call.fail(kExitUsage, call.text("sample") + " " + sample.error().message);
  ordered_json list = ordered_json::array();
  TextTable table({{"PATTERN"}, {"NS/KIB", TextTable::Align::kRight}, {"MATCHES", TextTable::Align::kRight}, {"RULES"}});
  for (const decide::PatternCost& cost : policy->profile(as_bytes(*sample))) {
    std::string rules;
    for (const std::string& rule : cost.rules) rules += (rules.empty() ? "" : " ") + rule;
    char ns[32];
    std::snprintf(ns, sizeof ns, "%.1f", cost.ns_per_kib);
    list.push_back({{"pattern", cost.pattern}, {"ns_per_kib", cost.ns_per_kib}, {"matches", cost.matches}, {"rules", cost.rules}});
    table.add({cost.pattern, ns, cost.matches, rules});
  }
  if (call.json) call.print_json(list);
  else table.print(call.terminal.out, call.colour);
  return kExitDone;
}

int run_counts(VerbCall& call, const Config& config) {
  int code = kExitDone;
  const auto answer = call.ask(config, "profile", nlohmann::json::object(), code);
  if (!answer) return code;
  if (call.json) {
    call.print_json(*answer);
    return kExitDone;
  }
  TextTable table({{"RULE"}, {"MATCHED", TextTable::Align::kRight}, {"DECIDED", TextTable::Align::kRight}, {"OBSERVED", TextTable::Align::kRight}, {"MASKED", TextTable::Align::kRight}});
  for (const auto& row : *answer) {
    table.add({row.value("rule", std::string()), row.value("matched", uint64_t{0}), row.value("decided", uint64_t{0}), row.value("observed", uint64_t{0}), row.value("masked", uint64_t{0})});
  }
  table.print(call.terminal.out, call.colour);
  return kExitDone;
}

int run_rules(VerbCall& call) {
  const std::string action = call.words().size() == 1 ? call.words()[0] : "";
  if (action != "test" && action != "profile" && action != "list") return call.fail(kExitUsage, "say what: weir rules test, profile or list");
  if (action == "profile" && !call.has("sample")) {
    const auto config = call.load_state();
    return config ? run_counts(call, *config) : static_cast<int>(kExitUsage);
  }
  auto loaded = call.load(false);
  if (!loaded) return kExitUsage;
  if (action == "list") return run_list(call, loaded->config);
  std::vector<ConfigProblem> problems;
  const auto policy = compile_for_tools(loaded->config, problems);
  if (!policy) {
    call.print_problems(problems);
    return problems.empty() ? call.fail(policy.error()) : static_cast<int>(kExitUsage);
  }
  return action == "test" ? run_test(call, loaded->config, *policy) : run_costs(call, *policy);
}

}  // namespace

Verb rules_verb() {
  return {.name = "rules",
          .group = "Configuration and policy",
          .summary = "prove the rules by their examples, measure them, list them",
          .synopsis = "test | list | profile [--sample FILE]",
          .description = "test runs every rule's and data kind's own examples through the compiled rules: each must match, or not match, as it says.\n"
                         "list shows all rules in the order in which they count between equals.\n"
                         "profile asks the engine how often each rule has matched since the snapshot was made; with --sample it measures what each pattern costs on the bytes of a file instead, without an engine.",
          .exits = "0 done; test: all examples hold\n1 test: at least one example does not hold\n2 the configuration is wrong\n3 profile without --sample: the engine is not running",
          .example = "weir rules test\nweir rules list --json | jq '.[] | select(.tags | index(\"CC6.7\")) | .id'\nweir rules profile --sample dump.sql",
          .add_options = [](po::options_description& options) {
            options.add_options()("sample", po::value<std::string>()->value_name("FILE"), "profile: what to scan")
                ("set", po::value<std::vector<std::string>>()->value_name("KEY=VALUE"), "override one key of the configuration; may be given several times");
          },
          .run = run_rules};
}

}  // namespace weir::control

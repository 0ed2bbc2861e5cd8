// explain: what would become of a command, and why.
#include <algorithm>
#include <boost/program_options/value_semantic.hpp>
#include <iterator>

#include "control/cli_text.h"
#include "control/policy_tools.h"
#include "control/verbs.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::ordered_json;

// The static binding of an address, or who --as names.
Result<Identity> identity_of(const VerbCall& call, const Config& config) {
  Identity identity;
  identity.assurance = Assurance::kNetwork;
  if (call.has("as")) {
    identity.subject = call.text("as");
    identity.groups = call.texts("group");
  } else {
    const auto address = Address::parse(call.text("address"));
    if (!address) return tl::unexpected<Error>(address.error());
    const StaticBindingConfig* found = nullptr;
    for (const StaticBindingConfig& binding : config.identity.static_bindings) {
      if (binding.address.contains(*address) && (found == nullptr || binding.address.bits > found->address.bits)) found = &binding;
    }
    if (found == nullptr) return fail(Error::Kind::kNotFound, "no static binding holds " + address->text() + ": name who asks with --as and --group");
    identity.subject = found->subject;
    identity.groups = found->groups;
    identity.assurance = Assurance::kStatic;
  }
  for (const Assurance assurance : {Assurance::kStatic, Assurance::kNetwork, Assurance::kCredential, Assurance::kWorkload}) {
    if (call.text("assurance") == name_of(assurance)) identity.assurance = assurance;
  }
  return identity;
}

ordered_json to_json(const decide::Explanation& explanation) {
  ordered_json grants = ordered_json::array(), rules = ordered_json::array();
  for (const decide::GrantTrace& grant : explanation.grants) grants.push_back({{"grant", grant.grant}, {"admits", grant.admits}, {"why", grant.why}});
  for (const decide::RuleTrace& rule : explanation.rules) {
    rules.push_back({{"rule", rule.rule}, {"applies", rule.applies}, {"matches", rule.matches}, {"observed", rule.observed}, {"exempted", rule.exempted}, {"action", rule.action}, {"why", rule.why}});
  }
  return {{"verdict", explanation.action}, {"rule", explanation.rule},       {"reason", explanation.reason},   {"observed", explanation.observed}, {"identity", explanation.identity},
          {"target", explanation.target},  {"facts", explanation.facts}, {"grants", std::move(grants)}, {"rules", std::move(rules)},        {"masks", explanation.masks}};
}

void print_text(VerbCall& call, const decide::Explanation& explanation) {
  std::ostream& out = call.terminal.out;
  out << "who      " << explanation.identity << "\ntarget   " << explanation.target << "\nfacts    " << explanation.facts << "\n\n";
  TextTable grants({{"GRANT"}, {""}, {"WHY"}});
  for (const decide::GrantTrace& grant : explanation.grants) {
    grants.add({grant.grant, {grant.admits ? "admits" : "no", grant.admits ? Colour::kGreen : Colour::kDim}, grant.why});
  }
  if (!grants.empty()) grants.print(out, call.colour);
  TextTable rules({{"RULE"}, {"ACTION"}, {"WHY"}});
  for (const decide::RuleTrace& rule : explanation.rules) {
    if (!rule.applies && !call.has("all")) continue;
    if (!rule.matches && !call.has("all")) continue;
    const std::string action = !rule.matches ? "no match" : rule.exempted ? "exempted" : rule.action + (rule.observed ? " (observe)" : "");
    rules.add({rule.rule, action, rule.why});
  }
  if (!rules.empty()) {
    out << "\n";
    rules.print(out, call.colour);
  }
  for (const std::string& mask : explanation.masks) out << "mask     " << mask << "\n";
  const bool is_bad = explanation.action == "block" || explanation.action == "terminate";
  out << "\nverdict  " << paint(explanation.action, is_bad ? Colour::kRed : Colour::kGreen, call.colour) << (explanation.rule.empty() ? "" : ", rule " + explanation.rule)
      << (explanation.reason.empty() ? "" : ": " + explanation.reason) << (explanation.observed ? " (observe: recorded, not carried out)" : "") << "\n";
}

int run_explain(VerbCall& call) {
  if (!call.has("target") || call.has("as") == call.has("address")) return call.fail(kExitUsage, "needed: --target, and one of --as or --address; try: weir explain --help");
  if (call.words().size() > 1) return call.fail(kExitUsage, "one statement, in quotes; - reads it from standard input");
  const auto loaded = call.load(false);
  if (!loaded) return kExitUsage;
  const Config& config = loaded->config;
  const auto target = std::find_if(config.targets.begin(), config.targets.end(), [&](const TargetConfig& t) { return t.name == call.text("target"); });
  if (target == config.targets.end()) return call.fail(kExitUsage, "there is no target \"" + call.text("target") + "\"");
  const auto identity = identity_of(call, config);
  if (!identity) return call.fail(identity.error());
  std::string statement = call.words().empty() ? "" : call.words()[0];
  if (statement == "-") statement.assign(std::istreambuf_iterator<char>(call.terminal.in), {});
  std::vector<ConfigProblem> problems;
  const auto policy = compile_for_tools(config, problems);
  if (!policy) {
    call.print_problems(problems);
    return problems.empty() ? call.fail(policy.error()) : static_cast<int>(kExitUsage);
  }
  const std::string login = call.text("login"), database = call.text("database");
  const decide::ExplainQuery query{.session = {.id = 1, .identity = std::make_shared<const Identity>(*identity), .target = target->name, .protocol = target->protocol, .request_id = {}, .client = {}},
                                   .login = login,
                                   .database = database,
                                   .statement = as_bytes(statement),
                                   .wall = std::chrono::system_clock::now()};
  const auto facts = facts_for_tools(config);
  const decide::Explanation explanation = (*policy)->explain(query, *facts, nullptr);
  if (call.json) call.print_json(to_json(explanation));
  else print_text(call, explanation);
  return kExitDone;
}

}  // namespace

Verb explain_verb() {
  return {.name = "explain",
          .group = "Configuration and policy",
          .summary = "say what would become of a command, and why",
          .synopsis = "--target NAME (--as SUBJECT [--group NAME] | --address ADDRESS) [--login NAME] [--database NAME] [STATEMENT | -]",
          .description = "Judges one statement by the configuration on disk, without an engine and without a target: facts, every grant with why it admits or not, every rule that matches, masks, verdict. "
                         "The gateway's catalogue login is not asked, so names are taken as they are written: views and search_path are resolved only in the engine.\n"
                         "Without a statement, the login alone is judged.",
          .exits = "0 explained, whatever the verdict\n1 nobody is bound to that address\n2 the command line or the configuration is wrong",
          .example = "weir explain --target orders-db --address 198.18.1.2 --login report_ro --database shop 'delete from orders'\n"
                     "weir explain --target orders-db --as user:ann --group dba --login orders_app - < change.sql",
          .add_options = [](po::options_description& options) {
            options.add_options()("target", po::value<std::string>()->value_name("NAME"), "which target")
                ("as", po::value<std::string>()->value_name("SUBJECT"), "who asks")
                ("group", po::value<std::vector<std::string>>()->value_name("NAME"), "a group of theirs; may be given several times")
                ("address", po::value<std::string>()->value_name("ADDRESS"), "who asks: the static binding of this address")
                ("assurance", po::value<std::string>()->value_name("LEVEL"), "static, network, credential or workload; default static with --address, network with --as")
                ("login", po::value<std::string>()->value_name("NAME"), "the login that is asked for")
                ("database", po::value<std::string>()->value_name("NAME"), "the database that is asked for")
                ("all", "rules that do not match, too")
                ("set", po::value<std::vector<std::string>>()->value_name("KEY=VALUE"), "override one key of the configuration; may be given several times");
          },
          .run = run_explain};
}

}  // namespace weir::control

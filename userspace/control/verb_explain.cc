// explain: what would become of a command, and why.
#include <algorithm>
#include <boost/program_options/value_semantic.hpp>
#include <iterator>

#include "control/cli_text.h"
#include "control/config_values.h"
#include "control/control_client.h"
#include "control/explain_json.h"
#include "control/logging.h"
#include "control/policy_tools.h"
#include "control/verbs.h"
#include "core/json_fields.h"
#include "core/time_text.h"
#include "identify/request_id.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::json;
using nlohmann::ordered_json;

// What is asked, from whichever option said it.
struct Asked {
  std::string who;                     // A subject or an address.
  std::optional<Address> address;
  std::string statement;
  std::chrono::sys_seconds at{};
};

std::optional<Asked> read_asked(VerbCall& call) {
  Asked asked;
  const auto wrong = [&](std::string_view message) {
    call.fail(kExitUsage, message);
    return std::nullopt;
  };
  const int named = static_cast<int>(call.has("who")) + static_cast<int>(call.has("as")) + static_cast<int>(call.has("address"));
  if (!call.has("target") || named != 1) return wrong("needed: --target, and one of --who, --as and --address; try: weir explain --help");
  asked.who = call.has("who") ? call.text("who") : call.has("as") ? call.text("as") : call.text("address");
  if (!call.has("as")) {
    if (const auto address = Address::parse(asked.who)) asked.address = *address;
    else if (call.has("address")) return wrong(address.error().message);
  }
  if (call.words().size() + static_cast<std::size_t>(call.has("sql")) > 1) return wrong("one statement, in quotes; - reads it from standard input");
  asked.statement = call.has("sql") ? call.text("sql") : call.words().empty() ? "" : call.words()[0];
  if (asked.statement == "-") asked.statement.assign(std::istreambuf_iterator<char>(call.terminal.in), {});
  asked.at = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  if (call.has("at")) {
    const auto moment = parse_time(call.text("at"));
    if (!moment) return wrong("--at " + moment.error().message);
    asked.at = *moment;
  }
  return asked;
}

// The static binding of an address, or who is named with groups.
Result<Identity> identity_of(const VerbCall& call, const Asked& asked, const Config& config) {
  Identity identity;
  identity.assurance = Assurance::kNetwork;
  const StaticBindingConfig* found = nullptr;
  if (!asked.address) {
    identity.subject = asked.who;
    identity.groups = call.texts("group");
    for (const StaticBindingConfig& binding : config.identity.static_bindings) {
      if (identity.groups.empty() && binding.subject == asked.who && !call.has("as")) found = &binding;
    }
  } else {
    for (const StaticBindingConfig& binding : config.identity.static_bindings) {
      const bool is_live = binding.until == std::chrono::sys_seconds{} || asked.at < binding.until;
      if (is_live && binding.address.contains(*asked.address) && (found == nullptr || binding.address.bits > found->address.bits)) found = &binding;
    }
    if (found == nullptr) return fail(Error::Kind::kNotFound, "no static binding holds " + asked.address->text() + ": name who asks with --who and --group");
  }
  if (found != nullptr) {
    identity.subject = found->subject;
    identity.groups = found->groups;
    identity.assurance = Assurance::kStatic;
  }
  for (const Assurance assurance : {Assurance::kStatic, Assurance::kNetwork, Assurance::kCredential, Assurance::kWorkload}) {
    if (call.text("assurance") == name_of(assurance)) identity.assurance = assurance;
  }
  return identity;
}

bool truth_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

void print_text(VerbCall& call, const json& told) {
  std::ostream& out = call.terminal.out;
  const json by = told.value("by", json::object());
  out << "by       " << (text_at(by, "source") == "engine" ? "the engine, generation " + by.value("generation", json()).dump() + ", catalogue " + text_at(by, "catalogue") : "the configuration on disk, without a catalogue")
      << ", at " << text_at(by, "at") << "\n";
  out << "who      " << escape_bytes(text_at(told, "identity")) << "\ntarget   " << text_at(told, "target") << "\nfacts    " << escape_bytes(text_at(told, "facts")) << "\n";
  if (const std::string request = text_at(told, "request_id"); !request.empty()) out << "request  " << escape_bytes(request) << "\n";
  out << "\n";
  TextTable grants({{"GRANT"}, {""}, {"WHY"}});
  for (const json& grant : told.value("grants", json::array())) {
    const bool admits = truth_at(grant, "admits");
    grants.add({text_at(grant, "grant"), {admits ? "admits" : "no", admits ? Colour::kGreen : Colour::kDim}, text_at(grant, "why")});
  }
  if (!grants.empty()) grants.print(out, call.colour);
  TextTable rules({{"RULE"}, {"ACTION"}, {"WHY"}});
  for (const json& rule : told.value("rules", json::array())) {
    if (!truth_at(rule, "matches") && !call.has("all")) continue;
    const std::string action = !truth_at(rule, "matches") ? "no match" : truth_at(rule, "exempted") ? "exempted" : text_at(rule, "action") + (truth_at(rule, "observed") ? " (observe)" : "");
    rules.add({text_at(rule, "rule"), action, text_at(rule, "why")});
  }
  if (!rules.empty()) {
    out << "\n";
    rules.print(out, call.colour);
  }
  for (const json& mask : told.value("masks", json::array())) out << "mask     " << mask.get<std::string>() << "\n";
  const std::string verdict = text_at(told, "verdict"), rule = text_at(told, "rule"), reason = text_at(told, "reason"), grant = text_at(told, "grant");
  const bool is_bad = verdict == "block" || verdict == "terminate";
  out << "\nverdict  " << paint(verdict, is_bad ? Colour::kRed : Colour::kGreen, call.colour) << (rule.empty() ? "" : ", rule " + rule) << (grant.empty() ? "" : ", by grant " + grant)
      << (reason.empty() ? "" : ": " + escape_bytes(reason)) << (truth_at(told, "observed") ? " (observe: recorded, not carried out)" : "") << "\n";
}

int print(VerbCall& call, const json& told) {
  if (call.json) call.print_json(ordered_json::parse(told.dump(-1, ' ', false, json::error_handler_t::replace)));
  else print_text(call, told);
  return kExitDone;
}

// By what is in force: its bindings, its catalogue, its rules.
int explain_live(VerbCall& call, const Config& config, const Asked& asked) {
  json arguments = {{"who", asked.who}, {"target", call.text("target")}, {"login", call.text("login")}, {"database", call.text("database")}, {"sql", asked.statement},
                    {"application_name", call.text("application-name")}, {"assurance", call.text("assurance")}, {"groups", call.texts("group")}, {"params", call.texts("param")}};
  if (call.has("at")) arguments["at"] = utc_text(asked.at);
  int code = kExitDone;
  const auto told = call.ask(config, "explain", arguments, code);
  return told ? print(call, *told) : code;
}

int explain_on_disk(VerbCall& call, const Config& config, const Asked& asked) {
  const auto target = std::find_if(config.targets.begin(), config.targets.end(), [&](const TargetConfig& t) { return t.name == call.text("target"); });
  if (target == config.targets.end()) return call.fail(kExitUsage, "there is no target \"" + call.text("target") + "\"");
  const auto identity = identity_of(call, asked, config);
  if (!identity) return call.fail(identity.error());
  std::vector<ConfigProblem> problems;
  const auto policy = compile_for_tools(config, problems);
  if (!policy) {
    call.print_problems(problems);
    return problems.empty() ? call.fail(policy.error()) : static_cast<int>(kExitUsage);
  }
  const std::string login = call.text("login"), database = call.text("database"), application_name = call.text("application-name");
  const std::string_view request_id = identify::find_request_id(config.identity.request_id, asked.statement, application_name);
  const decide::ExplainQuery query{.session = {.id = 1, .identity = std::make_shared<const Identity>(*identity), .target = target->name, .protocol = target->protocol, .client = {}},
                                   .login = login,
                                   .database = database,
                                   .statement = as_bytes(asked.statement),
                                   .wall = asked.at,
                                   .parameters = call.texts("param"),
                                   .has_request_id = !request_id.empty()};
  const auto facts = facts_for_tools(config);
  json told = json::parse(to_json((*policy)->explain(query, *facts, nullptr)).dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  told["by"] = {{"source", "disk"}, {"at", utc_text(asked.at)}, {"catalogue", "not asked"}};
  told["request_id"] = request_id;
  return print(call, told);
}

int run_explain(VerbCall& call) {
  const auto asked = read_asked(call);
  if (!asked) return kExitUsage;
  if (call.has("live") && (call.has("offline") || call.has("set"))) return call.fail(kExitUsage, "--live asks the engine: without --offline and --set");
  const auto loaded = call.load(false);
  if (!loaded) return kExitUsage;
  const Config& config = loaded->config;
  const bool is_live = call.has("live") || (!call.has("offline") && !call.has("set") && is_answering(config.control.socket));
  return is_live ? explain_live(call, config, *asked) : explain_on_disk(call, config, *asked);
}

}  // namespace

Verb explain_verb() {
  return {.name = "explain",
          .group = "Configuration and policy",
          .summary = "say what would become of a command, and why",
          .synopsis = "--target NAME --who SUBJECT|ADDRESS [--login NAME] [--database NAME] [--at TIME] [STATEMENT | -]",
          .description = "Judges one statement and runs nothing: facts, every grant with why it admits or not, every rule that matches, masks, verdict.\n"
                         "Where an engine runs, it is asked: by its rules, its bindings, and its catalogue of that database; the look goes on the record. Else, or with --offline, by the configuration on disk: "
                         "then only static bindings are known, and names are taken as they are written.\n"
                         "Without a statement, the login alone is judged.\n"
                         "JSON: {verdict, rule, grant, reason, observed, identity, target, facts, grants: [{grant, admits, why}], rules: [{rule, applies, matches, ...}], masks, request_id, by: {source, at, catalogue, ...}}",
          .exits = "0 explained, whatever the verdict\n1 nobody is bound to that address, or has a binding under that name\n2 the command line or the configuration is wrong\n3 --live, and no engine runs",
          .example = "weir explain --who 198.18.1.2 --target orders-db --login report_ro --database shop --sql 'delete from orders'\n"
                     "weir explain --who user:ann --group dba --target orders-db --login orders_app --at 2027-03-28T02:30:00Z - < change.sql",
          .add_options = [](po::options_description& options) {
            options.add_options()("target", po::value<std::string>()->value_name("NAME"), "which target")
                ("who", po::value<std::string>()->value_name("SUBJECT|ADDRESS"), "who asks: an address, or a subject with the binding it has")
                ("as", po::value<std::string>()->value_name("SUBJECT"), "who asks, taken as it is given, with --group")
                ("group", po::value<std::vector<std::string>>()->value_name("NAME"), "a group of theirs, instead of the binding's; may be given several times")
                ("address", po::value<std::string>()->value_name("ADDRESS"), "who asks: who is bound to this address")
                ("assurance", po::value<std::string>()->value_name("LEVEL"), "static, network, credential or workload, instead of the binding's; network for a subject without one")
                ("login", po::value<std::string>()->value_name("NAME"), "the login that is asked for")
                ("database", po::value<std::string>()->value_name("NAME"), "the database that is asked for")
                ("sql", po::value<std::string>()->value_name("STATEMENT"), "the statement")
                ("param", po::value<std::vector<std::string>>()->value_name("VALUE"), "a bind value, as text, $1 first; may be given several times")
                ("application-name", po::value<std::string>()->value_name("NAME"), "as the client would set it: it may be the request id")
                ("at", po::value<std::string>()->value_name("TIME"), "at that time, such as 2027-03-28T02:30:00Z; else now")
                ("live", "by the engine that runs, or not at all")
                ("offline", "by the configuration on disk")
                ("all", "rules that do not match, too")
                ("set", po::value<std::vector<std::string>>()->value_name("KEY=VALUE"), "override one key of the configuration, offline; may be given several times");
          },
          .run = run_explain};
}

}  // namespace weir::control

// alerts: what somebody should look at, a person's word on it, and whether the sinks are reached.
#include <algorithm>
#include <boost/program_options/value_semantic.hpp>
#include <chrono>

#include "control/cli_text.h"
#include "control/config_values.h"
#include "control/logging.h"
#include "control/verbs.h"
#include "core/json_fields.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::json;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kTestWait = 3s, kTestStep = 50ms;

int run_list(VerbCall& call, const Config& config) {
  int code = kExitDone;
  const auto answer = call.ask(config, "alerts", {{"all", call.has("all")}}, code);
  if (!answer) return code;
  if (call.json) {
    call.print_json(*answer);
    return kExitDone;
  }
  if (answer->empty()) call.terminal.out << (call.has("all") ? "no alerts\n" : "no alert is open\n");
  for (const json& alert : *answer) {
    const bool is_open = text_at(alert, "state") == "open";
    const std::string severity = text_at(alert, "severity");
    call.terminal.out << paint("alert " + std::to_string(alert.value("number", uint64_t{0})), Colour::kBold, call.colour) << "  "
                      << paint(escape_bytes(severity), severity == "high" || severity == "critical" ? Colour::kRed : Colour::kYellow, call.colour) << " "
                      << escape_bytes(text_at(alert, "event")) << ", " << (is_open ? "open" : "closed as " + escape_bytes(text_at(alert, "as"))) << ", "
                      << alert.value("count", uint64_t{1}) << " times, last " << escape_bytes(text_at(alert, "last")) << "\n";
    const auto line = [&](const char* name, const std::string& text) {
      if (text.empty()) return;
      std::string padded = name;
      padded.resize(10, ' ');
      call.terminal.out << "  " << paint(padded, Colour::kDim, call.colour) << escape_bytes(text) << "\n";
    };
    line("what", text_at(alert, "text"));
    line("who", text_at(alert, "subject"));
    line("where", text_at(alert, "target"));
    line("statement", text_at(alert, "statement"));
    if (const uint64_t session = alert.value("session", uint64_t{0}); session != 0) line("session", std::to_string(session) + ", unit " + std::to_string(alert.value("unit", uint64_t{0})));
    line("gateway", text_at(alert, "gateway"));
    if (!is_open) line("closed", "by " + text_at(alert, "closed_by") + " at " + text_at(alert, "closed") + ": " + text_at(alert, "reason"));
  }
  return kExitDone;
}

int run_close(VerbCall& call, const Config& config) {
  const auto number = call.words().size() == 2 ? parse_number(call.words()[1]) : Result<uint64_t>(weir::fail(Error::Kind::kInvalid, ""));
  if (!number || *number == 0) return call.fail(kExitUsage, "name one alert by its number; `weir alerts list` has them");
  const std::string as = call.text("as");
  if (as != "benign" && as != "incident" && as != "duplicate") return call.fail(kExitUsage, "say what it was: --as benign, --as incident or --as duplicate");
  if (call.text("reason").empty()) return call.fail(kExitUsage, "a reason is required: --reason TEXT");
  int code = kExitDone;
  const auto answer = call.ask(config, "close-alert", {{"alert", *number}, {"as", as}, {"reason", call.text("reason")}}, code);
  if (!answer) return code;
  if (call.json) call.print_json(*answer);
  else call.terminal.out << "alert " << *number << ": closed as " << as << ", by " << escape_bytes(text_at(*answer, "by")) << "\n";
  return kExitDone;
}

int run_test(VerbCall& call, const Config& config) {
  json arguments = json::object();
  if (call.has("sink")) arguments["sink"] = call.text("sink");
  int code = kExitDone;
  const auto tests = call.ask(config, "test-sinks", arguments, code);
  if (!tests) return code;
  const auto is_settled = [](const json& each) { return each.value("sent", false) || !text_at(each, "error").empty(); };
  auto answer = call.ask(config, "sink-tests", {{"tests", *tests}}, code);
  for (auto waited = 0ms; answer && waited < kTestWait && !std::all_of(answer->begin(), answer->end(), is_settled); waited += kTestStep) {
    call.terminal.wait(kTestStep);
    answer = call.ask(config, "sink-tests", {{"tests", *tests}}, code);
  }
  if (!answer) return code;
  bool is_reached = true;
  for (const json& each : *answer) is_reached = each.value("sent", false) && is_reached;
  if (call.json) {
    call.print_json(*answer);
  } else {
    for (const json& each : *answer) {
      const bool is_sent = each.value("sent", false);
      const std::string error = text_at(each, "error");
      call.terminal.out << escape_bytes(text_at(each, "sink")) << "  "
                        << (is_sent ? paint("sent", Colour::kGreen, call.colour) : paint(error.empty() ? "still on its way" : "not sent: " + escape_bytes(error), Colour::kRed, call.colour)) << "\n";
    }
  }
  return is_reached ? kExitDone : kExitFinding;
}

int run_alerts(VerbCall& call) {
  const std::string action = call.words().empty() ? "" : call.words()[0];
  if (action != "list" && action != "close" && action != "test") return call.fail(kExitUsage, "say what: weir alerts list, close or test");
  if (action != "close" && call.words().size() > 1) return call.fail(kExitUsage, "weir alerts " + action + " takes no further word");
  if (call.has("all") && call.has("open")) return call.fail(kExitUsage, "give --open or --all, not both");
  const auto config = call.load_state();
  if (!config) return kExitUsage;
  return action == "list" ? run_list(call, *config) : action == "close" ? run_close(call, *config) : run_test(call, *config);
}

}  // namespace

Verb alerts_verb() {
  return {.name = "alerts",
          .group = "Reviews",
          .summary = "what somebody should look at: list, close; test the sinks",
          .synopsis = "list [--open | --all] | close ALERT --as benign|incident|duplicate --reason TEXT | test [--sink NAME]",
          .description = "list shows alerts, the newest first: rules that fired, refusals, bursts of drops, a record without room, a provider or store that is down. The same again within notify.repeat is one alert "
                         "with a count. An alert is open until somebody closes it; who (the login on this host), as what and why goes on the record.\n"
                         "test sends a test notice to every sink of the configuration, or to one, and says what became of it within 3 s.\n"
                         "JSON: list: [{number, state, event, severity, gateway, rule, subject, target, text, statement, session, unit, count, first, last, as, closed_by, closed, reason}]; "
                         "test: [{sink, id, sent, error}]",
          .exits = "0 done\n1 there is no such alert or sink; test: a sink was not reached\n2 the command line is wrong\n3 the engine is not running, the store does not answer, or the record cannot take it\n"
                   "4 not root, nor the engine's user; close: it is closed already\n5 the system refused",
          .example = "weir alerts list\nweir alerts list --all --json | jq '.[] | select(.severity == \"critical\")'\nweir alerts close 17 --as benign --reason 'CHG-17, a planned run'\nweir alerts test --sink siem",
          .add_options = [](po::options_description& options) {
            options.add_options()("open", "list: open ones alone, as without it")("all", "list: closed ones too")
                ("as", po::value<std::string>()->value_name("WHAT"), "close: benign, incident or duplicate (of one that the reason names)")
                ("reason", po::value<std::string>()->value_name("TEXT"), "close: why; required")
                ("sink", po::value<std::string>()->value_name("NAME"), "test: this sink alone");
          },
          .run = run_alerts};
}

}  // namespace weir::control

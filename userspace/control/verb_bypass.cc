// bypass: lets a target's new flows pass raw for a while, in an emergency.
#include <boost/program_options/value_semantic.hpp>

#include "control/cli_text.h"
#include "control/logging.h"
#include "control/pending_change.h"
#include "control/verbs.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::json;

int list(VerbCall& call, const Config& config) {
  int code = kExitDone;
  const auto answer = call.ask(config, "bypasses", json::object(), code);
  if (!answer) return code;
  if (call.json) {
    call.print_json(*answer);
    return kExitDone;
  }
  if (answer->empty()) {
    call.terminal.out << "no bypass is on\n";
    return kExitDone;
  }
  TextTable table({{"TARGET"}, {"UNTIL"}, {"FLOWS", TextTable::Align::kRight}, {"BYTES TO TARGET", TextTable::Align::kRight}, {"BYTES TO CLIENT", TextTable::Align::kRight}, {"BY"}, {"REASON"}});
  for (const json& bypass : *answer) {
    table.add({TextTable::Cell(bypass.value("target", std::string()), Colour::kRed), bypass.value("until", std::string()), bypass.value("flows", uint64_t{0}),
               bypass.value("bytes_to_target", uint64_t{0}), bypass.value("bytes_to_client", uint64_t{0}), escape_bytes(bypass.value("by", std::string())),
               escape_bytes(bypass.value("reason", std::string()))});
  }
  table.print(call.terminal.out, call.colour);
  return kExitDone;
}

int run_bypass(VerbCall& call) {
  if (call.has("list")) {
    if (!call.words().empty() || call.has("end") || call.has("for")) return call.fail(kExitUsage, "--list stands alone");
    const auto config = call.load_state();
    return config ? list(call, *config) : kExitUsage;
  }
  if (call.words().size() != 1 || call.has("end") == call.has("for")) {
    return call.fail(kExitUsage, "say which target and for how long: weir bypass TARGET --for 10m --reason TEXT; or --end; or --list");
  }
  if (call.text("reason").empty()) return call.fail(kExitUsage, "a reason is required: --reason TEXT (a ticket number)");
  const auto config = call.load_state();
  if (!config) return kExitUsage;
  int code = kExitDone;
  const bool is_end = call.has("end");
  json arguments = {{"target", call.words()[0]}, {"reason", call.text("reason")}};
  if (!is_end) arguments["for"] = call.text("for");
  const auto answer = call.ask(*config, is_end ? "bypass-end" : "bypass", arguments, code);
  if (!answer || is_pending_change(call, *answer, code)) return code;
  if (call.json) {
    call.print_json(*answer);
  } else if (is_end) {
    call.terminal.out << "the bypass of " << call.words()[0] << " is over; passed raw: " << answer->value("counts", std::string()) << "\n";
  } else {
    call.terminal.out << paint("new flows to " + call.words()[0] + " pass raw, unjudged and unrecorded, until " + answer->value("until", std::string()), Colour::kRed, call.colour) << "\n";
  }
  return kExitDone;
}

}  // namespace

Verb bypass_verb() {
  return {.name = "bypass",
          .group = "Kernel side",
          .summary = "let a target's new flows pass raw for a while",
          .synopsis = "TARGET --for TIME --reason TEXT | TARGET --end --reason TEXT | --list",
          .description = "For an emergency. New flows to the target are forwarded as if there were no gateway: nobody is asked who they are, nothing is judged, masked or recorded but packets, bytes and flows. "
                         "Sessions that live stay inspected. It ends by itself, in the kernel, also when the engine is dead; then, or with --end, its raw flows are cut. At most bypass.max (1h).\n"
                         "JSON: {target, until}; --end: {target, flows, packets_to_target, bytes_to_target, packets_to_client, bytes_to_client}; --list: [{target, until, left_seconds, by, reason, flows, ...}]",
          .exits = "0 done\n1 there is no such target, or no bypass of it; or it waits for a second person (weir changes)\n2 the command line is wrong, the reason is missing, the time is too long, or one is on already\n3 the engine is not running\n4 not root, nor the engine's user",
          .example = "weir bypass orders-db --for 10m --reason 'INC-42: the parser refuses the release'\nweir bypass --list\nweir bypass orders-db --end --reason INC-42",
          .add_options = [](po::options_description& options) {
            options.add_options()("for", po::value<std::string>()->value_name("TIME"), "how long: 30s, 10m, 1h")("end", "end it now")("list", "what is on")
                ("reason", po::value<std::string>()->value_name("TEXT"), "why; a ticket number; always required");
          },
          .run = run_bypass};
}

}  // namespace weir::control

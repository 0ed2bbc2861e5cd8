// reload: rules, grants and identities anew, without dropping a session.
#include <boost/program_options/value_semantic.hpp>

#include "control/cli_text.h"
#include "control/config_parts.h"
#include "control/logging.h"
#include "control/pending_change.h"
#include "control/verbs.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;

int run_reload(VerbCall& call) {
  const auto config = call.load_state();
  if (!config) return kExitUsage;
  nlohmann::json arguments{{"reason", call.text("reason")}};
  if (call.has("set")) arguments["set"] = call.texts("set");
  int code = kExitDone;
  const auto answer = call.ask(*config, "reload", arguments, code);
  if (!answer || is_pending_change(call, *answer, code)) return code;
  if (call.json) {
    call.print_json(*answer);
  } else {
    call.terminal.out << "reloaded: snapshot " << answer->value("generation", uint64_t{0}) << ", digest " << answer->value("digest", std::string("?")).substr(0, 16) << "\n"
                      << "changed: " << escape_bytes(change_text(answer->value("change", nlohmann::json::object()))) << "\n";
  }
  return kExitDone;
}

}  // namespace

Verb reload_verb() {
  return {.name = "reload",
          .group = "Engine",
          .summary = "take the configuration anew, without dropping a session",
          .synopsis = "--reason TEXT [--set KEY=VALUE]",
          .description = "The engine reads and checks the whole configuration first. If it is right, the new snapshot counts from the next unit of every live session; "
                         "statements prepared before are judged again when they are used. If it is wrong, or changes a key marked (restart), the old snapshot stays in force, "
                         "`weir status` says so, and every mistake is printed.\nThe reason goes on the record; it is required unless changes.require_reason is false. So does what has changed: which rules, grants, targets, settings were added, removed, changed, "
                         "and the SHA-256 of each configuration and rule file before and after.\n"
                         "JSON: {generation, digest, change: {digest: {before, after}, files: [{file, before, after}], parts: [{kind, name, how}]}}",
          .exits = "0 the new snapshot is in force\n1 it waits for a second person (changes.second_person): `weir changes`\n2 refused: the configuration is wrong, changes a (restart) key, or the reason is missing\n3 the engine is not running\n4 not root, nor the engine's user",
          .example = "weir reload --reason 'CHG-2041: close dblink'",
          .add_options = [](po::options_description& options) {
            options.add_options()
                ("reason", po::value<std::string>()->value_name("TEXT"), "why; a ticket number")
                ("set", po::value<std::vector<std::string>>()->value_name("KEY=VALUE"), "override one key of the configuration; may be given several times");
          },
          .run = run_reload};
}

}  // namespace weir::control

// run: the engine in the foreground.
#include <boost/program_options/value_semantic.hpp>

#include "control/privileges.h"
#include "control/verbs.h"

namespace weir::control {

namespace po = boost::program_options;

Verb run_verb(RunEngine run_engine) {
  return {.name = "run",
          .group = "Engine",
          .summary = "serve in the foreground",
          .synopsis = "[--set KEY=VALUE]",
          .description = "Serves until SIGTERM or SIGINT; then no new flow is taken, live sessions may end by themselves for engine.timeouts.drain, and the record is closed. "
                         "`weir up` comes first. Once everything is open, privileges are dropped to engine.user. Logs go to stderr. SIGHUP is ignored: a change of rules needs a reason, `weir reload`.",
          .exits = "0 ended as asked\n1 ended by a fault; the log says which\n2 the configuration is wrong\n3 something it needs is not there: weir up, a port, the record's disk\n4 a capability is missing: run as root",
          .example = "weir up && weir run\nweir run --set log.level=debug",
          .add_options = [](po::options_description& options) {
            options.add_options()("set", po::value<std::vector<std::string>>()->value_name("KEY=VALUE"), "override one key of the configuration; may be given several times");
          },
          .run = [run_engine = std::move(run_engine)](VerbCall& call) -> int {
            if (!run_engine) return call.fail(kExitSystem, "this build has no engine");
            if (const auto hardened = harden_process(); !hardened) return call.fail(hardened.error());
            auto loaded = call.load();
            if (!loaded) return kExitUsage;
            call.print_problems(loaded->problems);  // Warnings.
            return run_engine({std::move(*loaded), call.config_path(), call.config_options(true)});
          }};
}

}  // namespace weir::control

// The command line's table, in the order of the flow; each verb is a file in control/, the engine is session/.
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "control/verbs.h"
#include "session/engine.h"

namespace {

// `weir run`: main.cc is where control/ and session/ meet.
int run_engine(const weir::control::RunContext& context) {
  const auto served = weir::session::run_engine({context.loaded.config, context.path, context.options.overrides});
  if (served) return weir::control::kExitDone;
  std::cerr << "weir run: " << served.error().message << "\n";
  return weir::control::exit_code_of(served.error());
}

}  // namespace

int main(int argc, char** argv) {
  using namespace weir::control;
  std::ios::sync_with_stdio(false);
  const std::vector<Verb> verbs = {
      check_verb(),    ca_verb(),     rules_verb(),  explain_verb(),  grants_verb(),    // Configuration and policy
      up_verb(),       down_verb(),                                                     // Kernel side
      run_verb(run_engine), reload_verb(),                                              // Engine
      bind_verb(),     bindings_verb(), revoke_verb(), cut_verb(),                      // People and sessions
      sessions_verb(), replay_verb(), verify_verb(),                                    // The record
      status_verb(),   doctor_verb(), version_verb(),                                   // Look
  };
  Terminal terminal{std::cin, std::cout, std::cerr, isatty(STDOUT_FILENO) == 1, isatty(STDERR_FILENO) == 1, [](const char* name) { return std::getenv(name); }};
  const int code = run_cli(verbs, {argv + (argc > 0 ? 1 : 0), argv + argc}, terminal);
  std::cout.flush();
  return code;
}

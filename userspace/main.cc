// The program: the command line of control/, with the engine of session/ behind `weir run`.
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "control/verbs.h"
#include "session/engine.h"

namespace {

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
  Terminal terminal{std::cin, std::cout, std::cerr, isatty(STDOUT_FILENO) == 1, isatty(STDERR_FILENO) == 1, [](const char* name) { return std::getenv(name); }};
  const int code = run_cli(all_verbs(run_engine), {argv + (argc > 0 ? 1 : 0), argv + argc}, terminal);
  std::cout.flush();
  return code;
}

// The program: the command line of control/, with the engine of session/ behind `weir run`.
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "control/privileges.h"
#include "control/verbs.h"
#include "session/engine.h"
#include "signer/process.h"

namespace {

int run_engine(const weir::control::RunContext& context) {
  const auto served = weir::session::run_engine({context.loaded.config, context.path, context.options.overrides});
  if (served) return weir::control::kExitDone;
  std::cerr << "weir run: " << served.error().message << "\n";
  return weir::control::exit_code_of(served.error());
}

// `weir signer`: what `weir run` starts before all else.  No verb: nobody has a use for it.
int run_signer() {
  const auto drop = [](const std::string& user) {
    return weir::control::drop_privileges({.user = user, .key = "engine.signer_user", .net_admin = false, .net_bind_service = false, .bpf = false});
  };
  if (!weir::control::harden_process()) return weir::control::kExitSystem;
  return weir::signer::serve(weir::signer::kSocket, drop);
}

bool is_signer(int argc, char** argv) {
  int kind = 0;
  socklen_t size = sizeof kind;
  return argc == 2 && std::string_view(argv[1]) == "signer" && getsockopt(weir::signer::kSocket, SOL_SOCKET, SO_TYPE, &kind, &size) == 0 && kind == SOCK_STREAM;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace weir::control;
  if (is_signer(argc, argv)) return run_signer();
  std::ios::sync_with_stdio(false);
  Terminal terminal{std::cin, std::cout, std::cerr, isatty(STDOUT_FILENO) == 1, isatty(STDERR_FILENO) == 1, [](const char* name) { return std::getenv(name); }};
  const int code = run_cli(all_verbs(run_engine), {argv + (argc > 0 ? 1 : 0), argv + argc}, terminal);
  std::cout.flush();
  return code;
}

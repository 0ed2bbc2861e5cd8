// The signer's process: `weir signer`, which `weir run` starts first of all and nobody starts by hand.
//
//   weir run (root) -- fork, exec of itself, a socket --> weir signer (root): reads its setup, opens key files, makes what is not there
//     engine: opens the kernel side, drops to engine.user      signer: drops to engine.signer_user, no capability, seccomp; says hello; serves
//
// It ends when its socket does, or its parent.  SIGTERM and SIGINT, which go to a whole group or unit, it does not hear: the last seals of a
// shutdown are signed after them.
#pragma once
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "signer/client.h"

namespace weir::signer {

inline constexpr int kSocket = 3;                 // The signer's end.

// How a process gives up what it need not have: for control/, which this folder does not know.
using DropPrivileges = std::function<Result<void>(const std::string& user)>;

// The signer, until its socket ends.  Pre: one thread; hardened (no core, not dumpable, no_new_privs).  The result is the exit code.
int serve(int socket, const DropPrivileges& drop);

// The other end: starts the signer, and ends it.
class Process {
 public:
  // Pre: one thread, root.  Errors: what the signer could not do, with the fix.
  [[nodiscard]] static Result<std::unique_ptr<Process>> start(const Setup&);
  // Takes a signer that runs already: for tests.
  Process(pid_t pid, std::shared_ptr<Client> client) : pid_(pid), client_(std::move(client)) {}
  ~Process() { end(); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  [[nodiscard]] Client& client() const { return *client_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  // Nothing more is to be signed.  Post: the process is gone; one that does not end by itself within five seconds is killed, at the latest with this process.
  void end();

 private:
  pid_t pid_;
  std::shared_ptr<Client> client_;
  bool is_over_ = false;
};

}  // namespace weir::signer

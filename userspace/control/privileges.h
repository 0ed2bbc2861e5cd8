// What the engine may still do once it serves: no core dumps, no new privileges, another user, few capabilities.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"

namespace weir::control {

// First thing in `weir run`, before a secret is read: no core file, no ptrace by the same user, no set-uid programs.  I4.
[[nodiscard]] Result<void> harden_process();

struct PrivilegePlan {
  std::string user;               // As in engine.user; "root" and "" keep the user and drop capabilities alone.
  std::string key = "engine.user";  // Where it stands in the configuration, for errors.
  bool net_admin = true;          // IP_TRANSPARENT on the target leg, SO_MARK, destroying sockets on a cut.
  bool net_bind_service = true;   // A client's source port below 1024 is kept towards the target.
  bool bpf = true;                // Cuts and bindings are written into maps (CAP_BPF).
  bool net_raw = false;           // Only where IP_TRANSPARENT without CAP_NET_ADMIN is wanted.
};

// Pre: one thread (capabilities are a thread's own), everything that needs more is open.  Post: user and groups are changed
// for good, permitted == effective == what the plan keeps, nothing is inheritable or ambient, the bounding set is the same;
// verified by asking the kernel.  Errors: kNotFound (no such user), kDenied (not root, or a capability that is not held),
// kInvalid (more than one thread), kSystem.
[[nodiscard]] Result<void> drop_privileges(const PrivilegePlan& plan);

// Names of the capabilities in force, for status and the log: "cap_net_admin".
[[nodiscard]] std::vector<std::string> capabilities_in_force();

// Makes `folder` (mode 0700) and gives it and all that is in it to `user`.  Errors: kNotFound, kDenied, kSystem.
[[nodiscard]] Result<void> prepare_state_folder(const std::string& folder, const std::string& user);

}  // namespace weir::control

// The engine's listeners: for each core one of IPv4 and one of IPv6, on loopback and a port that the kernel picks.  Nobody
// connects to that port: sk_lookup hands them the connections of the targets' addresses.
// Must never: listen on a wildcard address (a host listener on a target's port would be what `doctor` warns of).
#pragma once
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "kernel/fd.h"

namespace weir::accept {

struct CoreListenerSockets {
  kernel::Fd v4, v6;   // v6 is empty where the host has no IPv6.
};

// Blocking (io_uring polls them).  Transparent, so that an accepted socket keeps the target's address as its own; TCP_NODELAY and keepalive are inherited by
// what is accepted.  `mark` is KernelSteering::client_leg_mark(): answers to clients stay out of conntrack.
// Pre: CAP_NET_ADMIN (transparency, mark).  Errors: kDenied, kSystem.
[[nodiscard]] Result<std::vector<CoreListenerSockets>> open_listeners(uint32_t cores, uint32_t mark, int backlog = 4096);

}  // namespace weir::accept

// Which target an accepted socket was meant for: its local address is the target's own, since listeners are transparent.
#pragma once
#include <span>

#include "core/address.h"
#include "core/config.h"

namespace weir::accept {

// The target of the longest prefix that has this address and port, as the kernel's map has it; nullptr: none.  Such a socket
// did not come through steering (somebody dialled the listener's loopback port) and is refused and counted.
[[nodiscard]] const TargetConfig* find_target(std::span<const TargetConfig> targets, const Endpoint& local);

}  // namespace weir::accept

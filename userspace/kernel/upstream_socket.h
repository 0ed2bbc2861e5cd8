// The socket that a target is dialled with: from the client's own address and port where the plan says so, marked so that
// the egress guard lets it out.  The caller connects it.
// Must never: dial from another address than the plan's.  Another port is allowed when the wanted tuple is in use, and is told.
#pragma once
#include "base/result.h"
#include "core/io.h"

namespace weir::kernel {

struct UpstreamSocket {
  int fd = -1;               // Blocking (io_uring polls it), close-on-exec, TCP_NODELAY; bound, not connected.  The caller owns it.
  bool port_kept = true;     // False: plan.source.port was in use on this tuple, and the kernel picks another at connect.
};

// A TIME_WAIT of ours on (source, target) is destroyed first: the client came back from the same port.
// Pre: CAP_NET_ADMIN for a transparent plan or a mark.
// Errors: kSystem with the errno (EADDRNOTAVAIL: the source is not ours and the plan is not transparent).
[[nodiscard]] Result<UpstreamSocket> prepare_upstream_socket(const DialPlan& plan);

}  // namespace weir::kernel

// Between core's endpoints and the kernel's socket addresses.  IPv4 travels as AF_INET, IPv6 as AF_INET6.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include "core/address.h"

namespace weir::kernel {

// Post: returns the size in use of `address`.
socklen_t to_sockaddr(const Endpoint& endpoint, sockaddr_storage& address);
Endpoint from_sockaddr(const sockaddr_storage& address);  // All zero for other families.

}  // namespace weir::kernel

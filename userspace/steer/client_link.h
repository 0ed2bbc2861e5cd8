// Where a client's address is: the interface that its packets come in on, their VLAN and, on link, the host's own MAC, as the
// kernel's routes and neighbours have it when it is bound.
// Must never: take a router's MAC for a host's.
#pragma once
#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/address.h"
#include "core/link.h"
#include "steer/netlink.h"

namespace weir::steer {

// Interface and VLAN of a route's link among `clients`: itself, or the parent that a VLAN device has there.  Neither (a bridge
// whose port is the client interface, an asymmetric route): not asked.
[[nodiscard]] LinkKey link_key_of(std::span<const LinkEntry> links, uint32_t interface, std::span<const std::string> clients);

// `with_mac`: identity.address_bindings.mac.  Nobody known at an address on link is asked for, for `patience` at most: short, since
// a revocation waits for the request before it.  Who signs in from the address itself is known already.
// Errors: kNotFound: no host answers there, so that its MAC is not known; kSystem.
[[nodiscard]] Result<LinkKey> find_client_link(const Address&, std::span<const std::string> clients, bool with_mac,
                                               std::chrono::milliseconds patience = std::chrono::milliseconds(300));

}  // namespace weir::steer

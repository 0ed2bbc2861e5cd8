#include "steer/client_link.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <thread>

#include "kernel/fd.h"
#include "kernel/socket_address.h"

namespace weir::steer {
namespace {

constexpr uint16_t kDiscardPort = 9;  // RFC 863: nobody has to listen, the question for the MAC goes out all the same.
constexpr std::chrono::milliseconds kStep{20};

void make_kernel_ask(const Address& address) {
  const kernel::Fd fd(::socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_storage to{};
  const socklen_t size = kernel::to_sockaddr({address, kDiscardPort}, to);
  if (fd) static_cast<void>(::sendto(fd.get(), "", 0, MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to), size));
}

const LinkEntry* link_at(std::span<const LinkEntry> links, uint32_t index) {
  const auto found = std::find_if(links.begin(), links.end(), [index](const LinkEntry& link) { return link.index == index; });
  return found == links.end() ? nullptr : &*found;
}

}  // namespace

LinkKey link_key_of(std::span<const LinkEntry> links, uint32_t interface, std::span<const std::string> clients) {
  const auto is_client = [clients](const std::string& name) { return std::find(clients.begin(), clients.end(), name) != clients.end(); };
  const LinkEntry* link = link_at(links, interface);
  if (link == nullptr) return {};
  if (is_client(link->name)) return {link->name, uint16_t{0}, {}};
  const LinkEntry* parent = link->vlan ? link_at(links, link->parent) : nullptr;
  if (parent != nullptr && is_client(parent->name)) return {parent->name, link->vlan, {}};
  return {};
}

Result<LinkKey> find_client_link(const Address& address, std::span<const std::string> clients, bool with_mac, std::chrono::milliseconds patience) {
  auto netlink = Netlink::open();
  if (!netlink) return tl::unexpected<Error>(netlink.error());
  const auto route = netlink->route_to(address);
  if (!route) return tl::unexpected<Error>(route.error());
  if (route->is_unreachable || route->type != RTN_UNICAST) return LinkKey{};
  const auto links = netlink->links();
  if (!links) return tl::unexpected<Error>(links.error());
  LinkKey key = link_key_of(*links, route->interface, clients);
  const LinkEntry* link = link_at(*links, route->interface);
  if (!with_mac || route->has_gateway || link == nullptr || !link->has_ethernet_header) return key;
  for (std::chrono::milliseconds waited{0};; waited += kStep) {
    const auto mac = netlink->neighbour(route->interface, address);
    if (!mac) return tl::unexpected<Error>(mac.error());
    if (*mac) {
      key.mac = **mac;
      return key;
    }
    if (waited >= patience) break;
    if (waited.count() == 0) make_kernel_ask(address);
    std::this_thread::sleep_for(kStep);
  }
  return fail(Error::Kind::kNotFound, "no host answers at " + address.text() + " on " + link->name +
                                          ", and a binding there is tied to its MAC: bind it when it is up (or identity.address_bindings.mac: never)");
}

}  // namespace weir::steer

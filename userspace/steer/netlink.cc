#include "steer/netlink.h"

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

#include "steer/netlink_attributes.h"

namespace weir::steer {
namespace {

constexpr std::size_t kBufferSize = 32768;
constexpr uint32_t kLoopback = 1;   // "lo" has this index in every network namespace.
constexpr int kAnswersMax = 4096;  // Datagrams of one dump.

uint8_t family_number(Family family) { return family == Family::kV4 ? AF_INET : AF_INET6; }

tl::unexpected<Error> netlink_error(const char* what, int code) {
  return fail(code == EPERM || code == EACCES ? Error::Kind::kDenied : Error::Kind::kSystem, std::string(what) + ": " + std::strerror(code), code);
}

// Type casts of netlink's C interface, in one place.
template <class T>
T* put_header(nlmsghdr* message, std::size_t size = sizeof(T)) {
  return static_cast<T*>(mnl_nlmsg_put_extra_header(message, size));
}
template <class T>
const T* header_of(const nlmsghdr* message) {
  return static_cast<const T*>(mnl_nlmsg_get_payload(message));
}

bool parse_rule(const nlmsghdr* message, RuleEntry& rule) {
  const auto* header = header_of<fib_rule_hdr>(message);
  if (header->family != AF_INET && header->family != AF_INET6) return false;
  rule.family = header->family == AF_INET ? Family::kV4 : Family::kV6;
  rule.table = header->table;
  rule.is_plain = header->action == FR_ACT_TO_TBL && header->src_len == 0 && header->dst_len == 0 && header->tos == 0 &&
                  (header->flags & FIB_RULE_INVERT) == 0;
  walk_attributes(message, sizeof *header, [&](uint16_t type, const nlattr* attribute) {
    switch (type) {
      case FRA_PRIORITY: rule.priority = mnl_attr_get_u32(attribute); break;
      case FRA_TABLE: rule.table = mnl_attr_get_u32(attribute); break;
      case FRA_FWMARK: rule.mark = mnl_attr_get_u32(attribute); break;
      case FRA_FWMASK: rule.mark_mask = mnl_attr_get_u32(attribute); break;
      case FRA_IIFNAME: case FRA_OIFNAME: case FRA_L3MDEV: case FRA_UID_RANGE: case FRA_IP_PROTO: case FRA_SPORT_RANGE:
      case FRA_DPORT_RANGE: rule.is_plain = false; break;
      default: break;
    }
  });
  return true;
}

bool parse_route(const nlmsghdr* message, RouteEntry& route) {
  const auto* header = header_of<rtmsg>(message);
  if (header->rtm_family != AF_INET && header->rtm_family != AF_INET6) return false;
  route.family = header->rtm_family == AF_INET ? Family::kV4 : Family::kV6;
  route.table = header->rtm_table;
  route.type = header->rtm_type;
  route.prefix_bits = header->rtm_dst_len;
  walk_attributes(message, sizeof *header, [&](uint16_t type, const nlattr* attribute) {
    if (type == RTA_TABLE) route.table = mnl_attr_get_u32(attribute);
    if (type == RTA_OIF) route.interface = mnl_attr_get_u32(attribute);
    if (type == RTA_GATEWAY || type == RTA_VIA) route.has_gateway = true;
  });
  return true;
}

// Of a VLAN device; nothing for other kinds.
std::optional<uint16_t> vlan_of(const nlattr* link_info) {
  std::optional<uint16_t> id;
  bool is_vlan = false;
  walk_nested(link_info, [&](uint16_t type, const nlattr* attribute) {
    if (type == IFLA_INFO_KIND) is_vlan = std::string_view(mnl_attr_get_str(attribute)) == "vlan";
    if (type != IFLA_INFO_DATA || !is_vlan) return;  // The kind comes first.
    walk_nested(attribute, [&](uint16_t inner_type, const nlattr* inner) {
      if (inner_type == IFLA_VLAN_ID) id = mnl_attr_get_u16(inner);
    });
  });
  return id;
}

// The link-layer address of a neighbour whom the kernel would send to.
bool parse_neighbour(const nlmsghdr* message, std::optional<MacAddress>& mac) {
  constexpr uint16_t kKnown = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;
  const auto* header = header_of<ndmsg>(message);
  if ((header->ndm_state & kKnown) == 0) return false;
  walk_attributes(message, sizeof *header, [&](uint16_t type, const nlattr* attribute) {
    if (type != NDA_LLADDR || mnl_attr_get_payload_len(attribute) != 6) return;
    mac.emplace();
    std::memcpy(mac->data(), mnl_attr_get_payload(attribute), 6);
  });
  return mac.has_value();
}

bool parse_link(const nlmsghdr* message, LinkEntry& link) {
  const auto* header = header_of<ifinfomsg>(message);
  link.index = static_cast<uint32_t>(header->ifi_index);
  link.has_ethernet_header = header->ifi_type == ARPHRD_ETHER || header->ifi_type == ARPHRD_LOOPBACK;
  link.is_up = (header->ifi_flags & IFF_UP) != 0;
  walk_attributes(message, sizeof *header, [&](uint16_t type, const nlattr* attribute) {
    if (type == IFLA_IFNAME) link.name = mnl_attr_get_str(attribute);
    if (type == IFLA_MASTER) link.master = mnl_attr_get_u32(attribute);
    if (type == IFLA_LINK) link.parent = mnl_attr_get_u32(attribute);
    if (type == IFLA_LINKINFO) link.vlan = vlan_of(attribute);
    if (type == IFLA_XDP) {
      walk_nested(attribute, [&](uint16_t inner_type, const nlattr* inner) {
        if (inner_type == IFLA_XDP_ATTACHED) link.has_xdp = mnl_attr_get_u8(inner) != XDP_ATTACHED_NONE;
      });
    }
  });
  return true;
}

}  // namespace

std::string RuleEntry::text() const {
  char buffer[160];
  std::snprintf(buffer, sizeof buffer, "ip %s rule from all fwmark 0x%x/0x%x lookup %u priority %u", family == Family::kV4 ? "-4" : "-6", mark,
                mark_mask, table, priority);
  return buffer;
}

Netlink::Netlink(Netlink&& other) noexcept : socket_(std::exchange(other.socket_, nullptr)), sequence_(other.sequence_) {}
Netlink& Netlink::operator=(Netlink&& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(sequence_, other.sequence_);
  return *this;
}
Netlink::~Netlink() {
  if (socket_ != nullptr) mnl_socket_close(socket_);
}

Result<Netlink> Netlink::open() {
  mnl_socket* socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
  if (socket == nullptr) return netlink_error("netlink", errno);
  Netlink netlink(socket);
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) return netlink_error("netlink", errno);
  // The kernel then takes filters of a dump seriously, and says so when it cannot.
  const int on = 1;
  mnl_socket_setsockopt(socket, NETLINK_GET_STRICT_CHK, const_cast<int*>(&on), sizeof on);
  return netlink;
}

Result<int> Netlink::exchange(nlmsghdr* request, int (*take)(const nlmsghdr*, void*), void* into) {
  request->nlmsg_seq = sequence_++;
  if (mnl_socket_sendto(socket_, request, request->nlmsg_len) < 0) return netlink_error("netlink send", errno);
  std::array<char, kBufferSize> buffer;
  const ssize_t size = mnl_socket_recvfrom(socket_, buffer.data(), buffer.size());
  if (size < 0) return netlink_error("netlink receive", errno);
  const int state = mnl_cb_run(buffer.data(), static_cast<std::size_t>(size), request->nlmsg_seq, mnl_socket_get_portid(socket_), take, into);
  return state < 0 ? errno : 0;
}

Result<void> Netlink::send_and_wait(nlmsghdr* request, int forgiven_errno) {
  const auto refused = exchange(request, nullptr, nullptr);
  if (!refused) return tl::unexpected<Error>(refused.error());
  if (*refused != 0 && *refused != forgiven_errno) return netlink_error("netlink", *refused);
  return {};
}

template <class Entry, class Parse>
Result<std::vector<Entry>> Netlink::dump(uint16_t type, uint8_t family, std::size_t header_size, Parse parse) {
  std::array<char, kBufferSize> buffer;
  nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = type;
  request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request->nlmsg_seq = sequence_++;
  const uint32_t sequence = request->nlmsg_seq;
  *put_header<uint8_t>(request, header_size) = family;  // The first byte of every header that is dumped here.
  if (mnl_socket_sendto(socket_, request, request->nlmsg_len) < 0) return netlink_error("netlink send", errno);

  struct Collected { std::vector<Entry> entries; Parse* parse; } collected{{}, &parse};
  for (int answers = 0; answers < kAnswersMax; ++answers) {
    const ssize_t size = mnl_socket_recvfrom(socket_, buffer.data(), buffer.size());
    if (size < 0) return netlink_error("netlink receive", errno);
    const int state = mnl_cb_run(
        buffer.data(), static_cast<std::size_t>(size), sequence, mnl_socket_get_portid(socket_),
        [](const nlmsghdr* message, void* data) {
          auto* into = static_cast<Collected*>(data);
          Entry entry;
          if ((*into->parse)(message, entry)) into->entries.push_back(std::move(entry));
          return MNL_CB_OK;
        },
        &collected);
    if (state < 0) return netlink_error("netlink dump", errno);
    if (state == MNL_CB_STOP) break;
  }
  return std::move(collected.entries);
}

Result<void> Netlink::change_rule(const RuleEntry& rule, uint16_t type, uint16_t flags, int forgiven_errno) {
  std::array<char, 512> buffer;
  nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = type;
  request->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  auto* header = put_header<fib_rule_hdr>(request);
  header->family = family_number(rule.family);
  header->action = FR_ACT_TO_TBL;
  header->table = RT_TABLE_UNSPEC;
  mnl_attr_put_u32(request, FRA_TABLE, rule.table);
  mnl_attr_put_u32(request, FRA_PRIORITY, rule.priority);
  mnl_attr_put_u32(request, FRA_FWMARK, rule.mark);
  mnl_attr_put_u32(request, FRA_FWMASK, rule.mark_mask);
  return send_and_wait(request, forgiven_errno);
}

Result<void> Netlink::add_rule(const RuleEntry& rule) { return change_rule(rule, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, EEXIST); }
Result<void> Netlink::remove_rule(const RuleEntry& rule) { return change_rule(rule, RTM_DELRULE, 0, ENOENT); }

Result<void> Netlink::change_local_route(Family family, uint32_t table, uint16_t type, uint16_t flags, int forgiven_errno) {
  std::array<char, 512> buffer;
  nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = type;
  request->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  auto* header = put_header<rtmsg>(request);
  header->rtm_family = family_number(family);
  header->rtm_table = RT_TABLE_UNSPEC;
  header->rtm_protocol = RTPROT_STATIC;
  header->rtm_scope = family == Family::kV4 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  header->rtm_type = RTN_LOCAL;
  mnl_attr_put_u32(request, RTA_TABLE, table);
  mnl_attr_put_u32(request, RTA_OIF, kLoopback);
  return send_and_wait(request, forgiven_errno);
}

Result<void> Netlink::add_local_route(Family family, uint32_t table) {
  return change_local_route(family, table, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, EEXIST);
}
Result<void> Netlink::remove_local_route(Family family, uint32_t table) {
  return change_local_route(family, table, RTM_DELROUTE, 0, ESRCH);
}

Result<std::vector<RuleEntry>> Netlink::rules() {
  std::vector<RuleEntry> all;
  for (const uint8_t family : {uint8_t{AF_INET}, uint8_t{AF_INET6}}) {
    auto part = dump<RuleEntry>(RTM_GETRULE, family, sizeof(fib_rule_hdr), parse_rule);
    if (!part) return part;
    all.insert(all.end(), part->begin(), part->end());
  }
  return all;
}

Result<std::vector<RouteEntry>> Netlink::routes(uint32_t table) {
  std::vector<RouteEntry> all;
  for (const uint8_t family : {uint8_t{AF_INET}, uint8_t{AF_INET6}}) {
    auto part = dump<RouteEntry>(RTM_GETROUTE, family, sizeof(rtmsg), parse_route);
    if (!part) return part;
    for (const RouteEntry& route : *part) {
      if (route.table == table) all.push_back(route);
    }
  }
  return all;
}

Result<std::vector<LinkEntry>> Netlink::links() { return dump<LinkEntry>(RTM_GETLINK, AF_UNSPEC, sizeof(ifinfomsg), parse_link); }

Result<RouteAnswer> Netlink::route_to(const Address& destination) {
  std::array<char, kBufferSize> buffer;
  nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = RTM_GETROUTE;
  request->nlmsg_flags = NLM_F_REQUEST;
  auto* header = put_header<rtmsg>(request);
  const bool v4 = destination.is_v4();
  header->rtm_family = v4 ? AF_INET : AF_INET6;
  header->rtm_dst_len = v4 ? 32 : 128;
  mnl_attr_put(request, RTA_DST, v4 ? 4 : 16, destination.bytes.data() + (v4 ? 12 : 0));
  RouteEntry route;
  const auto refused = exchange(
      request,
      [](const nlmsghdr* message, void* into) {
        parse_route(message, *static_cast<RouteEntry*>(into));
        return MNL_CB_STOP;
      },
      &route);
  if (!refused) return tl::unexpected<Error>(refused.error());
  return RouteAnswer{route.interface, route.type, route.has_gateway, *refused != 0 || route.interface == 0};
}

Result<std::optional<MacAddress>> Netlink::neighbour(uint32_t interface, const Address& address) {
  std::array<char, kBufferSize> buffer;
  nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = RTM_GETNEIGH;
  request->nlmsg_flags = NLM_F_REQUEST;
  auto* header = put_header<ndmsg>(request);
  const bool v4 = address.is_v4();
  header->ndm_family = v4 ? AF_INET : AF_INET6;
  header->ndm_ifindex = static_cast<int>(interface);
  mnl_attr_put(request, NDA_DST, v4 ? 4 : 16, address.bytes.data() + (v4 ? 12 : 0));
  std::optional<MacAddress> mac;
  const auto refused = exchange(
      request,
      [](const nlmsghdr* message, void* into) {
        parse_neighbour(message, *static_cast<std::optional<MacAddress>*>(into));
        return MNL_CB_STOP;
      },
      &mac);
  if (!refused) return tl::unexpected<Error>(refused.error());
  if (*refused != 0 && *refused != ENOENT) return netlink_error("netlink neighbour", *refused);
  return mac;
}

Result<int> open_netlink_events() {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  if (fd < 0) return netlink_error("netlink events", errno);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE |
                      (1u << (RTNLGRP_IPV6_RULE - 1));
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int code = errno;
    ::close(fd);
    return netlink_error("netlink events", code);
  }
  return fd;
}

}  // namespace weir::steer

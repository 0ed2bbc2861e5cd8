// rtnetlink, as much of it as steering needs: one rule and one local route a family, and a look at links, rules and routes.
// A question and its answer; no state of its own but the socket.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/address.h"
#include "core/link.h"

struct mnl_socket;
struct nlmsghdr;

namespace weir::steer {

enum class Family : uint8_t { kV4, kV6 };

struct RuleEntry {
  Family family{};
  uint32_t priority = 0, table = 0;
  uint32_t mark = 0, mark_mask = 0;    // 0: the rule asks for no mark.
  bool is_plain = true;                // Asks for nothing but the mark, and looks a table up.
  [[nodiscard]] std::string text() const;
  friend bool operator==(const RuleEntry&, const RuleEntry&) = default;
};
struct RouteEntry {
  Family family{};
  uint32_t table = 0;
  uint8_t type = 0;                    // RTN_*
  uint8_t prefix_bits = 0;
  uint32_t interface = 0;
  bool has_gateway = false;
};
struct LinkEntry {
  uint32_t index = 0;
  std::string name;
  bool has_ethernet_header = true;     // ARPHRD_ETHER and ARPHRD_LOOPBACK; the others begin with the IP header.
  bool is_up = false;
  bool has_xdp = false;                // An XDP program runs before tc and could take packets past the guard.
  uint32_t master = 0;                 // Bridge or bond that it is a port of.
  uint32_t parent = 0;                 // Of a VLAN device: what it stands on.
  std::optional<uint16_t> vlan;        // Of a VLAN device.
};
struct RouteAnswer {
  uint32_t interface = 0;
  uint8_t type = 0;                    // RTN_*
  bool has_gateway = false;            // Else it is on link.
  bool is_unreachable = false;
};

class Netlink {
 public:
  Netlink(Netlink&&) noexcept;
  Netlink& operator=(Netlink&&) noexcept;
  ~Netlink();
  [[nodiscard]] static Result<Netlink> open();

  // Adding what is there, and removing what is not, succeeds.
  [[nodiscard]] Result<void> add_rule(const RuleEntry& rule);
  [[nodiscard]] Result<void> remove_rule(const RuleEntry& rule);
  [[nodiscard]] Result<std::vector<RuleEntry>> rules();
  // "local default dev lo table TABLE": every address is this host's, for packets that the rule sends there.
  [[nodiscard]] Result<void> add_local_route(Family family, uint32_t table);
  [[nodiscard]] Result<void> remove_local_route(Family family, uint32_t table);
  [[nodiscard]] Result<std::vector<RouteEntry>> routes(uint32_t table);
  [[nodiscard]] Result<std::vector<LinkEntry>> links();
  // Where a packet to `destination` would leave.
  [[nodiscard]] Result<RouteAnswer> route_to(const Address& destination);
  // The MAC of a host on link, as the kernel knows it now; nothing: it does not, or it failed to find out.
  [[nodiscard]] Result<std::optional<MacAddress>> neighbour(uint32_t interface, const Address&);

 private:
  explicit Netlink(mnl_socket* socket) : socket_(socket) {}
  // One request, one answer: each of its messages goes to `take` (null: it is an acknowledgement).  Returns 0 or the errno that
  // the kernel refused with.  Errors: of the socket.
  Result<int> exchange(nlmsghdr* request, int (*take)(const nlmsghdr*, void*), void* into);
  [[nodiscard]] Result<void> send_and_wait(nlmsghdr* request, int forgiven_errno);
  [[nodiscard]] Result<void> change_rule(const RuleEntry& rule, uint16_t type, uint16_t flags, int forgiven_errno);
  [[nodiscard]] Result<void> change_local_route(Family family, uint32_t table, uint16_t type, uint16_t flags, int forgiven_errno);
  template <class Entry, class Parse>
  [[nodiscard]] Result<std::vector<Entry>> dump(uint16_t type, uint8_t family, std::size_t header_size, Parse parse);

  mnl_socket* socket_ = nullptr;
  uint32_t sequence_ = 1;
};

// A socket that tells of changes to links, rules, routes and addresses.  The caller closes it.
[[nodiscard]] Result<int> open_netlink_events();

}  // namespace weir::steer

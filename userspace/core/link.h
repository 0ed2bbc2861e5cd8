// Where a bound address is on the network: what of each of its packets must fit as well (DESIGN 6).
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir {

using MacAddress = std::array<uint8_t, 6>;
[[nodiscard]] Result<MacAddress> parse_mac(std::string_view text);  // "02:00:5e:10:00:01".  Not all zeros, not a group's.
[[nodiscard]] std::string text_of(const MacAddress&);

struct LinkKey {
  std::string interface;              // One of steer.clients.  Empty: not asked.
  std::optional<uint16_t> vlan;       // 0: untagged.  Nothing: not asked.
  std::optional<MacAddress> mac;      // The host's own, on link.
  [[nodiscard]] bool is_empty() const { return interface.empty() && !vlan && !mac; }
  [[nodiscard]] std::string text() const;  // "eth0 vlan 7 02:00:5e:10:00:01"; empty where nothing is asked.
  friend bool operator==(const LinkKey&, const LinkKey&) = default;
};
inline constexpr uint16_t kVlanMax = 4094;

}  // namespace weir

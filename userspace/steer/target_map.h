// Targets of the configuration as the kernel's two maps have them: prefix -> group, (group, port) -> target.  Overlapping
// prefixes are resolved here: each distinct prefix gets a group with every port that holds there, the longest prefix's first.
// Pure, but for write_target_map().
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/result.h"
#include "abi.h"
#include "core/config.h"

namespace weir::steer {

struct TargetGroup {
  Prefix prefix;
  uint32_t flags = 0;                        // WEIR_PREFIX_*
  std::map<uint16_t, weir_target> ports;
};

// Post: one group for each distinct prefix.  Where two targets share an address and differ, the stricter one counts:
// other_ports: drop, icmp: drop.  Of two that share address and port the first in the file counts (`weir check` refuses it).
[[nodiscard]] std::vector<TargetGroup> compile_targets(std::span<const TargetConfig> targets);

// Makes the maps say exactly `groups`.  A packet meanwhile sees a prefix's old group or its new one, whole.
// Errors: kSystem (also when a map is full; then nothing that was there is lost).
[[nodiscard]] Result<void> write_target_map(int prefixes, int targets, std::span<const TargetGroup> groups);

// As the maps have them.
weir_addr to_abi(const Address&);
Address from_abi(const weir_addr&);
weir_prefix_key to_abi(const Prefix&);
weir_flow_key to_abi(const Endpoint& client, const Endpoint& target);

}  // namespace weir::steer

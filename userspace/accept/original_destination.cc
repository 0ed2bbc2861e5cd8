#include "accept/original_destination.h"

#include <algorithm>

namespace weir::accept {

const TargetConfig* find_target(std::span<const TargetConfig> targets, const Endpoint& local) {
  const TargetConfig* best = nullptr;
  int best_bits = -1;
  for (const TargetConfig& target : targets) {
    if (std::find(target.ports.begin(), target.ports.end(), local.port) == target.ports.end()) continue;
    for (const Prefix& prefix : target.addresses) {
      if (static_cast<int>(prefix.bits) > best_bits && prefix.contains(local.address)) {
        best = &target;
        best_bits = prefix.bits;
      }
    }
  }
  return best;
}

}  // namespace weir::accept

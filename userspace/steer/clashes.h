// What on this host stands in the way of steering, or may matter to it.  Only looks.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "steer/netlink.h"
#include "steer/options.h"

namespace weir::steer {

struct Clashes {
  std::vector<std::string> blocking;
  std::vector<std::string> notes;
};
// `is_up`: our own rule, routes and table are expected and no clash.
[[nodiscard]] Result<Clashes> find_clashes(const Options& options, bool is_up, Netlink& netlink);

// Pure parts.
void find_rule_clashes(const Options& options, const std::vector<RuleEntry>& rules, Clashes& clashes);

}  // namespace weir::steer

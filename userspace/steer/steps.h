// The kernel side as a list of steps, each of which can be shown, made, undone and checked.  plan() prints this list, up()
// makes it in order, down() undoes it backwards, status() and the watch check it: they cannot tell different stories.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "steer/attach.h"
#include "steer/netlink.h"
#include "steer/options.h"

namespace weir::steer {

struct Step {
  std::string kind;   // guard, lookup, counts, nft, sysctl, rule, route, steer
  std::string text;
  std::function<Result<void>()> make;
  std::function<Result<void>()> undo;                         // Succeeds when there is nothing to undo.
  std::function<std::optional<std::string>()> problem;        // nullopt: in place.
  bool is_optional = false;  // The rest holds without it (byte counts for after the engine's death).
};

// In the order of up(): guards, sk_lookup, sock_ops, nft, sysctls, routes, rules, steering.  Guards are for each link that
// is there now.  `folder` has the pins.  Sysctls are undone by saved state, all at once, not here.
// A configured interface that does not exist is a step that cannot be made.
[[nodiscard]] Result<std::vector<Step>> make_steps(const Options& options, const std::string& folder, TcKind kind, Netlink& netlink);

}  // namespace weir::steer

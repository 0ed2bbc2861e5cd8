// What the kernel side is set up with: from the configuration, or from what `up` recorded.  Values only.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/config.h"

namespace weir::steer {

struct Options {
  std::string pin_folder;
  std::vector<std::string> clients, targets;  // Interfaces.
  uint32_t mark = 0, mark_mask = 0;
  uint32_t table = 0, priority = 0;
  bool is_guarded = true;
  uint32_t bindings_max = 0, flows_max = 0;
  // Not part of what must stay the same while it is up:
  uint32_t drop_notices_per_second = 0;
  bool is_draining = false;
  uint64_t drain_ns = 0;
  std::string user;                           // Owner of the pins, so that the engine can put back what it loses.

  // Four values of the bits that are ours: `mark`, and one to three steps of the mask's lowest bit above it.
  [[nodiscard]] uint32_t steered_mark() const { return mark; }
  [[nodiscard]] uint32_t upstream_mark() const { return mark + lowest_bit(); }
  [[nodiscard]] uint32_t client_leg_mark() const { return mark + 2 * lowest_bit(); }
  [[nodiscard]] uint32_t reset_mark() const { return mark + 3 * lowest_bit(); }
  [[nodiscard]] uint32_t lowest_bit() const { return mark_mask & (~mark_mask + 1); }

  [[nodiscard]] std::string maps_folder() const { return pin_folder + "/maps"; }
  [[nodiscard]] std::string programs_folder() const { return pin_folder + "/programs"; }
  [[nodiscard]] std::string links_folder() const { return pin_folder + "/links"; }
  // Where it is put together before it is renamed, and where a half of an earlier try waits for its end.
  [[nodiscard]] std::string aside_folder() const { return pin_folder + "_new"; }
  [[nodiscard]] std::string stale_folder() const { return pin_folder + "_old"; }

  // Equal but for what may change while it is up.
  [[nodiscard]] bool fits(const Options& other) const;
};

// Errors: kInvalid, naming the key: a mark that does not fit its mask, no interfaces, a table that the kernel keeps for
// itself, a pin folder that a bpffs cannot hold (a dot in its name).
[[nodiscard]] Result<Options> options_of(const Config& config);

}  // namespace weir::steer

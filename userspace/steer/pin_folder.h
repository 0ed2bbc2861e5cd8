// The bpffs that holds the pins.
#pragma once
#include <optional>
#include <string>

#include "base/result.h"
#include "steer/options.h"

namespace weir::steer {

enum class BpffsState : uint8_t {
  kMounted,          // The pin folder's parent is in a bpffs.
  kToMount,          // It is not, and a mount there hides nothing.
  kHidesFiles,       // It is not, and the folder has files.
  kPrivateMounts,    // It is not, and what is mounted here ends with this process (ip netns exec).
};
[[nodiscard]] BpffsState bpffs_state(const Options& options);
[[nodiscard]] std::string bpffs_parent(const Options& options);
[[nodiscard]] Result<void> mount_bpffs(const Options& options);
void unmount_bpffs(const Options& options);

// All pins of it are in place (the folder gets its name last).
[[nodiscard]] bool is_pinned(const Options& options);

// One at a time: up, down and a watch's repairs.  Held until the returned descriptor closes.  Waits for three seconds.
// Errors: kUnavailable: somebody still has it.
[[nodiscard]] Result<int> lock_steering(const std::string& state_folder);

}  // namespace weir::steer

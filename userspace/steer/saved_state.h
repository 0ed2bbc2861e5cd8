// What `up` writes down before it changes anything, in the state folder: what it was set up with and what the host's settings
// were.  `down` undoes this, whatever the configuration says by then.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "steer/options.h"
#include "steer/sysctls.h"

namespace weir::steer {

struct SavedState {
  Options options;
  bool is_bpffs_mounted = false;   // By us, at the pin folder's parent.
  std::string boot;                // Of this boot of the host: settings of an earlier one are gone by themselves.
  std::vector<SysctlBefore> sysctls;

  [[nodiscard]] std::string text() const;
  [[nodiscard]] static Result<SavedState> parse(std::string_view text);   // kCorrupt, naming the line.
};

// /proc/sys/kernel/random/boot_id
[[nodiscard]] std::string boot_id();
[[nodiscard]] std::string saved_state_file(const std::string& state_folder);
// Replaces the file and has it on disk before it returns; makes the folder if there is none (mode 0700).
[[nodiscard]] Result<void> write_saved_state(const std::string& file, const SavedState& state);
// nullopt: there is none.
[[nodiscard]] Result<std::optional<SavedState>> read_saved_state(const std::string& file);
void remove_saved_state(const std::string& file);

}  // namespace weir::steer

// The kernel settings that steering needs, what they were before, and putting them back.
// Must never: put back a value that somebody else has set meanwhile.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "steer/options.h"

namespace weir::steer {

struct SysctlSetting {
  std::string name;       // "net/ipv4/ip_forward": the path below /proc/sys (names of interfaces hold dots).
  std::string value;
  [[nodiscard]] std::string text() const;  // "sysctl net.ipv4.ip_forward=1"
};
struct SysctlBefore {
  std::string name, before;
  std::string ours;       // As it is once all settings are made.
  friend bool operator==(const SysctlBefore&, const SysctlBefore&) = default;
};

[[nodiscard]] std::vector<SysctlSetting> wanted_sysctls(const Options& options);

// Everything that the wanted settings touch, also by the kernel's own doing (ip_forward sets each interface's forwarding and
// clears accept_redirects), as it is now.  Names that this kernel does not have are left out.
[[nodiscard]] std::vector<SysctlBefore> read_before(const Options& options);

[[nodiscard]] std::optional<std::string> read_sysctl(const std::string& name);
[[nodiscard]] Result<void> write_sysctl(const std::string& name, const std::string& value);

// Post: a line for each value that is neither ours nor the one before: left alone.
[[nodiscard]] std::vector<std::string> put_back(const std::vector<SysctlBefore>& before);

}  // namespace weir::steer

// Programs to their hooks.  tcx links, pinned, at the head of the chain; clsact filters where the kernel has no tcx.
// Programs come from `folder`/programs, links go to `folder`/links (loader.h).
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "kernel/tcx.h"

namespace weir::steer {

enum class TcKind : uint8_t { kTcx, kClsact };
// What this kernel has.
[[nodiscard]] TcKind tc_kind();

struct TcAttachment {
  std::string program;               // Under programs/.
  std::string interface_name;
  uint32_t interface = 0;
  kernel::TcSide side{};
  uint32_t priority = 1;             // clsact: among the filters of the hook.

  [[nodiscard]] std::string text(TcKind kind) const;
  [[nodiscard]] std::string link_name() const { return program + "_" + std::to_string(interface); }  // A bpffs takes no dots.
};
// Attaching what is attached already changes nothing that a packet could notice: the new one stands before the old one goes.
[[nodiscard]] Result<void> attach(const std::string& folder, const TcAttachment& what, TcKind kind);
// Detaching what is not there succeeds.
[[nodiscard]] Result<void> detach(const std::string& folder, const TcAttachment& what, TcKind kind);
// nullopt: our pinned program runs there.
[[nodiscard]] std::optional<std::string> attachment_problem(const std::string& folder, const TcAttachment& what, TcKind kind);

// sk_lookup of the caller's network namespace ("dispatch"), sock_ops of a cgroup v2 ("count_legs").
struct ScopeAttachment {
  std::string program;
  std::string path;                  // "/proc/self/ns/net", or the cgroup's folder.
  bool is_cgroup = false;
  [[nodiscard]] std::string text() const;
};
[[nodiscard]] Result<void> attach(const std::string& folder, const ScopeAttachment& what);
void detach(const std::string& folder, const ScopeAttachment& what);
[[nodiscard]] std::optional<std::string> attachment_problem(const std::string& folder, const ScopeAttachment& what);

// Where a cgroup v2 is mounted; empty: nowhere.
[[nodiscard]] std::string cgroup_v2_folder();

}  // namespace weir::steer

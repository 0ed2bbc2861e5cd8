// Bypasses in the kernel: a target whose new flows pass raw until an absolute end on the kernel's clock, whether or not an engine
// runs by then.  What passed is counted there.
// Must never: put one on a target by an index that another target has by now.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/config.h"
#include "kernel/fd.h"

namespace weir::steer {

struct BypassCounts {
  uint64_t flows = 0;
  uint64_t packets_to_target = 0, bytes_to_target = 0;  // Of IP packets.
  uint64_t packets_to_client = 0, bytes_to_client = 0;
};
struct KernelBypass {
  uint64_t id = 0;                  // Not 0.
  std::string target;
  std::chrono::nanoseconds left{};  // Until its end; 0: it is over.
  BypassCounts counts;
};

class KernelBypasses {
 public:
  // Pre: up().  Errors as KernelSteering::open.
  [[nodiscard]] static Result<KernelBypasses> open(const Config&);
  // Of the pins below `folder`, which may not be in place yet.
  [[nodiscard]] static Result<KernelBypasses> at(const std::string& folder);

  // `index`: of the target in the configuration whose targets are in the kernel's map.  One that is there goes, with its counts.
  // Errors: kInvalid (no id, no time, a name that is too long), kSystem.
  [[nodiscard]] Result<void> put(uint64_t id, const std::string& target, uint32_t index, std::chrono::seconds time);
  // Over at once; flows of it end with their next packet.  Nothing: none was there.
  std::optional<KernelBypass> take(const std::string& target);
  [[nodiscard]] std::vector<KernelBypass> list() const;
  // Before other targets are written: those whose target has another index there, or is gone, end.
  void keep_only(const std::vector<TargetConfig>& targets);

 private:
  explicit KernelBypasses(kernel::Fd map) : map_(std::move(map)) {}
  kernel::Fd map_;
};

}  // namespace weir::steer

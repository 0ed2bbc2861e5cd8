// Drops as they happen, from the kernel's ring buffer: rate-limited there (steer.drop_notices_per_second), so that a flood
// costs nothing; what is over the rate is still counted, under the reason "notices_suppressed".
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "base/result.h"
#include "core/address.h"
#include "core/config.h"
#include "kernel/fd.h"

struct ring_buffer;

namespace weir::steer {

struct DropNotice {
  uint64_t boot_ns = 0;                 // CLOCK_BOOTTIME.
  std::string_view reason;              // Static.
  bool is_drop = true;                  // Else the engine has it, to refuse it with words.
  uint32_t interface = 0;
  uint8_t protocol = 0;                 // IP protocol.
  uint8_t tcp_flags = 0;
  Endpoint source, destination;         // As in the packet; ports 0 where there are none.
};

class DropNotices {
 public:
  using Callback = std::function<void(const DropNotice&)>;
  // Pre: up().  Errors as KernelSteering::open.
  [[nodiscard]] static Result<std::unique_ptr<DropNotices>> open(const Config&, Callback);
  ~DropNotices();

  [[nodiscard]] int fd() const;         // Readable: call handle().
  // Calls back for what is there, at most 1024 at once.  Post: how many.
  uint32_t handle();

 private:
  explicit DropNotices(Callback callback);
  static int sample(void* context, void* data, size_t size);
  Callback callback_;
  kernel::Fd map_;
  ring_buffer* ring_ = nullptr;
  uint32_t handled_ = 0;
};

}  // namespace weir::steer

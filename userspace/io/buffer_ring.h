// The provided buffers of one ring: memory that the kernel fills and leases carry.  One group a core.
// Invariant: buffers in the ring + leases out = count.
#pragma once
#include <liburing.h>

#include <cstdint>
#include <memory>

#include "core/io.h"

namespace weir::io {

class BufferRing final : public BufferPool {
 public:
  // Pre: count is a power of two.  Aborts if the kernel refuses (the feature probe says so before).
  BufferRing(io_uring& ring, uint16_t group, uint32_t count, uint32_t size);
  ~BufferRing() override;
  BufferRing(const BufferRing&) = delete;
  BufferRing& operator=(const BufferRing&) = delete;

  BufferLease lease(uint16_t id, uint32_t size);
  void give_back(uint16_t id) noexcept override;
  // Makes what was given back visible to the kernel; once a turn.
  void publish() noexcept;

  [[nodiscard]] uint32_t leased() const { return leased_; }
  [[nodiscard]] uint16_t group() const { return group_; }

 private:
  [[nodiscard]] std::byte* buffer(uint16_t id) const { return memory_ + std::size_t{id} * size_; }

  io_uring& ring_;
  io_uring_buf_ring* entries_ = nullptr;
  std::byte* memory_ = nullptr;
  uint32_t count_, size_, mask_;
  uint32_t leased_ = 0, pending_ = 0;
  uint16_t group_;
};

}  // namespace weir::io

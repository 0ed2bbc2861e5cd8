#include "io/buffer_ring.h"

#include <sys/mman.h>

#include "base/check.h"

namespace weir::io {

BufferRing::BufferRing(io_uring& ring, uint16_t group, uint32_t count, uint32_t size)
    : ring_(ring), count_(count), size_(size), mask_(count - 1), group_(group) {
  const std::size_t entries_size = std::size_t{count} * sizeof(io_uring_buf);
  void* entries = mmap(nullptr, entries_size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
  void* memory = mmap(nullptr, std::size_t{count} * size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
  WEIR_CHECK(entries != MAP_FAILED && memory != MAP_FAILED);
  entries_ = static_cast<io_uring_buf_ring*>(entries);
  memory_ = static_cast<std::byte*>(memory);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(entries_);
  registration.ring_entries = count;
  registration.bgid = group;
  WEIR_CHECK(io_uring_register_buf_ring(&ring_, &registration, 0) == 0);
  io_uring_buf_ring_init(entries_);
  for (uint32_t i = 0; i < count; ++i) {
    io_uring_buf_ring_add(entries_, buffer(static_cast<uint16_t>(i)), size, static_cast<uint16_t>(i), static_cast<int>(mask_), static_cast<int>(i));
  }
  io_uring_buf_ring_advance(entries_, static_cast<int>(count));
}

BufferRing::~BufferRing() {
  WEIR_CHECK(leased_ == 0);  // I7
  io_uring_unregister_buf_ring(&ring_, group_);
  munmap(entries_, std::size_t{count_} * sizeof(io_uring_buf));
  munmap(memory_, std::size_t{count_} * size_);
}

BufferLease BufferRing::lease(uint16_t id, uint32_t size) {
  ++leased_;
  return BufferLease(this, id, Bytes(buffer(id), size));
}

void BufferRing::give_back(uint16_t id) noexcept {
  WEIR_CHECK(leased_ > 0);
  --leased_;
  io_uring_buf_ring_add(entries_, buffer(id), size_, id, static_cast<int>(mask_), static_cast<int>(pending_++));
}

void BufferRing::publish() noexcept {
  if (pending_ == 0) return;
  io_uring_buf_ring_advance(entries_, static_cast<int>(pending_));
  pending_ = 0;
}

}  // namespace weir::io

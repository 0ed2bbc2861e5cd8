#include "forward/block_pool.h"

#include "base/check.h"

namespace weir::forward {

BlockPool::BlockPool(uint32_t count, uint32_t spare_size)
    : slab_(std::make_unique_for_overwrite<std::byte[]>(std::size_t{count} * kBlockSize)), slab_size_(std::size_t{count} * kBlockSize), spare_size_(spare_size > kBlockSize ? spare_size : 0) {
  free_.reserve(count);
  spares_.reserve(spare_size_ != 0 ? kSparesMax : 0);
  for (uint32_t i = count; i-- > 0;) free_.push_back(slab_.get() + std::size_t{i} * kBlockSize);
}

BlockPool::~BlockPool() {
  WEIR_CHECK(in_use_ == 0);  // I7
  for (const std::byte* memory : spares_) delete[] memory;
}

Block BlockPool::take() {
  ++in_use_;
  if (free_.empty()) {
    ++grown_;
    return Block(this, {new std::byte[kBlockSize], kBlockSize});
  }
  std::byte* memory = free_.back();
  free_.pop_back();
  return Block(this, {memory, kBlockSize});
}

Block BlockPool::take_large(uint32_t size) {
  if (size <= kBlockSize) return take();
  ++in_use_;
  if (size == spare_size_ && !spares_.empty()) {
    std::byte* memory = spares_.back();
    spares_.pop_back();
    return Block(this, {memory, size});
  }
  ++grown_;
  return Block(this, {new std::byte[size], size});
}

void BlockPool::give_back(MutableBytes memory) noexcept {
  WEIR_CHECK(in_use_ > 0);
  --in_use_;
  const bool is_ours = memory.data() >= slab_.get() && memory.data() < slab_.get() + slab_size_;
  if (is_ours) {
    free_.push_back(memory.data());  // Never grows beyond what was reserved.
  } else if (spare_size_ != 0 && memory.size() == spare_size_ && spares_.size() < kSparesMax) {
    spares_.push_back(memory.data());
  } else {
    delete[] memory.data();
  }
}

}  // namespace weir::forward

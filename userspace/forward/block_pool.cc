#include "forward/block_pool.h"

#include "base/check.h"

namespace weir::forward {

BlockPool::BlockPool(uint32_t count)
    : slab_(std::make_unique_for_overwrite<std::byte[]>(std::size_t{count} * kBlockSize)), slab_size_(std::size_t{count} * kBlockSize) {
  free_.reserve(count);
  for (uint32_t i = count; i-- > 0;) free_.push_back(slab_.get() + std::size_t{i} * kBlockSize);
}

BlockPool::~BlockPool() { WEIR_CHECK(in_use_ == 0); }  // I7

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
  ++grown_;
  return Block(this, {new std::byte[size], size});
}

void BlockPool::give_back(MutableBytes memory) noexcept {
  WEIR_CHECK(in_use_ > 0);
  --in_use_;
  const bool is_ours = memory.data() >= slab_.get() && memory.data() < slab_.get() + slab_size_;
  if (is_ours) {
    free_.push_back(memory.data());  // Never grows beyond what was reserved.
  } else {
    delete[] memory.data();
  }
}

}  // namespace weir::forward

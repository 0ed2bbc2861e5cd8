// Fixed-size blocks of one core, for what cannot stay in a provided buffer: decrypted bytes, units that straddle two reads,
// and bytes of our own.  Taken at start-up; when it is empty a block comes from the heap and is counted (grown()), bounded
// by what sessions may hold (limits.h).  Large blocks (a unit bigger than a block) are exact and counted too; those of one size,
// the sessions' arenas, which are taken and given back with every step, are kept for the next.
#pragma once
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace weir::forward {

class BlockPool;

// Move-only owner of one block.
class Block {
 public:
  Block() = default;
  Block(Block&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), memory_(std::exchange(other.memory_, {})) {}
  Block& operator=(Block&& other) noexcept;
  ~Block() { release(); }
  void release() noexcept;
  [[nodiscard]] MutableBytes memory() const { return memory_; }
  [[nodiscard]] explicit operator bool() const { return pool_ != nullptr; }

 private:
  friend class BlockPool;
  Block(BlockPool* pool, MutableBytes memory) : pool_(pool), memory_(memory) {}
  BlockPool* pool_ = nullptr;
  MutableBytes memory_;
};

class BlockPool {
 public:
  static constexpr uint32_t kBlockSize = 16u << 10;

  static constexpr std::size_t kSparesMax = 64;

  // `spare_size`: of the large blocks that are kept, at most kSparesMax; 0: none are.
  explicit BlockPool(uint32_t count, uint32_t spare_size = 0);
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  Block take();                     // kBlockSize bytes.
  Block take_large(uint32_t size);  // At least `size` bytes; a plain block when that is enough.

  [[nodiscard]] uint64_t in_use() const { return in_use_; }   // I7: 0 when no session lives.
  [[nodiscard]] uint64_t grown() const { return grown_; }     // Heap blocks and large blocks taken so far.

 private:
  friend class Block;
  void give_back(MutableBytes memory) noexcept;

  std::unique_ptr<std::byte[]> slab_;
  std::size_t slab_size_;
  const std::size_t spare_size_;
  std::vector<std::byte*> free_, spares_;
  uint64_t in_use_ = 0, grown_ = 0;
};

inline void Block::release() noexcept {
  if (pool_ != nullptr) std::exchange(pool_, nullptr)->give_back(std::exchange(memory_, {}));
}
inline Block& Block::operator=(Block&& other) noexcept {
  if (this != &other) {
    release();
    pool_ = std::exchange(other.pool_, nullptr);
    memory_ = std::exchange(other.memory_, {});
  }
  return *this;
}

}  // namespace weir::forward

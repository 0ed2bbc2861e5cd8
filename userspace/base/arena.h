// A bump arena over one block taken at start-up.  A session keeps decoded text and edits here until a unit is settled.
// Must never grow: keep() and allocate() answer with an empty span when it is full, and the caller applies its limit.
#pragma once
#include <cstring>
#include <memory>
#include <type_traits>

#include "base/bytes.h"

namespace weir {

class Arena {
 public:
  // Pre: `block` outlives the arena.
  explicit Arena(MutableBytes block) noexcept : block_(block) {}
  Arena() = default;  // Full until a block is attached.
  explicit Arena(std::size_t size) : owned_(std::make_unique<std::byte[]>(size)), block_(owned_.get(), size) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Post: an aligned span of `size` bytes, or an empty one if the arena is full (also for size 0).
  MutableBytes allocate(std::size_t size, std::size_t alignment = alignof(std::max_align_t)) noexcept {
    const std::size_t aligned = (used_ + alignment - 1) & ~(alignment - 1);
    if (size == 0 || aligned > block_.size() || size > block_.size() - aligned) {
      if (size != 0) ++refused_;
      return {};
    }
    used_ = aligned + size;
    return block_.subspan(aligned, size);
  }
  // Copies `bytes` in; empty when full.
  Bytes keep(Bytes bytes) noexcept {
    const MutableBytes place = allocate(bytes.size(), 1);
    if (place.empty()) return {};
    std::memcpy(place.data(), bytes.data(), bytes.size());
    return place;
  }
  std::string_view keep(std::string_view text) noexcept { return as_text(keep(as_bytes(text))); }
  template <class T>
  std::span<T> array(std::size_t count) noexcept {
    static_assert(std::is_trivially_destructible_v<T>);
    if (count > block_.size() / sizeof(T)) { ++refused_; return {}; }
    const MutableBytes place = allocate(count * sizeof(T), alignof(T));
    if (place.empty()) return {};
    return {new (place.data()) T[count]{}, count};
  }

  // Gives an idle arena its memory, and takes it away again.  Pre: nothing kept is needed any more.
  void attach(MutableBytes block) noexcept { block_ = block; used_ = 0; }
  void detach() noexcept { block_ = {}; used_ = 0; }

  void reset() noexcept { used_ = 0; }
  // A mark to go back to once what was kept after it is settled.
  [[nodiscard]] std::size_t used() const noexcept { return used_; }
  void rewind(std::size_t mark) noexcept { if (mark < used_) used_ = mark; }
  [[nodiscard]] std::size_t size() const noexcept { return block_.size(); }
  [[nodiscard]] uint64_t refused() const noexcept { return refused_; }  // Times it was full.

 private:
  std::unique_ptr<std::byte[]> owned_;
  MutableBytes block_;
  std::size_t used_ = 0;
  uint64_t refused_ = 0;
};

}  // namespace weir

// What waits to be sent on one side, in order: pieces that point into received segments (zero copy) and pieces of our own,
// copied into blocks.  Sent as a gather of up to kGatherMax pieces; at most one send is in flight.
//
// Invariant: size() is the sum of the pieces; a piece's memory is stable until it was sent.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "core/unit.h"
#include "forward/block_pool.h"

namespace weir::forward {

class OutQueue {
 public:
  static constexpr uint32_t kGatherMax = 32;

  explicit OutQueue(BlockPool& blocks) : blocks_(&blocks) {}

  // `release`: the input offset that is released once this piece was sent (0: none).
  void pass(Bytes bytes, uint64_t release);
  void own(Bytes bytes, uint64_t release);
  // Nothing to send, but input up to `release` is no longer needed once what is queued before it was sent.
  void mark(uint64_t release);

  // Up to kGatherMax pieces from the front, for one send.  Valid until on_sent().  Calls it `in flight`.
  std::span<const Bytes> gather();
  // The gathered pieces were sent, whole.  Returns the highest release offset among them (0: none).
  uint64_t on_sent();
  void clear();

  [[nodiscard]] bool empty() const { return pieces_.empty(); }
  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] bool is_in_flight() const { return gathered_ > 0; }
  [[nodiscard]] uint64_t gathered_size() const { return gathered_size_; }

 private:
  struct Piece {
    Bytes bytes;
    uint64_t release = 0;
    uint32_t own_size = 0;  // Bytes of the front own blocks that end with this piece.
  };
  struct OwnBlock {
    Block block;
    uint32_t used = 0, sent = 0;
  };
  // A power-of-two ring that grows (counted nowhere: bounded by queued_output_max and the unit limits) and never shrinks
  // below its first size while the session lives.
  template <class T>
  class Ring {
   public:
    [[nodiscard]] bool empty() const { return count_ == 0; }
    [[nodiscard]] uint32_t size() const { return count_; }
    T& operator[](uint32_t i) { return slots_[(head_ + i) & (capacity_ - 1)]; }
    T& back() { return (*this)[count_ - 1]; }
    T& push() {
      if (count_ == capacity_) grow();
      ++count_;
      back() = T{};
      return back();
    }
    void pop() {
      (*this)[0] = T{};
      head_ = (head_ + 1) & (capacity_ - 1);
      --count_;
    }

   private:
    void grow() {
      const uint32_t bigger = capacity_ == 0 ? 8 : capacity_ * 2;
      auto slots = std::make_unique<T[]>(bigger);
      for (uint32_t i = 0; i < count_; ++i) slots[i] = std::move((*this)[i]);
      slots_ = std::move(slots);
      capacity_ = bigger;
      head_ = 0;
    }
    std::unique_ptr<T[]> slots_;
    uint32_t capacity_ = 0, head_ = 0, count_ = 0;
  };

  BlockPool* blocks_;
  Ring<Piece> pieces_;
  Ring<OwnBlock> own_;
  std::array<Bytes, kGatherMax> gather_{};
  uint32_t gathered_ = 0;
  uint64_t gathered_size_ = 0;
  uint64_t size_ = 0;
};

}  // namespace weir::forward

// The received bytes of one direction that are still needed: a queue of segments that tile [released, received).
//
//   | lease 0 ............ | own block: a unit that straddles | lease 1 ...... |
//                          ^ begin of the straddling unit     ^ its end
//
// A unit never straddles segments: when the codec needs more than a segment has left, the rest moves once into a block of
// its own and is completed there from what follows.  Pointers into segments are stable until release().
#pragma once
#include <cstdint>
#include <memory>

#include "core/io.h"
#include "core/unit.h"
#include "forward/block_pool.h"

namespace weir::forward {

class StreamBuffer {
 public:
  // A multishot receive may give all provided buffers of a core's side in one turn; hit: has_room_for() says no.
  static constexpr uint32_t kSegmentsMax = 4096;

  explicit StreamBuffer(BlockPool& blocks) : blocks_(&blocks) {}
  ~StreamBuffer() { if (secret_until_ != 0) clear(); }
  StreamBuffer(const StreamBuffer&) = delete;
  StreamBuffer& operator=(const StreamBuffer&) = delete;

  // Pre: has_room().
  void append(BufferLease lease);
  // Copies (decrypted bytes).  Pre: room for size / kBlockSize + 2 segments: see has_room_for().
  void append_copy(Bytes bytes);

  // Bytes from `at` to the end of the segment that holds `at`; empty if nothing was received beyond it.
  [[nodiscard]] Bytes contiguous(uint64_t at) const;
  // The codec wants `need` bytes from `at`, and contiguous(at) has fewer.  Moves them together as far as they are here.
  // Post: contiguous(at) is longer than before if more was received beyond its segment (then true); it may have moved in any case.
  // Pre: need >= 1, at is not before any piece that is still queued from the same segment's tail.
  bool straddle(uint64_t at, uint32_t need);
  // Moves what was received from `at` on out of provided buffers into own blocks: who waits (for an answer, for the disk,
  // for room) holds none, or a few sessions could keep all others from receiving.  Pre: nothing from `at` on is queued.
  void own_rest(uint64_t at);
  // Pre: the range lies in one segment (units do).
  [[nodiscard]] Bytes slice(ByteRange range) const;
  // What begins below the stream offset `end` is overwritten before its memory is given back or its bytes have moved: a login may
  // hold a token.  A segment that begins there is overwritten whole.
  void set_secret_until(uint64_t end) { secret_until_ = end; }
  // Gives back the segments that end at or before `upto`.
  void release(uint64_t upto);
  void clear();

  [[nodiscard]] uint64_t received() const { return received_; }
  [[nodiscard]] bool has_room() const { return count_ + 2 < kSegmentsMax; }
  [[nodiscard]] bool has_room_for(std::size_t size) const { return count_ + 3 + size / BlockPool::kBlockSize < kSegmentsMax; }
  [[nodiscard]] uint32_t segment_count() const { return count_; }
  [[nodiscard]] uint32_t lease_count() const { return leases_; }

 private:
  struct Segment {
    uint64_t offset = 0;
    std::byte* data = nullptr;  // First byte at `offset`.
    uint32_t size = 0;
    uint32_t room = 0;          // Own blocks: bytes that may still be written behind `size`.
    BufferLease lease;
    Block block;
  };
  [[nodiscard]] Segment& at_index(uint32_t i) { return segments_[(head_ + i) & (capacity_ - 1)]; }
  [[nodiscard]] const Segment& at_index(uint32_t i) const { return segments_[(head_ + i) & (capacity_ - 1)]; }
  void reserve_one();
  [[nodiscard]] uint32_t find(uint64_t offset) const;
  Segment& push();
  void forget(uint64_t offset, std::byte* data, std::size_t size) const;
  Segment& insert_after(uint32_t i);
  void erase(uint32_t i);
  void fill(uint32_t i, uint32_t size);

  BlockPool* blocks_;
  std::unique_ptr<Segment[]> segments_;  // A ring of a power of two; grows on need, and goes when it is large and empty.
  uint32_t capacity_ = 0, head_ = 0, count_ = 0, leases_ = 0;
  uint64_t received_ = 0;
  uint64_t secret_until_ = 0;
};

}  // namespace weir::forward

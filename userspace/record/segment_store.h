// The segment files of `state/journal/` on disk: makes them (zero-filled), hands them to the cores, wipes and reuses them
// once the sealer is done.  One helper thread does all of that; cores only touch lock-free queues.
//
// Space.  `reserve` bytes of segments are made beforehand and kept.  When the disk has less room than `space_low`, or a
// segment cannot be made, is_full() is true on all cores: new work is refused, and what ends live sessions goes to the reserve.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/ring_queue.h"
#include "record/segments.h"

namespace weir::record {

struct SegmentStoreOptions {
  std::string folder;                       // state/journal
  uint32_t core_count = 1;
  uint64_t segment_size = 64u << 20;        // At least PendingShape::buffer_size.
  uint64_t reserve = 1u << 30;
  uint64_t space_low = 0;                   // 0: segment_size.
  std::chrono::milliseconds poll{100};      // How often space and queues are looked at.
};

class SegmentStore {
 public:
  // Reads the folder: files with a segment header are in use, others free.  Starts the helper thread, and waits until each
  // core can take a segment.  An error: the folder cannot be written, or there is no room for one segment a core.
  static Result<std::unique_ptr<SegmentStore>> start(SegmentStoreOptions);
  ~SegmentStore();                          // Stops the thread.  Pre: no core uses its supply any more.

  [[nodiscard]] SegmentSupply& supply(uint32_t core);
  // The sealer is done with a segment: all of it wiped and free again, or removed when there are enough.  Any thread.
  void recycle(uint64_t id);
  // Segments that were recycled and still hold what they held.  Any thread.
  [[nodiscard]] uint64_t unwiped() const { return unwiped_.load(); }

  struct Counts { uint64_t made = 0, reused = 0, removed = 0, failed = 0, free = 0; bool is_full = false; };
  [[nodiscard]] Counts counts() const;

 private:
  class CoreSupply;
  explicit SegmentStore(SegmentStoreOptions);
  Result<void> scan();
  void run();
  void look_at_space();
  void collect();
  bool wipe_one();
  void feed();
  bool make_one();
  void wipe(uint64_t id);
  [[nodiscard]] Result<void> fill(const std::string& path, uint64_t bytes) const;
  [[nodiscard]] std::size_t wanted_free() const;

  const SegmentStoreOptions options_;
  std::vector<std::unique_ptr<CoreSupply>> supplies_;
  std::vector<uint64_t> free_, to_wipe_;    // Helper thread only, after start().
  uint64_t next_id_ = 1;
  std::atomic<bool> is_full_{false};
  std::atomic<uint64_t> unwiped_{0};
  mutable std::mutex mutex_;                // Guards what follows.
  std::condition_variable wake_;
  std::vector<uint64_t> to_recycle_;
  Counts counts_;
  bool is_stopping_ = false;
  std::thread thread_;
};

std::string segment_path(const std::string& folder, uint64_t id);            // folder/00000017.segment
std::string pending_path(const std::string& folder, uint32_t core);          // folder/core-0.pending

}  // namespace weir::record

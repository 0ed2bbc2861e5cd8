// The memory that groups are built in.  In production it is a MAP_SHARED file mapping, so that what write() accepted
// survives kill -9 without a system call (I5); in simulation it is plain memory that outlives the writer.
//
//   0        header: who wrote it, shape; progress words
//   4096     buffer 0: [segment header slot 4096][group header 64 | frames ... ]
//   4096+n   buffer 1: ...
//
// Ordering.  A frame's bytes are stored first, then the group's `used` (release).  A killed process leaves every store
// that it retired, in order, so `used` never covers a frame that is not whole.  A buffer is re-opened by number = 0, the
// new header, used = 0, then the new number.  After power loss pages of different ages may meet: each frame's CRC is
// seeded with run and group, and only an unbroken prefix counts.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "record/layout.h"

namespace weir::record {

struct PendingShape {
  uint32_t buffer_size = 1u << 20;   // Multiple of kBlockSize, at least 4 blocks; one of them is the segment header slot.
  uint32_t buffer_count = 24;        // Must hold the largest event (Limits::statement_size_max and its parameters) and more.
  [[nodiscard]] std::size_t bytes() const { return kBlockSize + std::size_t{buffer_size} * buffer_count; }
};

// What other threads and processes may know of a live writer.
struct Progress {
  uint64_t durable_group = 0;     // Everything up to this group is on disk.
  uint64_t segment_number = 0;    // The segment written to now; 0: none yet.
  uint64_t durable_offset = 0;    // Within it.
};

// The writer's side.
class PendingMemory {
 public:
  // Formats `memory`.  Pre: memory.size() >= shape.bytes(), aligned to kBlockSize, outlives this.
  PendingMemory(MutableBytes memory, PendingShape shape, uint32_t core, uint64_t run) noexcept;

  [[nodiscard]] uint32_t buffer_count() const { return shape_.buffer_count; }
  [[nodiscard]] uint32_t group_capacity() const { return shape_.buffer_size - kBlockSize; }  // Header included.
  [[nodiscard]] MutableBytes segment_slot(uint32_t buffer) const;
  [[nodiscard]] MutableBytes group(uint32_t buffer) const;     // group_capacity() bytes, right behind the slot.

  void open(uint32_t buffer, uint64_t number) noexcept;
  void publish_used(uint32_t buffer, uint32_t used) noexcept;
  void close(uint32_t buffer, const GroupHeader& final_header) noexcept;
  void publish(const Progress&) noexcept;

 private:
  MutableBytes memory_;
  PendingShape shape_;
  uint32_t core_;
  uint64_t run_;
};

// The reader's side: recovery, and live reading from another thread or process.
struct PendingHeader {
  uint32_t core = 0;
  uint64_t run = 0;
  PendingShape shape;
};
std::optional<PendingHeader> load_pending_header(Bytes memory) noexcept;   // nullopt: not formatted, or not ours.
Progress load_progress(Bytes memory) noexcept;                             // Pre: load_pending_header() succeeded.
// The group in `buffer`: header as far as it is known, and frames up to `used`.  nullopt: none.
struct PendingGroup {
  GroupHeader header;
  bool is_closed = false;
  Bytes frames;
};
std::optional<PendingGroup> load_pending_group(Bytes memory, const PendingHeader&, uint32_t buffer) noexcept;

// A file of pending memory, mapped shared.  All of it is written beforehand: a store into a hole on a full disk is SIGBUS.
class PendingFile {
 public:
  static Result<PendingFile> create(const std::string& path, PendingShape shape);   // Made anew or reused; all zeros.  Pre: recover() has run.
  PendingFile(PendingFile&& other) noexcept : memory_(std::exchange(other.memory_, MutableBytes{})) {}
  PendingFile& operator=(PendingFile&&) = delete;
  ~PendingFile();
  [[nodiscard]] MutableBytes memory() const { return memory_; }

 private:
  explicit PendingFile(MutableBytes memory) : memory_(memory) {}
  MutableBytes memory_;
};

}  // namespace weir::record

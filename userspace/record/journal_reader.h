// Reading a journal back: segments in order, groups in segments, frames in groups, parts put together again.  Used by
// recovery, the sealer, live reading and verify; over files, or over a simulated disk.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "record/files.h"
#include "record/layout.h"
#include "record/pending.h"

namespace weir::record {

class SegmentSource {
 public:
  virtual ~SegmentSource() = default;
  // Pre: offset and out.size() are multiples of kBlockSize.  Post: fewer bytes only at the end.
  virtual Result<std::size_t> read(uint64_t offset, MutableBytes out) = 0;
};
struct SegmentEntry {
  SegmentHeader header;
  uint64_t id = 0;        // For open().
};
class JournalFolder {
 public:
  virtual ~JournalFolder() = default;
  virtual Result<std::vector<SegmentEntry>> segments() = 0;   // In use; any order.
  virtual Result<std::unique_ptr<SegmentSource>> open(const SegmentEntry&) = 0;
};
class FileJournalFolder final : public JournalFolder {
 public:
  explicit FileJournalFolder(std::string folder) : folder_(std::move(folder)) {}
  Result<std::vector<SegmentEntry>> segments() override;
  Result<std::unique_ptr<SegmentSource>> open(const SegmentEntry&) override;

 private:
  std::string folder_;
};

// Cores of which the folder holds segments or pending memory, in order.
Result<std::vector<uint32_t>> cores_of(const std::string& path, JournalFolder&);
// An id above all that the folder's segment files have.
Result<uint64_t> next_segment_id(const std::string& path);

// One segment, group by group.
class GroupCursor {
 public:
  enum class Step : uint8_t {
    kGroup,   // header() and frames() are a whole group.
    kEnd,     // Nothing of this run stands here: never written, or left from an earlier use.
    kTorn,    // The group was begun but is not whole; frames() is its undamaged prefix.
  };
  GroupCursor(std::unique_ptr<SegmentSource> source, const SegmentHeader& header);
  Result<Step> next(uint64_t expected);
  // What was read ahead may be older than what a live writer has written since.
  void forget_window() { window_size_ = 0; }
  // A group of this run with a number above `expected` further on: then the tail is not torn but damaged.
  Result<bool> has_later_group(uint64_t expected);

  [[nodiscard]] const GroupHeader& header() const { return group_; }
  [[nodiscard]] Bytes frames() const { return frames_; }
  [[nodiscard]] uint64_t offset() const { return offset_; }

 private:
  Result<Bytes> look(uint64_t offset, std::size_t size);

  std::unique_ptr<SegmentSource> source_;
  SegmentHeader segment_;
  AlignedBuffer window_;
  uint64_t window_at_ = 0;
  std::size_t window_size_ = 0;
  uint64_t offset_ = kBlockSize;
  GroupHeader group_;
  Bytes frames_;
};

struct JournalFrame {
  FrameView frame;
  uint64_t segment_id = 0;   // 0: pending memory.
  uint64_t group = 0;
};
// False: stop.
using FrameSink = std::function<bool(const JournalFrame&)>;

// One core's segments as one stream of frames, each group once.
class CoreReader {
 public:
  CoreReader(JournalFolder& folder, uint32_t core) : folder_(folder), core_(core) {}
  // Looks for segments again.  Post: those not yet passed are known.
  Result<void> refresh();
  // Frames of groups up to `limit`, from where the last call ended.  The sink's answer is only looked at between groups.
  Result<void> read(uint64_t limit, const FrameSink&);

  [[nodiscard]] uint64_t next_group() const { return expected_; }       // 0: no segment was seen yet.
  [[nodiscard]] uint64_t next_segment() const { return last_segment_ + 1; }
  // Ids of segments that were read to their end (not the one being read), once each.
  std::vector<uint64_t> take_passed();
  // Pre: the journal is at rest and was read to its end.  Post: all of its segments count as passed.
  void pass_all();
  [[nodiscard]] uint64_t current_number() const { return segments_.empty() ? 0 : segments_.front().header.number; }
  [[nodiscard]] uint64_t current_segment() const { return segments_.empty() ? 0 : segments_.front().id; }
  [[nodiscard]] std::size_t segment_count() const { return segments_.size(); }
  // After read(UINT64_MAX) on a journal at rest.
  [[nodiscard]] bool is_torn() const { return is_torn_; }
  [[nodiscard]] const GroupHeader& torn_group() const { return cursor_->header(); }
  [[nodiscard]] Bytes torn_frames() const { return cursor_->frames(); }
  Result<bool> is_damaged_at_end();
  [[nodiscard]] const std::vector<std::string>& damage() const { return damage_; }

 private:
  Result<bool> advance();
  void damaged(const std::string& what);

  JournalFolder& folder_;
  uint32_t core_;
  std::vector<SegmentEntry> segments_;      // Not passed yet; the first is being read.
  std::optional<GroupCursor> cursor_;
  std::vector<uint64_t> passed_;
  std::vector<std::string> damage_;
  uint64_t expected_ = 0, last_segment_ = 0;
  bool is_torn_ = false;
};

// Groups that only pending memory holds, from `expected` on, as far as they are unbroken.  `next`: one after the last.
struct PendingFrames { uint64_t groups = 0; uint64_t next = 0; };
PendingFrames read_pending(Bytes memory, uint64_t expected, const FrameSink&);

// Puts the parts of large events together.  Whole events come through without a copy.
class EventAssembler {
 public:
  static constexpr std::size_t kEventMax = 256u << 20;
  struct Event { FrameHeader header; Bytes payload; };
  // nullopt: more parts are to come, or the frame does not continue what came before (counted).
  std::optional<Event> add(const FrameView&);
  [[nodiscard]] bool is_inside() const { return is_inside_; }
  [[nodiscard]] uint64_t broken() const { return broken_; }

 private:
  FrameHeader first_;
  std::vector<std::byte> payload_;
  bool is_inside_ = false;
  uint64_t broken_ = 0;
};

}  // namespace weir::record

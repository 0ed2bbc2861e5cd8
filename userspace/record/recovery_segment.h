// The segment that recovery adds behind a core's journal: frames carried over and frames of its own, built in memory,
// written at once under another name, so that it is there whole or not at all.
#pragma once
#include <string>
#include <vector>

#include "record/event_codec.h"
#include "record/files.h"
#include "record/layout.h"

namespace weir::record {

class RecoverySegment {
 public:
  RecoverySegment(uint32_t core, uint64_t number, uint64_t first_group, uint64_t run, std::string_view gateway);
  void add(const FrameView&);                // Carried over, encrypted as it is; its CRC is made anew.
  void add(const RecordEvent&);              // Of recovery's own, in clear: it says nothing of what was done.  Pre: smaller than a frame part.
  [[nodiscard]] bool is_empty() const { return header_.first_group == group_.number && group_.used == 0; }
  // Post: `path` holds all of it, durable.
  Result<void> write(Files&, const std::string& path);
  [[nodiscard]] uint64_t next_group() const { return group_.number + (group_.used != 0 ? 1 : 0); }

 private:
  MutableBytes place(std::size_t frame_size);
  void took(MutableBytes frame);
  void end_group();

  static constexpr std::size_t kGroupMax = 1u << 20;
  SegmentHeader header_;
  std::string gateway_;
  GroupHeader group_;
  std::vector<std::byte> bytes_;             // Whole file so far, the open group included.
  std::size_t group_at_ = 0;
};

}  // namespace weir::record

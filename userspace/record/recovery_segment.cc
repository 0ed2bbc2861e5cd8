#include "record/recovery_segment.h"

#include <cstring>

#include "base/check.h"
#include "record/crc32c.h"

namespace weir::record {

RecoverySegment::RecoverySegment(uint32_t core, uint64_t number, uint64_t first_group, uint64_t run, std::string_view gateway)
    : gateway_(gateway), bytes_(SegmentHeader::kSize) {
  header_ = {.core = core, .number = number, .first_group = first_group, .run = run, .flags = SegmentHeader::kRecovered, .gateway = gateway_};
  store(MutableBytes(bytes_), header_);
  group_ = {.flags = GroupHeader::kClosed, .run = run, .number = first_group, .core = core};
}

MutableBytes RecoverySegment::place(std::size_t frame_size) {
  if (group_.used != 0 && GroupHeader::kSize + group_.used + frame_size > kGroupMax) end_group();
  if (group_.used == 0) {
    group_at_ = bytes_.size();
    bytes_.resize(group_at_ + GroupHeader::kSize);
  }
  const std::size_t begin = bytes_.size();
  bytes_.resize(begin + frame_size);
  return MutableBytes(bytes_).subspan(begin);
}

void RecoverySegment::took(MutableBytes frame) {
  store_le(frame, 4, frame_crc(frame_seed(group_.run, group_.number), frame));
  group_.frames_crc = crc32c(group_.frames_crc, frame.subspan(4, 4));
  group_.used += static_cast<uint32_t>(frame.size());
  ++group_.frame_count;
}

void RecoverySegment::add(const FrameView& frame) {
  if (frame.header.key_id != 0) header_.key_id = frame.header.key_id;
  const MutableBytes copy = place(frame.whole.size());
  std::memcpy(copy.data(), frame.whole.data(), copy.size());
  took(copy);
}

void RecoverySegment::add(const RecordEvent& event) {
  EncodedEvent message(event);
  const std::size_t size = FrameHeader::kSize + message.size();
  WEIR_CHECK(size <= kFramePartMax);
  const MutableBytes frame = place(size);
  store(frame, FrameHeader{.size = static_cast<uint32_t>(size), .kind = static_cast<uint8_t>(event.kind), .session = event.session,
                           .sequence = event.sequence, .at_ns = event.at.time_since_epoch().count()});
  message.copy_next(frame.subspan(FrameHeader::kSize));
  took(frame);
}

void RecoverySegment::end_group() {
  if (group_.used == 0) return;
  store(MutableBytes(bytes_).subspan(group_at_), group_);
  bytes_.resize(group_at_ + group_.padded_size());
  group_ = {.flags = GroupHeader::kClosed, .run = header_.run, .number = group_.number + 1, .core = header_.core};
}

Result<void> RecoverySegment::write(Files& files, const std::string& path) {
  end_group();
  store(MutableBytes(bytes_), header_);  // By now it is known under which key.
  return replace_file(files, path, bytes_);
}

}  // namespace weir::record

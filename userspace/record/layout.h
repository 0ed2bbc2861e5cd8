// The bytes of the journal: frames in groups, groups in segments, and the pending memory that groups are built in.
// FORMAT.md draws them.  All integers are little endian.  Everything here is pure: spans in, values out.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace weir::record {

inline constexpr uint32_t kBlockSize = 4096;      // Alignment of every O_DIRECT write; a group begins on one.
inline constexpr uint8_t kFormatVersion = 1;
inline constexpr uint32_t kFramePartMax = 256u << 10;  // An event whose frame would be larger is split into parts.

// One event, or one part of a large one.  The payload behind it is a protobuf message (event_codec.h).
struct FrameHeader {
  static constexpr std::size_t kSize = 40;
  static constexpr uint8_t kMoreFollows = 1;      // The next frame of this session is a further part of the same event.
  static constexpr uint8_t kContinues = 2;        // A further part; session, sequence, kind and time are repeated.
  uint32_t size = 0;                              // Header included.
  uint32_t crc = 0;                               // frame_crc() with the seed of its place.
  uint8_t version = kFormatVersion;
  uint8_t kind = 0;                               // RecordEvent::Kind.
  uint8_t flags = 0;
  uint32_t key_id = 0;                            // 0: not encrypted.
  uint64_t session = 0;
  uint64_t sequence = 0;
  int64_t at_ns = 0;                              // Unix time.
};
void store(MutableBytes out, const FrameHeader&) noexcept;  // Pre: out.size() >= kSize.
// nullopt: not a frame (too short, impossible size, reserved bits set).  The CRC is not looked at.
std::optional<FrameHeader> load_frame_header(Bytes) noexcept;

// Binds a frame to its run and group, so that what an earlier use left in the same place is never taken for it.  Frames of
// archives have seed 0.
uint32_t frame_seed(uint64_t run, uint64_t group) noexcept;
uint32_t frame_crc(uint32_t seed, Bytes frame) noexcept;    // Over all of `frame` but the crc field itself.

struct FrameView {
  FrameHeader header;
  Bytes whole;
  [[nodiscard]] Bytes payload() const { return whole.subspan(FrameHeader::kSize); }
};
// Takes the next frame off `rest`.  nullopt: `rest` is empty, or what stands there is not a whole, undamaged frame.
std::optional<FrameView> take_frame(Bytes& rest, uint32_t seed) noexcept;

// The unit of writing: what becomes durable together.  Zero padded to whole blocks.
struct GroupHeader {
  static constexpr std::size_t kSize = 64;
  static constexpr uint16_t kClosed = 1;          // Takes no more frames; `crc`, `frames_crc` and `frame_count` are final.
  uint16_t flags = 0;
  uint64_t run = 0;
  uint64_t number = 0;                            // From 1, over all runs of one core, without gaps.
  uint32_t used = 0;                              // Bytes of frames.
  uint32_t frame_count = 0;
  uint32_t core = 0;
  uint32_t frames_crc = 0;                        // CRC-32C over the frames' crc fields, in order.
  uint32_t key_id = 0;
  [[nodiscard]] uint64_t padded_size() const { return (kSize + uint64_t{used} + kBlockSize - 1) / kBlockSize * kBlockSize; }
};
void store(MutableBytes out, const GroupHeader&) noexcept;
std::optional<GroupHeader> load_closed_group(Bytes) noexcept;   // nullopt: bad magic, version, crc, or not closed.
// What pending memory holds of a group that may still be open: only number, run and used are meant.
std::optional<GroupHeader> load_open_group(Bytes) noexcept;
inline constexpr std::size_t kGroupNumberOffset = 16, kGroupUsedOffset = 24;

struct SegmentHeader {
  static constexpr std::size_t kSize = kBlockSize;
  uint32_t core = 0;
  uint64_t number = 0;                            // Rises over all runs of one core; a failed segment leaves a gap.
  uint64_t first_group = 0;                       // Groups of earlier segments from this number on do not count.
  uint64_t run = 0;
  uint32_t key_id = 0;
  uint16_t flags = 0;
  std::string_view gateway{};                     // At most kGatewayNameMax bytes; points into what was loaded.
  static constexpr uint16_t kRecovered = 1;       // Made by recovery: what groups before first_group lack stands in here.
};
inline constexpr std::size_t kGatewayNameMax = 255;
void store(MutableBytes out, const SegmentHeader&) noexcept;
std::optional<SegmentHeader> load_segment_header(Bytes) noexcept;  // nullopt: free (zeros), torn, or not ours.

}  // namespace weir::record

#include "record/layout.h"

#include <cstring>

#include "base/check.h"
#include "record/crc32c.h"

namespace weir::record {
namespace {

constexpr uint32_t kGroupMagic = 0x47524557;             // "WERG"
constexpr uint64_t kSegmentMagic = 0x3147455352494557;   // "WEIRSEG1"
constexpr std::size_t kGroupCrcOffset = 60;
constexpr std::size_t kSegmentNameOffset = 46;
constexpr std::size_t kSegmentCrcOffset = SegmentHeader::kSize - 4;
static_assert(kSegmentNameOffset + kGatewayNameMax < kSegmentCrcOffset);

GroupHeader load_group_fields(Bytes bytes) noexcept {
  GroupHeader header;
  header.flags = load_le<uint16_t>(bytes, 6);
  header.run = load_le<uint64_t>(bytes, 8);
  header.number = load_le<uint64_t>(bytes, kGroupNumberOffset);
  header.used = load_le<uint32_t>(bytes, kGroupUsedOffset);
  header.frame_count = load_le<uint32_t>(bytes, 28);
  header.core = load_le<uint32_t>(bytes, 32);
  header.frames_crc = load_le<uint32_t>(bytes, 36);
  header.key_id = load_le<uint32_t>(bytes, 40);
  return header;
}

}  // namespace

void store(MutableBytes out, const FrameHeader& header) noexcept {
  store_le(out, 0, header.size);
  store_le(out, 4, header.crc);
  out[8] = std::byte{header.version};
  out[9] = std::byte{header.kind};
  out[10] = std::byte{header.flags};
  out[11] = std::byte{0};
  store_le(out, 12, header.key_id);
  store_le(out, 16, header.session);
  store_le(out, 24, header.sequence);
  store_le(out, 32, static_cast<uint64_t>(header.at_ns));
}

std::optional<FrameHeader> load_frame_header(Bytes bytes) noexcept {
  if (bytes.size() < FrameHeader::kSize) return std::nullopt;
  FrameHeader header;
  header.size = load_le<uint32_t>(bytes, 0);
  header.crc = load_le<uint32_t>(bytes, 4);
  header.version = std::to_integer<uint8_t>(bytes[8]);
  header.kind = std::to_integer<uint8_t>(bytes[9]);
  header.flags = std::to_integer<uint8_t>(bytes[10]);
  header.key_id = load_le<uint32_t>(bytes, 12);
  header.session = load_le<uint64_t>(bytes, 16);
  header.sequence = load_le<uint64_t>(bytes, 24);
  header.at_ns = static_cast<int64_t>(load_le<uint64_t>(bytes, 32));
  const bool is_sane = header.size >= FrameHeader::kSize && header.size <= kFramePartMax && bytes[11] == std::byte{0} &&
                       (header.flags & ~(FrameHeader::kMoreFollows | FrameHeader::kContinues)) == 0;
  return is_sane ? std::optional(header) : std::nullopt;
}

uint32_t frame_seed(uint64_t run, uint64_t group) noexcept {
  std::array<std::byte, 16> bytes{};
  store_le(MutableBytes(bytes), 0, run);
  store_le(MutableBytes(bytes), 8, group);
  return crc32c(0, bytes);
}

uint32_t frame_crc(uint32_t seed, Bytes frame) noexcept { return crc32c(crc32c(seed, frame.first(4)), frame.subspan(8)); }

std::optional<FrameView> take_frame(Bytes& rest, uint32_t seed) noexcept {
  const std::optional<FrameHeader> header = load_frame_header(rest);
  if (!header || header->size > rest.size()) return std::nullopt;
  const Bytes whole = rest.first(header->size);
  if (frame_crc(seed, whole) != header->crc) return std::nullopt;
  rest = rest.subspan(header->size);
  return FrameView{*header, whole};
}

void store(MutableBytes out, const GroupHeader& header) noexcept {
  std::memset(out.data(), 0, GroupHeader::kSize);
  store_le(out, 0, kGroupMagic);
  store_le<uint16_t>(out, 4, kFormatVersion);
  store_le(out, 6, header.flags);
  store_le(out, 8, header.run);
  store_le(out, kGroupNumberOffset, header.number);
  store_le(out, kGroupUsedOffset, header.used);
  store_le(out, 28, header.frame_count);
  store_le(out, 32, header.core);
  store_le(out, 36, header.frames_crc);
  store_le(out, 40, header.key_id);
  store_le(out, kGroupCrcOffset, crc32c(0, out.first(kGroupCrcOffset)));
}

std::optional<GroupHeader> load_open_group(Bytes bytes) noexcept {
  if (bytes.size() < GroupHeader::kSize || load_le<uint32_t>(bytes, 0) != kGroupMagic ||
      load_le<uint16_t>(bytes, 4) != kFormatVersion) {
    return std::nullopt;
  }
  const GroupHeader header = load_group_fields(bytes);
  return header.number == 0 ? std::nullopt : std::optional(header);
}

std::optional<GroupHeader> load_closed_group(Bytes bytes) noexcept {
  const std::optional<GroupHeader> header = load_open_group(bytes);
  if (!header || header->flags != GroupHeader::kClosed) return std::nullopt;
  if (load_le<uint32_t>(bytes, kGroupCrcOffset) != crc32c(0, bytes.first(kGroupCrcOffset))) return std::nullopt;
  return header;
}

void store(MutableBytes out, const SegmentHeader& header) noexcept {
  WEIR_CHECK(header.gateway.size() <= kGatewayNameMax);
  std::memset(out.data(), 0, SegmentHeader::kSize);
  store_le(out, 0, kSegmentMagic);
  store_le<uint16_t>(out, 8, kFormatVersion);
  store_le(out, 10, header.flags);
  store_le(out, 12, header.core);
  store_le(out, 16, header.number);
  store_le(out, 24, header.first_group);
  store_le(out, 32, header.run);
  store_le(out, 40, header.key_id);
  store_le<uint16_t>(out, 44, static_cast<uint16_t>(header.gateway.size()));
  std::memcpy(out.data() + kSegmentNameOffset, header.gateway.data(), header.gateway.size());
  store_le(out, kSegmentCrcOffset, crc32c(0, out.first(kSegmentCrcOffset)));
}

std::optional<SegmentHeader> load_segment_header(Bytes bytes) noexcept {
  if (bytes.size() < SegmentHeader::kSize || load_le<uint64_t>(bytes, 0) != kSegmentMagic ||
      load_le<uint16_t>(bytes, 8) != kFormatVersion ||
      load_le<uint32_t>(bytes, kSegmentCrcOffset) != crc32c(0, bytes.first(kSegmentCrcOffset))) {
    return std::nullopt;
  }
  SegmentHeader header;
  header.flags = load_le<uint16_t>(bytes, 10);
  header.core = load_le<uint32_t>(bytes, 12);
  header.number = load_le<uint64_t>(bytes, 16);
  header.first_group = load_le<uint64_t>(bytes, 24);
  header.run = load_le<uint64_t>(bytes, 32);
  header.key_id = load_le<uint32_t>(bytes, 40);
  const std::size_t name_size = load_le<uint16_t>(bytes, 44);
  if (name_size > kGatewayNameMax) return std::nullopt;
  header.gateway = as_text(bytes.subspan(kSegmentNameOffset, name_size));
  return header;
}

}  // namespace weir::record

#include "record/pending.h"

#include <array>
#include <atomic>
#include <cstring>

#include "base/check.h"
#include "record/crc32c.h"

namespace weir::record {
namespace {

constexpr uint64_t kMagic = 0x31444e5052494557;  // "WEIRPND1"
constexpr std::size_t kCrcOffset = 60;           // Over what stands before it; the progress words behind it change.
constexpr std::size_t kDurableGroupOffset = 64, kSegmentNumberOffset = 72, kDurableOffsetOffset = 80;

template <class T>
void publish_word(MutableBytes memory, std::size_t offset, T value) noexcept {
  static_assert(std::endian::native == std::endian::little, "the journal's words are stored as they are");
  std::atomic_ref<T>(*reinterpret_cast<T*>(memory.data() + offset)).store(value, std::memory_order_release);
}
template <class T>
T load_word(Bytes memory, std::size_t offset) noexcept {
  // atomic_ref of const comes with C++26; the memory is never const underneath.
  return std::atomic_ref<T>(*reinterpret_cast<T*>(const_cast<std::byte*>(memory.data()) + offset)).load(std::memory_order_acquire);
}

bool is_sane(const PendingShape& shape) {
  return shape.buffer_size % kBlockSize == 0 && shape.buffer_size >= 4 * kBlockSize && shape.buffer_size <= (64u << 20) &&
         shape.buffer_count > 0 && shape.buffer_count <= 4096;
}

}  // namespace

PendingMemory::PendingMemory(MutableBytes memory, PendingShape shape, uint32_t core, uint64_t run) noexcept
    : memory_(memory), shape_(shape), core_(core), run_(run) {
  WEIR_CHECK(is_sane(shape) && memory.size() >= shape.bytes());
  WEIR_CHECK(reinterpret_cast<uintptr_t>(memory.data()) % kBlockSize == 0);
  for (uint32_t buffer = 0; buffer < shape.buffer_count; ++buffer) std::memset(group(buffer).data(), 0, GroupHeader::kSize);
  std::memset(memory.data(), 0, kBlockSize);
  store_le(memory, 0, kMagic);
  store_le<uint16_t>(memory, 8, kFormatVersion);
  store_le(memory, 12, core);
  store_le(memory, 16, run);
  store_le(memory, 24, shape.buffer_size);
  store_le(memory, 28, shape.buffer_count);
  store_le(memory, kCrcOffset, crc32c(0, memory.first(kCrcOffset)));
}

MutableBytes PendingMemory::segment_slot(uint32_t buffer) const {
  return memory_.subspan(kBlockSize + std::size_t{shape_.buffer_size} * buffer, kBlockSize);
}
MutableBytes PendingMemory::group(uint32_t buffer) const {
  return memory_.subspan(2 * kBlockSize + std::size_t{shape_.buffer_size} * buffer, group_capacity());
}

void PendingMemory::open(uint32_t buffer, uint64_t number) noexcept {
  const MutableBytes place = group(buffer);
  publish_word<uint64_t>(place, kGroupNumberOffset, 0);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  store(place, GroupHeader{.run = run_, .core = core_});
  publish_word<uint64_t>(place, kGroupNumberOffset, number);
}

void PendingMemory::publish_used(uint32_t buffer, uint32_t used) noexcept {
  publish_word<uint32_t>(group(buffer), kGroupUsedOffset, used);
}

void PendingMemory::close(uint32_t buffer, const GroupHeader& final_header) noexcept {
  // Built aside: a kill in the middle of the copy finds number, run and used as they were.
  std::array<std::byte, GroupHeader::kSize> header{};
  store(MutableBytes(header), final_header);
  std::memcpy(group(buffer).data(), header.data(), header.size());
}

void PendingMemory::publish(const Progress& progress) noexcept {
  publish_word<uint64_t>(memory_, kSegmentNumberOffset, progress.segment_number);
  publish_word<uint64_t>(memory_, kDurableOffsetOffset, progress.durable_offset);
  publish_word<uint64_t>(memory_, kDurableGroupOffset, progress.durable_group);  // Last: what readers wait for.
}

std::optional<PendingHeader> load_pending_header(Bytes memory) noexcept {
  if (memory.size() < kBlockSize || load_le<uint64_t>(memory, 0) != kMagic || load_le<uint16_t>(memory, 8) != kFormatVersion ||
      load_le<uint32_t>(memory, kCrcOffset) != crc32c(0, memory.first(kCrcOffset))) {
    return std::nullopt;
  }
  const PendingHeader header{.core = load_le<uint32_t>(memory, 12), .run = load_le<uint64_t>(memory, 16),
                             .shape = {.buffer_size = load_le<uint32_t>(memory, 24), .buffer_count = load_le<uint32_t>(memory, 28)}};
  if (!is_sane(header.shape) || header.shape.bytes() > memory.size()) return std::nullopt;
  return header;
}

Progress load_progress(Bytes memory) noexcept {
  Progress progress;
  progress.durable_group = load_word<uint64_t>(memory, kDurableGroupOffset);
  progress.durable_offset = load_word<uint64_t>(memory, kDurableOffsetOffset);
  progress.segment_number = load_word<uint64_t>(memory, kSegmentNumberOffset);
  return progress;
}

std::optional<PendingGroup> load_pending_group(Bytes memory, const PendingHeader& header, uint32_t buffer) noexcept {
  const Bytes place = memory.subspan(2 * kBlockSize + std::size_t{header.shape.buffer_size} * buffer, header.shape.buffer_size - kBlockSize);
  if (load_word<uint64_t>(place, kGroupNumberOffset) == 0) return std::nullopt;
  const std::optional<GroupHeader> open = load_open_group(place);
  if (!open || open->run != header.run || open->core != header.core) return std::nullopt;
  if (open->used > place.size() - GroupHeader::kSize) return std::nullopt;
  PendingGroup group{.header = *open, .frames = place.subspan(GroupHeader::kSize, open->used)};
  if (const std::optional<GroupHeader> closed = load_closed_group(place)) {
    group.header = *closed;
    group.is_closed = true;
  }
  return group;
}

}  // namespace weir::record

#include "forward/stream_buffer.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"

namespace weir::forward {

namespace {
constexpr uint32_t kCapacityKept = 64;
}  // namespace

void StreamBuffer::reserve_one() {
  if (count_ < capacity_) return;
  WEIR_CHECK(capacity_ < kSegmentsMax);
  const uint32_t bigger = capacity_ == 0 ? 8 : capacity_ * 2;
  auto segments = std::make_unique<Segment[]>(bigger);
  for (uint32_t i = 0; i < count_; ++i) segments[i] = std::move(at_index(i));
  segments_ = std::move(segments);
  capacity_ = bigger;
  head_ = 0;
}

StreamBuffer::Segment& StreamBuffer::push() {
  reserve_one();
  Segment& segment = at_index(count_++);
  segment = Segment{};
  segment.offset = received_;
  return segment;
}

StreamBuffer::Segment& StreamBuffer::insert_after(uint32_t i) {
  reserve_one();
  ++count_;
  for (uint32_t j = count_ - 1; j > i + 1; --j) at_index(j) = std::move(at_index(j - 1));
  at_index(i + 1) = Segment{};
  return at_index(i + 1);
}

// Through a pointer that the compiler must read again: it may not leave out what nobody looks at afterwards.
void StreamBuffer::forget(uint64_t offset, std::byte* data, std::size_t size) const {
  static void* (*const volatile overwrite)(void*, int, std::size_t) = std::memset;
  if (offset < secret_until_ && size > 0) overwrite(data, 0, size);
}

void StreamBuffer::erase(uint32_t i) {
  forget(at_index(i).offset, at_index(i).data, at_index(i).size);
  if (at_index(i).lease) --leases_;
  for (uint32_t j = i; j + 1 < count_; ++j) at_index(j) = std::move(at_index(j + 1));
  at_index(count_ - 1) = Segment{};
  --count_;
}

void StreamBuffer::append(BufferLease lease) {
  const Bytes bytes = lease.bytes();
  if (bytes.empty()) return;
  Segment& segment = push();
  // The provided buffer is ours until the lease goes back; the codec and the window only ever read it.
  segment.data = const_cast<std::byte*>(bytes.data());
  segment.size = static_cast<uint32_t>(bytes.size());
  segment.lease = std::move(lease);
  received_ += segment.size;
  ++leases_;
}

void StreamBuffer::append_copy(Bytes bytes) {
  while (!bytes.empty()) {
    if (count_ == 0 || at_index(count_ - 1).room == 0) {
      Block block = blocks_->take();
      Segment& segment = push();
      segment.data = block.memory().data();
      segment.room = static_cast<uint32_t>(block.memory().size());
      segment.block = std::move(block);
    }
    Segment& last = at_index(count_ - 1);
    const auto size = static_cast<uint32_t>(std::min<std::size_t>(bytes.size(), last.room));
    std::memcpy(last.data + last.size, bytes.data(), size);
    last.size += size;
    last.room -= size;
    received_ += size;
    bytes = bytes.subspan(size);
  }
}

uint32_t StreamBuffer::find(uint64_t offset) const {
  for (uint32_t i = 0; i < count_; ++i) {
    const Segment& segment = at_index(i);
    if (offset >= segment.offset && offset < segment.offset + segment.size) return i;
  }
  return kSegmentsMax;
}

Bytes StreamBuffer::contiguous(uint64_t at) const {
  const uint32_t i = find(at);
  if (i == kSegmentsMax) return {};
  const Segment& segment = at_index(i);
  const auto skip = static_cast<uint32_t>(at - segment.offset);
  return {segment.data + skip, segment.size - skip};
}

void StreamBuffer::fill(uint32_t i, uint32_t size) {
  Segment& own = at_index(i);
  while (size > 0 && i + 1 < count_) {
    Segment& next = at_index(i + 1);
    const uint32_t take = std::min(size, next.size);
    std::memcpy(own.data + own.size, next.data, take);
    forget(next.offset, next.data, take);
    own.size += take;
    own.room -= take;
    next.offset += take;
    next.data += take;
    next.size -= take;
    size -= take;
    if (next.size == 0) erase(i + 1);
  }
}

bool StreamBuffer::straddle(uint64_t at, uint32_t need) {
  uint32_t i = find(at);
  if (i == kSegmentsMax) return false;
  const uint32_t left = static_cast<uint32_t>(at_index(i).offset + at_index(i).size - at);
  need = std::max(need, left + 1);
  const bool fits_in_place = at_index(i).block && left + at_index(i).room >= need;
  if (!fits_in_place) {
    if (count_ == kSegmentsMax) return false;  // Back-pressure: what is queued must be sent first.
    Block block = blocks_->take_large(need);
    Segment& old = at_index(i);
    const auto keep = static_cast<uint32_t>(at - old.offset);
    std::memcpy(block.memory().data(), old.data + keep, left);
    forget(old.offset, old.data + keep, left);
    Segment& own = insert_after(i);
    own.offset = at;
    own.data = block.memory().data();
    own.size = left;
    own.room = static_cast<uint32_t>(block.memory().size()) - left;
    own.block = std::move(block);
    Segment& shrunk = at_index(i);
    shrunk.size = keep;
    shrunk.room = 0;
    if (keep == 0) {
      erase(i);
    } else {
      ++i;
    }
  }
  fill(i, need - left);
  return at_index(i).size > left + static_cast<uint32_t>(at - at_index(i).offset);
}

void StreamBuffer::own_rest(uint64_t at) {
  uint32_t first = find(at);
  while (first < count_ && !at_index(first).lease) ++first;
  if (first >= count_) return;
  const uint32_t moved_count = count_ - first - 1;
  std::array<Segment, 8> few;  // As many as a direction may hold; a burst may bring more before its receive is stopped.
  const auto many = moved_count > few.size() ? std::make_unique<Segment[]>(moved_count) : nullptr;
  Segment* const moved = many ? many.get() : few.data();
  const uint32_t keep = at > at_index(first).offset ? static_cast<uint32_t>(at - at_index(first).offset) : 0;
  Bytes head = Bytes(at_index(first).data, at_index(first).size).subspan(keep);
  received_ = at_index(first).offset + keep;
  for (uint32_t i = 0; i < moved_count; ++i) moved[i] = std::move(at_index(first + 1 + i));
  for (uint32_t i = 0; i < moved_count; ++i) leases_ -= moved[i].lease ? 1 : 0;
  Segment split;  // Keeps the bytes of `head` alive until they are copied.
  if (keep > 0) {
    at_index(first).size = keep;
    count_ = first + 1;
  } else {
    split = std::move(at_index(first));
    --leases_;
    count_ = first;
  }
  std::byte* const from = const_cast<std::byte*>(head.data());  // Of a lease, which is ours until it goes back.
  const uint64_t from_offset = received_;
  append_copy(head);
  forget(from_offset, from, head.size());
  for (uint32_t i = 0; i < moved_count; ++i) {
    append_copy({moved[i].data, moved[i].size});
    forget(moved[i].offset, moved[i].data, moved[i].size);
  }
}

Bytes StreamBuffer::slice(ByteRange range) const {
  if (range.size == 0) return {};
  const Bytes rest = contiguous(range.offset);
  WEIR_CHECK(rest.size() >= range.size);  // Units do not straddle segments.
  return rest.first(range.size);
}

void StreamBuffer::release(uint64_t upto) {
  while (count_ > 0) {
    Segment& first = at_index(0);
    if (first.offset + first.size > upto) return;
    if (first.lease) --leases_;
    forget(first.offset, first.data, first.size);
    first = Segment{};
    head_ = (head_ + 1) & (capacity_ - 1);
    --count_;
  }
  if (count_ == 0 && capacity_ > kCapacityKept) {  // A burst is over: thousands of sessions may have had one.
    segments_.reset();
    capacity_ = head_ = 0;
  }
}

void StreamBuffer::clear() {
  while (count_ > 0) erase(count_ - 1);
  leases_ = 0;
}

}  // namespace weir::forward

#include "forward/out_queue.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace weir::forward {

void OutQueue::pass(Bytes bytes, uint64_t release) {
  if (bytes.empty()) return mark(release);
  size_ += bytes.size();
  // Neighbours in memory go out as one piece, unless the send that holds the first is already in flight.
  if (pieces_.size() > gathered_) {
    Piece& last = pieces_.back();
    if (last.own_size == 0 && last.bytes.data() + last.bytes.size() == bytes.data()) {
      last.bytes = {last.bytes.data(), last.bytes.size() + bytes.size()};
      last.release = std::max(last.release, release);
      return;
    }
  }
  Piece& piece = pieces_.push();
  piece.bytes = bytes;
  piece.release = release;
}

void OutQueue::own(Bytes bytes, uint64_t release) {
  if (bytes.empty()) return mark(release);
  size_ += bytes.size();
  while (!bytes.empty()) {
    if (own_.empty() || own_.back().used == BlockPool::kBlockSize) own_.push().block = blocks_->take();
    OwnBlock& block = own_.back();
    const auto size = static_cast<uint32_t>(std::min<std::size_t>(bytes.size(), BlockPool::kBlockSize - block.used));
    std::byte* place = block.block.memory().data() + block.used;
    std::memcpy(place, bytes.data(), size);
    block.used += size;
    bytes = bytes.subspan(size);
    if (pieces_.size() > gathered_) {
      Piece& last = pieces_.back();
      if (last.own_size != 0 && last.bytes.data() + last.bytes.size() == place) {
        last.bytes = {last.bytes.data(), last.bytes.size() + size};
        last.own_size += size;
        if (bytes.empty()) last.release = std::max(last.release, release);
        continue;
      }
    }
    Piece& piece = pieces_.push();
    piece.bytes = {place, size};
    piece.own_size = size;
    if (bytes.empty()) piece.release = release;
  }
}

void OutQueue::mark(uint64_t release) {
  if (release == 0) return;
  if (pieces_.size() > gathered_) {
    pieces_.back().release = std::max(pieces_.back().release, release);
  } else {
    pieces_.push().release = release;
  }
}

std::span<const Bytes> OutQueue::gather() {
  WEIR_CHECK(gathered_ == 0);
  uint32_t count = 0;
  gathered_size_ = 0;
  while (gathered_ < pieces_.size() && count < kGatherMax) {
    Piece& piece = pieces_[gathered_++];
    if (piece.bytes.empty()) continue;
    gathered_size_ += piece.bytes.size();
    gather_[count++] = piece.bytes;
  }
  return {gather_.data(), count};
}

uint64_t OutQueue::on_sent() {
  uint64_t release = 0;
  for (; gathered_ > 0; --gathered_) {
    Piece& piece = pieces_[0];
    release = std::max(release, piece.release);
    size_ -= piece.bytes.size();
    for (uint32_t left = piece.own_size; left > 0;) {
      OwnBlock& block = own_[0];
      const uint32_t size = std::min(left, block.used - block.sent);
      block.sent += size;
      left -= size;
      const bool is_last = own_.size() == 1;
      if (block.sent == block.used && (block.used == BlockPool::kBlockSize || !is_last)) own_.pop();
    }
    pieces_.pop();
  }
  gathered_size_ = 0;
  if (pieces_.empty()) {
    while (!own_.empty()) own_.pop();  // An idle side holds no block.
  }
  return release;
}

void OutQueue::clear() {
  while (!pieces_.empty()) pieces_.pop();
  while (!own_.empty()) own_.pop();
  gathered_ = 0;
  gathered_size_ = size_ = 0;
}

}  // namespace weir::forward

#include "transport/ssh/packet.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <algorithm>

#include "base/check.h"

namespace weir::ssh {
namespace {

constexpr std::size_t kLengthSize = 4, kPaddingMin = 4;

void wipe(Buffer& buffer, std::size_t size) {
  if (size != 0) OPENSSL_cleanse(buffer.data(), std::min(size, buffer.size()));
}

}  // namespace

void PaddingSource::fill(MutableBytes out) {
  while (!out.empty()) {
    if (used_ == block_.size()) {
      random_.fill(block_);
      used_ = 0;
    }
    const std::size_t size = std::min(out.size(), block_.size() - used_);
    std::memcpy(out.data(), block_.data() + used_, size);
    used_ += size;
    out = out.subspan(size);
  }
}

PacketSealer::~PacketSealer() { wipe(out_, out_.size()); }

void PacketSealer::set_cipher(PacketCipher cipher, bool resets_sequence) {
  cipher_ = std::move(cipher);
  counts_ = {};
  if (resets_sequence) sequence_ = 0;
}

Bytes PacketSealer::seal(std::span<const Bytes> parts) {
  std::size_t payload_size = 0;
  for (const Bytes part : parts) payload_size += part.size();
  WEIR_CHECK(payload_size != 0 && payload_size <= kPayloadSizeMax);
  const std::size_t block = cipher_.block_size();
  const std::size_t counted = 1 + payload_size + (cipher_.pads_length() ? kLengthSize : 0);
  std::size_t padding = block - counted % block;
  if (padding < kPaddingMin) padding += block;
  const std::size_t length = 1 + payload_size + padding;
  const std::size_t total = kLengthSize + length + cipher_.tag_size();
  if (out_.size() < total) out_.resize(std::max(total, out_.size() * 2));  // Grows to the largest packet, then no more.

  const MutableBytes packet = MutableBytes(out_).first(total);
  store_be<uint32_t>(packet, 0, static_cast<uint32_t>(length));
  packet[kLengthSize] = static_cast<std::byte>(padding);
  std::size_t at = kLengthSize + 1;
  for (const Bytes part : parts) {
    if (!part.empty()) std::memcpy(packet.data() + at, part.data(), part.size());
    at += part.size();
  }
  padding_.fill(packet.subspan(at, padding));
  if (!cipher_.seal(sequence_, packet)) {
    wipe(out_, total);
    return {};
  }
  ++sequence_;
  ++counts_.packets;
  counts_.bytes += total;
  return packet;
}

PacketOpener::~PacketOpener() { wipe(plain_, plain_.size()); }

void PacketOpener::set_cipher(PacketCipher cipher, bool resets_sequence) {
  WEIR_CHECK(!length_ && pending_.empty());
  cipher_ = std::move(cipher);
  counts_ = {};
  if (resets_sequence) sequence_ = 0;
}

void PacketOpener::set_wiping(bool on) { is_wiping_ = on; }

// The first `size` bytes of the packet at hand in one piece, or nothing when they are not there yet; then all is kept.
Bytes PacketOpener::gather(Bytes& wire, std::size_t size) {
  if (pending_.empty() && wire.size() >= size) return wire.first(size);
  if (pending_.size() < size) {
    const Bytes taken = wire.first(std::min(size - pending_.size(), wire.size()));
    pending_.insert(pending_.end(), taken.begin(), taken.end());
    wire = wire.subspan(taken.size());
  }
  return pending_.size() < size ? Bytes{} : Bytes(pending_).first(size);
}

PacketOpener::Status PacketOpener::fault(Status status) {
  wipe(plain_, plain_.size());
  return status_ = status;
}

PacketOpener::Status PacketOpener::next(Bytes& wire, Bytes& payload) {
  payload = {};
  if (status_ != Status::kMore) return status_;
  if (is_wiping_) {
    wipe(plain_, plain_size_);
    plain_size_ = 0;
  }
  if (!length_) {
    const Bytes header = gather(wire, cipher_.header_size());
    if (header.empty()) return Status::kMore;
    uint32_t length = 0;
    if (!cipher_.open_length(sequence_, header, length)) return fault(Status::kForged);
    // Not authenticated yet.  A length that is no whole number of blocks could only end in a packet that is wrong.
    const std::size_t counted = length + (cipher_.pads_length() ? kLengthSize : 0);
    if (length < 1 + kPaddingMin || length > kPacketLengthMax || counted % cipher_.block_size() != 0) return fault(Status::kLength);
    length_ = length;
  }
  const std::size_t total = kLengthSize + *length_ + cipher_.tag_size();
  const bool is_whole = pending_.empty() && wire.size() >= total;
  const Bytes packet = gather(wire, total);
  if (packet.empty()) return Status::kMore;
  const Status status = open(packet, payload);
  if (is_whole) wire = wire.subspan(total);
  pending_.clear();
  length_.reset();
  if (status != Status::kPacket) return fault(status);
  ++sequence_;
  ++counts_.packets;
  counts_.bytes += total;
  return status;
}

PacketOpener::Status PacketOpener::open(Bytes packet, Bytes& payload) {
  const std::size_t size = packet.size() - cipher_.tag_size();
  if (plain_.size() < size) {
    wipe(plain_, plain_.size());
    plain_.resize(std::max(size, plain_.size() * 2));  // Grows to the largest packet, then no more.
  }
  plain_size_ = std::max(plain_size_, size);
  const MutableBytes plain = MutableBytes(plain_).first(size);
  if (!cipher_.open(sequence_, packet, plain)) return Status::kForged;
  const auto padding = std::to_integer<std::size_t>(plain[kLengthSize]);
  // Length, padding's own byte, at least one byte of payload: a packet without a message number is none.
  if (padding < kPaddingMin || kLengthSize + 1 + padding >= size) return Status::kPadding;
  // What could not be sent on with another cipher's padding is not taken in.
  if (size - kLengthSize - 1 - padding > kPayloadSizeMax) return Status::kLength;
  payload = Bytes(plain).subspan(kLengthSize + 1, size - kLengthSize - 1 - padding);
  return Status::kPacket;
}

}  // namespace weir::ssh

// RecordEvent <-> the protobuf message that a frame carries (FORMAT.md lists the fields).  Written by hand because the
// data path must not allocate; the wire format is protobuf's, so that any protobuf tool can read the record.
#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "core/event.h"
#include "record/layout.h"

namespace weir::record {

// An event as pieces to be copied one behind the other: scalars and field heads in `scratch_`, texts where they lie.
// Valid while the event's texts are.
class EncodedEvent {
 public:
  explicit EncodedEvent(const RecordEvent&) noexcept;
  EncodedEvent(const EncodedEvent&) = delete;
  EncodedEvent& operator=(const EncodedEvent&) = delete;

  [[nodiscard]] uint64_t size() const { return size_; }   // Of the whole message.
  // The next out.size() bytes of the message.  Pre: that many are left.
  void copy_next(MutableBytes out) noexcept;

 private:
  void varint(uint64_t) noexcept;
  void number(uint32_t field, uint64_t) noexcept;          // Nothing for 0, as proto3 has it.
  void text(uint32_t field, Bytes) noexcept;
  void account(uint32_t field, const ByteAccount&) noexcept;
  void end_scalars() noexcept;

  static constexpr std::size_t kScratchSize = 512;         // 15 numbers of at most 12 bytes, 9 heads, 2 accounts of 68.
  std::array<std::byte, kScratchSize> scratch_;
  std::array<Bytes, 20> pieces_;  // 9 texts with what stands before each, and the rest.
  std::size_t scratch_used_ = 0, scratch_begun_ = 0, piece_count_ = 0, piece_ = 0;
  uint64_t size_ = 0;
};

using Accounts = std::array<ByteAccount, 2>;  // By Direction.

// Post: false if the payload is not a message of ours: nothing of `event` is meant.  Unknown fields are skipped.  Texts
// of `event` point into `payload`, its accounts to `accounts`.
[[nodiscard]] bool decode_event(const FrameHeader&, Bytes payload, RecordEvent& event, Accounts& accounts) noexcept;

}  // namespace weir::record

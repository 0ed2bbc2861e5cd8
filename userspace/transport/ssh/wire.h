// The data types of SSH (RFC 4251 section 5): reading what a peer sent, writing what we send.
// Must never: read past a message, take a length on trust, or accept a number that has two spellings.
#pragma once
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace weir::ssh {

using Buffer = std::vector<std::byte>;

// As ByteReader: what does not fit sets failed() and yields nothing; look once, at the end.
class WireReader {
 public:
  explicit WireReader(Bytes bytes) noexcept : in_(bytes) {}
  uint8_t u8() noexcept { return in_.u8(); }
  uint32_t u32() noexcept { return in_.u32be(); }
  uint64_t u64() noexcept { return in_.u64be(); }
  bool boolean() noexcept { return in_.u8() != 0; }  // Any value but zero is true.
  Bytes string() noexcept {
    const uint32_t size = in_.u32be();
    return in_.take(size);
  }
  std::string_view text() noexcept { return as_text(string()); }
  // The magnitude of a number that is not negative, without leading zeros.  Fails for a negative one and for one that is
  // longer than it need be.
  Bytes mpint() noexcept;
  Bytes take(std::size_t size) noexcept { return in_.take(size); }
  Bytes rest() noexcept { return in_.rest(); }
  [[nodiscard]] bool failed() const noexcept { return is_bad_ || in_.failed(); }
  [[nodiscard]] bool at_end() const noexcept { return in_.at_end(); }
  [[nodiscard]] bool done() const noexcept { return !failed() && at_end(); }  // All of it was read, and nothing more stands there.

 private:
  ByteReader in_;
  bool is_bad_ = false;
};

// Appends to a buffer of the caller's.  Pre: strings are shorter than 4 GiB.
class WireWriter {
 public:
  explicit WireWriter(Buffer& out) noexcept : out_(out) {}
  WireWriter& u8(uint8_t value);
  WireWriter& u32(uint32_t value);
  WireWriter& u64(uint64_t value);
  WireWriter& boolean(bool value) { return u8(value ? 1 : 0); }
  WireWriter& raw(Bytes bytes);
  WireWriter& string(Bytes bytes);
  WireWriter& string(std::string_view text) { return string(as_bytes(text)); }
  WireWriter& mpint(Bytes magnitude);  // Big-endian and unsigned; leading zeros are dropped.

 private:
  Buffer& out_;
};

// The next name of a comma-separated list, taken off its front; empty at the end.
std::string_view take_name(std::string_view& list) noexcept;
// Whether `name` stands in the list.
bool has_name(std::string_view list, std::string_view name) noexcept;
// RFC 4251 section 6: printable US-ASCII but the comma, each name of 1 to 64 bytes.  An empty list is one.
bool is_name_list(std::string_view list) noexcept;
// Without the zeros that an mpint does not carry.
Bytes without_leading_zeros(Bytes magnitude) noexcept;

}  // namespace weir::ssh

// Borrowed bytes and bounds-checked readers.  Every integer that a peer sent is read through here, never by a cast.
// Must never: allocate, throw, or read past the span it was given.
#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace weir {

using Bytes = std::span<const std::byte>;   // Borrowed: until the call it came with returns, unless stated longer.
using MutableBytes = std::span<std::byte>;

inline Bytes as_bytes(std::string_view text) noexcept {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Pre: `bytes` holds at least sizeof(T) bytes at `offset`; callers compare sizes first.  Network order (big endian).
template <class T>
inline T load_be(Bytes bytes, std::size_t offset = 0) noexcept {
  static_assert(std::is_unsigned_v<T>);
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>(static_cast<uint64_t>(value) << 8 | std::to_integer<uint64_t>(bytes[offset + i]));
  }
  return value;
}
template <class T>
inline T load_le(Bytes bytes, std::size_t offset = 0) noexcept {
  static_assert(std::is_unsigned_v<T>);
  T value = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) {
    value = static_cast<T>(static_cast<uint64_t>(value) << 8 | std::to_integer<uint64_t>(bytes[offset + i]));
  }
  return value;
}
template <class T>
inline void store_be(MutableBytes bytes, std::size_t offset, T value) noexcept {
  static_assert(std::is_unsigned_v<T>);
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    bytes[offset + i] = static_cast<std::byte>(static_cast<uint64_t>(value) >> (8 * (sizeof(T) - 1 - i)) & 0xff);
  }
}
template <class T>
inline void store_le(MutableBytes bytes, std::size_t offset, T value) noexcept {
  static_assert(std::is_unsigned_v<T>);
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    bytes[offset + i] = static_cast<std::byte>(static_cast<uint64_t>(value) >> (8 * i) & 0xff);
  }
}

// A cursor that cannot leave its span.  A read that does not fit sets failed() and yields zero or an empty view; callers
// read a whole message and look at failed() once.
class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) noexcept : bytes_(bytes) {}

  uint8_t u8() noexcept { return read_be<uint8_t>(); }
  uint16_t u16be() noexcept { return read_be<uint16_t>(); }
  uint32_t u32be() noexcept { return read_be<uint32_t>(); }
  uint64_t u64be() noexcept { return read_be<uint64_t>(); }
  uint16_t u16le() noexcept { return read_le<uint16_t>(); }
  uint32_t u32le() noexcept { return read_le<uint32_t>(); }
  uint64_t u64le() noexcept { return read_le<uint64_t>(); }

  Bytes take(std::size_t size) noexcept {
    if (size > remaining()) return fail();
    const Bytes taken = bytes_.subspan(offset_, size);
    offset_ += size;
    return taken;
  }
  // Up to the next NUL, which is consumed and not part of the view.
  std::string_view c_string() noexcept {
    const std::string_view rest = as_text(bytes_.subspan(offset_));
    const std::size_t end = rest.find('\0');
    if (end == std::string_view::npos) { fail(); return {}; }
    offset_ += end + 1;
    return rest.substr(0, end);
  }
  Bytes rest() noexcept { return take(remaining()); }

  [[nodiscard]] std::size_t offset() const noexcept { return offset_; }
  [[nodiscard]] std::size_t remaining() const noexcept { return bytes_.size() - offset_; }
  [[nodiscard]] bool failed() const noexcept { return failed_; }
  [[nodiscard]] bool at_end() const noexcept { return remaining() == 0; }

 private:
  Bytes fail() noexcept {
    failed_ = true;
    offset_ = bytes_.size();
    return {};
  }
  template <class T>
  T read_be() noexcept {
    const Bytes taken = take(sizeof(T));
    return taken.size() == sizeof(T) ? load_be<T>(taken) : T{0};
  }
  template <class T>
  T read_le() noexcept {
    const Bytes taken = take(sizeof(T));
    return taken.size() == sizeof(T) ? load_le<T>(taken) : T{0};
  }

  Bytes bytes_;
  std::size_t offset_ = 0;
  bool failed_ = false;
};

}  // namespace weir

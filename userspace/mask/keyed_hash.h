// HMAC-SHA-256 (RFC 2104) with the key's two first blocks worked out beforehand, so that a value costs two compressions,
// no allocation and no lock: one object is shared by all cores.
// Must never: be used with a key that is not secret, or hand out the key.
#pragma once
#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace weir::mask {

class KeyedHash {
 public:
  using Digest = std::array<std::byte, 32>;

  explicit KeyedHash(Bytes key);
  ~KeyedHash();
  KeyedHash(const KeyedHash&) = delete;
  KeyedHash& operator=(const KeyedHash&) = delete;

  // `purpose` keeps uses apart: the same value under another purpose gives an unrelated digest.
  [[nodiscard]] Digest digest(uint8_t purpose, Bytes value) const noexcept;
  // Fills `out` with the hex digits of as many digests as it takes.  Post: a longer `out` starts with the shorter one's text.
  void hex(uint8_t purpose, Bytes value, MutableBytes out) const noexcept;

 private:
  struct State {
    alignas(16) std::array<std::byte, 128> bytes{};  // A SHA256_CTX, kept out of this header.
  };
  State inner_, outer_;
};

}  // namespace weir::mask

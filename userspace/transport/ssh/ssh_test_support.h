// What the SSH tests share: hexadecimal, fixed and seeded random bytes, keys of each size, all pairs of cipher and MAC.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/prng.h"
#include "transport/ssh/packet.h"

namespace weir::ssh::testing {

inline Buffer from_hex(std::string_view text) {
  const auto digit = [](char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); };
  Buffer bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) bytes.push_back(static_cast<std::byte>(digit(text[i]) << 4 | digit(text[i + 1])));
  return bytes;
}
inline std::string to_hex(Bytes bytes) {
  std::string text;
  for (const std::byte b : bytes) {
    text += "0123456789abcdef"[std::to_integer<unsigned>(b) >> 4];
    text += "0123456789abcdef"[std::to_integer<unsigned>(b) & 15];
  }
  return text;
}
inline Buffer copy_of(Bytes bytes) { return {bytes.begin(), bytes.end()}; }
inline std::string string_of(Bytes bytes) { return std::string(as_text(bytes)); }

class FixedRandom final : public RandomSource {
 public:
  void fill(MutableBytes bytes) override {
    for (std::byte& b : bytes) b = std::byte{0x11};
  }
};
class SeededRandom final : public RandomSource {
 public:
  explicit SeededRandom(uint64_t seed) : prng_(seed) {}
  void fill(MutableBytes bytes) override {
    for (std::byte& b : bytes) b = static_cast<std::byte>(prng_.below(256));
  }

 private:
  Prng prng_;
};

// `size` bytes that count up from `first`.
inline Secret counting(std::size_t size, uint8_t first) {
  Secret secret = Secret::of_size(size);
  for (std::size_t i = 0; i < size; ++i) secret.mutable_bytes()[i] = static_cast<std::byte>(first + i);
  return secret;
}
inline PacketKeys counting_keys(Cipher cipher, Mac mac) {
  const KeySizes sizes = key_sizes(cipher, mac);
  return {cipher, mac, counting(sizes.iv, 0x10), counting(sizes.key, 0x20), counting(sizes.mac_key, 0x60)};
}
inline PacketCipher cipher_of(Cipher cipher, Mac mac, PacketCipher::Use use) {
  auto made = PacketCipher::make(counting_keys(cipher, mac), use);
  EXPECT_TRUE(made);
  return std::move(*made);
}

struct Suite {
  Cipher cipher;
  Mac mac;
  std::string name;
};
inline std::vector<Suite> all_suites() {
  std::vector<Suite> suites{{Cipher::kNone, Mac::kNone, "none"}};
  for (const std::string_view cipher_name : cipher_names()) {
    const Cipher cipher = *find_cipher(cipher_name);
    for (const std::string_view mac_name : mac_names()) {
      if (is_aead(cipher)) {
        suites.push_back({cipher, Mac::kNone, std::string(cipher_name)});
        break;
      }
      suites.push_back({cipher, *find_mac(mac_name), std::string(cipher_name) + "_" + std::string(mac_name)});
    }
  }
  return suites;
}
inline std::string test_name(std::string text) {
  std::erase_if(text, [](char c) { return c != '_' && std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return text;
}

}  // namespace weir::ssh::testing

// The low-level SHA256 calls are the only ones of OpenSSL 3 that neither allocate nor need a context of one thread; they
// are deprecated in favour of EVP, whose HMAC costs four heap blocks and 1.1 us a value.  The one file that asks for them.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "mask/keyed_hash.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace weir::mask {
namespace {

constexpr std::size_t kBlockSize = 64;  // Of SHA-256, FIPS 180-4.

unsigned char* raw(MutableBytes bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

}  // namespace

KeyedHash::KeyedHash(Bytes key) {
  static_assert(sizeof(SHA256_CTX) <= sizeof(State) && std::is_trivially_copyable_v<SHA256_CTX>);
  std::array<std::byte, kBlockSize> block{};
  if (key.size() > kBlockSize) {
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, key.data(), key.size());
    SHA256_Final(raw(block), &context);
  } else {
    std::copy(key.begin(), key.end(), block.begin());
  }
  const auto start = [&block](std::byte pad, State& state) {
    std::array<std::byte, kBlockSize> padded = block;
    for (std::byte& byte : padded) byte ^= pad;
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, padded.data(), padded.size());
    std::memcpy(state.bytes.data(), &context, sizeof context);
    OPENSSL_cleanse(padded.data(), padded.size());
    OPENSSL_cleanse(&context, sizeof context);
  };
  start(std::byte{0x36}, inner_);
  start(std::byte{0x5c}, outer_);
  OPENSSL_cleanse(block.data(), block.size());
}

KeyedHash::~KeyedHash() {
  OPENSSL_cleanse(&inner_, sizeof inner_);
  OPENSSL_cleanse(&outer_, sizeof outer_);
}

KeyedHash::Digest KeyedHash::digest(uint8_t purpose, Bytes value) const noexcept {
  Digest digest;
  SHA256_CTX context;
  std::memcpy(&context, inner_.bytes.data(), sizeof context);
  SHA256_Update(&context, &purpose, 1);
  SHA256_Update(&context, value.data(), value.size());
  SHA256_Final(raw(digest), &context);
  std::memcpy(&context, outer_.bytes.data(), sizeof context);
  SHA256_Update(&context, digest.data(), digest.size());
  SHA256_Final(raw(digest), &context);
  return digest;
}

void KeyedHash::hex(uint8_t purpose, Bytes value, MutableBytes out) const noexcept {
  constexpr std::string_view kDigits = "0123456789abcdef";
  Digest block = digest(purpose, value);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t nibble = i % (2 * block.size());
    if (i != 0 && nibble == 0) block = digest(purpose, block);  // Longer than one digest: a chain.
    const auto byte = std::to_integer<unsigned>(block[nibble / 2]);
    out[i] = static_cast<std::byte>(kDigits[nibble % 2 == 0 ? byte >> 4 : byte & 0xf]);
  }
}

}  // namespace weir::mask

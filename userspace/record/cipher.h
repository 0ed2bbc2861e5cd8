// Keys that encrypt, and what is done with them: AES-256-GCM (NIST SP 800-38D) and HKDF-SHA256 (RFC 5869), by OpenSSL.
//
// A key is wiped when it goes, and is not copied by accident.  It never stands in a message, an argument or a log.
#pragma once
#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "record/keys.h"

namespace weir::record {

// 32 bytes that nobody else may see.
class SecretKey {
 public:
  static constexpr std::size_t kSize = 32;
  static SecretKey random();
  static std::optional<SecretKey> from(Bytes bytes);   // nullopt: not 32 bytes.
  SecretKey(SecretKey&&) noexcept;
  SecretKey& operator=(SecretKey&&) noexcept;
  SecretKey(const SecretKey&) = delete;
  SecretKey& operator=(const SecretKey&) = delete;
  ~SecretKey();
  [[nodiscard]] Bytes bytes() const { return bytes_; }

 private:
  SecretKey() = default;
  void wipe() noexcept;
  std::array<std::byte, kSize> bytes_{};
};

// Wipes a buffer that held a secret for a while, whichever way its scope ends.
class Wiped {
 public:
  explicit Wiped(MutableBytes bytes) : bytes_(bytes) {}
  Wiped(const Wiped&) = delete;
  Wiped& operator=(const Wiped&) = delete;
  ~Wiped();

 private:
  MutableBytes bytes_;
};

// SHA-256("weir session key 1\n" | key).  Says which key it was and tells nothing of it: the key is random.  GCM alone does
// not: a text may decrypt under two keys.
Digest commitment_of(const SecretKey&);

using Nonce = std::array<std::byte, 12>;
inline constexpr std::size_t kTagSize = 16;
// Appends ciphertext and tag to `out`.  Pre: this nonce was never used with this key for another message.
void seal_bytes(const SecretKey&, const Nonce&, Bytes associated, Bytes plain, std::vector<std::byte>& out);
// Post: out is the plain text, sealed.size() - kTagSize bytes.  False: it was not sealed with this key, nonce and associated data; out is
// then without meaning.
[[nodiscard]] bool open_bytes(const SecretKey&, const Nonce&, Bytes associated, Bytes sealed, std::vector<std::byte>& out);
// The same, where there is room for it already.  Pre: out.size() + kTagSize is sealed.size(); they do not overlap.
[[nodiscard]] bool open_bytes(const SecretKey&, const Nonce&, Bytes associated, Bytes sealed, MutableBytes out);

SecretKey hkdf_sha256(Bytes secret, Bytes salt, std::string_view info);

}  // namespace weir::record

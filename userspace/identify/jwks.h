// A JSON Web Key Set (RFC 7517): an issuer's public keys.
// Must never: hold a private or symmetric key, or a key that is too weak or too large to be used safely.
#pragma once
#include <openssl/evp.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace weir::identify {

// RFC 7518, RFC 8037.  X(enumerator, "name")
#define WEIR_TOKEN_ALGORITHMS(X) \
  X(kRs256, "RS256")             \
  X(kRs384, "RS384") X(kRs512, "RS512") X(kPs256, "PS256") X(kEs256, "ES256") X(kEs384, "ES384") X(kEdDsa, "EdDSA")
enum class Algorithm : uint8_t {
#define X(enumerator, name) enumerator,
  WEIR_TOKEN_ALGORITHMS(X)
#undef X
};
[[nodiscard]] std::optional<Algorithm> parse_algorithm(std::string_view name);  // Case counts.  nullopt: not one we accept.
[[nodiscard]] std::string_view name_of(Algorithm algorithm);

enum class KeyKind : uint8_t { kRsa, kP256, kP384, kEd25519 };
[[nodiscard]] KeyKind kind_for(Algorithm algorithm);

struct PkeyFree {
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
};
struct Key {
  std::string id;  // kid; may be empty.
  KeyKind kind = KeyKind::kRsa;
  std::optional<Algorithm> algorithm;  // The only one it is for, if the set says so.
  std::unique_ptr<EVP_PKEY, PkeyFree> key;
};

class KeySet {
 public:
  static constexpr std::size_t kSizeMax = 1 << 20;
  static constexpr std::size_t kKeysMax = 64;

  // Keys of other kinds, for encryption, or symmetric are left out and counted.
  // Errors: kInvalid for a set that is malformed, holds a private key, names two keys alike, or leaves no key to use.
  [[nodiscard]] static Result<KeySet> parse(std::string_view json);

  // The key for a token: by kid, or the only one that fits when the token names none.  nullptr: none, or which is not clear.
  [[nodiscard]] const Key* find(std::string_view kid, Algorithm algorithm) const;
  [[nodiscard]] std::size_t size() const { return keys_.size(); }
  [[nodiscard]] std::size_t ignored() const { return ignored_; }

 private:
  std::vector<Key> keys_;
  std::size_t ignored_ = 0;
};

// True if `signature` over `input` is `key`'s.  Pre: key.kind == kind_for(algorithm).
[[nodiscard]] bool verify_signature(const Key& key, Algorithm algorithm, Bytes input, Bytes signature);

// Tells whether a file is still the one that was read.
struct FileStamp {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t changed_ns = 0, modified_ns = 0;
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};
// A JWKS file.  Errors: kNotFound, kSystem; kDenied if others than its owner may write it; kInvalid if it is too large.
struct KeyFile {
  std::string text;
  FileStamp stamp;
};
[[nodiscard]] Result<KeyFile> read_key_file(const std::string& path);
[[nodiscard]] std::optional<FileStamp> stamp_of(const std::string& path);  // nullopt: not there.

}  // namespace weir::identify

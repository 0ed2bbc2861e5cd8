// The mathematics of a key exchange: ephemeral keys, the shared secret, the exchange hash, the keys made from it.
// curve25519-sha256 (RFC 8731), ecdh-sha2-nistp256/384/521 (RFC 5656), diffie-hellman-group14/16/18 (RFC 8268).
// Must never: go on with a public value that is not a member of its group or that fixes the secret, use an ephemeral key
// twice, or leave a secret behind in memory.
#pragma once
#include <memory>
#include <optional>
#include <span>

#include "core/module.h"
#include "transport/openssl_ptr.h"
#include "transport/secret_file.h"
#include "transport/ssh/wire.h"

namespace weir::ssh {

using Secret = transport::SecretString;

struct KexMethod {
  enum class Kind : uint8_t { kX25519, kEcdh, kFiniteField };
  std::string_view name;
  Kind kind;
  const char* group;   // OpenSSL's name.
  const char* digest;  // OpenSSL's name.
  uint16_t size;       // Of a field element, in bytes.
};
std::span<const KexMethod> kex_methods();  // The one we like best first.
const KexMethod* find_kex_method(std::string_view name);

class EphemeralKey {
 public:
  // Null if OpenSSL fails.  A curve25519 key is drawn from `random`, the others from OpenSSL's own generator.
  static std::unique_ptr<EphemeralKey> make(const KexMethod&, RandomSource& random);
  // As it goes on the wire: a string's content, or with kFiniteField an mpint's magnitude.
  [[nodiscard]] Bytes public_value() const { return public_; }
  // The secret's magnitude, K.  nullopt: the peer's value is refused.  Once.
  [[nodiscard]] std::optional<Secret> agree(Bytes peer);

 private:
  explicit EphemeralKey(const KexMethod& method) : method_(&method) {}
  bool make_x25519(RandomSource&);
  bool make_named(const char* type);
  [[nodiscard]] transport::PkeyPtr peer_key(Bytes peer) const;

  const KexMethod* method_;
  transport::PkeyPtr key_;
  Buffer public_;
};

struct ExchangeTranscript {
  std::string_view client_version, server_version;  // Without CR LF.
  Bytes client_init, server_init;                   // KEXINIT payloads.
  Bytes host_key, client_public, server_public;
};
// H of RFC 4253 section 8 and RFC 5656 section 4.  Empty if OpenSSL fails.
Buffer exchange_hash(const KexMethod&, const ExchangeTranscript&, const Secret& shared);
// RFC 4253 section 7.2, letters 'A' to 'F'.  nullopt if OpenSSL fails.
std::optional<Secret> derive_key(const KexMethod&, const Secret& shared, Bytes hash, char letter, Bytes session_id, std::size_t size);

}  // namespace weir::ssh

// Public keys, private keys and signatures of SSH: ssh-ed25519 (RFC 8709), ecdsa-sha2-nistp256/384/521 (RFC 5656), RSA with
// SHA-2 (RFC 8332), and the names under which certificates of them are negotiated (OpenSSH PROTOCOL.certkeys).
// Must never: take a SHA-1 signature, DSA, RSA of fewer than 2048 bits, a point that is not on its curve, or a signature of
// another algorithm than was agreed on; let a private key out.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "transport/openssl_ptr.h"
#include "transport/ssh/wire.h"

namespace weir::ssh {

enum class KeyType : uint8_t { kEd25519, kEcdsa256, kEcdsa384, kEcdsa521, kRsa };

// One name of "server host key algorithms" and of publickey authentication.
struct SignatureAlgorithm {
  std::string_view name;       // "rsa-sha2-256-cert-v01@openssh.com"
  std::string_view blob_type;  // "ssh-rsa-cert-v01@openssh.com": what the key's blob starts with.
  std::string_view signature;  // "rsa-sha2-256": what the signature's blob starts with.
  KeyType type;
  bool is_certificate;
  const char* digest;  // Null for Ed25519.
};
std::span<const SignatureAlgorithm> signature_algorithms();  // Certificates first, then in the order we like them.
const SignatureAlgorithm* find_signature_algorithm(std::string_view name);
// "ssh-rsa": the type of plain key blobs.
std::string_view plain_blob_type(KeyType);
// Which of the names may be used with a key whose blob starts so; the first that `is_wanted` says yes to.
const SignatureAlgorithm* find_signature_for(std::string_view blob_type, std::string_view wanted_names);

inline constexpr int kRsaBitsMin = 2048, kRsaBitsMax = 16'384;

class PublicKey {
 public:
  // A plain key's blob (no certificate).  Errors: kInvalid, with a reason that repeats nothing of it.
  static Result<PublicKey> parse(Bytes blob);
  // What of a key stands between its type and whatever comes after it, as in a certificate.
  static Result<PublicKey> parse_fields(KeyType type, WireReader& reader);
  // Of an OpenSSL key, public or private.  Errors: kInvalid (a type or size that SSH does not have here).
  static Result<PublicKey> from(const EVP_PKEY* key);

  [[nodiscard]] KeyType type() const { return type_; }
  [[nodiscard]] Bytes blob() const { return blob_; }
  [[nodiscard]] std::string fingerprint() const;  // "SHA256:...", as ssh-keygen -l has it.
  // `signature`: its blob, algorithm name first, which must be the algorithm's.
  [[nodiscard]] bool verify(const SignatureAlgorithm&, Bytes signature, Bytes data) const;
  friend bool operator==(const PublicKey& left, const PublicKey& right) { return left.blob_ == right.blob_; }

 private:
  PublicKey() = default;
  void write_blob(Bytes fields);

  KeyType type_ = KeyType::kEd25519;
  std::shared_ptr<EVP_PKEY> key_;  // Immutable.
  Buffer blob_;
};

std::string fingerprint_of(Bytes blob);  // Of any key's blob; a certificate's is that of its key: use its PublicKey.

// Signs: a key in memory here, a signer elsewhere in time.  Immutable, for all threads.
class PrivateKey {
 public:
  static Result<PrivateKey> from(transport::PkeyPtr key);
  static Result<PrivateKey> generate(KeyType type, int rsa_bits = 3072);
  [[nodiscard]] const PublicKey& public_key() const { return public_; }
  // The signature's blob.  Pre: the algorithm's type is the key's.  Errors: kSystem.
  [[nodiscard]] Result<Buffer> sign(const SignatureAlgorithm&, Bytes data) const;

 private:
  PrivateKey(std::shared_ptr<EVP_PKEY> key, PublicKey of) : key_(std::move(key)), public_(std::move(of)) {}
  std::shared_ptr<EVP_PKEY> key_;  // OpenSSL wipes it when the last one goes.
  PublicKey public_;
};

}  // namespace weir::ssh

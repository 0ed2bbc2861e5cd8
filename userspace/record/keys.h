// The key that signs seals: Ed25519, PEM files as OpenSSL's command line reads and writes them.  Secrets stay inside
// OpenSSL's key object, which wipes them.
#pragma once
#include <array>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

struct evp_pkey_st;

namespace weir::record {

using Digest = std::array<std::byte, 32>;      // SHA-256
using Signature = std::array<std::byte, 64>;   // Ed25519

std::string hex(Bytes);
std::string random_hex(std::size_t bytes);
Result<Digest> digest_from_hex(std::string_view);
Digest sha256(Bytes);
// SHA-256 of several pieces in a row.
Digest sha256(std::initializer_list<Bytes>);

class VerifyingKey {
 public:
  static Result<VerifyingKey> from_pem(std::string_view pem);
  static Result<VerifyingKey> read(const std::string& path);
  static Result<VerifyingKey> from_raw(Bytes key);      // 32 bytes (RFC 8032).
  [[nodiscard]] std::array<std::byte, 32> bytes() const;
  // First 8 bytes, hex, of SHA-256 over the raw 32 bytes of the public key: names the key in manifests.
  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] bool verify(Bytes message, const Signature&) const;

 private:
  friend class SigningKey;
  explicit VerifyingKey(std::shared_ptr<evp_pkey_st> key);
  std::shared_ptr<evp_pkey_st> key_;
  std::string id_;
};

class SigningKey {
 public:
  // Makes a new key: `path` (0600, an error if it exists), and `path`.pub for auditors.
  static Result<SigningKey> generate(const std::string& path);
  // An error if others than its owner can read the file.
  static Result<SigningKey> read(const std::string& path);
  [[nodiscard]] const std::string& id() const { return public_.id(); }
  [[nodiscard]] const VerifyingKey& verifying() const { return public_; }
  [[nodiscard]] std::string public_pem() const;
  [[nodiscard]] Result<Signature> sign(Bytes message) const;

 private:
  SigningKey(std::shared_ptr<evp_pkey_st> key);
  std::shared_ptr<evp_pkey_st> key_;
  VerifyingKey public_;
};

}  // namespace weir::record

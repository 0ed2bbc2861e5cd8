#include "record/keys.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "base/check.h"
#include "record/files.h"

namespace weir::record {
namespace {

using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;
using ContextPtr = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

const unsigned char* raw(Bytes bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

BioPtr memory_bio(std::string_view text) { return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), &BIO_free}; }

std::string drain(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

std::shared_ptr<evp_pkey_st> owned(EVP_PKEY* key) { return {key, &EVP_PKEY_free}; }

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

std::array<std::byte, 32> raw_of(EVP_PKEY* key) {
  std::array<std::byte, 32> bytes{};
  std::size_t size = bytes.size();
  WEIR_CHECK(EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(bytes.data()), &size) == 1 && size == bytes.size());
  return bytes;
}

std::string key_id(EVP_PKEY* key) { return hex(Bytes(sha256(Bytes(raw_of(key)))).first(8)); }

}  // namespace

std::string hex(Bytes bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte byte : bytes) {
    text.push_back(kDigits[std::to_integer<std::size_t>(byte) >> 4]);
    text.push_back(kDigits[std::to_integer<std::size_t>(byte) & 15]);
  }
  return text;
}

std::string random_hex(std::size_t size) {
  std::vector<std::byte> bytes(size);
  WEIR_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(size)) == 1);
  return hex(bytes);
}

Result<Digest> digest_from_hex(std::string_view text) {
  Digest digest{};
  if (text.size() != digest.size() * 2) return fail(Error::Kind::kCorrupt, "a digest is 64 hexadecimal digits");
  for (std::size_t index = 0; index < digest.size(); ++index) {
    const int high = hex_value(text[2 * index]), low = hex_value(text[2 * index + 1]);
    if (high < 0 || low < 0) return fail(Error::Kind::kCorrupt, "a digest is 64 lower-case hexadecimal digits");
    digest[index] = static_cast<std::byte>(high << 4 | low);
  }
  return digest;
}

Digest sha256(Bytes bytes) { return sha256({bytes}); }

Digest sha256(std::initializer_list<Bytes> pieces) {
  const ContextPtr context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  WEIR_CHECK(context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
  for (const Bytes piece : pieces) WEIR_CHECK(EVP_DigestUpdate(context.get(), piece.data(), piece.size()) == 1);
  Digest digest{};
  WEIR_CHECK(EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr) == 1);
  return digest;
}

VerifyingKey::VerifyingKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)), id_(key_id(key_.get())) {}

Result<VerifyingKey> VerifyingKey::from_pem(std::string_view pem) {
  const BioPtr bio = memory_bio(pem);
  std::shared_ptr<evp_pkey_st> key = owned(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  if (key == nullptr) return fail(Error::Kind::kInvalid, "not a public key in PEM form");
  if (EVP_PKEY_id(key.get()) != EVP_PKEY_ED25519) return fail(Error::Kind::kInvalid, "seals are checked with an Ed25519 key; this is another kind");
  return VerifyingKey(std::move(key));
}

Result<VerifyingKey> VerifyingKey::read(const std::string& path) {
  const Result<std::string> pem = read_text(path, 64u << 10);
  if (!pem) return tl::unexpected(pem.error());
  Result<VerifyingKey> key = from_pem(*pem);
  if (!key) return fail(key.error().kind, path + ": " + key.error().message);
  return key;
}

Result<VerifyingKey> VerifyingKey::from_raw(Bytes key) {
  std::shared_ptr<evp_pkey_st> made = key.size() == 32 ? owned(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw(key), key.size())) : nullptr;
  if (made == nullptr) return fail(Error::Kind::kInvalid, "not the 32 bytes of an Ed25519 public key");
  return VerifyingKey(std::move(made));
}

std::array<std::byte, 32> VerifyingKey::bytes() const { return raw_of(key_.get()); }

bool VerifyingKey::verify(Bytes message, const Signature& signature) const {
  const ContextPtr context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  WEIR_CHECK(context != nullptr);
  return EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1 &&
         EVP_DigestVerify(context.get(), raw(signature), signature.size(), raw(message), message.size()) == 1;
}

SigningKey::SigningKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)), public_(key_) {}

Result<SigningKey> SigningKey::generate(const std::string& path) {
  SigningKey key(owned(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")));
  const BioPtr bio(BIO_new(BIO_s_secmem()), &BIO_free);
  if (PEM_write_bio_PrivateKey(bio.get(), key.key_.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return fail(Error::Kind::kSystem, "the signing key could not be written as PEM");
  }
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  Result<FileHandle> file = open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (!file) return tl::unexpected(file.error());
  Result<void> done = write_at(file->get(), 0, as_bytes({data, static_cast<std::size_t>(size)}));
  if (!done) return tl::unexpected(done.error());
  if (::fsync(file->get()) != 0) return system_error(path);
  PosixFiles files;
  done = replace_file(files, path + ".pub", as_bytes(key.public_pem()));
  if (!done) return tl::unexpected(done.error());
  return key;
}

Result<SigningKey> SigningKey::read(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return system_error(path);
  if ((status.st_mode & 077) != 0) return fail(Error::Kind::kDenied, path + ": others can read the signing key; chmod 600 " + path);
  const Result<FileHandle> file = open_file(path, O_RDONLY);
  if (!file) return tl::unexpected(file.error());
  std::array<std::byte, 4096> pem{};
  const Result<std::size_t> size = read_at(file->get(), 0, pem);
  if (!size) return tl::unexpected(size.error());
  const BioPtr bio = memory_bio(as_text(Bytes(pem).first(*size)));
  std::shared_ptr<evp_pkey_st> key = owned(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  OPENSSL_cleanse(pem.data(), pem.size());
  if (key == nullptr) return fail(Error::Kind::kInvalid, path + ": not a private key in PEM form");
  if (EVP_PKEY_id(key.get()) != EVP_PKEY_ED25519) return fail(Error::Kind::kInvalid, path + ": seals are signed with an Ed25519 key; this is another kind");
  return SigningKey(std::move(key));
}

std::string SigningKey::public_pem() const {
  const BioPtr bio(BIO_new(BIO_s_mem()), &BIO_free);
  WEIR_CHECK(PEM_write_bio_PUBKEY(bio.get(), key_.get()) == 1);
  return drain(bio.get());
}

Result<Signature> SigningKey::sign(Bytes message) const {
  const ContextPtr context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  Signature signature{};
  std::size_t size = signature.size();
  if (context == nullptr || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, raw(message), message.size()) != 1 ||
      size != signature.size()) {
    return fail(Error::Kind::kSystem, "signing failed");
  }
  return signature;
}

}  // namespace weir::record

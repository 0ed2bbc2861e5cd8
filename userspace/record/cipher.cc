#include "record/cipher.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <climits>
#include <cstring>
#include <memory>

#include "base/check.h"

namespace weir::record {
namespace {

using CipherPtr = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

const unsigned char* raw(Bytes bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* raw(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }

}  // namespace

SecretKey SecretKey::random() {
  SecretKey key;
  WEIR_CHECK(RAND_bytes(raw(key.bytes_.data()), static_cast<int>(kSize)) == 1);
  return key;
}

std::optional<SecretKey> SecretKey::from(Bytes bytes) {
  if (bytes.size() != kSize) return std::nullopt;
  SecretKey key;
  std::memcpy(key.bytes_.data(), bytes.data(), kSize);
  return key;
}

SecretKey::SecretKey(SecretKey&& other) noexcept : bytes_(other.bytes_) { other.wipe(); }

SecretKey& SecretKey::operator=(SecretKey&& other) noexcept {
  if (this != &other) {
    bytes_ = other.bytes_;
    other.wipe();
  }
  return *this;
}

SecretKey::~SecretKey() { wipe(); }

void SecretKey::wipe() noexcept { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

Wiped::~Wiped() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

Digest commitment_of(const SecretKey& key) { return sha256({as_bytes("weir session key 1\n"), key.bytes()}); }

void seal_bytes(const SecretKey& key, const Nonce& nonce, Bytes associated, Bytes plain, std::vector<std::byte>& out) {
  WEIR_CHECK(plain.size() < INT_MAX && associated.size() < INT_MAX);
  const std::size_t begin = out.size();
  out.resize(begin + plain.size() + kTagSize);
  const CipherPtr context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  int size = 0;
  WEIR_CHECK(context != nullptr && EVP_EncryptInit_ex2(context.get(), EVP_aes_256_gcm(), raw(key.bytes()), raw(Bytes(nonce)), nullptr) == 1);
  WEIR_CHECK(EVP_EncryptUpdate(context.get(), nullptr, &size, raw(associated), static_cast<int>(associated.size())) == 1);
  if (!plain.empty()) WEIR_CHECK(EVP_EncryptUpdate(context.get(), raw(out.data() + begin), &size, raw(plain), static_cast<int>(plain.size())) == 1);
  std::byte* tag = out.data() + begin + plain.size();
  WEIR_CHECK(EVP_EncryptFinal_ex(context.get(), raw(tag), &size) == 1 && size == 0);
  WEIR_CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, static_cast<int>(kTagSize), tag) == 1);
}

bool open_bytes(const SecretKey& key, const Nonce& nonce, Bytes associated, Bytes sealed, std::vector<std::byte>& out) {
  if (sealed.size() < kTagSize) return false;
  out.resize(sealed.size() - kTagSize);
  return open_bytes(key, nonce, associated, sealed, MutableBytes(out));
}

bool open_bytes(const SecretKey& key, const Nonce& nonce, Bytes associated, Bytes sealed, MutableBytes out) {
  WEIR_CHECK(sealed.size() == out.size() + kTagSize);
  if (sealed.size() >= INT_MAX || associated.size() >= INT_MAX) return false;
  const std::size_t plain = out.size();
  std::array<std::byte, kTagSize> tag{};
  std::memcpy(tag.data(), sealed.data() + plain, kTagSize);
  const CipherPtr context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  int size = 0;
  WEIR_CHECK(context != nullptr && EVP_DecryptInit_ex2(context.get(), EVP_aes_256_gcm(), raw(key.bytes()), raw(Bytes(nonce)), nullptr) == 1);
  WEIR_CHECK(EVP_DecryptUpdate(context.get(), nullptr, &size, raw(associated), static_cast<int>(associated.size())) == 1);
  if (plain != 0) WEIR_CHECK(EVP_DecryptUpdate(context.get(), raw(out.data()), &size, raw(sealed), static_cast<int>(plain)) == 1);
  WEIR_CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(kTagSize), tag.data()) == 1);
  std::array<unsigned char, 16> rest{};
  return EVP_DecryptFinal_ex(context.get(), rest.data(), &size) == 1;
}

SecretKey hkdf_sha256(Bytes secret, Bytes salt, std::string_view info) {
  const std::unique_ptr<EVP_KDF, decltype(&EVP_KDF_free)> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr), &EVP_KDF_free);
  WEIR_CHECK(kdf != nullptr);
  const std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)> context(EVP_KDF_CTX_new(kdf.get()), &EVP_KDF_CTX_free);
  std::array<char, 7> digest{"SHA256"};
  // OpenSSL takes these as not const, and does not change them.
  const auto octets = [](const char* name, Bytes bytes) { return OSSL_PARAM_construct_octet_string(name, const_cast<std::byte*>(bytes.data()), bytes.size()); };
  const std::array<OSSL_PARAM, 5> parameters{OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0), octets(OSSL_KDF_PARAM_KEY, secret),
                                             octets(OSSL_KDF_PARAM_SALT, salt), octets(OSSL_KDF_PARAM_INFO, as_bytes(info)), OSSL_PARAM_construct_end()};
  std::array<std::byte, SecretKey::kSize> derived{};
  const Wiped wiped(derived);
  WEIR_CHECK(context != nullptr && EVP_KDF_derive(context.get(), raw(derived.data()), derived.size(), parameters.data()) == 1);
  return std::move(*SecretKey::from(derived));
}

}  // namespace weir::record

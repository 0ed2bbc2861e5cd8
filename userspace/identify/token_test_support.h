// Keys made on the spot, and a signer of tokens that can also do what no honest issuer would.
#pragma once
#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "identify/base64url.h"
#include "identify/jwks.h"
#include "identify/token.h"

namespace weir::identify::testing {

using nlohmann::json;
using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr sys_seconds kNow{seconds(1'800'000'000)};
constexpr int64_t kNowNumber = 1'800'000'000;

struct Folder {
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-identify-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path + "/" + name; }
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0644) const {
    std::ofstream(path + "/" + name) << text;
    chmod((path + "/" + name).c_str(), mode);
    return path + "/" + name;
  }
  std::string path;
};

using PrivateKey = std::unique_ptr<EVP_PKEY, PkeyFree>;
inline PrivateKey make_rsa(unsigned bits = 2048) { return PrivateKey(EVP_RSA_gen(bits)); }
inline PrivateKey make_ec(const char* curve) { return PrivateKey(EVP_EC_gen(curve)); }
inline PrivateKey make_ed25519() { return PrivateKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")); }

inline std::string text_of(const std::vector<std::byte>& bytes) { return encode_base64url(bytes); }
inline std::string encode(std::string_view text) { return encode_base64url(as_bytes(text)); }

// A big number of the key, base64url, padded to `size` if given.
inline std::string number_of(EVP_PKEY* key, const char* name, int size = 0) {
  BIGNUM* number = nullptr;
  EXPECT_EQ(EVP_PKEY_get_bn_param(key, name, &number), 1) << name;
  std::vector<std::byte> bytes(static_cast<std::size_t>(size == 0 ? BN_num_bytes(number) : size));
  BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  BN_free(number);
  return text_of(bytes);
}
inline json rsa_jwk(EVP_PKEY* key, const std::string& kid) {
  return {
      {"kty", "RSA"}, {"kid", kid}, {"n", number_of(key, OSSL_PKEY_PARAM_RSA_N)}, {"e", number_of(key, OSSL_PKEY_PARAM_RSA_E)}};
}
inline json ec_jwk(EVP_PKEY* key, const std::string& kid, const char* curve, int size) {
  return {{"kty", "EC"},
          {"crv", curve},
          {"kid", kid},
          {"x", number_of(key, OSSL_PKEY_PARAM_EC_PUB_X, size)},
          {"y", number_of(key, OSSL_PKEY_PARAM_EC_PUB_Y, size)}};
}
inline json ed25519_jwk(EVP_PKEY* key, const std::string& kid) {
  std::vector<std::byte> raw(32);
  std::size_t size = raw.size();
  EXPECT_EQ(EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(raw.data()), &size), 1);
  return {{"kty", "OKP"}, {"crv", "Ed25519"}, {"kid", kid}, {"x", text_of(raw)}};
}

// The raw JOSE signature.
inline std::vector<std::byte> sign(EVP_PKEY* key, Algorithm algorithm, std::string_view input) {
  const EVP_MD* digest = algorithm == Algorithm::kEdDsa                                     ? nullptr
                         : algorithm == Algorithm::kRs384 || algorithm == Algorithm::kEs384 ? EVP_sha384()
                         : algorithm == Algorithm::kRs512                                   ? EVP_sha512()
                                                                                            : EVP_sha256();
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* options = nullptr;
  EXPECT_EQ(EVP_DigestSignInit(context, &options, digest, nullptr, key), 1);
  if (algorithm == Algorithm::kPs256) {
    EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST);
  }
  const auto* data = reinterpret_cast<const unsigned char*>(input.data());
  std::size_t size = 0;
  EXPECT_EQ(EVP_DigestSign(context, nullptr, &size, data, input.size()), 1);
  std::vector<std::byte> signature(size);
  EXPECT_EQ(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size, data, input.size()), 1);
  EVP_MD_CTX_free(context);
  signature.resize(size);
  if (kind_for(algorithm) != KeyKind::kP256 && kind_for(algorithm) != KeyKind::kP384) return signature;
  const std::size_t half = algorithm == Algorithm::kEs256 ? 32 : 48;
  const auto* der = reinterpret_cast<const unsigned char*>(signature.data());
  ECDSA_SIG* pair = d2i_ECDSA_SIG(nullptr, &der, static_cast<long>(size));
  std::vector<std::byte> raw(2 * half);
  BN_bn2binpad(ECDSA_SIG_get0_r(pair), reinterpret_cast<unsigned char*>(raw.data()), static_cast<int>(half));
  BN_bn2binpad(ECDSA_SIG_get0_s(pair), reinterpret_cast<unsigned char*>(raw.data() + half), static_cast<int>(half));
  ECDSA_SIG_free(pair);
  return raw;
}

// One issuer with a key of each kind.
struct Issuer {
  PrivateKey rsa = make_rsa(), p256 = make_ec("P-256"), p384 = make_ec("P-384"), ed25519 = make_ed25519();
  IssuerConfig config;

  Issuer() {
    config.name = "lab-idp";
    config.url = "https://idp.example";
    config.audience = "weir-lab";
    config.algorithms = {"RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"};
  }
  [[nodiscard]] json jwks() const {
    return {{"keys",
             {rsa_jwk(rsa.get(), "rsa"), ec_jwk(p256.get(), "p256", "P-256", 32), ec_jwk(p384.get(), "p384", "P-384", 48),
              ed25519_jwk(ed25519.get(), "ed")}}};
  }
  [[nodiscard]] KeySet keys() const { return *KeySet::parse(jwks().dump()); }
  [[nodiscard]] json claims() const {
    return {{"iss", config.url},          {"aud", config.audience}, {"sub", "alice"},
            {"exp", kNowNumber + 3600},   {"iat", kNowNumber - 10}, {"jti", "id-1"},
            {"groups", {"dba", "agents"}}};
  }
  [[nodiscard]] EVP_PKEY* key_for(Algorithm algorithm) const {
    switch (kind_for(algorithm)) {
      case KeyKind::kRsa:
        return rsa.get();
      case KeyKind::kP256:
        return p256.get();
      case KeyKind::kP384:
        return p384.get();
      case KeyKind::kEd25519:
        return ed25519.get();
    }
    return nullptr;
  }
  [[nodiscard]] std::string kid_for(Algorithm algorithm) const {
    switch (kind_for(algorithm)) {
      case KeyKind::kRsa:
        return "rsa";
      case KeyKind::kP256:
        return "p256";
      case KeyKind::kP384:
        return "p384";
      case KeyKind::kEd25519:
        return "ed";
    }
    return "";
  }
  [[nodiscard]] std::string token_of_text(const std::string& header, const std::string& payload,
                                          Algorithm algorithm = Algorithm::kEs256) const {
    const std::string input = encode(header) + "." + encode(payload);
    return input + "." + text_of(sign(key_for(algorithm), algorithm, input));
  }
  [[nodiscard]] std::string token(const json& claims, Algorithm algorithm = Algorithm::kEs256,
                                  json header = json::object()) const {
    if (!header.contains("alg")) header["alg"] = std::string(name_of(algorithm));
    if (!header.contains("kid")) header["kid"] = kid_for(algorithm);
    return token_of_text(header.dump(), claims.dump(), algorithm);
  }
  [[nodiscard]] std::string token() const { return token(claims()); }
};

}  // namespace weir::identify::testing

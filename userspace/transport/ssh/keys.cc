#include "transport/ssh/keys.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>

#include "base/base64.h"
#include "base/check.h"
#include "transport/ssh/openssl_types.h"

namespace weir::ssh {
namespace {

using EcdsaSigPtr = std::unique_ptr<ECDSA_SIG, FreeWith<ECDSA_SIG_free>>;

constexpr std::size_t kEd25519Size = 32, kEd25519SignatureSize = 64;
constexpr std::size_t kExponentSizeMax = 8;

constexpr std::array<SignatureAlgorithm, 12> kAlgorithms{{
    {"ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", KeyType::kEd25519, true, nullptr},
    {"ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp256", KeyType::kEcdsa256, true, "SHA2-256"},
    {"ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp384", KeyType::kEcdsa384, true, "SHA2-384"},
    {"ecdsa-sha2-nistp521-cert-v01@openssh.com", "ecdsa-sha2-nistp521-cert-v01@openssh.com", "ecdsa-sha2-nistp521", KeyType::kEcdsa521, true, "SHA2-512"},
    {"rsa-sha2-512-cert-v01@openssh.com", "ssh-rsa-cert-v01@openssh.com", "rsa-sha2-512", KeyType::kRsa, true, "SHA2-512"},
    {"rsa-sha2-256-cert-v01@openssh.com", "ssh-rsa-cert-v01@openssh.com", "rsa-sha2-256", KeyType::kRsa, true, "SHA2-256"},
    {"ssh-ed25519", "ssh-ed25519", "ssh-ed25519", KeyType::kEd25519, false, nullptr},
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", KeyType::kEcdsa256, false, "SHA2-256"},
    {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", KeyType::kEcdsa384, false, "SHA2-384"},
    {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", KeyType::kEcdsa521, false, "SHA2-512"},
    {"rsa-sha2-512", "ssh-rsa", "rsa-sha2-512", KeyType::kRsa, false, "SHA2-512"},
    {"rsa-sha2-256", "ssh-rsa", "rsa-sha2-256", KeyType::kRsa, false, "SHA2-256"},
}};

struct Curve {
  KeyType type;
  std::string_view name;    // RFC 5656 section 6.1.
  const char* group;        // OpenSSL's.
  std::size_t field_size;
};
constexpr Curve kCurves[] = {{KeyType::kEcdsa256, "nistp256", "P-256", 32}, {KeyType::kEcdsa384, "nistp384", "P-384", 48}, {KeyType::kEcdsa521, "nistp521", "P-521", 66}};
const Curve* curve_of(KeyType type) {
  const auto* const found = std::find_if(std::begin(kCurves), std::end(kCurves), [&](const Curve& c) { return c.type == type; });
  return found == std::end(kCurves) ? nullptr : found;
}

const unsigned char* raw(Bytes bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* raw(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }
BignumPtr bignum(Bytes magnitude) { return BignumPtr(BN_bin2bn(raw(magnitude), static_cast<int>(magnitude.size()), nullptr)); }
Buffer bytes_of(const BIGNUM* number) {
  Buffer bytes(static_cast<std::size_t>(BN_num_bytes(number)));
  BN_bn2bin(number, raw(bytes.data()));
  return bytes;
}

PkeyPtr key_from(const char* type, OSSL_PARAM* parameters) {
  const PkeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 || EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) return nullptr;
  return PkeyPtr(key);
}

PkeyPtr ec_key(const Curve& curve, Bytes point) {
  // Uncompressed only: RFC 5656 allows the other form by agreement that nobody has.
  if (point.size() != 1 + 2 * curve.field_size || point[0] != std::byte{4}) return nullptr;
  std::string group(curve.group);
  Buffer copy(point.begin(), point.end());
  OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0),
                             OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy.data(), copy.size()), OSSL_PARAM_construct_end()};
  PkeyPtr key = key_from("EC", parameters);  // Refuses what is not on the curve.
  if (!key) return nullptr;
  const PkeyContextPtr check(EVP_PKEY_CTX_new(key.get(), nullptr));
  return check && EVP_PKEY_public_check(check.get()) == 1 ? std::move(key) : nullptr;
}

PkeyPtr rsa_key(Bytes exponent, Bytes modulus) {
  const BignumPtr e = bignum(exponent), n = bignum(modulus);
  const ParamBuildPtr build(OSSL_PARAM_BLD_new());
  if (!e || !n || !build || OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return nullptr;
  }
  const ParamPtr parameters(OSSL_PARAM_BLD_to_param(build.get()));
  return parameters ? key_from("RSA", parameters.get()) : nullptr;
}

BignumPtr parameter_of(const EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  return EVP_PKEY_get_bn_param(key, name, &number) == 1 ? BignumPtr(number) : nullptr;
}

// SSH's form of an ECDSA signature, two mpints, to DER; empty if it is not one.
Buffer ecdsa_to_der(Bytes blob) {
  WireReader reader(blob);
  const Bytes r = reader.mpint(), s = reader.mpint();
  if (!reader.done() || r.empty() || s.empty() || r.size() > 66 || s.size() > 66) return {};
  const EcdsaSigPtr signature(ECDSA_SIG_new());
  BignumPtr r_number = bignum(r), s_number = bignum(s);
  if (!signature || !r_number || !s_number || ECDSA_SIG_set0(signature.get(), r_number.get(), s_number.get()) != 1) return {};
  static_cast<void>(r_number.release());
  static_cast<void>(s_number.release());
  const int size = i2d_ECDSA_SIG(signature.get(), nullptr);
  if (size <= 0) return {};
  Buffer der(static_cast<std::size_t>(size));
  unsigned char* out = raw(der.data());
  i2d_ECDSA_SIG(signature.get(), &out);
  return der;
}

bool ecdsa_from_der(Bytes der, Buffer& out) {
  const unsigned char* in = raw(der);
  const EcdsaSigPtr signature(d2i_ECDSA_SIG(nullptr, &in, static_cast<long>(der.size())));
  if (!signature) return false;
  WireWriter(out).mpint(bytes_of(ECDSA_SIG_get0_r(signature.get()))).mpint(bytes_of(ECDSA_SIG_get0_s(signature.get())));
  return true;
}

}  // namespace

std::span<const SignatureAlgorithm> signature_algorithms() { return kAlgorithms; }

const SignatureAlgorithm* find_signature_algorithm(std::string_view name) {
  const auto* const found = std::find_if(kAlgorithms.begin(), kAlgorithms.end(), [&](const SignatureAlgorithm& a) { return a.name == name; });
  return found == kAlgorithms.end() ? nullptr : found;
}

std::string_view plain_blob_type(KeyType type) {
  const auto* const found = std::find_if(kAlgorithms.begin(), kAlgorithms.end(), [&](const SignatureAlgorithm& a) { return a.type == type && !a.is_certificate; });
  return found->blob_type;
}

const SignatureAlgorithm* find_signature_for(std::string_view blob_type, std::string_view wanted_names) {
  for (const SignatureAlgorithm& algorithm : kAlgorithms) {
    if (algorithm.blob_type == blob_type && has_name(wanted_names, algorithm.name)) return &algorithm;
  }
  return nullptr;
}

Result<PublicKey> PublicKey::parse(Bytes blob) {
  WireReader reader(blob);
  const std::string_view type = reader.text();
  for (const SignatureAlgorithm& algorithm : kAlgorithms) {
    if (algorithm.is_certificate || algorithm.blob_type != type) continue;
    auto key = parse_fields(algorithm.type, reader);
    if (key && !reader.done()) return fail(Error::Kind::kInvalid, "a key has bytes behind its end");
    return key;
  }
  return fail(Error::Kind::kInvalid, "a key of a type that is not accepted (ssh-ed25519, ecdsa-sha2-nistp256/384/521 and ssh-rsa are)");
}

Result<PublicKey> PublicKey::parse_fields(KeyType type, WireReader& reader) {
  PublicKey made;
  made.type_ = type;
  Buffer fields;
  PkeyPtr key;
  if (type == KeyType::kEd25519) {
    const Bytes point = reader.string();
    if (reader.failed() || point.size() != kEd25519Size) return fail(Error::Kind::kInvalid, "an Ed25519 key is not 32 bytes");
    key.reset(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw(point), point.size()));
    WireWriter(fields).string(point);
  } else if (type == KeyType::kRsa) {
    const Bytes e = reader.mpint(), n = reader.mpint();
    if (reader.failed() || e.empty() || n.empty()) return fail(Error::Kind::kInvalid, "an RSA key's numbers cannot be read");
    const auto bits = static_cast<int>(n.size() * 8) - std::countl_zero(std::to_integer<uint8_t>(n[0]));
    if (bits < kRsaBitsMin) return fail(Error::Kind::kInvalid, "an RSA key of " + std::to_string(bits) + " bits: 2048 is the least");
    const bool is_odd = (e.back() & n.back() & std::byte{1}) != std::byte{0};
    if (bits > kRsaBitsMax || e.size() > kExponentSizeMax || !is_odd || (e.size() == 1 && e[0] == std::byte{1}))
      return fail(Error::Kind::kInvalid, "an RSA key's numbers are out of bounds");
    key = rsa_key(e, n);
    WireWriter(fields).mpint(e).mpint(n);
  } else {
    const Curve& curve = *curve_of(type);
    const std::string_view name = reader.text();
    const Bytes point = reader.string();
    if (reader.failed() || name != curve.name) return fail(Error::Kind::kInvalid, "an ECDSA key of another curve than its type says");
    key = ec_key(curve, point);
    WireWriter(fields).string(name).string(point);
  }
  if (!key) return fail(Error::Kind::kInvalid, "a key that is not valid: " + transport::take_openssl_error());
  made.key_ = std::shared_ptr<EVP_PKEY>(key.release(), EVP_PKEY_free);
  made.write_blob(fields);
  return made;
}

void PublicKey::write_blob(Bytes fields) {
  blob_.clear();
  WireWriter(blob_).string(plain_blob_type(type_)).raw(fields);
}

Result<PublicKey> PublicKey::from(const EVP_PKEY* key) {
  Buffer fields;
  WireWriter out(fields);
  KeyType type = KeyType::kEd25519;
  if (EVP_PKEY_is_a(key, "ED25519") == 1) {
    Buffer point(kEd25519Size);
    std::size_t size = point.size();
    if (EVP_PKEY_get_raw_public_key(key, raw(point.data()), &size) != 1) return fail(Error::Kind::kInvalid, "a key without its public half");
    out.string(point);
  } else if (EVP_PKEY_is_a(key, "RSA") == 1) {
    type = KeyType::kRsa;
    const BignumPtr e = parameter_of(key, OSSL_PKEY_PARAM_RSA_E), n = parameter_of(key, OSSL_PKEY_PARAM_RSA_N);
    if (!e || !n) return fail(Error::Kind::kInvalid, "a key without its public half");
    out.mpint(bytes_of(e.get())).mpint(bytes_of(n.get()));
  } else if (EVP_PKEY_is_a(key, "EC") == 1) {
    const int bits = EVP_PKEY_get_bits(key);
    type = bits == 256 ? KeyType::kEcdsa256 : bits == 384 ? KeyType::kEcdsa384 : KeyType::kEcdsa521;
    const Curve& curve = *curve_of(type);
    const BignumPtr x = parameter_of(key, OSSL_PKEY_PARAM_EC_PUB_X), y = parameter_of(key, OSSL_PKEY_PARAM_EC_PUB_Y);
    Buffer point(1 + 2 * curve.field_size, std::byte{4});
    const auto size = static_cast<int>(curve.field_size);
    if (!x || !y || BN_bn2binpad(x.get(), raw(point.data() + 1), size) != size || BN_bn2binpad(y.get(), raw(point.data() + 1 + size), size) != size)
      return fail(Error::Kind::kInvalid, "an elliptic curve key that is not of P-256, P-384 or P-521");
    out.string(curve.name).string(point);
  } else {
    return fail(Error::Kind::kInvalid, "a key of a type that SSH is not used with here (Ed25519, ECDSA and RSA are)");
  }
  // Read again: all that a peer's key has to keep to holds for ours, the curve above all.
  WireReader reader(fields);
  return parse_fields(type, reader);
}

std::string fingerprint_of(Bytes blob) {
  std::array<std::byte, 32> digest{};
  unsigned size = 0;
  WEIR_CHECK(EVP_Digest(raw(blob), blob.size(), raw(digest.data()), &size, EVP_sha256(), nullptr) == 1);
  std::string text = base64(digest);
  while (text.ends_with('=')) text.pop_back();
  return "SHA256:" + text;
}

std::string PublicKey::fingerprint() const { return fingerprint_of(blob_); }

bool PublicKey::verify(const SignatureAlgorithm& algorithm, Bytes signature, Bytes data) const {
  if (algorithm.type != type_) return false;
  WireReader reader(signature);
  const std::string_view name = reader.text();
  Bytes value = reader.string();
  if (!reader.done() || name != algorithm.signature) return false;
  Buffer made;
  if (type_ == KeyType::kRsa) {
    // RFC 8332 section 3: as long as the modulus.  Old signers drop zeros in front, which verifiers put back.
    const auto size = static_cast<std::size_t>(EVP_PKEY_get_size(key_.get()));
    if (value.empty() || value.size() > size) return false;
    if (value.size() < size) {
      made.assign(size - value.size(), std::byte{0});
      made.insert(made.end(), value.begin(), value.end());
      value = made;
    }
  } else if (type_ == KeyType::kEd25519) {
    if (value.size() != kEd25519SignatureSize) return false;
  } else {
    made = ecdsa_to_der(value);
    if (made.empty()) return false;
    value = made;
  }
  const MdContextPtr context(EVP_MD_CTX_new());
  const bool ok = context && EVP_DigestVerifyInit_ex(context.get(), nullptr, algorithm.digest, nullptr, nullptr, key_.get(), nullptr) == 1 &&
                  EVP_DigestVerify(context.get(), raw(value), value.size(), raw(data), data.size()) == 1;
  if (!ok) static_cast<void>(transport::take_openssl_error());
  return ok;
}

Result<PrivateKey> PrivateKey::from(PkeyPtr key) {
  auto of = PublicKey::from(key.get());
  if (!of) return tl::unexpected<Error>(of.error());
  return PrivateKey(std::shared_ptr<EVP_PKEY>(key.release(), EVP_PKEY_free), std::move(*of));
}

Result<PrivateKey> PrivateKey::generate(KeyType type, int rsa_bits) {
  PkeyPtr key;
  if (type == KeyType::kEd25519) key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  else if (type == KeyType::kRsa) key.reset(EVP_RSA_gen(static_cast<unsigned>(rsa_bits)));
  else key.reset(EVP_EC_gen(curve_of(type)->group));
  if (!key) return fail(Error::Kind::kSystem, "a key could not be made: " + transport::take_openssl_error());
  return from(std::move(key));
}

Result<Buffer> PrivateKey::sign(const SignatureAlgorithm& algorithm, Bytes data) const {
  WEIR_CHECK(algorithm.type == public_.type());
  const MdContextPtr context(EVP_MD_CTX_new());
  std::size_t size = 0;
  Buffer value;
  bool ok = context && EVP_DigestSignInit_ex(context.get(), nullptr, algorithm.digest, nullptr, nullptr, key_.get(), nullptr) == 1 &&
            EVP_DigestSign(context.get(), nullptr, &size, raw(data), data.size()) == 1;
  if (ok) {
    value.resize(size);
    ok = EVP_DigestSign(context.get(), raw(value.data()), &size, raw(data), data.size()) == 1;
    value.resize(ok ? size : 0);
  }
  if (ok && curve_of(algorithm.type) != nullptr) {
    Buffer pair;
    ok = ecdsa_from_der(value, pair);
    value = std::move(pair);
  }
  if (!ok) return fail(Error::Kind::kSystem, "a signature could not be made: " + transport::take_openssl_error());
  Buffer signature;
  WireWriter(signature).string(algorithm.signature).string(value);
  return signature;
}

}  // namespace weir::ssh

#include "transport/ssh/key_exchange.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>

#include <algorithm>
#include <array>

#include "base/check.h"
#include "transport/ssh/openssl_types.h"

namespace weir::ssh {
namespace {

using MdPtr = std::unique_ptr<EVP_MD, FreeWith<EVP_MD_free>>;
using Kind = KexMethod::Kind;

constexpr std::size_t kX25519Size = 32;

constexpr KexMethod kMethods[] = {
    {"curve25519-sha256", Kind::kX25519, "X25519", "SHA2-256", 32},
    {"curve25519-sha256@libssh.org", Kind::kX25519, "X25519", "SHA2-256", 32},
    {"ecdh-sha2-nistp256", Kind::kEcdh, "P-256", "SHA2-256", 32},
    {"ecdh-sha2-nistp384", Kind::kEcdh, "P-384", "SHA2-384", 48},
    {"ecdh-sha2-nistp521", Kind::kEcdh, "P-521", "SHA2-512", 66},
    {"diffie-hellman-group16-sha512", Kind::kFiniteField, "modp_4096", "SHA2-512", 512},
    {"diffie-hellman-group18-sha512", Kind::kFiniteField, "modp_8192", "SHA2-512", 1024},
    {"diffie-hellman-group14-sha256", Kind::kFiniteField, "modp_2048", "SHA2-256", 256},
};

const unsigned char* raw(Bytes bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* raw(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }

// Strings, numbers and secrets into one digest.
class Digester {
 public:
  explicit Digester(const KexMethod& method) : md_(EVP_MD_fetch(nullptr, method.digest, nullptr)), context_(EVP_MD_CTX_new()) {
    ok_ = md_ && context_ && EVP_DigestInit_ex(context_.get(), md_.get(), nullptr) == 1;
  }
  Digester& raw_bytes(Bytes bytes) {
    ok_ = ok_ && EVP_DigestUpdate(context_.get(), raw(bytes), bytes.size()) == 1;
    return *this;
  }
  Digester& string(Bytes bytes) { return size(bytes.size()).raw_bytes(bytes); }
  Digester& mpint(Bytes magnitude) {
    const Bytes bytes = without_leading_zeros(magnitude);
    const bool needs_pad = !bytes.empty() && (std::to_integer<uint8_t>(bytes[0]) & 0x80) != 0;
    size(bytes.size() + (needs_pad ? 1 : 0));
    constexpr std::byte kZero{0};
    if (needs_pad) raw_bytes({&kZero, 1});
    return raw_bytes(bytes);
  }
  // Into `out`; 0 on failure.
  std::size_t finish(std::array<std::byte, EVP_MAX_MD_SIZE>& out) {
    unsigned size = 0;
    return ok_ && EVP_DigestFinal_ex(context_.get(), raw(out.data()), &size) == 1 ? size : 0;
  }

 private:
  Digester& size(std::size_t size) {
    std::array<std::byte, 4> bytes{};
    store_be<uint32_t>(bytes, 0, static_cast<uint32_t>(size));
    return raw_bytes(bytes);
  }
  MdPtr md_;
  MdContextPtr context_;
  bool ok_ = false;
};

PkeyPtr ec_peer(const KexMethod& method, Bytes point) {
  if (point.size() != 1U + 2U * method.size || point[0] != std::byte{4}) return nullptr;
  std::string group(method.group);
  Buffer copy(point.begin(), point.end());
  OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0),
                             OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy.data(), copy.size()), OSSL_PARAM_construct_end()};
  const PkeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 || EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) return nullptr;
  return PkeyPtr(key);
}

PkeyPtr dh_peer(const KexMethod& method, const EVP_PKEY* own, Bytes value) {
  if (value.size() > method.size) return nullptr;
  BIGNUM* prime = nullptr;
  if (EVP_PKEY_get_bn_param(own, OSSL_PKEY_PARAM_FFC_P, &prime) != 1) return nullptr;
  const BignumPtr p(prime), y(BN_bin2bn(raw(value), static_cast<int>(value.size()), nullptr));
  // 1 < y < p - 1 (RFC 8268 section 4): 0, 1 and p - 1 would fix the secret.
  if (!y || BN_cmp(y.get(), BN_value_one()) <= 0 || BN_sub_word(p.get(), 1) != 1 || BN_cmp(y.get(), p.get()) >= 0) return nullptr;
  const ParamBuildPtr build(OSSL_PARAM_BLD_new());
  if (!build || OSSL_PARAM_BLD_push_utf8_string(build.get(), OSSL_PKEY_PARAM_GROUP_NAME, method.group, 0) != 1 ||
      OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_PUB_KEY, y.get()) != 1) {
    return nullptr;
  }
  const ParamPtr parameters(OSSL_PARAM_BLD_to_param(build.get()));
  const PkeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, "DH", nullptr));
  EVP_PKEY* key = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 || EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1) return nullptr;
  return PkeyPtr(key);
}

}  // namespace

std::span<const KexMethod> kex_methods() { return kMethods; }

const KexMethod* find_kex_method(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kMethods), std::end(kMethods), [&](const KexMethod& m) { return m.name == name; });
  return found == std::end(kMethods) ? nullptr : found;
}

std::unique_ptr<EphemeralKey> EphemeralKey::make(const KexMethod& method, RandomSource& random) {
  std::unique_ptr<EphemeralKey> made(new EphemeralKey(method));
  bool ok = false;
  switch (method.kind) {
    case Kind::kX25519: ok = made->make_x25519(random); break;
    case Kind::kEcdh: ok = made->make_named("EC"); break;
    case Kind::kFiniteField: ok = made->make_named("DH"); break;
  }
  return ok ? std::move(made) : nullptr;
}

bool EphemeralKey::make_x25519(RandomSource& random) {
  std::array<std::byte, kX25519Size> scalar{};
  random.fill(scalar);
  key_.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, raw(scalar.data()), scalar.size()));
  OPENSSL_cleanse(scalar.data(), scalar.size());
  public_.resize(kX25519Size);
  std::size_t size = public_.size();
  return key_ && EVP_PKEY_get_raw_public_key(key_.get(), raw(public_.data()), &size) == 1 && size == kX25519Size;
}

bool EphemeralKey::make_named(const char* type) {
  const PkeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  std::string group(method_->group);
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0), OSSL_PARAM_construct_end()};
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_keygen_init(context.get()) != 1 || EVP_PKEY_CTX_set_params(context.get(), parameters) != 1 || EVP_PKEY_keygen(context.get(), &key) != 1) return false;
  key_.reset(key);
  if (method_->kind == Kind::kFiniteField) {
    BIGNUM* value = nullptr;
    if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PUB_KEY, &value) != 1) return false;
    const BignumPtr number(value);
    public_.resize(static_cast<std::size_t>(BN_num_bytes(number.get())));
    BN_bn2bin(number.get(), raw(public_.data()));
    return true;
  }
  public_.resize(1U + 2U * method_->size);
  std::size_t size = 0;
  return EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, raw(public_.data()), public_.size(), &size) == 1 && size == public_.size() &&
         public_[0] == std::byte{4};
}

PkeyPtr EphemeralKey::peer_key(Bytes peer) const {
  switch (method_->kind) {
    case Kind::kX25519:
      return peer.size() == kX25519Size ? PkeyPtr(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, raw(peer), peer.size())) : nullptr;
    case Kind::kEcdh: return ec_peer(*method_, peer);
    case Kind::kFiniteField: return dh_peer(*method_, key_.get(), peer);
  }
  return nullptr;
}

std::optional<Secret> EphemeralKey::agree(Bytes peer) {
  const PkeyPtr other = peer_key(peer);
  const PkeyPtr own = std::move(key_);
  const PkeyContextPtr context(own ? EVP_PKEY_CTX_new(own.get(), nullptr) : nullptr);
  std::size_t size = 0;
  // set_peer validates the value once more, as its group defines (SP 800-56A).  X25519 fails itself for a secret of zeros.
  if (!other || !context || EVP_PKEY_derive_init(context.get()) != 1 || EVP_PKEY_derive_set_peer(context.get(), other.get()) != 1 ||
      EVP_PKEY_derive(context.get(), nullptr, &size) != 1) {
    static_cast<void>(transport::take_openssl_error());
    return std::nullopt;
  }
  Secret shared = Secret::of_size(size);
  if (EVP_PKEY_derive(context.get(), raw(shared.mutable_bytes().data()), &size) != 1 || size == 0 || size > shared.size()) {
    static_cast<void>(transport::take_openssl_error());
    return std::nullopt;
  }
  shared.shorten(size);
  if (without_leading_zeros(shared.bytes()).empty()) return std::nullopt;
  return shared;
}

Buffer exchange_hash(const KexMethod& method, const ExchangeTranscript& said, const Secret& shared) {
  Digester digest(method);
  digest.string(as_bytes(said.client_version)).string(as_bytes(said.server_version)).string(said.client_init).string(said.server_init).string(said.host_key);
  if (method.kind == Kind::kFiniteField) digest.mpint(said.client_public).mpint(said.server_public);
  else digest.string(said.client_public).string(said.server_public);
  digest.mpint(shared.bytes());
  std::array<std::byte, EVP_MAX_MD_SIZE> out{};
  const std::size_t size = digest.finish(out);
  return {out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size)};
}

std::optional<Secret> derive_key(const KexMethod& method, const Secret& shared, Bytes hash, char letter, Bytes session_id, std::size_t size) {
  Secret key = Secret::of_size(size);
  std::array<std::byte, EVP_MAX_MD_SIZE> block{};
  std::size_t made = 0;
  bool ok = true;
  while (ok && made < size) {
    Digester digest(method);
    digest.mpint(shared.bytes()).raw_bytes(hash);
    if (made == 0) digest.raw_bytes(as_bytes({&letter, 1})).raw_bytes(session_id);
    else digest.raw_bytes(key.bytes().first(made));
    const std::size_t got = digest.finish(block);
    ok = got != 0;
    const std::size_t taken = std::min(got, size - made);
    std::memcpy(key.mutable_bytes().data() + made, block.data(), taken);
    made += taken;
  }
  OPENSSL_cleanse(block.data(), block.size());
  if (!ok) return std::nullopt;
  return key;
}

}  // namespace weir::ssh

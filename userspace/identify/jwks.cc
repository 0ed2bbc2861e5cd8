#include "identify/jwks.h"

#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "identify/base64url.h"
#include "identify/strict_json.h"

namespace weir::identify {
namespace {

using nlohmann::json;

constexpr std::size_t kRsaBytesMin = 256, kRsaBytesMax = 1024;  // 2048 to 8192 bits.
constexpr std::size_t kKeyIdMax = 256;

template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
using Number = std::unique_ptr<BIGNUM, FreeWith<BN_free>>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, FreeWith<OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, FreeWith<OSSL_PARAM_free>>;
using Context = std::unique_ptr<EVP_PKEY_CTX, FreeWith<EVP_PKEY_CTX_free>>;
using KeyPointer = std::unique_ptr<EVP_PKEY, PkeyFree>;

const unsigned char* data_of(Bytes bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
Number number_of(Bytes bytes) { return Number(BN_bin2bn(data_of(bytes), static_cast<int>(bytes.size()), nullptr)); }

KeyPointer make_key(const char* kind, OSSL_PARAM_BLD* builder) {
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder));
  const Context context(EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr));
  EVP_PKEY* key = nullptr;
  if (parameters && context && EVP_PKEY_fromdata_init(context.get()) == 1) {
    EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get());
  }
  KeyPointer made(key);
  const Context check(made ? EVP_PKEY_CTX_new(made.get(), nullptr) : nullptr);
  if (!check || EVP_PKEY_public_check(check.get()) != 1) return nullptr;  // A point off the curve ends here.
  return made;
}

// A member that is base64url, decoded; empty: not there, or not so.
std::vector<std::byte> binary_member(const json& key, const char* name) {
  const auto found = key.find(name);
  if (found == key.end() || !found->is_string()) return {};
  return decode_base64url(found->get_ref<const std::string&>()).value_or(std::vector<std::byte>{});
}
std::string_view text_member(const json& key, const char* name) {
  const auto found = key.find(name);
  return found != key.end() && found->is_string() ? std::string_view(found->get_ref<const std::string&>()) : std::string_view();
}

Result<KeyPointer> rsa_key(const json& key) {
  const auto modulus = binary_member(key, "n"), exponent = binary_member(key, "e");
  if (modulus.empty() || exponent.empty() || modulus.front() == std::byte{0})
    return fail(Error::Kind::kInvalid, "n or e is missing or malformed");
  if (modulus.size() < kRsaBytesMin) return fail(Error::Kind::kInvalid, "an RSA key of less than 2048 bits is too weak");
  if (modulus.size() > kRsaBytesMax) return fail(Error::Kind::kInvalid, "an RSA key of more than 8192 bits is too large");
  const Number n = number_of(modulus), e = number_of(exponent);
  // Odd and of at most 32 bits: a huge exponent would make each check cost seconds.
  if (exponent.size() > 4 || !BN_is_odd(e.get()) || BN_is_one(e.get()))
    return fail(Error::Kind::kInvalid, "its RSA exponent is not usable");
  const Builder builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get());
  return make_key("RSA", builder.get());
}

Result<KeyPointer> ec_key(const json& key, const char* group, std::size_t size) {
  const auto x = binary_member(key, "x"), y = binary_member(key, "y");
  if (x.size() != size || y.size() != size) return fail(Error::Kind::kInvalid, "x or y is missing or of the wrong size");
  std::vector<std::byte> point{std::byte{4}};  // Uncompressed.
  point.insert(point.end(), x.begin(), x.end());
  point.insert(point.end(), y.begin(), y.end());
  const Builder builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  return make_key("EC", builder.get());
}

Result<KeyPointer> ed25519_key(const json& key) {
  const auto x = binary_member(key, "x");
  if (x.size() != 32) return fail(Error::Kind::kInvalid, "x is missing or of the wrong size");
  return KeyPointer(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, data_of(x), x.size()));
}

// Whether the set says that this key is for checking signatures, or says nothing.
bool is_for_signatures(const json& key) {
  if (key.contains("use") && text_member(key, "use") != "sig") return false;
  const auto operations = key.find("key_ops");
  if (operations == key.end()) return true;
  return operations->is_array() && std::find(operations->begin(), operations->end(), "verify") != operations->end();
}

// One key.  A null key: of a kind that is left out.
Result<Key> read_key(const json& key) {
  if (!key.is_object()) return fail(Error::Kind::kInvalid, "is no object");
  if (key.contains("d") || key.contains("p"))
    return fail(Error::Kind::kInvalid, "is a private key: a gateway must not have it; publish the public half");
  Key read;
  read.id = text_member(key, "kid");
  if (read.id.size() > kKeyIdMax) return fail(Error::Kind::kInvalid, "has a kid that is too long");
  if (!is_for_signatures(key)) return read;
  if (key.contains("alg")) {
    read.algorithm = parse_algorithm(text_member(key, "alg"));
    if (!read.algorithm) return read;
  }
  const std::string_view type = text_member(key, "kty"), curve = text_member(key, "crv");
  Result<KeyPointer> made;
  if (type == "RSA") {
    read.kind = KeyKind::kRsa;
    made = rsa_key(key);
  } else if (type == "EC" && curve == "P-256") {
    read.kind = KeyKind::kP256;
    made = ec_key(key, "P-256", 32);
  } else if (type == "EC" && curve == "P-384") {
    read.kind = KeyKind::kP384;
    made = ec_key(key, "P-384", 48);
  } else if (type == "OKP" && curve == "Ed25519") {
    read.kind = KeyKind::kEd25519;
    made = ed25519_key(key);
  } else {
    return read;
  }
  ERR_clear_error();
  if (!made) return tl::unexpected<Error>(made.error());
  if (!*made) return fail(Error::Kind::kInvalid, "is not a valid key");
  if (read.algorithm && kind_for(*read.algorithm) != read.kind)
    return fail(Error::Kind::kInvalid, "has an alg that does not fit its kty");
  read.key = std::move(*made);
  return read;
}

struct Scheme {
  const EVP_MD* digest;
  bool is_pss;
};
Scheme scheme_of(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kRs256:
    case Algorithm::kEs256:
      return {EVP_sha256(), false};
    case Algorithm::kRs384:
    case Algorithm::kEs384:
      return {EVP_sha384(), false};
    case Algorithm::kRs512:
      return {EVP_sha512(), false};
    case Algorithm::kPs256:
      return {EVP_sha256(), true};
    case Algorithm::kEdDsa:
      return {nullptr, false};  // Ed25519 hashes by itself.
  }
  return {nullptr, false};
}

// JOSE has r and s side by side (RFC 7518 section 3.4); OpenSSL wants them in DER.  Empty: of the wrong size.
std::vector<std::byte> der_signature(Bytes signature, std::size_t half) {
  if (signature.size() != 2 * half) return {};
  Number r = number_of(signature.first(half)), s = number_of(signature.subspan(half));
  const std::unique_ptr<ECDSA_SIG, FreeWith<ECDSA_SIG_free>> pair(ECDSA_SIG_new());
  if (!pair || !r || !s || ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) return {};
  static_cast<void>(r.release());
  static_cast<void>(s.release());
  std::array<unsigned char, 160> der{};
  unsigned char* end = der.data();
  const int size = i2d_ECDSA_SIG(pair.get(), nullptr);
  if (size <= 0 || size > static_cast<int>(der.size()) || i2d_ECDSA_SIG(pair.get(), &end) != size) return {};
  const Bytes bytes = std::as_bytes(std::span(der)).first(static_cast<std::size_t>(size));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

std::optional<Algorithm> parse_algorithm(std::string_view name) {
#define X(enumerator, text) \
  if (name == text) return Algorithm::enumerator;
  WEIR_TOKEN_ALGORITHMS(X)
#undef X
  return std::nullopt;
}

std::string_view name_of(Algorithm algorithm) {
  switch (algorithm) {
#define X(enumerator, text)   \
  case Algorithm::enumerator: \
    return text;
    WEIR_TOKEN_ALGORITHMS(X)
#undef X
  }
  return "";
}

KeyKind kind_for(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kRs256:
    case Algorithm::kRs384:
    case Algorithm::kRs512:
    case Algorithm::kPs256:
      return KeyKind::kRsa;
    case Algorithm::kEs256:
      return KeyKind::kP256;
    case Algorithm::kEs384:
      return KeyKind::kP384;
    case Algorithm::kEdDsa:
      return KeyKind::kEd25519;
  }
  return KeyKind::kRsa;
}

Result<KeySet> KeySet::parse(std::string_view text) {
  if (text.size() > kSizeMax) return fail(Error::Kind::kInvalid, "the key set is larger than 1 MiB");
  const auto set = parse_strict_json(text);
  if (!set) return fail(Error::Kind::kInvalid, "the key set is no JSON object: " + set.error().message);
  const auto keys = set->find("keys");
  if (keys == set->end() || !keys->is_array()) return fail(Error::Kind::kInvalid, "the key set has no array \"keys\"");
  if (keys->size() > kKeysMax)
    return fail(Error::Kind::kInvalid, "the key set has more than " + std::to_string(kKeysMax) + " keys");
  KeySet parsed;
  std::size_t index = 0;
  for (const json& each : *keys) {
    auto key = read_key(each);
    if (!key) return fail(Error::Kind::kInvalid, "key " + std::to_string(index) + " of the set " + key.error().message);
    ++index;
    if (!key->key) {
      ++parsed.ignored_;
      continue;
    }
    const auto has_same_id = [&](const Key& other) { return other.id == key->id && other.kind == key->kind; };
    if (!key->id.empty() && std::any_of(parsed.keys_.begin(), parsed.keys_.end(), has_same_id)) {
      return fail(Error::Kind::kInvalid, "key " + std::to_string(index - 1) + " of the set has the kid of another key");
    }
    parsed.keys_.push_back(std::move(*key));
  }
  if (parsed.keys_.empty())
    return fail(Error::Kind::kInvalid, "the key set has no key that checks a signature (RSA, P-256, P-384, Ed25519)");
  return parsed;
}

const Key* KeySet::find(std::string_view kid, Algorithm algorithm) const {
  const Key* found = nullptr;
  for (const Key& key : keys_) {
    if (key.kind != kind_for(algorithm) || (key.algorithm && *key.algorithm != algorithm)) continue;
    if (!kid.empty() && key.id != kid) continue;
    if (found != nullptr) return nullptr;  // Without a kid it must be clear which.
    found = &key;
  }
  return found;
}

bool verify_signature(const Key& key, Algorithm algorithm, Bytes input, Bytes signature) {
  const Scheme scheme = scheme_of(algorithm);
  std::vector<std::byte> der;
  if (key.kind == KeyKind::kP256 || key.kind == KeyKind::kP384) {
    der = der_signature(signature, key.kind == KeyKind::kP256 ? 32 : 48);
    if (der.empty()) return false;
    signature = der;
  }
  const std::unique_ptr<EVP_MD_CTX, FreeWith<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;  // Owned by context.
  bool is_good = context && EVP_DigestVerifyInit(context.get(), &options, scheme.digest, nullptr, key.key.get()) == 1;
  if (is_good && scheme.is_pss) {
    is_good = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
              EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1;
  }
  is_good = is_good && EVP_DigestVerify(context.get(), data_of(signature), signature.size(), data_of(input), input.size()) == 1;
  ERR_clear_error();
  return is_good;
}

std::optional<FileStamp> stamp_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  const auto nanoseconds = [](const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; };
  return FileStamp{status.st_dev, status.st_ino, static_cast<uint64_t>(status.st_size), nanoseconds(status.st_ctim),
                   nanoseconds(status.st_mtim)};
}

Result<KeyFile> read_key_file(const std::string& path) {
  // The stamp first: a change between the two is seen at the next look.
  const auto stamp = stamp_of(path);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 || !stamp) {
    const int code = errno;
    if (fd >= 0) ::close(fd);
    return fail(code == ENOENT ? Error::Kind::kNotFound : Error::Kind::kSystem, path + ": " + std::strerror(code), code);
  }
  KeyFile file{std::string(KeySet::kSizeMax + 1, '\0'), *stamp};
  struct stat status {};
  const bool is_regular = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  std::size_t size = 0;
  ssize_t got = 0;
  while (is_regular && size < file.text.size() && (got = ::read(fd, file.text.data() + size, file.text.size() - size)) != 0) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    size += static_cast<std::size_t>(got);
  }
  const int code = errno;
  ::close(fd);
  if (!is_regular) return fail(Error::Kind::kInvalid, path + " is not a regular file");
  if (got < 0) return fail(Error::Kind::kSystem, path + ": " + std::strerror(code), code);
  if ((status.st_mode & 022) != 0)
    return fail(Error::Kind::kDenied,
                path + " can be written by others, who could then sign in as anybody; chmod go-w " + path);
  if (size > KeySet::kSizeMax) return fail(Error::Kind::kInvalid, path + " is larger than 1 MiB");
  file.text.resize(size);
  return file;
}

}  // namespace weir::identify

#include "transport/ssh/key_file.h"

#include <openssl/core_names.h>
#include <openssl/pem.h>

#include <algorithm>

#include "base/base64.h"
#include "transport/secret_file.h"
#include "transport/ssh/openssl_types.h"

namespace weir::ssh {
namespace {

using transport::BioPtr;
using transport::SecretString;
using BnContextPtr = std::unique_ptr<BN_CTX, FreeWith<BN_CTX_free>>;

constexpr std::string_view kBegin = "-----BEGIN OPENSSH PRIVATE KEY-----", kEnd = "-----END OPENSSH PRIVATE KEY-----";
constexpr std::string_view kMagic{"openssh-key-v1\0", 15};
constexpr std::size_t kSeedSize = 32;

const unsigned char* raw(Bytes bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

tl::unexpected<Error> bad(const std::string& name, const std::string& reason) { return fail(Error::Kind::kInvalid, name + ": " + reason); }
tl::unexpected<Error> encrypted(const std::string& name) {
  return bad(name, "the private key is encrypted, and there is no way to give a passphrase; take it off with: ssh-keygen -p -N '' -f " + name);
}

BignumPtr secret_number(Bytes magnitude) {
  BignumPtr number(BN_secure_new());
  return number && BN_bin2bn(raw(magnitude), static_cast<int>(magnitude.size()), number.get()) != nullptr ? std::move(number) : nullptr;
}

PkeyPtr pair_from(const char* type, OSSL_PARAM* parameters) {
  const PkeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 || EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEYPAIR, parameters) != 1) return nullptr;
  return PkeyPtr(key);
}

PkeyPtr read_ed25519(WireReader& reader) {
  const Bytes point = reader.string(), secret = reader.string();  // The second is the seed and the point again.
  if (reader.failed() || point.size() != kSeedSize || secret.size() != 2 * kSeedSize || !std::equal(point.begin(), point.end(), secret.begin() + kSeedSize)) return nullptr;
  return PkeyPtr(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, raw(secret), kSeedSize));
}

PkeyPtr read_ecdsa(WireReader& reader) {
  const std::string_view curve = reader.text();
  const Bytes point = reader.string();
  const BignumPtr secret = secret_number(reader.mpint());
  const char* const group = curve == "nistp256" ? "P-256" : curve == "nistp384" ? "P-384" : curve == "nistp521" ? "P-521" : nullptr;
  const ParamBuildPtr build(OSSL_PARAM_BLD_new());
  if (reader.failed() || group == nullptr || !secret || !build || OSSL_PARAM_BLD_push_utf8_string(build.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(build.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1 ||
      OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_PRIV_KEY, secret.get()) != 1) {
    return nullptr;
  }
  const ParamPtr parameters(OSSL_PARAM_BLD_to_param(build.get()));
  return parameters ? pair_from("EC", parameters.get()) : nullptr;
}

PkeyPtr read_rsa(WireReader& reader) {
  const BignumPtr n = secret_number(reader.mpint()), e = secret_number(reader.mpint()), d = secret_number(reader.mpint()), inverse = secret_number(reader.mpint());
  const BignumPtr p = secret_number(reader.mpint()), q = secret_number(reader.mpint());
  const BignumPtr d_p(BN_secure_new()), d_q(BN_secure_new()), less(BN_secure_new());
  const BnContextPtr numbers(BN_CTX_secure_new());
  if (reader.failed() || !n || !e || !d || !inverse || !p || !q || !d_p || !d_q || !less || !numbers || BN_is_zero(p.get()) || BN_is_zero(q.get())) return nullptr;
  if (BN_sub(less.get(), p.get(), BN_value_one()) != 1 || BN_mod(d_p.get(), d.get(), less.get(), numbers.get()) != 1 ||
      BN_sub(less.get(), q.get(), BN_value_one()) != 1 || BN_mod(d_q.get(), d.get(), less.get(), numbers.get()) != 1) {
    return nullptr;
  }
  const ParamBuildPtr build(OSSL_PARAM_BLD_new());
  const auto push = [&](const char* name, const BignumPtr& number) { return OSSL_PARAM_BLD_push_BN(build.get(), name, number.get()) == 1; };
  if (!build || !push(OSSL_PKEY_PARAM_RSA_N, n) || !push(OSSL_PKEY_PARAM_RSA_E, e) || !push(OSSL_PKEY_PARAM_RSA_D, d) || !push(OSSL_PKEY_PARAM_RSA_FACTOR1, p) ||
      !push(OSSL_PKEY_PARAM_RSA_FACTOR2, q) || !push(OSSL_PKEY_PARAM_RSA_EXPONENT1, d_p) || !push(OSSL_PKEY_PARAM_RSA_EXPONENT2, d_q) ||
      !push(OSSL_PKEY_PARAM_RSA_COEFFICIENT1, inverse)) {
    return nullptr;
  }
  const ParamPtr parameters(OSSL_PARAM_BLD_to_param(build.get()));
  return parameters ? pair_from("RSA", parameters.get()) : nullptr;
}

bool is_padding(Bytes bytes) {  // 1, 2, 3, ...
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != static_cast<std::byte>(i + 1)) return false;
  }
  return true;
}

// What may be a private key: in memory that is wiped.  White space is passed over.  nullopt: anything else that does not belong there, or
// a length that cannot be.
std::optional<SecretString> secret_from_base64(std::string_view text) {
  SecretString letters = SecretString::of_size(text.size());
  std::size_t size = 0, padding = 0;
  for (const char c : text) {
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') continue;
    padding += c == '=' ? 1 : 0;
    if (padding != 0 && c != '=') return std::nullopt;
    letters.mutable_bytes()[size++] = static_cast<std::byte>(c);
  }
  if (size == 0 || size % 4 != 0 || padding > 2) return std::nullopt;
  SecretString bytes = SecretString::of_size(size / 4 * 3);
  const int made = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.mutable_bytes().data()), reinterpret_cast<const unsigned char*>(letters.bytes().data()),
                                   static_cast<int>(size));
  if (made < 0) return std::nullopt;
  bytes.shorten(bytes.size() - padding);
  return bytes;
}

Result<PrivateKey> parse_openssh(std::string_view text, const std::string& name) {
  const std::size_t end = text.find(kEnd);
  if (end == std::string_view::npos) return bad(name, "the private key has no end");
  const auto bytes = secret_from_base64(text.substr(kBegin.size(), end - kBegin.size()));
  if (!bytes || !bytes->view().starts_with(kMagic)) return bad(name, "the private key cannot be read");
  WireReader reader(bytes->bytes().subspan(kMagic.size()));
  const std::string_view cipher = reader.text(), derivation = reader.text();
  reader.string();
  if (reader.u32() != 1 || reader.failed()) return bad(name, "the private key cannot be read");
  const Bytes public_blob = reader.string();
  if (cipher != "none" || derivation != "none") return encrypted(name);
  WireReader inner(reader.string());
  const bool is_whole = inner.u32() == inner.u32();
  const std::string_view type = inner.text();
  if (!reader.done() || !is_whole || inner.failed()) return bad(name, "the private key is damaged");
  PkeyPtr key;
  if (type == "ssh-ed25519") key = read_ed25519(inner);
  else if (type == "ssh-rsa") key = read_rsa(inner);
  else if (type.starts_with("ecdsa-sha2-")) key = read_ecdsa(inner);
  else return bad(name, "a private key of a type that is not accepted (Ed25519, ECDSA and RSA are; keys in a security token are not)");
  inner.string();  // The comment.
  const bool is_padded = !inner.failed() && is_padding(inner.rest());
  if (!key || !is_padded) {
    static_cast<void>(transport::take_openssl_error());
    return bad(name, "the private key is damaged");
  }
  auto made = PrivateKey::from(std::move(key));
  if (!made) return bad(name, made.error().message);
  const Bytes own = made->public_key().blob();
  if (!std::equal(own.begin(), own.end(), public_blob.begin(), public_blob.end())) return bad(name, "the private key is of another public key than the file says");
  return made;
}

int refuse_passphrase(char*, int, int, void* was_asked) {
  *static_cast<bool*>(was_asked) = true;
  return -1;
}

}  // namespace

Result<PrivateKey> parse_private_key(std::string_view text, const std::string& name) {
  if (const std::size_t at = text.find(kBegin); at != std::string_view::npos) return parse_openssh(text.substr(at), name);
  const BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  bool was_asked = false;
  PkeyPtr key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_passphrase, &was_asked) : nullptr);
  if (!key) {
    static_cast<void>(transport::take_openssl_error());
    return was_asked ? encrypted(name) : Result<PrivateKey>(bad(name, "not a private key that can be read (OpenSSH's form, PEM and PKCS #8 can)"));
  }
  auto made = PrivateKey::from(std::move(key));
  if (!made) return bad(name, made.error().message);
  return made;
}

Result<PrivateKey> read_private_key_file(const std::string& path) {
  const auto text = transport::read_secret_file(path);
  if (!text) return tl::unexpected<Error>(text.error());
  return parse_private_key(text->view(), path);
}

Result<Buffer> parse_public_line(std::string_view line) {
  const auto word = [&] {
    const std::size_t from = std::min(line.find_first_not_of(" \t\r\n"), line.size());
    const std::size_t to = std::min(line.find_first_of(" \t\r\n", from), line.size());
    const std::string_view found = line.substr(from, to - from);
    line.remove_prefix(to);
    return found;
  };
  const std::string_view type = word();
  const auto bytes = secret_from_base64(word());
  if (!bytes || WireReader(bytes->bytes()).text() != type) return fail(Error::Kind::kInvalid, "not a public key: it should look like \"ssh-ed25519 AAAA... comment\"");
  return Buffer(bytes->bytes().begin(), bytes->bytes().end());
}

std::string public_line(Bytes blob, std::string_view comment) {
  std::string line(WireReader(blob).text());
  line.append(" ").append(base64(blob));
  if (!comment.empty()) line.append(" ").append(comment);
  return line + "\n";
}

}  // namespace weir::ssh

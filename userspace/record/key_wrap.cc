#include "record/key_wrap.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"
#include "core/json_fields.h"
#include "record/files.h"
#include "record/manifest.h"

namespace weir::record {
namespace {

using nlohmann::json;

constexpr std::string_view kFormat = "weir keys 1", kLine = "weir-key-1 ";
constexpr std::string_view kGatewayInfo = "weir gateway wrap 1", kAuditorInfo = "weir auditor wrap 1";
constexpr std::size_t kKeyFileMax = 64u << 10, kPointSize = 32, kSaltSize = 32;
// One message a key: each is derived from fresh randomness, for one wrap.
constexpr Nonce kZeroNonce{};

using Point = std::array<std::byte, kPointSize>;
using PkeyPtr = std::shared_ptr<evp_pkey_st>;
using PkeyContext = std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)>;

unsigned char* raw(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }

int hex_value(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

// Exactly as many bytes as `out` has.
bool from_hex(std::string_view text, MutableBytes out) {
  if (text.size() != 2 * out.size()) return false;
  for (std::size_t at = 0; at < out.size(); ++at) {
    const int high = hex_value(text[2 * at]), low = hex_value(text[2 * at + 1]);
    if (high < 0 || low < 0) return false;
    out[at] = static_cast<std::byte>(high << 4 | low);
  }
  return true;
}

std::string short_id(Bytes of) { return hex(Bytes(sha256({of})).first(8)); }
std::string gateway_id(const SecretKey& key) { return hex(Bytes(sha256({as_bytes("weir gateway key 1\n"), key.bytes()})).first(8)); }

std::string bound_to(std::string_view kind, const WrapContext& context) {
  return std::string(kFormat) + "\n" + std::string(kind) + "\n" + std::to_string(context.session) + "\n" + std::to_string(context.part) + "\n" + hex(context.commitment) + "\n";
}

std::string wrapped_text(const SecretKey& by, std::string_view kind, const SecretKey& key, const WrapContext& context) {
  std::vector<std::byte> sealed;
  seal_bytes(by, kZeroNonce, as_bytes(bound_to(kind, context)), key.bytes(), sealed);
  return hex(sealed);
}

std::optional<SecretKey> opened(const SecretKey& by, std::string_view kind, const json& wrap, const WrapContext& context) {
  std::array<std::byte, SecretKey::kSize + kTagSize> sealed{};
  if (!from_hex(text_at(wrap, "wrapped"), sealed)) return std::nullopt;
  std::vector<std::byte> plain;
  plain.reserve(sealed.size());
  const bool is_opened = open_bytes(by, kZeroNonce, as_bytes(bound_to(kind, context)), sealed, plain);
  const Wiped wiped(plain);
  if (!is_opened) return std::nullopt;
  std::optional<SecretKey> key = SecretKey::from(plain);
  return key && commitment_of(*key) == context.commitment ? std::move(key) : std::nullopt;
}

Point point_of(EVP_PKEY* key) {
  Point bytes{};
  std::size_t size = bytes.size();
  WEIR_CHECK(EVP_PKEY_get_raw_public_key(key, raw(bytes.data()), &size) == 1 && size == bytes.size());
  return bytes;
}

// What both ends come to: X25519 (RFC 7748), then HKDF over it, salted with both public halves.
std::optional<SecretKey> agreed(EVP_PKEY* mine, EVP_PKEY* theirs, const Point& ephemeral, const Point& auditor) {
  const PkeyContext context(EVP_PKEY_CTX_new(mine, nullptr), &EVP_PKEY_CTX_free);
  Point shared{};
  const Wiped wiped(shared);
  std::size_t size = shared.size();
  // A point of small order is refused here: the shared secret would be zero.
  if (context == nullptr || EVP_PKEY_derive_init(context.get()) != 1 || EVP_PKEY_derive_set_peer(context.get(), theirs) != 1 ||
      EVP_PKEY_derive(context.get(), raw(shared.data()), &size) != 1 || size != shared.size()) {
    return std::nullopt;
  }
  std::array<std::byte, 2 * kPointSize> salt{};
  std::copy(ephemeral.begin(), ephemeral.end(), salt.begin());
  std::copy(auditor.begin(), auditor.end(), salt.begin() + kPointSize);
  return hkdf_sha256(shared, salt, kAuditorInfo);
}

// A file with secrets, read into memory that is wiped.
class SecretText {
 public:
  static Result<std::unique_ptr<SecretText>> read(const std::string& path, const char* what) {
    const Result<FileHandle> file = open_file(path, O_RDONLY);
    if (!file) return tl::unexpected(file.error());
    struct stat status {};
    if (::fstat(file->get(), &status) != 0) return system_error(path);
    if ((status.st_mode & 077) != 0) return fail(Error::Kind::kDenied, path + ": others can read " + what + "; chmod 600 " + path);
    auto text = std::make_unique<SecretText>();
    const Result<std::size_t> size = read_at(file->get(), 0, text->bytes_);
    if (!size) return tl::unexpected(size.error());
    if (*size == kKeyFileMax) return fail(Error::Kind::kInvalid, path + ": too long for " + what);
    text->size_ = *size;
    return text;
  }
  SecretText() : bytes_(kKeyFileMax) {}
  SecretText(const SecretText&) = delete;
  SecretText& operator=(const SecretText&) = delete;
  ~SecretText() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }
  [[nodiscard]] std::string_view text() const { return as_text(Bytes(bytes_).first(size_)); }

 private:
  std::vector<std::byte> bytes_;
  std::size_t size_ = 0;
};

}  // namespace

Result<void> GatewayKeys::generate(const std::string& path) {
  const SecretKey key = SecretKey::random();
  std::string text;
  text.reserve(1024);  // It is wiped where it stands: it may not move.
  text += "# Opens the gateway's session archives.  The first key wraps, all open: to rotate, put a new line above the others.\n";
  text += kLine;
  std::string digits = hex(key.bytes());
  text += digits;
  text += "\n";
  OPENSSL_cleanse(digits.data(), digits.size());
  const Wiped wiped({reinterpret_cast<std::byte*>(text.data()), text.size()});
  const Result<FileHandle> file = open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (!file) return tl::unexpected(file.error());
  Result<void> done = write_at(file->get(), 0, as_bytes(text));
  if (!done) return done;
  if (::fsync(file->get()) != 0) return system_error(path);
  PosixFiles files;
  return files.sync_folder(folder_of(path));  // Sessions are wrapped with it from now on.
}

Result<std::shared_ptr<const GatewayKeys>> GatewayKeys::read(const std::string& path) {
  const Result<std::unique_ptr<SecretText>> file = SecretText::read(path, "the keys of the archives");
  if (!file) return tl::unexpected(file.error());
  auto keys = std::make_shared<GatewayKeys>();
  std::string_view rest = (*file)->text();
  for (std::size_t line = 1; !rest.empty(); ++line) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view text = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    while (text.ends_with(' ') || text.ends_with('\r')) text.remove_suffix(1);
    if (text.empty() || text.starts_with('#')) continue;
    std::array<std::byte, SecretKey::kSize> bytes{};
    const Wiped wiped(bytes);
    const std::string where = path + ", line " + std::to_string(line);
    if (!text.starts_with(kLine) || !from_hex(text.substr(kLine.size()), bytes)) return fail(Error::Kind::kInvalid, where + ": a key is a line \"weir-key-1 \" and 64 hexadecimal digits");
    Key key{.id = {}, .secret = std::move(*SecretKey::from(bytes))};
    key.id = gateway_id(key.secret);
    const bool is_twice = std::any_of(keys->keys_.begin(), keys->keys_.end(), [&](const Key& one) { return one.id == key.id; });
    if (is_twice || keys->keys_.size() == kKeysMax) return fail(Error::Kind::kInvalid, where + (is_twice ? ": this key stands there twice" : ": more keys than may be"));
    keys->keys_.push_back(std::move(key));
  }
  if (keys->keys_.empty()) return fail(Error::Kind::kInvalid, path + ": there is no key in it");
  return keys;
}

Result<json> GatewayKeys::wrap(const SecretKey& key, const WrapContext& context) const {
  const Key& first = keys_.front();
  const SecretKey salt = SecretKey::random();
  const SecretKey by = hkdf_sha256(first.secret.bytes(), salt.bytes(), kGatewayInfo);
  return json{{"for", "gateway"}, {"key", first.id}, {"salt", hex(salt.bytes())}, {"wrapped", wrapped_text(by, "gateway", key, context)}};
}

std::optional<SecretKey> GatewayKeys::open(const json& wrap, const WrapContext& context) const {
  std::array<std::byte, kSaltSize> salt{};
  if (text_at(wrap, "for") != "gateway" || !from_hex(text_at(wrap, "salt"), salt)) return std::nullopt;
  const std::string id = text_at(wrap, "key");
  for (const Key& key : keys_) {
    if (key.id == id) return opened(hkdf_sha256(key.secret.bytes(), salt, kGatewayInfo), "gateway", wrap, context);
  }
  return std::nullopt;
}

std::string GatewayKeys::names() const {
  std::string names;
  for (const Key& key : keys_) names += (names.empty() ? "" : ", ") + key.id;
  return names;
}

std::optional<SecretKey> GatewayKeys::derive(std::string_view id, Bytes salt, std::string_view info) const {
  for (const Key& key : keys_) {
    if (key.id == id) return hkdf_sha256(key.secret.bytes(), salt, info);
  }
  return std::nullopt;
}

Result<std::shared_ptr<const AuditorKey>> AuditorKey::read(const std::string& path) {
  const Result<std::string> pem = read_text(path, kKeyFileMax);
  if (!pem) return tl::unexpected(pem.error());
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(pem->data(), static_cast<int>(pem->size())), &BIO_free);
  auto key = std::make_shared<AuditorKey>();
  key->key_ = PkeyPtr(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free);
  if (key->key_ == nullptr || EVP_PKEY_id(key->key_.get()) != EVP_PKEY_X25519) {
    return fail(Error::Kind::kInvalid, path + ": not an X25519 public key in PEM form; the auditor makes one: openssl genpkey -algorithm X25519 -out auditor.key && openssl pkey -in auditor.key -pubout -out auditor.pub");
  }
  key->id_ = short_id(point_of(key->key_.get()));
  return key;
}

Result<json> AuditorKey::wrap(const SecretKey& key, const WrapContext& context) const {
  const PkeyPtr ephemeral(EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519"), &EVP_PKEY_free);
  if (ephemeral == nullptr) return fail(Error::Kind::kSystem, "no ephemeral key could be made");
  const Point point = point_of(ephemeral.get());
  const std::optional<SecretKey> by = agreed(ephemeral.get(), key_.get(), point, point_of(key_.get()));
  if (!by) return fail(Error::Kind::kInvalid, "auditor " + id_ + ": nothing can be agreed on with this public key");
  return json{{"for", "auditor"}, {"key", id_}, {"ephemeral", hex(point)}, {"wrapped", wrapped_text(*by, "auditor", key, context)}};
}

Result<std::shared_ptr<const AuditorSecret>> AuditorSecret::read(const std::string& path) {
  const Result<std::unique_ptr<SecretText>> file = SecretText::read(path, "the auditor's private key");
  if (!file) return tl::unexpected(file.error());
  const std::string_view pem = (*file)->text();
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  auto key = std::make_shared<AuditorSecret>();
  key->key_ = PkeyPtr(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free);
  if (key->key_ == nullptr || EVP_PKEY_id(key->key_.get()) != EVP_PKEY_X25519) return fail(Error::Kind::kInvalid, path + ": not an X25519 private key in PEM form");
  key->id_ = short_id(point_of(key->key_.get()));
  return key;
}

std::optional<SecretKey> AuditorSecret::open(const json& wrap, const WrapContext& context) const {
  Point point{};
  if (text_at(wrap, "for") != "auditor" || text_at(wrap, "key") != id_ || !from_hex(text_at(wrap, "ephemeral"), point)) return std::nullopt;
  const PkeyPtr ephemeral(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, raw(point.data()), point.size()), &EVP_PKEY_free);
  if (ephemeral == nullptr) return std::nullopt;
  const std::optional<SecretKey> by = agreed(key_.get(), ephemeral.get(), point, point_of(key_.get()));
  return by ? opened(*by, "auditor", wrap, context) : std::nullopt;
}

std::optional<SecretKey> AuditorSecret::derive(std::string_view id, Bytes salt, std::string_view info) const {
  Point secret{};
  const Wiped wiped(secret);
  std::size_t size = secret.size();
  if (id != id_ || EVP_PKEY_get_raw_private_key(key_.get(), raw(secret.data()), &size) != 1 || size != secret.size()) return std::nullopt;
  return hkdf_sha256(secret, salt, info);
}

Result<std::shared_ptr<const KeyOpener>> read_opener(const std::string& path) {
  const Result<std::unique_ptr<SecretText>> file = SecretText::read(path, "the key");
  if (!file) return tl::unexpected(file.error());
  if ((*file)->text().find("-----BEGIN") != std::string_view::npos) {
    Result<std::shared_ptr<const AuditorSecret>> auditor = AuditorSecret::read(path);
    if (!auditor) return tl::unexpected(auditor.error());
    return std::shared_ptr<const KeyOpener>(std::move(*auditor));
  }
  Result<std::shared_ptr<const GatewayKeys>> gateway = GatewayKeys::read(path);
  if (!gateway) return tl::unexpected(gateway.error());
  return std::shared_ptr<const KeyOpener>(std::move(*gateway));
}

Result<std::string> wrap_for_all(const KeyRing& ring, const SecretKey& key, const WrapContext& context) {
  json wraps = json::array();
  for (const auto& wrapper : ring.wrappers) {
    Result<json> wrap = wrapper->wrap(key, context);
    if (!wrap) return tl::unexpected(wrap.error());
    wraps.push_back(std::move(*wrap));
  }
  return dump({{"format", kFormat}, {"session", context.session}, {"part", context.part}, {"commitment", hex(context.commitment)}, {"wraps", std::move(wraps)}}) + "\n";
}

Result<SecretKey> unwrap(std::string_view keys_text, const std::vector<std::shared_ptr<const KeyOpener>>& openers, const WrapContext& context) {
  const json file = parse_object(keys_text);
  const auto wraps = file.find("wraps");
  if (text_at(file, "format") != kFormat || wraps == file.end() || !wraps->is_array()) return fail(Error::Kind::kCorrupt, "no keys file of format \"weir keys 1\"");
  if (number_at(file, "session") != context.session || number_at(file, "part") != context.part || text_at(file, "commitment") != hex(context.commitment)) {
    return fail(Error::Kind::kCorrupt, "it holds the keys of another session");
  }
  std::string names, held;
  for (const json& wrap : *wraps) {
    for (const auto& opener : openers) {
      if (std::optional<SecretKey> key = opener->open(wrap, context)) return std::move(*key);
    }
    names += (names.empty() ? "" : ", ") + text_at(wrap, "for") + " " + text_at(wrap, "key");
  }
  if (std::any_of(openers.begin(), openers.end(), [](const auto& opener) { return opener->is_away(); })) return fail(Error::Kind::kUnavailable, "who holds the keys of the record is away");
  for (const auto& opener : openers) held += (held.empty() ? "" : ", ") + opener->names();
  if (openers.empty()) return fail(Error::Kind::kDenied, "the session is encrypted, and no key was given; it opens with that of: " + names);
  return fail(Error::Kind::kDenied, "the session is encrypted for other keys (" + names + ") than were given (" + held + ")");
}

}  // namespace weir::record

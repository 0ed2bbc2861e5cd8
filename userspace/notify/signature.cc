#include "notify/signature.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <charconv>

#include "base/check.h"

namespace weir::notify {
namespace {

constexpr std::size_t kHexSize = 64;
constexpr std::size_t kHeaderMax = 1024;

tl::unexpected<Error> no_signature() { return fail(Error::Kind::kDenied, "a right signature is needed"); }

bool parse_seconds(std::string_view text, int64_t& out) {
  if (text.empty() || text.size() > 12 || text.find_first_not_of("0123456789") != std::string_view::npos) return false;
  return std::from_chars(text.data(), text.data() + text.size(), out).ec == std::errc();
}

bool is_same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

// The MAC, if one of `given` is that of one of the secrets.  All are compared, whatever the first ones say.
std::string match(const Secrets& secrets, const std::string& text, const std::vector<std::string_view>& given) {
  std::string found;
  for (const std::string& secret : secrets.all()) {
    const std::string mac = hmac_hex(secret, text);
    for (const std::string_view each : given) {
      if (is_same(each, mac)) found = mac;
    }
  }
  return found;
}

Result<Proof> proof_of(std::string mac, int64_t at, int64_t now) {
  if (mac.empty()) return no_signature();
  const int64_t age = now > at ? now - at : at - now;
  if (age > kSignatureAge.count()) {
    return fail(Error::Kind::kDenied, "the signature is " + std::to_string(age) + " s from now: at most " +
                                          std::to_string(kSignatureAge.count()) + " s (is the clock right?)");
  }
  return Proof{at, std::move(mac)};
}

}  // namespace

Secrets Secrets::of_lines(std::string_view text) {
  Secrets secrets;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) secrets.all_.emplace_back(line);
  }
  return secrets;
}

Secrets& Secrets::operator=(Secrets&& other) noexcept {
  if (this == &other) return *this;
  wipe();
  all_ = std::move(other.all_);
  return *this;
}

void Secrets::wipe() noexcept {
  for (std::string& secret : all_) OPENSSL_cleanse(secret.data(), secret.size());
  all_.clear();
}

Secrets::~Secrets() { wipe(); }

std::string hmac_hex(std::string_view secret, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac;
  unsigned int size = 0;
  WEIR_CHECK(HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                  mac.data(), &size) != nullptr);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(std::size_t{size} * 2);
  for (unsigned int i = 0; i < size; ++i) {
    hex += kDigits[mac[i] >> 4];
    hex += kDigits[mac[i] & 15];
  }
  return hex;
}

std::string weir_signature(const Secrets& secrets, int64_t unix_seconds, std::string_view body) {
  const std::string time = std::to_string(unix_seconds);
  const std::string text = time + "." + std::string(body);
  std::string value = "t=" + time;
  for (const std::string& secret : secrets.all()) value += ",v1=" + hmac_hex(secret, text);
  return value;
}

Result<Proof> check_weir_signature(const Secrets& secrets, std::string_view header, std::string_view body, int64_t now) {
  if (secrets.empty() || header.size() > kHeaderMax) return no_signature();
  std::string_view time;
  std::vector<std::string_view> given;
  while (!header.empty()) {
    const std::string_view part = header.substr(0, header.find(','));
    header.remove_prefix(std::min(header.size(), part.size() + 1));
    if (part.starts_with("t=") && time.empty()) time = part.substr(2);
    else if (part.starts_with("v1=") && part.size() == 3 + kHexSize && given.size() < kSecretsMax) given.push_back(part.substr(3));
    else return no_signature();
  }
  int64_t at = 0;
  if (!parse_seconds(time, at) || given.empty()) return no_signature();
  return proof_of(match(secrets, std::string(time) + "." + std::string(body), given), at, now);
}

Result<Proof> check_slack_signature(const Secrets& secrets, std::string_view header, std::string_view timestamp, std::string_view body, int64_t now) {
  int64_t at = 0;
  if (secrets.empty() || !header.starts_with("v0=") || header.size() != 3 + kHexSize || !parse_seconds(timestamp, at)) return no_signature();
  return proof_of(match(secrets, "v0:" + std::string(timestamp) + ":" + std::string(body), {header.substr(3)}), at, now);
}

}  // namespace weir::notify

#include "identify/provider.h"

#include <algorithm>
#include <charconv>

#include "identify/strict_json.h"

namespace weir::identify {
namespace {

using nlohmann::json;
using std::chrono::seconds;

constexpr seconds kLifetimeMax{30 * 24 * 3600};
constexpr seconds kDeviceLifetimeMax{3600}, kIntervalMax{120};
constexpr std::size_t kUserCodeMax = 64, kDeviceCodeMax = 4096, kTokenMax = 64 << 10, kErrorMax = 64;

tl::unexpected<Error> invalid(std::string text) { return fail(Error::Kind::kInvalid, std::move(text)); }

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool is_letter(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }
bool is_graphic(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

// "host" or "[v6]"; empty: neither.
std::string read_host(std::string_view text) {
  const bool is_v6 = text.size() > 2 && text.front() == '[' && text.back() == ']';
  const std::string_view inner = is_v6 ? text.substr(1, text.size() - 2) : text;
  const bool is_good = !inner.empty() && inner.size() <= 253 && std::all_of(inner.begin(), inner.end(), [is_v6](char c) {
    return is_v6 ? is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f') || c == ':' || c == '.'
                 : is_digit(c) || is_letter(c) || c == '-' || c == '.' || c == '_';
  });
  if (!is_good) return "";
  std::string host(text);
  std::transform(host.begin(), host.end(), host.begin(), lower);
  return host;
}

// "host", "host:port".
std::optional<HttpsUrl> read_authority(std::string_view text) {
  HttpsUrl url;
  const std::size_t bracket = text.rfind(']');
  const std::size_t colon = text.rfind(':');
  std::string_view host = text;
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    const std::string_view digits = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
    if (error != std::errc{} || end != digits.data() + digits.size() || url.port == 0) return std::nullopt;
    host = text.substr(0, colon);
  }
  url.host = read_host(host);
  if (url.host.empty()) return std::nullopt;
  return url;
}

const std::string* text_member(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? &found->get_ref<const std::string&>() : nullptr;
}

// An address of the document that we will fetch from.
Result<std::string> endpoint(const json& document, const char* name, const IssuerConfig& issuer) {
  const std::string* text = text_member(document, name);
  if (text == nullptr) return invalid(std::string("its discovery document has no ") + name);
  const auto url = parse_https_url(*text);
  if (!url) return invalid(std::string("its ") + name + " " + url.error().message);
  if (!is_host_of(*url, issuer)) {
    // The host was checked for its characters, so that it may be shown.
    return invalid(std::string("its ") + name + " is at " + url->host + ":" + std::to_string(url->port) +
                   ", which is not the issuer's own host; if that is right, put it into identity.issuers[" + issuer.name +
                   "].hosts");
  }
  return *text;
}

bool has_text(const json& document, const char* name, std::string_view wanted) {
  const auto list = document.find(name);
  return list != document.end() && list->is_array() && std::any_of(list->begin(), list->end(), [&](const json& each) {
           return each.is_string() && each.get_ref<const std::string&>() == wanted;
         });
}

// A number of seconds from 1 to `most`; `otherwise` if it is not there.  nullopt: not such a number.
std::optional<seconds> seconds_member(const json& object, const char* name, seconds otherwise, seconds most) {
  const auto found = object.find(name);
  if (found == object.end()) return otherwise;
  if (!found->is_number_unsigned() || found->get<uint64_t>() == 0) return std::nullopt;
  return seconds(static_cast<int64_t>(std::min<uint64_t>(found->get<uint64_t>(), static_cast<uint64_t>(most.count()))));
}

std::string error_of(const json& object) {
  const std::string* name = text_member(object, "error");
  const bool is_plain = name != nullptr && !name->empty() && name->size() <= kErrorMax &&
                        std::all_of(name->begin(), name->end(), [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
  return is_plain ? *name : "";
}

}  // namespace

Result<HttpsUrl> parse_https_url(std::string_view text) {
  constexpr std::string_view kScheme = "https://";
  if (text.size() > kUrlSizeMax) return invalid("is longer than " + std::to_string(kUrlSizeMax) + " characters");
  if (!text.starts_with(kScheme)) return invalid("is not an https:// address");
  // A backslash is a slash to some readers and part of a name to others.
  if (!is_graphic(text) || text.find('\\') != std::string_view::npos || text.find('#') != std::string_view::npos)
    return invalid("has characters that do not belong there");
  text.remove_prefix(kScheme.size());
  const std::string_view authority = text.substr(0, text.find_first_of("/?"));
  auto url = read_authority(authority);
  if (!url) return invalid("has no plain host (and port)");
  return *url;
}

bool is_host_of(const HttpsUrl& url, const IssuerConfig& issuer) {
  const auto is_same = [&url](const HttpsUrl& other) { return other.host == url.host && other.port == url.port; };
  if (const auto own = parse_https_url(issuer.url); own && is_same(*own)) return true;
  return std::any_of(issuer.hosts.begin(), issuer.hosts.end(), [&](const std::string& each) {
    const auto named = read_authority(each);
    return named && is_same(*named);
  });
}

std::string discovery_url(const std::string& issuer) {
  return issuer.substr(0, issuer.ends_with('/') ? issuer.size() - 1 : issuer.size()) + "/.well-known/openid-configuration";
}

Result<ProviderMetadata> parse_discovery(std::string_view text, const IssuerConfig& issuer) {
  if (text.size() > kProviderAnswerMax) return invalid("its discovery document is too large");
  const auto document = parse_strict_json(text);
  if (!document) return invalid("its discovery document is not usable: " + document.error().message);
  const std::string* claimed = text_member(*document, "issuer");
  // Section 4.3.  Otherwise one provider could hand out another one's keys.
  if (claimed == nullptr || *claimed != issuer.url)
    return invalid("its discovery document is of another issuer than " + issuer.url + "; url must be the same to the letter");
  ProviderMetadata metadata;
  auto keys = endpoint(*document, "jwks_uri", issuer);
  if (!keys) return tl::unexpected<Error>(keys.error());
  metadata.jwks_uri = std::move(*keys);
  metadata.token_endpoint = endpoint(*document, "token_endpoint", issuer);
  metadata.device_authorization_endpoint = endpoint(*document, "device_authorization_endpoint", issuer);
  metadata.authorization_endpoint = endpoint(*document, "authorization_endpoint", issuer);
  const auto sends_issuer = document->find("authorization_response_iss_parameter_supported");
  metadata.sends_issuer = sends_issuer != document->end() && *sends_issuer == true;
  // Discovery section 3: without the list it is client_secret_basic.
  const char* methods = "token_endpoint_auth_methods_supported";
  if (has_text(*document, methods, "client_secret_post") && !has_text(*document, methods, "client_secret_basic"))
    metadata.client_proof = ClientProof::kPost;
  metadata.has_pkce = has_text(*document, "code_challenge_methods_supported", "S256");
  return metadata;
}

std::optional<seconds> cache_lifetime(std::string_view text) {
  std::optional<seconds> lifetime;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    std::string directive(text.substr(0, comma));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    std::erase_if(directive, [](char c) { return c == ' ' || c == '\t' || c == '"'; });
    std::transform(directive.begin(), directive.end(), directive.begin(), lower);
    if (directive == "no-store" || directive == "no-cache") return seconds(0);
    if (!directive.starts_with("max-age=") || lifetime) continue;  // The first one counts.
    const std::string_view digits = std::string_view(directive).substr(8);
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error == std::errc::result_out_of_range) value = static_cast<uint64_t>(kLifetimeMax.count());
    if ((error != std::errc{} && error != std::errc::result_out_of_range) || end != digits.data() + digits.size()) continue;
    lifetime = seconds(static_cast<int64_t>(std::min<uint64_t>(value, static_cast<uint64_t>(kLifetimeMax.count()))));
  }
  return lifetime;
}

Result<DeviceCode> parse_device_code(std::string_view text) {
  if (text.size() > kProviderAnswerMax) return invalid("its device answer is too large");
  const auto object = parse_strict_json(text);
  if (!object) return invalid("its device answer is not usable: " + object.error().message);
  const std::string *device = text_member(*object, "device_code"), *user = text_member(*object, "user_code"),
                    *where = text_member(*object, "verification_uri"),
                    *complete = text_member(*object, "verification_uri_complete");
  if (device == nullptr || device->empty() || device->size() > kDeviceCodeMax || !is_graphic(*device))
    return invalid("its device answer has no device_code");
  if (user == nullptr || user->empty() || user->size() > kUserCodeMax || !is_graphic(*user))
    return invalid("its device answer has no user_code that can be shown");
  if (where == nullptr || !parse_https_url(*where)) return invalid("its device answer has no https verification_uri");
  if (complete != nullptr && !parse_https_url(*complete)) return invalid("its verification_uri_complete is not https");
  const auto lifetime = seconds_member(*object, "expires_in", seconds(0), kDeviceLifetimeMax);
  const auto interval = seconds_member(*object, "interval", seconds(5), kIntervalMax);
  if (!lifetime || lifetime->count() == 0 || !interval)
    return invalid("its device answer has no usable expires_in or interval");
  return DeviceCode{*device, *user, *where, complete == nullptr ? std::string() : *complete, *lifetime, *interval};
}

std::string error_name(std::string_view text) {
  if (text.size() > kProviderAnswerMax) return "";
  const auto object = parse_strict_json(text);
  return object ? error_of(*object) : "";
}

Result<TokenAnswer> parse_token_answer(int status, std::string_view text) {
  if (text.size() > kProviderAnswerMax) return invalid("its token answer is too large");
  const auto object = parse_strict_json(text);
  if (!object)
    return invalid("its token answer (HTTP status " + std::to_string(status) + ") is not usable: " + object.error().message);
  TokenAnswer answer;
  if (status != 200) {
    answer.error = error_of(*object);
    if (answer.error.empty()) return invalid("its token answer (HTTP status " + std::to_string(status) + ") names no error");
    if (answer.error == "authorization_pending") answer.kind = TokenAnswer::Kind::kPending;
    if (answer.error == "slow_down") answer.kind = TokenAnswer::Kind::kSlowDown;
    return answer;
  }
  for (const auto& [name, out] : {std::pair{"access_token", &answer.access_token}, std::pair{"id_token", &answer.id_token}}) {
    const std::string* token = text_member(*object, name);
    if (token != nullptr && token->size() <= kTokenMax && is_graphic(*token)) *out = *token;
  }
  if (answer.access_token.empty() && answer.id_token.empty()) return invalid("its token answer holds no token");
  answer.kind = TokenAnswer::Kind::kTokens;
  return answer;
}

std::string form_encode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

}  // namespace weir::identify

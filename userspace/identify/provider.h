// What an OpenID provider says: its discovery document (OpenID Connect Discovery 1.0 section 4), its answers in a device flow
// (RFC 8628) and at the token endpoint (RFC 6749 section 5).  Pure: bytes in, values out; who fetches them is https.h.
// Must never: give an address to fetch from that is not https or not of a host that the operator named; put a part of an
// answer into an error.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/config.h"

namespace weir::identify {

inline constexpr std::size_t kUrlSizeMax = 2048;
inline constexpr std::size_t kProviderAnswerMax = 256 << 10;  // Of anything but a key set.

struct HttpsUrl {
  std::string host;  // Lower case; an IPv6 address with its brackets.
  uint16_t port = 443;
};
// Errors: kInvalid for what is not https, names a user, has a fragment, or characters that no URL has.
[[nodiscard]] Result<HttpsUrl> parse_https_url(std::string_view text);
// The same host and port as the issuer's, or one of `issuer.hosts` ("keys.idp.example", "keys.idp.example:8443").
[[nodiscard]] bool is_host_of(const HttpsUrl& url, const IssuerConfig& issuer);

// Where the document is (section 4): below the issuer, without a slash twice.
[[nodiscard]] std::string discovery_url(const std::string& issuer);
// How a client with a secret proves itself at the token endpoint (OpenID Connect Core 1.0 section 9).
enum class ClientProof : uint8_t { kBasic, kPost };
struct ProviderMetadata {
  std::string jwks_uri;
  // An error: missing, or at a host that is not the issuer's.
  Result<std::string> token_endpoint, device_authorization_endpoint, authorization_endpoint;
  bool has_pkce = false;      // S256 (RFC 7636).
  bool sends_issuer = false;  // `iss` in what a browser brings back (RFC 9207).
  ClientProof client_proof = ClientProof::kBasic;
};
// Errors: kInvalid: malformed, of another issuer (compared to the letter), or its jwks_uri is not to be fetched from.
[[nodiscard]] Result<ProviderMetadata> parse_discovery(std::string_view text, const IssuerConfig& issuer);

// Cache-Control of an answer (RFC 9111 section 5.2.2); nullopt: it says nothing.
[[nodiscard]] std::optional<std::chrono::seconds> cache_lifetime(std::string_view cache_control);

struct DeviceCode {
  std::string device_code;  // A secret.
  std::string user_code, verification_uri, verification_uri_complete;
  std::chrono::seconds expires_in{0}, interval{5};
};
// Errors: kInvalid.  Post: what is shown to people is printable ASCII, its addresses are https.
[[nodiscard]] Result<DeviceCode> parse_device_code(std::string_view text);

struct TokenAnswer {
  enum class Kind : uint8_t { kTokens, kPending, kSlowDown, kRefused };
  Kind kind = Kind::kRefused;
  std::string access_token, id_token;  // kTokens: at least one.
  std::string error;                   // kRefused: "access_denied", "expired_token", ...; of letters, digits and _ alone.
};
// `status` of the HTTP answer.  Errors: kInvalid for what is no answer of a token endpoint.
[[nodiscard]] Result<TokenAnswer> parse_token_answer(int status, std::string_view text);
// The `error` of an answer that is none of success; "" if it names none.
[[nodiscard]] std::string error_name(std::string_view text);

// application/x-www-form-urlencoded (RFC 6749 appendix B).
[[nodiscard]] std::string form_encode(std::string_view text);

}  // namespace weir::identify

#include "identify/provider_fuzz.h"

#include <string_view>

#include "base/check.h"
#include "identify/provider.h"
#include "identify/token.h"

namespace weir::identify {

int fuzz_provider(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  IssuerConfig issuer;
  issuer.name = "fuzz";
  issuer.url = "https://issuer.example";
  issuer.hosts = {"keys.example:8443"};
  const auto check_fetched_from = [&issuer](const std::string& address) {
    const auto url = parse_https_url(address);
    WEIR_CHECK(url.has_value() && is_host_of(*url, issuer));
  };
  if (const auto metadata = parse_discovery(text, issuer)) {
    check_fetched_from(metadata->jwks_uri);
    if (metadata->token_endpoint) check_fetched_from(*metadata->token_endpoint);
    if (metadata->device_authorization_endpoint) check_fetched_from(*metadata->device_authorization_endpoint);
  }
  if (const auto code = parse_device_code(text)) {
    WEIR_CHECK(parse_https_url(code->verification_uri).has_value() && code->interval.count() > 0 &&
               code->expires_in.count() > 0);
    for (const char c : code->user_code) WEIR_CHECK(c > ' ' && c < '\x7f');
  }
  for (const int status : {200, 400}) {
    const auto answer = parse_token_answer(status, text);
    if (answer) WEIR_CHECK((answer->kind == TokenAnswer::Kind::kTokens) == (status == 200));
  }
  if (const auto url = parse_https_url(text)) WEIR_CHECK(!url->host.empty() && url->port != 0);
  if (const auto lifetime = cache_lifetime(text)) WEIR_CHECK(lifetime->count() >= 0);
  static_cast<void>(claims_audience(text, "weir"));
  static_cast<void>(form_encode(text));
  return 0;
}

}  // namespace weir::identify

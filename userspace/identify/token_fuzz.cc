#include "identify/token_fuzz.h"

#include <string_view>

#include "base/check.h"
#include "identify/token.h"

namespace weir::identify {
namespace {

// The example keys of RFC 7517 appendix A.1 and RFC 8037 appendix A.2: their private halves sign nothing here.
constexpr std::string_view kKeys = R"({"keys":[
{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"sig","kid":"ec"},
{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"ed"}]})";

IssuerConfig issuer() {
  IssuerConfig config;
  config.name = "fuzz";
  config.url = "https://issuer.example";
  config.audience = "weir";
  config.algorithms = {"RS256", "ES256", "ES384", "EdDSA", "PS256"};
  return config;
}

}  // namespace

int fuzz_token(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto keys = KeySet::parse(kKeys);
  WEIR_CHECK(keys.has_value());
  const auto verified = verify_token(text, issuer(), *keys, std::chrono::sys_seconds(std::chrono::seconds(1'800'000'000)));
  if (verified) WEIR_CHECK(!verified->subject.empty() && !verified->key.empty());
  static_cast<void>(KeySet::parse(text));
  return 0;
}

}  // namespace weir::identify

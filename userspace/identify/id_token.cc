#include "identify/id_token.h"

#include <openssl/crypto.h>

#include "core/json_fields.h"
#include "identify/base64url.h"
#include "identify/strict_json.h"

namespace weir::identify {
namespace {

using nlohmann::json;

// Pre: `token` was verified, so that this is what it holds.
json claims_of(std::string_view token) {
  const std::size_t first = token.find('.');
  const std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos) return json::object();
  const auto bytes = decode_base64url(token.substr(first + 1, second - first - 1));
  auto claims = bytes ? parse_strict_json(as_text(*bytes)) : fail(Error::Kind::kDenied, "");
  return claims ? std::move(*claims) : json::object();
}

bool is_same(std::string_view left, std::string_view right) {
  return left.size() == right.size() && CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

}  // namespace

Result<VerifiedToken> verify_id_token(std::string_view token, const IssuerConfig& issuer, const KeySet& keys,
                                      std::string_view client_id, std::string_view nonce, std::chrono::sys_seconds now) {
  IssuerConfig as_client = issuer;
  as_client.audience = client_id;
  as_client.claim_subject = "sub";
  auto verified = verify_token(token, as_client, keys, now);
  if (!verified) return fail(verified.error().kind, "ID " + verified.error().message);
  const json claims = claims_of(token);
  // Without it, somebody could bring a token of another sign-in of the same client.
  if (nonce.empty() || !is_same(text_at(claims, "nonce"), nonce)) return fail(Error::Kind::kDenied, "ID token refused: it is of another sign-in (nonce)");
  const auto party = claims.find("azp");
  const auto audience = claims.find("aud");
  const bool is_for_several = audience != claims.end() && audience->is_array() && audience->size() > 1;
  if ((party != claims.end() || is_for_several) && text_at(claims, "azp") != client_id)
    return fail(Error::Kind::kDenied, "ID token refused: it was given to another client (azp)");
  return verified;
}

std::string sub_of(std::string_view verified) { return text_at(claims_of(verified), "sub"); }

}  // namespace weir::identify

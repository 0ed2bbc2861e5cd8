#include "identify/oauth.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>

#include "identify/base64url.h"
#include "identify/token.h"

namespace weir::identify {

std::string random_text() {
  std::array<unsigned char, 32> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return "";
  return encode_base64url(std::as_bytes(std::span(bytes)));
}

std::string sha256_text(std::string_view text) {
  std::array<unsigned char, 32> hash{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), hash.data(), &size, EVP_sha256(), nullptr);
  return encode_base64url(std::as_bytes(std::span(hash)));
}

std::string scopes_of(const IssuerConfig& issuer) {
  std::string scopes;
  for (const std::string& scope : issuer.scopes) scopes += (scopes.empty() ? "" : " ") + scope;
  return scopes.empty() ? "openid" : scopes;
}

HttpsRequest client_request(const IssuerConfig& issuer, std::string_view client_secret, ClientProof how, const std::string& url,
                            std::string form) {
  HttpsRequest request;
  request.url = url;
  request.form = std::move(form);
  request.ca_file = issuer.ca_file;
  request.size_max = kProviderAnswerMax;
  if (client_secret.empty()) return request;
  if (how == ClientProof::kPost) {
    request.form += "&client_secret=" + form_encode(client_secret);
  } else {  // Section 2.3.1: both are encoded first.
    request.user = form_encode(issuer.client_id);
    request.password = form_encode(client_secret);
  }
  return request;
}

Result<std::string> pick_token(const IssuerConfig& issuer, TokenAnswer& answer) {
  for (std::string* token : {&answer.access_token, &answer.id_token}) {
    if (claims_audience(*token, issuer.audience)) return std::move(*token);
  }
  return fail(Error::Kind::kDenied,
              "the sign-in went well, but no token that came of it is a JWT meant for " + issuer.audience +
                  " (aud): have the provider put that into access tokens of client " + issuer.client_id +
                  ", or set audience to the client's id and have openid among scopes");
}

}  // namespace weir::identify

// What the flows of a sign-in share: secrets, PKCE (RFC 7636), how this gateway proves itself as a client (RFC 6749 section 2.3).
// Must never: put a client's secret into a URL or an error.
#pragma once
#include <string>
#include <string_view>

#include "identify/https.h"
#include "identify/provider.h"

namespace weir::identify {

// 256 random bits, base64url: 43 characters.  Empty: there is no randomness.
[[nodiscard]] std::string random_text();
// SHA-256, base64url.  S256 (RFC 7636 section 4.2), and what a secret is looked up by.
[[nodiscard]] std::string sha256_text(std::string_view text);
// Those of the issuer's configuration, with spaces between; "openid" if there are none.
[[nodiscard]] std::string scopes_of(const IssuerConfig& issuer);
// A POST of `form` to an endpoint of the issuer, which holds client_id; with the client's secret, if it has one, as `how` says.
[[nodiscard]] HttpsRequest client_request(const IssuerConfig& issuer, std::string_view client_secret, ClientProof how,
                                          const std::string& url, std::string form);
// Which of the tokens of an answer is meant for the issuer's audience; not verified.  Errors: kDenied: none, with the fix.
[[nodiscard]] Result<std::string> pick_token(const IssuerConfig& issuer, TokenAnswer& answer);

}  // namespace weir::identify

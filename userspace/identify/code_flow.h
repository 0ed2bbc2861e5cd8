// The authorization code grant with PKCE (RFC 6749 section 4.1, RFC 7636, OpenID Connect Core 1.0 section 3.1): a browser goes to
// the provider and comes back with a code, which the gateway itself exchanges.  Pure but for the one request of the exchange.
// Must never: take an answer of another sign-in or of another provider; put a code, a verifier, a secret or a token into an
// error or into an address but the provider's own.
#pragma once
#include <string>

#include "identify/https.h"
#include "identify/provider.h"

namespace weir::identify {

struct CodeFlow {
  IssuerConfig issuer;        // Its client_id, scopes, audience.
  std::string client_secret;  // Empty: a public client.
  std::string redirect_uri;   // To the letter as the provider has it.
  Https https;
};

struct CodeSignIn {
  std::string url;                     // Where the browser is sent; holds state and nonce.
  std::string state, nonce, verifier;  // 256 bits each.
  std::string token_endpoint;
  ClientProof client_proof = ClientProof::kBasic;
  bool sends_issuer = false;
};
// Errors: kInvalid: the provider has no such endpoints, or at hosts that are not its own.  kUnavailable: no randomness.
[[nodiscard]] Result<CodeSignIn> begin_code_flow(const CodeFlow&, const ProviderMetadata&);

// What a browser brought back: the query of the redirect_uri.
struct CodeAnswer {
  std::string state, code, issuer, error;
};
enum class CodeVerdict : uint8_t {
  kGood,
  kState,     // Of another sign-in, or made up.
  kIssuer,    // Of another provider (RFC 9207: a mix-up).
  kProvider,  // The provider, or the person there, refuses: `error`.
  kNoCode,
};
[[nodiscard]] CodeVerdict judge_answer(const CodeFlow&, const CodeSignIn&, const CodeAnswer&);

struct CodeTokens {
  std::string id_token;  // Who signed in: see verify_id_token().
  std::string token;     // The one that is meant for the issuer's audience; may be the same.  Neither is verified.
};
// Pre: judge_answer() said kGood.  Errors: kUnavailable: no answer.  kDenied: the provider refuses the code or this client, or no
// token is meant for us.  kInvalid.
[[nodiscard]] Result<CodeTokens> finish_code_flow(const CodeFlow&, const CodeSignIn&, const std::string& code);

}  // namespace weir::identify

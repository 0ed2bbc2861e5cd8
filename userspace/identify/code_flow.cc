#include "identify/code_flow.h"

#include <openssl/crypto.h>

#include "identify/oauth.h"

namespace weir::identify {
namespace {

bool is_same(std::string_view left, std::string_view right) {
  return left.size() == right.size() && CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

}  // namespace

Result<CodeSignIn> begin_code_flow(const CodeFlow& flow, const ProviderMetadata& metadata) {
  for (const Result<std::string>* endpoint : {&metadata.authorization_endpoint, &metadata.token_endpoint}) {
    if (!*endpoint) return fail(Error::Kind::kInvalid, flow.issuer.name + ": " + endpoint->error().message);
  }
  CodeSignIn sign_in;
  sign_in.state = random_text();
  sign_in.nonce = random_text();
  sign_in.verifier = random_text();
  if (sign_in.state.empty() || sign_in.nonce.empty() || sign_in.verifier.empty()) return fail(Error::Kind::kUnavailable, "no random bytes");
  sign_in.token_endpoint = *metadata.token_endpoint;
  sign_in.client_proof = metadata.client_proof;
  sign_in.sends_issuer = metadata.sends_issuer;
  // PKCE always, also where the provider does not say that it knows it: who does not know it leaves it aside.
  const std::string& where = *metadata.authorization_endpoint;
  sign_in.url = where + (where.find('?') == std::string::npos ? "?" : "&") + "response_type=code&client_id=" + form_encode(flow.issuer.client_id) +
                "&redirect_uri=" + form_encode(flow.redirect_uri) + "&scope=" + form_encode(scopes_of(flow.issuer)) + "&state=" + sign_in.state +
                "&nonce=" + sign_in.nonce + "&code_challenge_method=S256&code_challenge=" + sha256_text(sign_in.verifier);
  return sign_in;
}

CodeVerdict judge_answer(const CodeFlow& flow, const CodeSignIn& sign_in, const CodeAnswer& answer) {
  if (sign_in.state.empty() || !is_same(answer.state, sign_in.state)) return CodeVerdict::kState;
  // RFC 9207 section 2.4: where the provider says that it names itself, an answer without it is of somebody else.
  if ((sign_in.sends_issuer || !answer.issuer.empty()) && answer.issuer != flow.issuer.url) return CodeVerdict::kIssuer;
  if (!answer.error.empty()) return CodeVerdict::kProvider;
  return answer.code.empty() ? CodeVerdict::kNoCode : CodeVerdict::kGood;
}

Result<CodeTokens> finish_code_flow(const CodeFlow& flow, const CodeSignIn& sign_in, const std::string& code) {
  std::string form = "grant_type=authorization_code&code=" + form_encode(code) + "&redirect_uri=" + form_encode(flow.redirect_uri) +
                     "&client_id=" + form_encode(flow.issuer.client_id) + "&code_verifier=" + sign_in.verifier;
  const auto response = flow.https(client_request(flow.issuer, flow.client_secret, sign_in.client_proof, sign_in.token_endpoint, std::move(form)));
  if (!response) return fail(Error::Kind::kUnavailable, sign_in.token_endpoint + ": " + response.error().message);
  auto answer = parse_token_answer(response->status, response->body);
  if (!answer) return fail(answer.error().kind, sign_in.token_endpoint + ": " + answer.error().message);
  if (answer->kind != TokenAnswer::Kind::kTokens)
    return fail(Error::Kind::kDenied, "the provider refuses the code: " + (answer->error.empty() ? std::string("it is not ready") : answer->error));
  if (answer->id_token.empty())
    return fail(Error::Kind::kDenied, "the provider gave no ID token: have openid among identity.issuers[" + flow.issuer.name + "].login.scopes");
  CodeTokens tokens;
  tokens.id_token = answer->id_token;
  auto token = pick_token(flow.issuer, *answer);
  if (!token) return tl::unexpected<Error>(token.error());
  tokens.token = std::move(*token);
  return tokens;
}

}  // namespace weir::identify

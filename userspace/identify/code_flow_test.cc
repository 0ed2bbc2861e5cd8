// The code flow against a provider behind the Https interface, and the ID token that must come of it.
#include "identify/code_flow.h"

#include <gmock/gmock.h>

#include "identify/fake_provider.h"
#include "identify/id_token.h"
#include "identify/oauth.h"

namespace weir::identify::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string parameter(const std::string& text, const std::string& name) {
  const std::size_t at = text.find(name + "=");
  if (at == std::string::npos) return "";
  const std::size_t start = at + name.size() + 1;
  return text.substr(start, text.find('&', start) - start);
}

class Code : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { shared = std::make_unique<Issuer>(); }
  static void TearDownTestSuite() { shared.reset(); }
  Code() {
    flow.issuer = issuer.config;
    flow.issuer.client_id = "weir portal";
    flow.issuer.scopes = {"openid", "groups"};
    flow.redirect_uri = "https://gw.example:8443/portal/callback";
    flow.https = provider.https();
    metadata.token_endpoint = "https://idp.example/token";
    metadata.authorization_endpoint = "https://idp.example/auth";
  }
  [[nodiscard]] json id_claims(const std::string& nonce) const {
    json claims = issuer.claims();
    claims["aud"] = "weir portal";
    claims["nonce"] = nonce;
    return claims;
  }
  [[nodiscard]] Result<VerifiedToken> id_token(const json& claims, const std::string& nonce = "n-1") const {
    return verify_id_token(issuer.token(claims), issuer.config, issuer.keys(), "weir portal", nonce, kNow);
  }
  static HttpsAnswer tokens(const std::string& access, const std::string& id) { return {200, "", json{{"access_token", access}, {"id_token", id}}.dump()}; }
  static std::unique_ptr<Issuer> shared;
  const Issuer& issuer = *shared;
  FakeProvider provider{issuer};
  CodeFlow flow;
  ProviderMetadata metadata;
};
std::unique_ptr<Issuer> Code::shared;

TEST_F(Code, SendsTheBrowserWithItsOwnSecretsAndKeepsTheVerifier) {
  const auto sign_in = begin_code_flow(flow, metadata);
  ASSERT_TRUE(sign_in) << sign_in.error().message;
  EXPECT_THAT(sign_in->url, StartsWith("https://idp.example/auth?response_type=code&client_id=weir%20portal&redirect_uri=https%3A%2F%2Fgw.example%3A8443%2Fportal%2Fcallback&scope=openid%20groups&"));
  EXPECT_EQ(parameter(sign_in->url, "state"), sign_in->state);
  EXPECT_EQ(parameter(sign_in->url, "nonce"), sign_in->nonce);
  EXPECT_EQ(parameter(sign_in->url, "code_challenge"), sha256_text(sign_in->verifier));
  EXPECT_EQ(parameter(sign_in->url, "code_challenge_method"), "S256");
  EXPECT_THAT(sign_in->url, Not(HasSubstr(sign_in->verifier)));
  EXPECT_EQ(sign_in->state.size(), 43u);
  EXPECT_EQ(sign_in->verifier.size(), 43u);
  const auto other = begin_code_flow(flow, metadata);
  EXPECT_NE(other->state, sign_in->state);
  EXPECT_NE(other->nonce, sign_in->nonce);
  EXPECT_NE(other->verifier, sign_in->verifier);
  metadata.authorization_endpoint = "https://idp.example/auth?tenant=7";
  EXPECT_THAT(begin_code_flow(flow, metadata)->url, StartsWith("https://idp.example/auth?tenant=7&response_type=code&"));
  metadata.authorization_endpoint = fail(Error::Kind::kInvalid, "its authorization_endpoint is at evil.example:443");
  EXPECT_THAT(begin_code_flow(flow, metadata).error().message, HasSubstr("lab-idp: its authorization_endpoint is at evil.example"));
}

TEST_F(Code, AnAnswerOfAnotherSignInIsNone) {
  const auto sign_in = begin_code_flow(flow, metadata);
  CodeAnswer answer{.state = sign_in->state, .code = "c", .issuer = "", .error = ""};
  EXPECT_EQ(judge_answer(flow, *sign_in, answer), CodeVerdict::kGood);
  for (const std::string& state : {std::string(), begin_code_flow(flow, metadata)->state, sign_in->state + "x", sign_in->state.substr(1)}) {
    answer.state = state;
    EXPECT_EQ(judge_answer(flow, *sign_in, answer), CodeVerdict::kState) << state;
  }
  answer.state = "";
  EXPECT_EQ(judge_answer(flow, CodeSignIn{}, answer), CodeVerdict::kState) << "nothing is no state";
}

TEST_F(Code, AnAnswerOfAnotherProviderIsNone) {
  metadata.sends_issuer = true;
  const auto sign_in = begin_code_flow(flow, metadata);
  CodeAnswer answer{.state = sign_in->state, .code = "c", .issuer = "https://idp.example", .error = ""};
  EXPECT_EQ(judge_answer(flow, *sign_in, answer), CodeVerdict::kGood);
  for (const char* named : {"", "https://idp.example/", "https://evil.example"}) {
    answer.issuer = named;
    EXPECT_EQ(judge_answer(flow, *sign_in, answer), CodeVerdict::kIssuer) << named;
  }
  metadata.sends_issuer = false;
  const auto silent = begin_code_flow(flow, metadata);
  answer = {.state = silent->state, .code = "c", .issuer = "https://evil.example", .error = ""};
  EXPECT_EQ(judge_answer(flow, *silent, answer), CodeVerdict::kIssuer) << "also where it need not be there";
}

TEST_F(Code, ARefusalIsNoCode) {
  const auto sign_in = begin_code_flow(flow, metadata);
  CodeAnswer answer{.state = sign_in->state, .code = "c", .issuer = "", .error = "access_denied"};
  EXPECT_EQ(judge_answer(flow, *sign_in, answer), CodeVerdict::kProvider);
  answer = {.state = sign_in->state, .code = "", .issuer = "", .error = ""};
  EXPECT_EQ(judge_answer(flow, *sign_in, answer), CodeVerdict::kNoCode);
}

TEST_F(Code, TheCodeIsExchangedWithTheVerifierAndTheSameAddress) {
  const auto sign_in = begin_code_flow(flow, metadata);
  provider.tokens = {tokens(issuer.token(), issuer.token(id_claims(sign_in->nonce)))};
  const auto got = finish_code_flow(flow, *sign_in, "a code&more");
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(verify_token(got->token, issuer.config, issuer.keys(), kNow));
  EXPECT_TRUE(verify_id_token(got->id_token, issuer.config, issuer.keys(), "weir portal", sign_in->nonce, kNow));
  const HttpsRequest& asked = provider.asked.back();
  EXPECT_EQ(asked.url, "https://idp.example/token");
  EXPECT_EQ(asked.form, "grant_type=authorization_code&code=a%20code%26more&redirect_uri=https%3A%2F%2Fgw.example%3A8443%2Fportal%2Fcallback&client_id=weir%20portal&code_verifier=" + sign_in->verifier);
  EXPECT_EQ(asked.user, "");
}

TEST_F(Code, AClientWithASecretProvesItselfAsTheProviderWants) {
  flow.client_secret = "a b:c";
  provider.tokens = {tokens(issuer.token(), issuer.token(id_claims("n")))};
  ASSERT_TRUE(finish_code_flow(flow, *begin_code_flow(flow, metadata), "c"));
  EXPECT_EQ(provider.asked.back().user, "weir%20portal");
  EXPECT_EQ(provider.asked.back().password, "a%20b%3Ac");
  EXPECT_THAT(provider.asked.back().form, Not(HasSubstr("client_secret")));
  metadata.client_proof = ClientProof::kPost;
  ASSERT_TRUE(finish_code_flow(flow, *begin_code_flow(flow, metadata), "c"));
  EXPECT_EQ(provider.asked.back().user, "");
  EXPECT_EQ(parameter(provider.asked.back().form, "client_secret"), "a%20b%3Ac");
}

TEST_F(Code, WhatGoesWrongIsSaidWithoutASecret) {
  const auto sign_in = begin_code_flow(flow, metadata);
  const auto refusal = [&] {
    const auto got = finish_code_flow(flow, *sign_in, "code-secret");
    if (got) return std::string();
    EXPECT_THAT(got.error().message, Not(HasSubstr("secret")));
    EXPECT_THAT(got.error().message, Not(HasSubstr(sign_in->verifier)));
    return got.error().message;
  };
  provider.tokens = {HttpsAnswer{400, "", R"({"error":"invalid_grant","error_description":"code-secret"})"}};
  EXPECT_THAT(refusal(), HasSubstr("the provider refuses the code: invalid_grant"));
  provider.tokens = {HttpsAnswer{500, "", "<html>code-secret</html>"}};
  EXPECT_THAT(refusal(), HasSubstr("HTTP status 500"));
  provider.tokens = {HttpsAnswer{302, "", ""}};
  EXPECT_THAT(refusal(), HasSubstr("HTTP status 302")) << "a redirect is not followed";
  provider.tokens = {tokens(issuer.token(), "")};
  EXPECT_THAT(refusal(), HasSubstr("gave no ID token: have openid among"));
  provider.tokens = {tokens("opaque", issuer.token(id_claims(sign_in->nonce)))};
  EXPECT_THAT(refusal(), HasSubstr("no token that came of it is a JWT meant for weir-lab"));
  provider.is_down = true;
  EXPECT_THAT(refusal(), HasSubstr("https://idp.example/token: cannot connect: Connection refused"));
}

TEST_F(Code, AnIdTokenIsOfThisSignInAndThisClient) {
  EXPECT_EQ(id_token(id_claims("n-1"))->subject, "alice");
  EXPECT_THAT(id_token(id_claims("n-2")).error().message, HasSubstr("another sign-in (nonce)"));
  EXPECT_FALSE(id_token(id_claims("")));
  EXPECT_FALSE(id_token(id_claims(""), "")) << "no nonce is none";
  json claims = id_claims("n-1");
  claims.erase("nonce");
  EXPECT_THAT(id_token(claims).error().message, HasSubstr("another sign-in (nonce)"));
  claims["nonce"] = json{"n-1"};
  EXPECT_FALSE(id_token(claims));
  claims = id_claims("n-1");
  claims["aud"] = "weir-lab";
  EXPECT_THAT(id_token(claims).error().message, HasSubstr("not meant for weir portal (aud)"));
  claims["aud"] = {"weir portal", "another"};
  EXPECT_THAT(id_token(claims).error().message, HasSubstr("another client (azp)"));
  claims["azp"] = "another";
  EXPECT_FALSE(id_token(claims));
  claims["azp"] = "weir portal";
  EXPECT_TRUE(id_token(claims));
  claims = id_claims("n-1");
  claims["azp"] = "another";
  EXPECT_FALSE(id_token(claims));
  claims = id_claims("n-1");
  claims["exp"] = kNowNumber - 3600;
  EXPECT_FALSE(id_token(claims));
  const std::string good = issuer.token(id_claims("n-1"));
  EXPECT_FALSE(verify_id_token(good.substr(0, good.size() - 6) + "AAAAAA", issuer.config, issuer.keys(), "weir portal", "n-1", kNow));
}

TEST_F(Code, TheSubjectIsTheProvidersOwn) {
  IssuerConfig config = issuer.config;
  config.claim_subject = "email";
  const std::string token = issuer.token(id_claims("n-1"));
  EXPECT_EQ(verify_id_token(token, config, issuer.keys(), "weir portal", "n-1", kNow)->subject, "alice") << "an ID token need not have the claim that names people here";
  EXPECT_EQ(sub_of(token), "alice");
  for (const char* text : {"", "a.b", "a.b.c", "e30.e30.AA"}) EXPECT_EQ(sub_of(text), "") << text;
}

}  // namespace
}  // namespace weir::identify::testing

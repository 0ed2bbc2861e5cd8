#include "identify/token.h"

#include <gmock/gmock.h>

#include "base/prng.h"
#include "identify/token_fuzz.h"
#include "identify/token_test_support.h"

namespace weir::identify::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Keys are slow to make: one issuer for all cases of a suite.
class Token : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { shared_issuer = std::make_unique<Issuer>(); }
  static void TearDownTestSuite() { shared_issuer.reset(); }
  Result<VerifiedToken> verify(const std::string& token, sys_seconds now = kNow) const {
    return verify_token(token, config, keys, now);
  }
  // What the claims are refused with; "" if they are not.  No refusal repeats a part of the token.
  std::string refusal(const std::string& token, sys_seconds now = kNow) const {
    const auto verified = verify(token, now);
    if (verified) return "";
    EXPECT_EQ(verified.error().kind, Error::Kind::kDenied);
    EXPECT_THAT(verified.error().message, HasSubstr("token refused: "));
    for (std::size_t at = 0; at + 12 < token.size(); at += 8)
      EXPECT_THAT(verified.error().message, Not(HasSubstr(token.substr(at, 12))));
    return verified.error().message;
  }
  std::string refusal(const json& claims) const { return refusal(issuer.token(claims)); }
  json with(const char* name, const json& value) const {
    json claims = issuer.claims();
    claims[name] = value;
    return claims;
  }
  json without(const char* name) const {
    json claims = issuer.claims();
    claims.erase(name);
    return claims;
  }
  static std::unique_ptr<Issuer> shared_issuer;
  const Issuer& issuer = *shared_issuer;
  IssuerConfig config = issuer.config;
  KeySet keys = issuer.keys();
};
std::unique_ptr<Issuer> Token::shared_issuer;

TEST_F(Token, EveryAllowedAlgorithmVerifies) {
  for (const char* name : {"RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"}) {
    const auto verified = verify(issuer.token(issuer.claims(), *parse_algorithm(name)));
    ASSERT_TRUE(verified) << name << ": " << verified.error().message;
    EXPECT_EQ(verified->algorithm, name);
  }
}

TEST_F(Token, ClaimsBecomeAnIdentity) {
  json claims = issuer.claims();
  claims["email"] = "alice@example.com";
  claims["email_verified"] = true;
  claims["act"] = {{"sub", "svc:agent"}, {"act", {{"sub", "svc:scheduler"}}}};
  const auto verified = verify(issuer.token(claims));
  ASSERT_TRUE(verified) << verified.error().message;
  EXPECT_EQ(verified->issuer, "lab-idp");
  EXPECT_EQ(verified->subject, "alice");
  EXPECT_EQ(verified->groups, (std::vector<std::string>{"dba", "agents"}));
  EXPECT_EQ(verified->email, "alice@example.com");
  EXPECT_EQ(verified->acting_for, (std::vector<std::string>{"svc:agent", "svc:scheduler"}));
  EXPECT_EQ(verified->token_id, "id-1");
  EXPECT_EQ(verified->key, "lab-idp jti:id-1");
  EXPECT_EQ(verified->expires, kNow + seconds(3600));
  EXPECT_EQ(verified->key_id, "p256");
}

TEST_F(Token, ClaimNamesAreConfigurable) {
  config.claim_subject = "preferred_username";
  config.claim_groups = "https://idp.example/roles";
  json claims = with("preferred_username", "bob");
  claims["https://idp.example/roles"] = "one-group";
  const auto verified = verify(issuer.token(claims));
  ASSERT_TRUE(verified);
  EXPECT_EQ(verified->subject, "bob");
  EXPECT_EQ(verified->groups, std::vector<std::string>{"one-group"});
}

TEST_F(Token, ANestedClaimIsNamedByItsPath) {
  config.claim_groups = "realm_access.roles";
  config.claim_subject = "user.name";
  config.claim_acting_for = "ext.act";
  json claims = with("realm_access", {{"roles", {"dba"}}});
  claims["user"] = {{"name", "bob"}};
  claims["ext"] = {{"act", {{"sub", "svc:agent"}, {"act", {{"sub", "svc:scheduler"}}}}}};
  const auto verified = verify(issuer.token(claims));
  ASSERT_TRUE(verified) << verified.error().message;
  EXPECT_EQ(verified->groups, std::vector<std::string>{"dba"});
  EXPECT_EQ(verified->subject, "bob");
  EXPECT_EQ(verified->acting_for, (std::vector<std::string>{"svc:agent", "svc:scheduler"}));
  // A claim of exactly that name comes first; what is no object on the way has nothing in it.
  claims["realm_access.roles"] = {"exact"};
  EXPECT_EQ(verify(issuer.token(claims))->groups, std::vector<std::string>{"exact"});
  claims.erase("realm_access.roles");
  for (const json& way : {json("roles"), json(7), json::array({"roles"}), json(nullptr), json::object()}) {
    claims["realm_access"] = way;
    EXPECT_TRUE(verify(issuer.token(claims))->groups.empty()) << way;
  }
  claims["user"] = {{"name", {{"x", 1}}}};
  EXPECT_THAT(refusal(claims), HasSubstr("names nobody"));
}

TEST_F(Token, AWorkloadIsToldByItsClaimOrItsIssuer) {
  EXPECT_EQ(verify(issuer.token())->assurance, Assurance::kNetwork);
  config.workload_claim = "gty";
  config.workload_values = {"client-credentials", "workload"};
  EXPECT_EQ(verify(issuer.token())->assurance, Assurance::kNetwork);
  EXPECT_EQ(verify(issuer.token(with("gty", "client-credentials")))->assurance, Assurance::kWorkload);
  EXPECT_EQ(verify(issuer.token(with("gty", {"x", "workload"})))->assurance, Assurance::kWorkload);
  for (const json& value : {json("Workload"), json("workload2"), json(""), json(true), json(1), json(nullptr),
                            json({{"workload", 1}}), json::array({json::array({"workload"})})}) {
    EXPECT_EQ(verify(issuer.token(with("gty", value)))->assurance, Assurance::kNetwork) << value;
  }
  config.assurance = Assurance::kWorkload;
  EXPECT_EQ(verify(issuer.token())->assurance, Assurance::kWorkload);
}

TEST_F(Token, WhoItClaimsToBeForIsReadableWithoutItsKey) {
  EXPECT_TRUE(claims_audience(issuer.token(), "weir-lab"));
  EXPECT_FALSE(claims_audience(issuer.token(), "other"));
  for (const char* text : {"", "opaque", "a.b.c", "e30.e30.AA"}) EXPECT_FALSE(claims_audience(text, "weir-lab")) << text;
  EXPECT_FALSE(claims_audience(issuer.token(with("x", std::string(kTokenSizeMax, 'x'))), "weir-lab"));
}

TEST_F(Token, AnEmailThatIsNotVerifiedIsLeftOut) {
  json claims = with("email", "alice@example.com");
  EXPECT_EQ(verify(issuer.token(claims))->email, "alice@example.com");
  claims["email_verified"] = false;
  EXPECT_EQ(verify(issuer.token(claims))->email, "");
}

TEST_F(Token, AudienceMayBeAList) {
  EXPECT_EQ(refusal(with("aud", {"other", "weir-lab"})), "");
  EXPECT_THAT(refusal(with("aud", {"other"})), HasSubstr("not meant for weir-lab"));
  EXPECT_THAT(refusal(with("aud", "weir-lab2")), HasSubstr("aud"));
  EXPECT_THAT(refusal(with("aud", 7)), HasSubstr("aud"));
  EXPECT_THAT(refusal(without("aud")), HasSubstr("aud"));
}

TEST_F(Token, NoneIsRefusedWhateverTheSpelling) {
  for (const char* name : {"none", "None", "NONE", "nOnE", ""}) {
    const std::string token = encode(json{{"alg", name}}.dump()) + "." + encode(issuer.claims().dump()) + ".";
    EXPECT_THAT(refusal(token), HasSubstr("algorithm")) << name;
  }
}

TEST_F(Token, HmacWithThePublicKeyIsRefused) {
  const std::string public_key = issuer.jwks()["keys"][0]["n"];
  const std::string input = encode(json{{"alg", "HS256"}, {"kid", "rsa"}}.dump()) + "." + encode(issuer.claims().dump());
  unsigned char mac[32];
  unsigned size = 0;
  HMAC(EVP_sha256(), public_key.data(), static_cast<int>(public_key.size()),
       reinterpret_cast<const unsigned char*>(input.data()), input.size(), mac, &size);
  config.algorithms.push_back("HS256");  // Not even if somebody got it past the configuration.
  EXPECT_THAT(refusal(input + "." + encode_base64url(std::as_bytes(std::span(mac)))), HasSubstr("algorithm"));
}

TEST_F(Token, AnAlgorithmOutsideTheIssuersListIsRefused) {
  config.algorithms = {"ES256"};
  EXPECT_EQ(refusal(issuer.token()), "");
  EXPECT_THAT(refusal(issuer.token(issuer.claims(), Algorithm::kRs256)), HasSubstr("not among those allowed for lab-idp"));
}

TEST_F(Token, AnAlgorithmThatDoesNotFitTheKeyIsRefused) {
  EXPECT_THAT(refusal(issuer.token(issuer.claims(), Algorithm::kEs256, {{"kid", "rsa"}})), HasSubstr("not in the key set"));
  EXPECT_THAT(refusal(issuer.token(issuer.claims(), Algorithm::kRs256, {{"kid", "p256"}})), HasSubstr("not in the key set"));
  EXPECT_THAT(refusal(issuer.token(issuer.claims(), Algorithm::kEs384, {{"kid", "p256"}})), HasSubstr("not in the key set"));
}

TEST_F(Token, AKeyIsOnlyUsedForTheAlgorithmThatItsSetNames) {
  json set = issuer.jwks();
  set["keys"][0]["alg"] = "RS256";
  keys = *KeySet::parse(set.dump());
  EXPECT_EQ(refusal(issuer.token(issuer.claims(), Algorithm::kRs256)), "");
  EXPECT_THAT(refusal(issuer.token(issuer.claims(), Algorithm::kPs256)), HasSubstr("not in the key set"));
}

TEST_F(Token, AnotherKeysSignatureIsRefused) {
  const Issuer stranger;
  EXPECT_THAT(refusal(stranger.token()), HasSubstr("signature is not that of lab-idp"));
  EXPECT_THAT(refusal(stranger.token(stranger.claims(), Algorithm::kRs256)), HasSubstr("signature"));
  EXPECT_THAT(refusal(stranger.token(stranger.claims(), Algorithm::kEdDsa)), HasSubstr("signature"));
}

TEST_F(Token, AKeyThatTheTokenBringsIsNotUsed) {
  const Issuer stranger;
  const json own = ec_jwk(stranger.p256.get(), "p256", "P-256", 32);
  EXPECT_THAT(refusal(stranger.token(stranger.claims(), Algorithm::kEs256, {{"jwk", own}})), HasSubstr("signature"));
  EXPECT_THAT(refusal(stranger.token(stranger.claims(), Algorithm::kEs256,
                                     {{"kid", "theirs"}, {"jwk", own}, {"jku", "https://evil.example/keys"}})),
              HasSubstr("not in the key set"));
}

TEST_F(Token, EveryChangedCharacterIsRefused) {
  const std::string token = issuer.token();
  for (std::size_t at = 0; at < token.size(); ++at) {
    std::string changed = token;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    EXPECT_TRUE(changed == token || !verify(changed)) << at;
  }
}

TEST_F(Token, ASignatureOfAnotherShapeIsRefused) {
  const std::string token = issuer.token();
  const std::size_t dot = token.rfind('.');
  const std::string input = token.substr(0, dot);
  EXPECT_FALSE(verify(input + "."));
  EXPECT_FALSE(verify(input + "." + encode(std::string(64, '\0'))));  // CVE-2022-21449: r and s of zero.
  EXPECT_FALSE(verify(input + "." + encode(std::string(63, 'x'))));
  EXPECT_FALSE(verify(token + "AAAA"));
}

TEST_F(Token, WithoutAKidTheKeyMustBeClear) {
  json header = {{"alg", "ES256"}};
  EXPECT_EQ(refusal(issuer.token_of_text(header.dump(), issuer.claims().dump())), "");
  json set = issuer.jwks();
  const PrivateKey second = make_ec("P-256");
  set["keys"].push_back(ec_jwk(second.get(), "other", "P-256", 32));
  keys = *KeySet::parse(set.dump());
  EXPECT_THAT(refusal(issuer.token_of_text(header.dump(), issuer.claims().dump())), HasSubstr("names no key (kid)"));
  EXPECT_EQ(refusal(issuer.token()), "");
}

TEST_F(Token, AnUnknownKidIsRefused) {
  EXPECT_THAT(refusal(issuer.token(issuer.claims(), Algorithm::kEs256, {{"kid", "gone"}})),
              HasSubstr("(kid) is not in the key set of lab-idp"));
  EXPECT_THAT(refusal(issuer.token(issuer.claims(), Algorithm::kEs256, {{"kid", 7}})), HasSubstr("kid is not a string"));
}

TEST_F(Token, ExtensionsItDoesNotKnowAreRefused) {
  EXPECT_THAT(refusal(issuer.token(issuer.claims(), Algorithm::kEs256, {{"crit", {"exp"}}})), HasSubstr("crit"));
  EXPECT_THAT(refusal(issuer.token(issuer.claims(), Algorithm::kEs256, {{"b64", false}})), HasSubstr("crit"));
}

TEST_F(Token, TokensOfAnotherKindAreRefused) {
  for (const char* type : {"JWT", "jwt", "at+jwt", "application/at+jwt"}) {
    EXPECT_EQ(refusal(issuer.token(issuer.claims(), Algorithm::kEs256, {{"typ", type}})), "") << type;
  }
  for (const json& type : {json("logout+jwt"), json("secevent+jwt"), json("dpop+jwt"), json("JWE"), json(1)}) {
    EXPECT_THAT(refusal(issuer.token(issuer.claims(), Algorithm::kEs256, {{"typ", type}})), HasSubstr("typ")) << type;
  }
}

TEST_F(Token, TheIssuerMustBeTheSameToTheLetter) {
  EXPECT_THAT(refusal(with("iss", "https://idp.example/")), HasSubstr("another issuer"));
  EXPECT_THAT(refusal(with("iss", "https://evil.example")), HasSubstr("another issuer"));
  EXPECT_THAT(refusal(without("iss")), HasSubstr("names no issuer"));
  EXPECT_THAT(refusal(with("iss", 1)), HasSubstr("names no issuer"));
}

TEST_F(Token, EndIsRequiredAndHolds) {
  EXPECT_THAT(refusal(without("exp")), HasSubstr("no end"));
  const std::string token = issuer.token(with("exp", kNowNumber));
  EXPECT_EQ(refusal(token, kNow + seconds(29)), "");
  EXPECT_THAT(refusal(token, kNow + seconds(30)), HasSubstr("has expired"));
}

TEST_F(Token, NotYetValidIsRefusedBeyondTheSkew) {
  EXPECT_EQ(refusal(with("nbf", kNowNumber + 30)), "");
  EXPECT_THAT(refusal(with("nbf", kNowNumber + 31)), HasSubstr("not valid yet"));
}

TEST_F(Token, IssuedInTheFutureOrAfterItsEndIsRefused) {
  EXPECT_EQ(refusal(with("iat", kNowNumber + 30)), "");
  EXPECT_THAT(refusal(with("iat", kNowNumber + 31)), HasSubstr("issued in the future"));
  json claims = with("iat", kNowNumber + 5);
  claims["exp"] = kNowNumber + 1;
  EXPECT_THAT(refusal(claims), HasSubstr("after its own end"));
}

TEST_F(Token, TimesThatAreNoTimesAreRefused) {
  EXPECT_EQ(refusal(with("exp", kNowNumber + 100.5)), "");
  for (const json& time : {json("1900000000"), json(-1), json(1e300), json(true), json(nullptr), json::array({1900000000})}) {
    EXPECT_THAT(refusal(with("exp", time)), HasSubstr("not a time")) << time;
    EXPECT_THAT(refusal(with("nbf", time)), HasSubstr("not a time")) << time;
    EXPECT_THAT(refusal(with("iat", time)), HasSubstr("not a time")) << time;
  }
}

TEST_F(Token, ASubjectThatNamesNobodyIsRefused) {
  EXPECT_THAT(refusal(without("sub")), HasSubstr("names nobody"));
  for (const json& subject :
       {json(""), json(7), json("new\nline"), json(std::string("nul\0l", 5)), json(std::string(256, 's'))}) {
    EXPECT_THAT(refusal(with("sub", subject)), HasSubstr("names nobody"));
  }
}

TEST_F(Token, GroupsMustBeNames) {
  EXPECT_TRUE(verify(issuer.token(without("groups")))->groups.empty());
  for (const json& groups : {json(7), json({"fine", 7}), json({""}), json({{"a", "b"}}), json("bad\x01")}) {
    EXPECT_THAT(refusal(with("groups", groups)), HasSubstr("groups")) << groups;
  }
  EXPECT_THAT(refusal(with("groups", std::vector<std::string>(257, "g"))), HasSubstr("more than 256"));
}

TEST_F(Token, AMalformedOrEndlessDelegationChainIsRefused) {
  for (const json& act : {json("bob"), json::object(), json({{"sub", 7}}), json({{"sub", "a"}, {"act", {{"sub", ""}}}})}) {
    EXPECT_THAT(refusal(with("act", act)), HasSubstr("malformed")) << act;
  }
  json chain = {{"sub", "a"}};
  for (int i = 0; i < 8; ++i) chain = {{"sub", "a"}, {"act", chain}};
  EXPECT_THAT(refusal(with("act", chain)), HasSubstr("more than 8"));
}

TEST_F(Token, AClaimThatStandsTwiceIsRefused) {
  const std::string payload = R"({"iss":"https://idp.example","aud":"weir-lab","exp":1800003600,"sub":"alice","sub":"root"})";
  EXPECT_THAT(refusal(issuer.token_of_text(R"({"alg":"ES256","kid":"p256"})", payload)), HasSubstr("a name twice"));
  EXPECT_THAT(refusal(issuer.token_of_text(R"({"alg":"none","alg":"ES256","kid":"p256"})", issuer.claims().dump())),
              HasSubstr("a name twice"));
}

TEST_F(Token, WhatIsNoTokenIsRefused) {
  for (const char* text :
       {"", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d", "e30.e30.", "bnVsbA.bnVsbA.bnVsbA", "W10.W10.W10"}) {
    EXPECT_NE(refusal(std::string(text)), "") << text;
  }
  EXPECT_THAT(refusal(issuer.token(with("x", std::string(kTokenSizeMax, 'x')))), HasSubstr("larger than"));
  EXPECT_THAT(refusal(issuer.token_of_text("[1]", issuer.claims().dump())), HasSubstr("header is not usable"));
  EXPECT_THAT(refusal(encode(R"({"alg":"ES256"})") + "." + encode(std::string(6000, '[')) + ".AAAA"),
              HasSubstr("nested too deep"));
}

TEST_F(Token, PaddingAndWhiteSpaceAreRefused) {
  const std::string token = issuer.token();
  EXPECT_FALSE(verify(token + "="));
  EXPECT_FALSE(verify(token + "\n"));
  EXPECT_FALSE(verify(" " + token));
  EXPECT_FALSE(verify("Bearer " + token));
}

TEST_F(Token, WithoutAnIdTheKeyIsTheDigestOfWhatIsSigned) {
  const json claims = without("jti");
  // ECDSA signs anew each time; the token is the same sign-in all the same.
  const auto first = verify(issuer.token(claims)), second = verify(issuer.token(claims));
  EXPECT_THAT(first->key, HasSubstr("lab-idp sha256:"));
  EXPECT_EQ(first->key, second->key);
  EXPECT_NE(first->key, verify(issuer.token(with("jti", "other")))->key);
  EXPECT_THAT(refusal(with("jti", 1)), HasSubstr("jti"));
}

TEST_F(Token, FuzzEntryTakesAnything) {
  Prng random(11);
  const std::string token = issuer.token(), set = issuer.jwks().dump();
  for (int round = 0; round < 500; ++round) {
    std::string text = random.one_in(2) ? token : set;
    for (uint64_t i = random.below(4); i > 0; --i) text[random.below(text.size())] = static_cast<char>(random.next());
    text.resize(text.size() - random.below(text.size()) * random.below(2));
    EXPECT_EQ(fuzz_token(reinterpret_cast<const uint8_t*>(text.data()), text.size()), 0);
  }
}

class Verifier : public Token {
 protected:
  Verifier() { config.jwks_file = folder.write("jwks.json", issuer.jwks().dump()); }
  std::string make_error() const {
    const auto made = TokenVerifier::make({config});
    return made ? "" : made.error().message;
  }
  // The same content never has the same stamp twice, whatever the file system's clock does.
  void replace(const std::string& text, mode_t mode = 0644) const {
    folder.write("new", text, mode);
    std::filesystem::rename(folder / "new", config.jwks_file);
  }
  Folder folder;
};

TEST_F(Verifier, PicksTheIssuerOfTheToken) {
  IssuerConfig second = config;
  second.name = "second";
  second.url = "https://second.example";
  const auto verifier = *TokenVerifier::make({second, config});
  EXPECT_EQ(verifier->verify(issuer.token(), kNow)->issuer, "lab-idp");
  EXPECT_EQ(verifier->verify(issuer.token(with("iss", "https://second.example")), kNow)->issuer, "second");
  EXPECT_THAT(verifier->verify(issuer.token(with("iss", "https://third.example")), kNow).error().message,
              HasSubstr("not one of identity.issuers"));
}

TEST_F(Verifier, ReadsTheKeysAgainWhenTheFileChanges) {
  const auto verifier = *TokenVerifier::make({config});
  const Issuer next;
  EXPECT_FALSE(verifier->verify(next.token(), kNow));
  replace(next.jwks().dump());
  EXPECT_TRUE(verifier->verify(next.token(), kNow));
  EXPECT_FALSE(verifier->verify(issuer.token(), kNow));
  EXPECT_EQ(verifier->reloads(), 1u);
  EXPECT_TRUE(verifier->verify(next.token(), kNow));
  EXPECT_EQ(verifier->reloads(), 1u);
}

TEST_F(Verifier, AFileThatBecameWrongLeavesTheOldKeysInForceAndWarns) {
  const auto verifier = *TokenVerifier::make({config});
  for (const auto& [text, mode] : std::vector<std::pair<std::string, mode_t>>{
           {"{\"keys\":[]}", 0644}, {"half a fi", 0644}, {issuer.jwks().dump(), 0666}}) {
    replace(text, mode);
    EXPECT_TRUE(verifier->verify(issuer.token(), kNow)) << text;
    EXPECT_TRUE(verifier->verify(issuer.token(), kNow)) << text;
    ASSERT_EQ(verifier->warnings().size(), 1u) << text;
    EXPECT_THAT(verifier->warnings().front(), HasSubstr("stay in force"));
  }
  std::filesystem::remove(config.jwks_file);
  EXPECT_TRUE(verifier->verify(issuer.token(), kNow));
  EXPECT_THAT(verifier->warnings().front(), HasSubstr("No such file"));
  replace(issuer.jwks().dump());
  EXPECT_TRUE(verifier->verify(issuer.token(), kNow));
  EXPECT_TRUE(verifier->warnings().empty());
}

TEST_F(Verifier, WhatTheConfigurationMustNotSayIsRefused) {
  EXPECT_EQ(make_error(), "");
  for (const char* name : {"none", "HS256", "HS512", "es256", "ES256K"}) {
    config.algorithms = {"ES256", name};
    EXPECT_THAT(make_error(), HasSubstr("never allowed")) << name;
  }
  config.algorithms.clear();
  EXPECT_THAT(make_error(), HasSubstr("algorithms is empty"));
  config.algorithms = {"ES256"};
  config.audience.clear();
  EXPECT_THAT(make_error(), HasSubstr("audience is missing"));
  config.audience = "weir-lab";
  config.clock_skew = seconds(3600);
  EXPECT_THAT(make_error(), HasSubstr("clock_skew"));
  config.clock_skew = seconds(30);
  config.jwks_file = folder / "none";
  EXPECT_THAT(make_error(), HasSubstr("No such file"));
  config.jwks_file.clear();
  EXPECT_THAT(make_error(), HasSubstr("jwks_file is missing"));
  config.url.clear();
  EXPECT_THAT(make_error(), HasSubstr("url is missing"));
}

}  // namespace
}  // namespace weir::identify::testing

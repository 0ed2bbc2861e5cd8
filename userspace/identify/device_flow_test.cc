#include "identify/device_flow.h"

#include <gmock/gmock.h>

#include "identify/fake_provider.h"

namespace weir::identify::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class Device : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { shared = std::make_unique<Issuer>(); }
  static void TearDownTestSuite() { shared.reset(); }
  Device() {
    flow.issuer = issuer.config;
    flow.issuer.client_id = "weir cli";
    flow.issuer.scopes = {"openid", "groups"};
    flow.https = provider.https();
    flow.wait = [this](seconds time) { waits.push_back(time.count()); };
  }
  static HttpsAnswer error(const char* name) { return {400, "", json{{"error", name}}.dump()}; }
  HttpsAnswer tokens(const std::string& access, const std::string& id = "") const {
    return {200, "", json{{"access_token", access}, {"id_token", id}}.dump()};
  }
  std::string refusal() {
    const auto sign_in = begin_device_flow(flow);
    if (!sign_in) return sign_in.error().message;
    const auto token = finish_device_flow(flow, *sign_in);
    return token ? "" : token.error().message;
  }
  static std::unique_ptr<Issuer> shared;
  const Issuer& issuer = *shared;
  FakeProvider provider{issuer};
  DeviceFlow flow;
  std::vector<int64_t> waits;
};
std::unique_ptr<Issuer> Device::shared;

TEST_F(Device, GivesTheTokenOnceThePersonIsDone) {
  provider.tokens = {error("authorization_pending"), error("authorization_pending"), tokens(issuer.token())};
  const auto sign_in = begin_device_flow(flow);
  ASSERT_TRUE(sign_in) << sign_in.error().message;
  EXPECT_EQ(sign_in->code.user_code, "ABCD-EFGH");
  const auto token = finish_device_flow(flow, *sign_in);
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_TRUE(verify_token(*token, issuer.config, issuer.keys(), kNow));
  EXPECT_THAT(waits, ElementsAre(5, 5, 5));
}

TEST_F(Device, ProvesThatOneHostBeganAndEndedIt) {
  provider.tokens = {tokens(issuer.token())};
  const auto sign_in = begin_device_flow(flow);
  ASSERT_TRUE(finish_device_flow(flow, *sign_in));
  const std::string begun = provider.asked[1].form, ended = provider.asked[2].form;
  EXPECT_THAT(begun, HasSubstr("client_id=weir%20cli&scope=openid%20groups&code_challenge_method=S256&code_challenge="));
  EXPECT_EQ(sign_in->verifier.size(), 43u);
  EXPECT_THAT(begun, Not(HasSubstr(sign_in->verifier)));
  EXPECT_THAT(ended, HasSubstr("&code_verifier=" + sign_in->verifier));
  EXPECT_THAT(ended, HasSubstr("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=device-secret"));
  EXPECT_NE(begin_device_flow(flow)->verifier, sign_in->verifier);
}

TEST_F(Device, LeavesThatOutWhereTheProviderDoesNotKnowIt) {
  auto& document = provider.answers["https://idp.example/.well-known/openid-configuration"].body;
  json changed = json::parse(document);
  changed.erase("code_challenge_methods_supported");
  document = changed.dump();
  EXPECT_EQ(begin_device_flow(flow)->verifier, "");
  EXPECT_THAT(provider.asked.back().form, Not(HasSubstr("code_challenge")));
}

TEST_F(Device, AClientWithASecretProvesItself) {
  flow.client_secret = "a b:c";
  provider.tokens = {tokens(issuer.token())};
  ASSERT_TRUE(finish_device_flow(flow, *begin_device_flow(flow)));
  EXPECT_EQ(provider.asked[0].user, "");
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
    EXPECT_EQ(provider.asked[i].user, "weir%20cli");
    EXPECT_EQ(provider.asked[i].password, "a%20b%3Ac");
    EXPECT_THAT(provider.asked[i].form, Not(HasSubstr("a%20b")));
  }
}

TEST_F(Device, AsksAsSlowlyAsItIsTold) {
  provider.tokens = {error("slow_down"), error("authorization_pending"), error("slow_down"), tokens(issuer.token())};
  EXPECT_EQ(refusal(), "");
  EXPECT_THAT(waits, ElementsAre(5, 10, 10, 15));
}

TEST_F(Device, ALostAnswerMakesItSlower) {
  provider.tokens = {HttpsAnswer{}, tokens(issuer.token())};
  EXPECT_EQ(refusal(), "");
  EXPECT_THAT(waits, ElementsAre(5, 10));
}

TEST_F(Device, EndsWithItsCode) {
  provider.tokens = {error("authorization_pending")};
  EXPECT_THAT(refusal(), HasSubstr("ran out before anybody signed in"));
  EXPECT_EQ(waits.size(), 12u);
}

TEST_F(Device, TellsWhyThereIsNoToken) {
  provider.tokens = {error("access_denied")};
  EXPECT_THAT(refusal(), HasSubstr("refused in the browser"));
  provider.tokens = {error("expired_token")};
  EXPECT_THAT(refusal(), HasSubstr("begin again"));
  provider.tokens = {error("invalid_grant")};
  EXPECT_THAT(refusal(), HasSubstr("the provider refuses: invalid_grant"));
  provider.tokens = {HttpsAnswer{500, "", "<html>secret</html>"}};
  EXPECT_THAT(refusal(), HasSubstr("HTTP status 500"));
  EXPECT_THAT(refusal(), Not(HasSubstr("secret")));
  provider.answers["https://idp.example/device"] = error("unauthorized_client");
  EXPECT_THAT(refusal(), HasSubstr("unauthorized_client; is client weir cli known there"));
  provider.answers["https://idp.example/device"] = {200, "", "{}"};
  EXPECT_THAT(refusal(), HasSubstr("no device_code"));
  provider.is_down = true;
  EXPECT_THAT(refusal(), HasSubstr("Connection refused"));
}

TEST_F(Device, AProviderWithoutTheFlowIsNamed) {
  provider.answers["https://idp.example/.well-known/openid-configuration"].body =
      json{{"issuer", "https://idp.example"}, {"jwks_uri", "https://idp.example/keys"}}.dump();
  EXPECT_THAT(refusal(), HasSubstr("lab-idp: its discovery document has no device_authorization_endpoint"));
}

TEST_F(Device, TakesTheTokenThatIsMeantForUs) {
  json other = issuer.claims();
  other["aud"] = "weir cli";
  const std::string ours = issuer.token(), theirs = issuer.token(other);
  provider.tokens = {tokens(theirs, ours)};
  EXPECT_EQ(*finish_device_flow(flow, *begin_device_flow(flow)), ours);
  provider.tokens = {tokens("opaque", ours)};
  EXPECT_EQ(*finish_device_flow(flow, *begin_device_flow(flow)), ours);
  provider.tokens = {tokens("opaque", theirs)};
  EXPECT_THAT(refusal(), HasSubstr("no token that came of it is a JWT meant for weir-lab"));
}

}  // namespace
}  // namespace weir::identify::testing

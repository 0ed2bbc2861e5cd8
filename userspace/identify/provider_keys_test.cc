#include "identify/provider_keys.h"

#include <gmock/gmock.h>

#include "identify/fake_provider.h"
#include "identify/token.h"

namespace weir::identify::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Keys : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { shared = std::make_unique<Issuer>(); }
  static void TearDownTestSuite() { shared.reset(); }
  Keys() {
    config.jwks_refresh = seconds(600);
    config.jwks_expire = seconds(3600);
  }
  std::shared_ptr<ProviderKeys> make() { return std::make_shared<ProviderKeys>(config, provider.https()); }
  static std::string error_of(const ProviderKeys& keys, sys_seconds now) {
    const auto current = keys.current(now);
    return current ? "" : current.error().message;
  }
  static std::unique_ptr<Issuer> shared;
  const Issuer& issuer = *shared;
  IssuerConfig config = issuer.config;
  FakeProvider provider{issuer};
};
std::unique_ptr<Issuer> Keys::shared;

TEST_F(Keys, AreFoundByDiscoveryAtStart) {
  const auto keys = make();
  EXPECT_TRUE(keys->is_due(kNow));
  EXPECT_THAT(error_of(*keys, kNow), HasSubstr("fetched for the first time; try again"));
  keys->fetch(kNow);
  const auto current = keys->current(kNow);
  ASSERT_TRUE(current) << current.error().message;
  EXPECT_EQ((*current)->size(), 4u);
  EXPECT_EQ(keys->status().fetched, kNow);
  ASSERT_EQ(provider.asked.size(), 2u);
  EXPECT_EQ(provider.asked[0].url, "https://idp.example/.well-known/openid-configuration");
  EXPECT_EQ(provider.asked[1].size_max, KeySet::kSizeMax);
  EXPECT_TRUE(provider.asked[1].user.empty());
}

TEST_F(Keys, AreFetchedAgainAfterTheEarlierOfBothLifetimes) {
  for (const auto& [said, lifetime] :
       std::vector<std::pair<std::string, int>>{{"", 600}, {"max-age=300", 300}, {"max-age=86400", 600}, {"no-store", 60}}) {
    provider.answers["https://idp.example/keys"].cache_control = said;
    const auto keys = make();
    keys->fetch(kNow);
    EXPECT_FALSE(keys->is_due(kNow + seconds(lifetime - 1))) << said;
    EXPECT_TRUE(keys->is_due(kNow + seconds(lifetime))) << said;
  }
}

TEST_F(Keys, AClockThatWasSetBackMakesThemDue) {
  const auto keys = make();
  keys->fetch(kNow);
  EXPECT_TRUE(keys->is_due(kNow - seconds(3600)));
}

TEST_F(Keys, LiveOnForAWhileWithoutTheirProvider) {
  const auto keys = make();
  keys->fetch(kNow);
  provider.is_down = true;
  keys->fetch(kNow + seconds(600));
  EXPECT_TRUE(keys->current(kNow + seconds(3600)));
  EXPECT_THAT(error_of(*keys, kNow + seconds(3601)),
              AllOf(HasSubstr("lab-idp (https://idp.example)"), HasSubstr("too old"), HasSubstr("Connection refused"),
                    HasSubstr("bindings that exist live to their end"), HasSubstr("weir status")));
  EXPECT_EQ(keys->current(kNow + seconds(3601)).error().kind, Error::Kind::kUnavailable);
  EXPECT_EQ(keys->status().failures, 1u);
  provider.is_down = false;
  keys->fetch(kNow + seconds(3700));
  EXPECT_TRUE(keys->current(kNow + seconds(3700)));
  EXPECT_EQ(keys->status().error, "");
}

TEST_F(Keys, AProviderThatIsDownIsTriedMoreAndMoreSeldom) {
  const auto keys = make();
  provider.is_down = true;
  std::vector<int64_t> pauses;
  for (int i = 0; i < 8; ++i) {
    keys->fetch(kNow);
    pauses.push_back((keys->status().due - kNow).count());
  }
  EXPECT_EQ(pauses, (std::vector<int64_t>{2, 4, 8, 16, 32, 60, 60, 60}));
  EXPECT_THAT(error_of(*keys, kNow),
              HasSubstr("its keys cannot be fetched: https://idp.example/.well-known/openid-configuration: cannot connect"));
}

TEST_F(Keys, WhatIsNoKeySetLeavesTheOldOneInForce) {
  const auto keys = make();
  keys->fetch(kNow);
  for (const HttpsAnswer& bad : {HttpsAnswer{200, "", "{}"}, HttpsAnswer{200, "", "<html>"}, HttpsAnswer{500, "", ""},
                                 HttpsAnswer{302, "", ""}, HttpsAnswer{204, "", ""}}) {
    provider.answers["https://idp.example/keys"] = bad;
    keys->fetch(kNow + seconds(1));
    EXPECT_TRUE(keys->current(kNow + seconds(1)));
    EXPECT_THAT(keys->status().error, HasSubstr("https://idp.example/keys: "));
  }
  provider.answers["https://idp.example/keys"] = {302, "", ""};
  keys->fetch(kNow);
  EXPECT_THAT(keys->status().error, HasSubstr("it redirects (HTTP status 302), which is not followed"));
}

TEST_F(Keys, EachErrorIsToldOnceAndSoIsItsEnd) {
  std::vector<std::string> told;
  ProviderKeys keys(config, provider.https(), [&](std::string_view text) { told.emplace_back(text); });
  keys.fetch(kNow);
  EXPECT_TRUE(told.empty());
  provider.is_down = true;
  keys.fetch(kNow);
  keys.fetch(kNow);
  provider.is_down = false;
  provider.answers["https://idp.example/keys"].status = 500;
  keys.fetch(kNow);
  provider.answers["https://idp.example/keys"].status = 200;
  keys.fetch(kNow);
  keys.fetch(kNow);
  EXPECT_THAT(told, ElementsAre(HasSubstr("keys of lab-idp cannot be fetched: https://idp.example/.well-known"),
                                HasSubstr("HTTP status 500"), "keys of lab-idp are fetched again"));
}

TEST_F(Keys, AnAddressElsewhereIsNeverAsked) {
  provider.answers["https://idp.example/.well-known/openid-configuration"].body =
      json{{"issuer", "https://idp.example"}, {"jwks_uri", "https://169.254.169.254/keys"}}.dump();
  const auto keys = make();
  keys->fetch(kNow);
  EXPECT_EQ(provider.asked.size(), 1u);
  EXPECT_THAT(keys->status().error, HasSubstr("not the issuer's own host"));
}

TEST_F(Keys, ATokenMakesUsAskOnceInAWhile) {
  const auto keys = make();
  keys->fetch(kNow);
  EXPECT_FALSE(keys->is_due(kNow));
  EXPECT_TRUE(keys->ask_again(kNow));
  EXPECT_TRUE(keys->ask_again(kNow)) << "it is still on its way";
  EXPECT_TRUE(keys->is_due(kNow));
  keys->fetch(kNow);
  EXPECT_FALSE(keys->ask_again(kNow + seconds(9)));
  EXPECT_FALSE(keys->is_due(kNow + seconds(9)));
  EXPECT_TRUE(keys->ask_again(kNow + seconds(10)));
}

TEST_F(Keys, TheVerifierAsksForAKeyThatItDoesNotKnow) {
  const auto keys = make();
  keys->fetch(kNow);
  const auto made = TokenVerifier::make({config}, [&](const IssuerConfig&) { return keys; });
  ASSERT_TRUE(made) << made.error().message;
  TokenVerifier& verifier = **made;
  EXPECT_TRUE(verifier.verify(issuer.token(), kNow));
  const Issuer next;
  json set = next.jwks();
  set["keys"][1]["kid"] = "next";
  const std::string token = next.token(next.claims(), Algorithm::kEs256, {{"kid", "next"}});
  provider.answers["https://idp.example/keys"].body = set.dump();
  const auto first = verifier.verify(token, kNow);
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().kind, Error::Kind::kUnavailable);
  EXPECT_THAT(first.error().message, HasSubstr("try again in a few seconds"));
  keys->fetch(kNow);
  EXPECT_TRUE(verifier.verify(token, kNow));
  // The old key is gone, and so is what it signed; a foreign token does not make us ask again so soon.
  const auto old = verifier.verify(issuer.token(), kNow);
  EXPECT_EQ(old.error().kind, Error::Kind::kDenied);
  EXPECT_THAT(old.error().message, HasSubstr("(kid) is not in the key set"));
  EXPECT_EQ(verifier.verify(next.token(next.claims(), Algorithm::kEs256, {{"kid", "none"}}), kNow).error().kind,
            Error::Kind::kDenied);
  EXPECT_EQ(verifier.status()[0].keys.fetches, 2u);
  EXPECT_EQ(verifier.status()[0].source, "provider");
}

TEST_F(Keys, ATokenThatIsWrongOtherwiseAsksNobody) {
  const auto keys = make();
  keys->fetch(kNow);
  const auto made = TokenVerifier::make({config}, [&](const IssuerConfig&) { return keys; });
  TokenVerifier& verifier = **made;
  for (const std::string& token : {issuer.token(issuer.claims(), Algorithm::kEs256, {{"kid", "gone"}, {"alg", "HS256"}}),
                                   issuer.token() + "x", issuer.token_of_text(R"({"alg":"ES384"})", issuer.claims().dump())}) {
    EXPECT_EQ(verifier.verify(token, kNow).error().kind, Error::Kind::kDenied);
    EXPECT_FALSE(keys->is_due(kNow));
  }
}

TEST_F(Keys, AnIssuerThatIsNotHttpsIsRefused) {
  config.url = "http://idp.example";
  const auto made = TokenVerifier::make({config}, [&](const IssuerConfig&) { return make(); });
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("not an https:// address"));
}

TEST_F(Keys, AThreadFetchesThemAndEndsWithThem) {
  std::atomic<int> asked = 0;
  const Https inner = provider.https();
  const auto keys = std::make_shared<ProviderKeys>(config, [&](const HttpsRequest& request) {
    ++asked;
    asked.notify_all();
    return inner(request);
  });
  keys->start();
  for (int seen = asked; seen < 2; seen = asked) asked.wait(seen);
  EXPECT_TRUE(keys->ask_again(kNow));
  for (int seen = asked; seen < 4; seen = asked) asked.wait(seen);
}

TEST(Fetchers, ShareWhatHasTheSameSettings) {
  IssuerConfig config;
  config.name = "nobody";
  config.url = "https://127.0.0.1:1";  // Nobody answers there.
  KeyFetchers fetchers;
  const auto first = fetchers.keys_of(config);
  EXPECT_EQ(fetchers.keys_of(config), first);
  config.hosts = {"keys.example"};
  EXPECT_NE(fetchers.keys_of(config), first);
}

}  // namespace
}  // namespace weir::identify::testing

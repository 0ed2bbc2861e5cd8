// The portal with a provider behind the Https interface and an engine that notes what it is asked: who gets in, and who does not.
#include "control/portal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "control/api_test_support.h"
#include "identify/fake_provider.h"
#include "identify/id_token.h"
#include "identify/oauth.h"

namespace weir::control {
namespace {

using identify::HttpsAnswer;
using identify::testing::kNow;
using identify::testing::kNowNumber;
using nlohmann::json;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr const char* kHere = "198.18.1.3";
constexpr const char* kElsewhere = "198.18.1.66";
constexpr const char* kDiscovery = "https://idp.example/.well-known/openid-configuration";

std::string between(const std::string& text, const std::string& before, const std::string& after) {
  const std::size_t at = text.find(before);
  if (at == std::string::npos) return "";
  const std::size_t start = at + before.size();
  return text.substr(start, text.find_first_of(after, start) - start);
}

// What the engine does with a bind: the address has a holder from then on.
class Gateway final : public PortalHost {
 public:
  explicit Gateway(const identify::testing::Issuer& issuer) : issuer_(issuer), keys_(issuer.keys()) {}
  std::optional<Holder> holder_of(const Address& address) override {
    const auto found = holders.find(address.text());
    return found == holders.end() ? std::nullopt : std::optional(found->second);
  }
  Result<identify::VerifiedToken> verify_token(std::string_view token) override {
    if (late > 0 && late-- > 0) return fail(Error::Kind::kUnavailable, "its key is being fetched");
    return identify::verify_token(token, issuer_.config, keys_, kNow);
  }
  Result<identify::VerifiedToken> verify_id_token(std::string_view token, std::string_view client_id, std::string_view nonce) override {
    if (late > 0 && late-- > 0) return fail(Error::Kind::kUnavailable, "its key is being fetched");
    return identify::verify_id_token(token, issuer_.config, keys_, client_id, nonce, kNow);
  }
  void tell(std::string_view text) override { told.emplace_back(text); }

  std::map<std::string, Holder> holders;
  std::vector<std::string> told;
  int late = 0;

 private:
  const identify::testing::Issuer& issuer_;
  identify::KeySet keys_;
};

class PortalTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { shared = std::make_unique<identify::testing::Issuer>(); }
  static void TearDownTestSuite() { shared.reset(); }
  PortalTest() {
    json document = json::parse(provider.answers[kDiscovery].body);
    document["authorization_endpoint"] = "https://idp.example/auth";
    provider.answers[kDiscovery].body = document.dump();
    config.name = "gw-test";
    IssuerConfig own = issuer.config;
    own.client_id = "weir-portal";
    own.scopes = {"openid", "groups"};
    config.identity.issuers = {own};
    config.identity.portal = {"https://gw.example:8443", "lab-idp", {}};
    config.targets.resize(1);
    config.targets[0].name = "orders-db";
    config.targets[0].protocol = "postgres";
    make();
  }
  void make(Portal::Options options = {}) {
    portal.emplace(host, engine, options, provider.https(), [this] { return now; }, [this](seconds time) { waited += time; });
    portal->set(portal_settings(config));
  }

  // A browser: its address, and its cookie.
  struct Browser {
    std::string from = kHere, cookie{};
  };
  PageRequest request(const Browser& browser) const { return {*Address::parse(browser.from), browser.cookie, "", {}, {}}; }
  PageAnswer take(Browser& browser, std::optional<PageAnswer> answer) {
    EXPECT_TRUE(answer);
    if (const std::string set = between(answer->headers, "Set-Cookie: ", ";"); !set.empty()) browser.cookie = set.ends_with("=") ? "" : set;
    everything += answer->headers + answer->body;
    return *answer;
  }
  PageAnswer home(Browser& browser) { return take(browser, portal->home(request(browser))); }
  PageAnswer start(Browser& browser) {
    PageAnswer answer = take(browser, portal->start(request(browser)));
    url = between(answer.headers, "Location: ", "\r");
    return answer;
  }
  using Query = std::vector<std::pair<std::string, std::string>>;
  PageAnswer callback(Browser& browser, Query query) {
    PageRequest asked = request(browser);
    asked.query = std::move(query);
    return take(browser, portal->callback(asked));
  }
  PageAnswer confirm_page(Browser& browser) {
    PageAnswer answer = take(browser, portal->confirm_page(request(browser)));
    csrf = between(answer.body, "name=\"csrf\" value=\"", "\"");
    return answer;
  }
  PageAnswer post(Browser& browser, std::optional<PageAnswer> (Portal::*what)(const PageRequest&), const std::string& secret) {
    PageRequest asked = request(browser);
    asked.form = {{"csrf", secret}};
    return take(browser, ((*portal).*what)(asked));
  }
  [[nodiscard]] std::string state() const { return between(url, "state=", "&"); }
  [[nodiscard]] std::string nonce() const { return between(url, "nonce=", "&"); }

  [[nodiscard]] json id_claims(const std::string& of_nonce) const {
    json claims = issuer.claims();
    claims["aud"] = "weir-portal";
    claims["nonce"] = of_nonce;
    return claims;
  }
  void give(const json& access, const json& id) {
    access_token = issuer.token(access);
    id_token = issuer.token(id);
    provider.tokens = {HttpsAnswer{200, "", json{{"access_token", access_token}, {"id_token", id_token}}.dump()}};
  }
  void give() { give(issuer.claims(), id_claims(nonce())); }
  // As far as the page that asks whether it is right.
  PageAnswer sign_in(Browser& browser) {
    start(browser);
    give();
    EXPECT_EQ(callback(browser, {{"code", "the-code"}, {"state", state()}}).status, 303);
    return confirm_page(browser);
  }
  PageAnswer bind(Browser& browser) {
    sign_in(browser);
    host.holders[browser.from] = {.binding = 9, .is_static = false, .until = now + seconds(3600), .refused_attempts = 0, .last_refused = ""};
    return post(browser, &Portal::confirm, csrf);
  }
  // Refused: nothing reached the engine but, where it is evidence, the attempt itself.
  void expect_refused(const PageAnswer& answer, PortalResult result, bool is_recorded) {
    EXPECT_THAT(answer.status, testing::AnyOf(400, 403, 409, 503)) << answer.body;
    EXPECT_EQ(portal->count(result), 1u);
    EXPECT_THAT(answer.body, HasSubstr("Nothing was bound."));
    EXPECT_EQ(engine.verbs(), is_recorded ? std::vector<std::string>{"refused"} : std::vector<std::string>());
  }

  static std::unique_ptr<identify::testing::Issuer> shared;
  const identify::testing::Issuer& issuer = *shared;
  identify::testing::FakeProvider provider{issuer};
  test::NotingEngine engine;
  Gateway host{issuer};
  Config config;
  std::chrono::sys_seconds now = kNow;
  seconds waited{0};
  std::string url, csrf, access_token, id_token, everything;
  std::optional<Portal> portal;
  Browser browser_;
};
std::unique_ptr<identify::testing::Issuer> PortalTest::shared;

TEST_F(PortalTest, APersonSignsInAndTheConnectionsAddressIsBound) {
  const PageAnswer first = home(browser_);
  for (const char* part : {"Nobody is bound to your address", "198.18.1.3", "orders-db (postgres)", "Sign in with lab-idp", "gw-test"}) EXPECT_THAT(first.body, HasSubstr(part));
  EXPECT_EQ(browser_.cookie, "") << "who only looks is nobody";
  const PageAnswer away = start(browser_);
  EXPECT_EQ(away.status, 303);
  EXPECT_THAT(away.headers, HasSubstr("; Path=/; Max-Age=300; Secure; HttpOnly; SameSite=Lax\r\n"));
  EXPECT_THAT(browser_.cookie, StartsWith("__Host-weir-portal="));
  EXPECT_THAT(url, StartsWith("https://idp.example/auth?response_type=code&client_id=weir-portal&redirect_uri=https%3A%2F%2Fgw.example%3A8443%2Fportal%2Fcallback&"));
  give();
  const PageAnswer back = callback(browser_, {{"code", "the-code"}, {"state", state()}, {"session_state", "x"}});
  EXPECT_EQ(back.status, 303);
  EXPECT_THAT(back.headers, HasSubstr("Location: /portal/confirm\r\n"));
  EXPECT_THAT(engine.verbs(), IsEmpty()) << "nothing is bound before the person says so";
  const PageAnswer question = confirm_page(browser_);
  for (const char* part : {"Is this right?", "198.18.1.3", "alice", "dba, agents", "2027-01-15T09:00:00Z (1 h 0 min from now)"}) EXPECT_THAT(question.body, HasSubstr(part));
  host.holders[kHere] = {.binding = 9, .is_static = false, .until = now + seconds(3600), .refused_attempts = 0, .last_refused = ""};
  const PageAnswer bound = post(browser_, &Portal::confirm, csrf);
  EXPECT_EQ(bound.status, 303);
  EXPECT_THAT(bound.headers, HasSubstr("Location: /portal\r\n"));
  EXPECT_THAT(bound.headers, HasSubstr("Max-Age=3600;"));
  ASSERT_THAT(engine.verbs(), ElementsAre("bind"));
  const auto& asked = engine.asked[0];
  EXPECT_EQ(asked.arguments, (json{{"address", kHere}, {"token", access_token}}));
  EXPECT_TRUE(asked.peer.is_portal);
  EXPECT_EQ(asked.peer.subject, "alice");
  EXPECT_EQ(asked.peer.address, kHere);
  const PageAnswer last = home(browser_);
  for (const char* part : {"Signed in", "alice", "Until", "Sign out"}) EXPECT_THAT(last.body, HasSubstr(part));
  for (const PortalResult result : {PortalResult::kStarted, PortalResult::kSignedIn, PortalResult::kBound}) EXPECT_EQ(portal->count(result), 1u);
}

TEST_F(PortalTest, AStateThatIsNotThisBrowsersIsRefused) {
  start(browser_);
  give();
  expect_refused(callback(browser_, {{"code", "c"}, {"state", state().substr(1) + "x"}}), PortalResult::kWrongState, true);
  EXPECT_EQ(provider.asked.size(), 1u) << "no code was exchanged";
  EXPECT_EQ(browser_.cookie, "") << "and it is over";
  EXPECT_EQ(callback(browser_, {{"code", "c"}, {"state", state()}}).status, 403);
}

TEST_F(PortalTest, AnAnswerIsTakenOnce) {
  sign_in(browser_);
  const std::size_t asked = provider.asked.size();
  expect_refused(callback(browser_, {{"code", "the-code"}, {"state", state()}}), PortalResult::kReplayed, false);
  Browser without{kHere};
  expect_refused(callback(without, {{"code", "the-code"}, {"state", state()}}), PortalResult::kUnknown, false);
  EXPECT_EQ(provider.asked.size(), asked);
  EXPECT_THAT(confirm_page(browser_).body, HasSubstr("Is this right?")) << "who was there first goes on";
}

TEST_F(PortalTest, WhoIsLedIntoAnothersSignInGivesThemNothing) {
  Browser attacker{kElsewhere}, victim{kHere};
  start(attacker);
  give();
  expect_refused(callback(victim, {{"code", "the-victims-code"}, {"state", state()}}), PortalResult::kOtherBrowser, true);
  EXPECT_THAT(engine.asked[0].arguments["act"], HasSubstr("begun at 198.18.1.66"));
  EXPECT_EQ(engine.asked[0].peer.address, kHere);
  EXPECT_EQ(provider.asked.size(), 1u) << "the code was not exchanged";
  EXPECT_EQ(callback(attacker, {{"code", "the-victims-code"}, {"state", state()}}).status, 403) << "nor does the attacker go on with it";
}

TEST_F(PortalTest, AnAnswerFromAnotherAddressIsRefused) {
  start(browser_);
  give();
  Browser moved{kElsewhere, browser_.cookie};
  const PageAnswer answer = callback(moved, {{"code", "c"}, {"state", state()}});
  expect_refused(answer, PortalResult::kOtherAddress, true);
  EXPECT_THAT(answer.body, HasSubstr("begun at 198.18.1.3, and this browser comes from 198.18.1.66"));
  EXPECT_EQ(provider.asked.size(), 1u);
}

TEST_F(PortalTest, NorDoesAnotherAddressConfirm) {
  sign_in(browser_);
  Browser moved{kElsewhere, browser_.cookie};
  PageRequest asked = request(moved);
  asked.form = {{"csrf", csrf}};
  const auto answer = portal->confirm(asked);
  ASSERT_TRUE(answer);
  expect_refused(*answer, PortalResult::kOtherAddress, true);
  EXPECT_EQ(post(browser_, &Portal::confirm, csrf).status, 403) << "and it is over";
  EXPECT_THAT(engine.verbs(), ElementsAre("refused"));
}

TEST_F(PortalTest, AnIdTokenOfAnotherSignInIsRefused) {
  start(browser_);
  give(issuer.claims(), id_claims("another-nonce"));
  const PageAnswer answer = callback(browser_, {{"code", "c"}, {"state", state()}});
  expect_refused(answer, PortalResult::kIdToken, true);
  EXPECT_THAT(answer.body, HasSubstr("it is of another sign-in (nonce)"));
}

TEST_F(PortalTest, TokensOfTwoPeopleAreRefused) {
  start(browser_);
  json other = issuer.claims();
  other["sub"] = "mallory";
  give(other, id_claims(nonce()));
  expect_refused(callback(browser_, {{"code", "c"}, {"state", state()}}), PortalResult::kToken, true);
}

TEST_F(PortalTest, ATokenForSomebodyElseOrOverIsRefused) {
  for (const auto& [name, value] : {std::pair<const char*, json>{"aud", "another"}, {"exp", kNowNumber - 7200}, {"iss", "https://evil.example"}}) {
    make();
    engine.asked.clear();
    browser_ = {};
    start(browser_);
    json claims = issuer.claims();
    claims[name] = value;
    give(claims, id_claims(nonce()));
    EXPECT_EQ(callback(browser_, {{"code", "c"}, {"state", state()}}).status, 403) << name;
    EXPECT_THAT(engine.verbs(), ElementsAre("refused")) << name;
  }
}

TEST_F(PortalTest, AnAnswerOfAnotherProviderIsRefused) {
  json document = json::parse(provider.answers[kDiscovery].body);
  document["authorization_response_iss_parameter_supported"] = true;
  provider.answers[kDiscovery].body = document.dump();
  start(browser_);
  give();
  expect_refused(callback(browser_, {{"code", "c"}, {"state", state()}}), PortalResult::kOtherProvider, true);
  start(browser_);
  give();
  EXPECT_EQ(callback(browser_, {{"code", "c"}, {"state", state()}, {"iss", "https://evil.example"}}).status, 403);
  start(browser_);
  give();
  EXPECT_EQ(callback(browser_, {{"code", "c"}, {"state", state()}, {"iss", "https://idp.example"}}).status, 303);
}

TEST_F(PortalTest, AQueryThatSaysAThingTwiceIsRefused) {
  for (const char* name : {"state", "code", "iss", "error"}) {
    start(browser_);
    EXPECT_EQ(callback(browser_, {{"state", state()}, {"code", "c"}, {name, "x"}, {name, "y"}}).status, 400) << name;
  }
  EXPECT_THAT(engine.verbs(), IsEmpty());
}

TEST_F(PortalTest, WhatTheProviderRefusesIsSaid) {
  start(browser_);
  const PageAnswer denied = callback(browser_, {{"error", "access_denied"}, {"error_description", "<b>x</b>"}, {"state", state()}});
  expect_refused(denied, PortalResult::kProviderRefused, true);
  EXPECT_THAT(denied.body, HasSubstr("refused at lab-idp"));
  EXPECT_THAT(denied.body, Not(HasSubstr("<b>")));
  start(browser_);
  EXPECT_THAT(callback(browser_, {{"error", "<script>"}, {"state", state()}}).body, HasSubstr("refuses: another error."));
  start(browser_);
  provider.tokens = {HttpsAnswer{400, "", R"({"error":"invalid_grant"})"}};
  EXPECT_THAT(callback(browser_, {{"code", "used"}, {"state", state()}}).body, HasSubstr("invalid_grant"));
}

TEST_F(PortalTest, AProviderThatIsDownIsAClearPageAndNotAskedByEveryClick) {
  provider.is_down = true;
  for (int i = 0; i < 5; ++i) {
    const PageAnswer answer = start(browser_);
    EXPECT_EQ(answer.status, 503);
    EXPECT_THAT(answer.body, HasSubstr("lab-idp does not answer this gateway"));
  }
  EXPECT_EQ(provider.asked.size(), 1u);
  EXPECT_THAT(host.told, ElementsAre(HasSubstr("Connection refused")));
  now += seconds(3);
  provider.is_down = false;
  EXPECT_EQ(start(browser_).status, 303);
  provider.is_down = true;
  EXPECT_EQ(callback(browser_, {{"code", "c"}, {"state", state()}}).status, 503);
  EXPECT_THAT(engine.verbs(), ElementsAre("refused"));
}

TEST_F(PortalTest, EndpointsElsewhereAreNoWayOut) {
  for (const char* name : {"authorization_endpoint", "token_endpoint"}) {
    json document = json::parse(provider.answers[kDiscovery].body);
    document[name] = "https://evil.example/x";
    const std::string before = std::exchange(provider.answers[kDiscovery].body, document.dump());
    make();
    EXPECT_EQ(start(browser_).status, 503) << name;
    EXPECT_THAT(host.told.back(), HasSubstr("is at evil.example:443, which is not the issuer's own host")) << name;
    provider.answers[kDiscovery].body = before;
  }
  for (const auto& asked : provider.asked) EXPECT_THAT(asked.url, StartsWith("https://idp.example/"));
}

TEST_F(PortalTest, KeysThatAreBeingFetchedAreWaitedForAWhile) {
  start(browser_);
  give();
  host.late = 3;
  EXPECT_EQ(callback(browser_, {{"code", "c"}, {"state", state()}}).status, 303);
  EXPECT_EQ(waited, seconds(3));
  start(browser_);
  give();
  host.late = 100;
  EXPECT_EQ(callback(browser_, {{"code", "c"}, {"state", state()}}).status, 503);
  EXPECT_EQ(waited, seconds(8));
}

TEST_F(PortalTest, ASignInRunsOut) {
  start(browser_);
  give();
  now += seconds(300);
  const PageAnswer late = callback(browser_, {{"code", "c"}, {"state", state()}});
  expect_refused(late, PortalResult::kExpired, true);
  sign_in(browser_);
  now += seconds(300);
  EXPECT_EQ(post(browser_, &Portal::confirm, csrf).status, 403);
  EXPECT_THAT(engine.verbs(), testing::Each("refused"));
}

TEST_F(PortalTest, ThereIsRoomForSoManyAndNoMore) {
  make({.pending_max = 3, .pending_per_source_max = 2, .bound_max = 8, .asks_max = 8, .sign_in_time = seconds(300)});
  Browser one{"198.18.1.3"}, two{"198.18.1.3"}, three{"198.18.1.3"}, other{"198.18.1.4"}, last{"198.18.1.5"};
  EXPECT_EQ(start(one).status, 303);
  EXPECT_EQ(start(two).status, 303);
  const PageAnswer full = start(three);
  EXPECT_EQ(full.status, 503);
  EXPECT_THAT(full.body, HasSubstr("from your address as this gateway holds"));
  EXPECT_EQ(start(two).status, 303) << "a browser begins anew in its own place";
  EXPECT_EQ(start(other).status, 303);
  EXPECT_THAT(start(last).body, HasSubstr("under way here as this gateway holds"));
  EXPECT_EQ(portal->state().pending, 3u);
  EXPECT_EQ(portal->count(PortalResult::kFull), 2u);
  now += seconds(301);
  EXPECT_EQ(start(last).status, 303) << "those that ran out make room";
  EXPECT_EQ(portal->state().pending, 1u);
}

TEST_F(PortalTest, WhoseBindingEndsFirstIsForgottenWhenManyAreBound) {
  make({.pending_max = 9, .pending_per_source_max = 9, .bound_max = 2, .asks_max = 8, .sign_in_time = seconds(300)});
  std::vector<Browser> browsers = {{"198.18.1.3"}, {"198.18.1.4"}, {"198.18.1.5"}};
  for (std::size_t i = 0; i < browsers.size(); ++i) {
    sign_in(browsers[i]);
    host.holders[browsers[i].from] = {.binding = i + 1, .is_static = false, .until = now + seconds(1000 + 10 * static_cast<int>(i)), .refused_attempts = 0, .last_refused = ""};
    EXPECT_EQ(post(browsers[i], &Portal::confirm, csrf).status, 303);
  }
  EXPECT_EQ(portal->state().bound, 2u);
  EXPECT_THAT(home(browsers[0]).body, Not(HasSubstr("Sign out")));
  EXPECT_THAT(home(browsers[2]).body, HasSubstr("Sign out"));
}

TEST_F(PortalTest, AFormOfAnotherPageDoesNothing) {
  for (const std::string& forged : {std::string(), std::string("x"), std::string(43, 'A')}) {
    sign_in(browser_);
    EXPECT_EQ(post(browser_, &Portal::confirm, forged).status, 403);
    EXPECT_EQ(post(browser_, &Portal::confirm, csrf).status, 403) << "and the sign-in is over";
  }
  EXPECT_EQ(portal->count(PortalResult::kForgedForm), 3u);
  EXPECT_THAT(engine.verbs(), testing::Each("refused"));
  bind(browser_);
  engine.asked.clear();
  EXPECT_EQ(post(browser_, &Portal::sign_out, "x").status, 403);
  EXPECT_THAT(engine.verbs(), IsEmpty());
}

TEST_F(PortalTest, SigningOutEndsThatBindingAlone) {
  bind(browser_);
  engine.asked.clear();
  csrf = between(home(browser_).body, "name=\"csrf\" value=\"", "\"");
  Browser stranger{kHere};
  EXPECT_EQ(post(stranger, &Portal::sign_out, csrf).status, 403) << "another browser";
  const PageAnswer out = post(browser_, &Portal::sign_out, csrf);
  EXPECT_EQ(out.status, 200);
  EXPECT_THAT(out.body, HasSubstr("Signed out"));
  ASSERT_THAT(engine.verbs(), ElementsAre("revoke"));
  EXPECT_EQ(engine.asked[0].arguments, (json{{"which", "9"}, {"reason", "signed out at the portal"}}));
  EXPECT_EQ(engine.asked[0].peer.subject, "alice");
  EXPECT_EQ(browser_.cookie, "");
  EXPECT_EQ(post(browser_, &Portal::sign_out, csrf).status, 403);
}

TEST_F(PortalTest, WhatTheEngineRefusesIsSaidInItsWords) {
  sign_in(browser_);
  engine.failures["bind"] = {Error::Kind::kDenied, "198.18.1.3 is bound to somebody else; prove yourself on the wire", 0};
  const PageAnswer answer = post(browser_, &Portal::confirm, csrf);
  EXPECT_EQ(answer.status, 409);
  EXPECT_THAT(answer.body, HasSubstr("198.18.1.3 is bound to somebody else; prove yourself on the wire"));
  EXPECT_EQ(portal->count(PortalResult::kBindRefused), 1u);
  EXPECT_THAT(engine.verbs(), ElementsAre("bind")) << "the engine recorded it itself";
  EXPECT_EQ(browser_.cookie, "");
}

// Behind one address may be several people: the page tells none of them who another is.
TEST_F(PortalTest, WhoHoldsAnAddressIsToldOfOthersAndOthersNotOfThem) {
  bind(browser_);
  host.holders[kHere].refused_attempts = 2;
  host.holders[kHere].last_refused = "bob";
  EXPECT_THAT(home(browser_).body, HasSubstr("2 attempts by others to bind this address, last by bob"));
  Browser other{kHere};
  const PageAnswer page = home(other);
  EXPECT_THAT(page.body, HasSubstr("Your address is bound already"));
  EXPECT_THAT(page.body, HasSubstr("proves who they are on the wire"));
  for (const char* name : {"alice", "bob"}) EXPECT_THAT(page.body, Not(HasSubstr(name)));
  host.holders[kHere].binding = 10;
  EXPECT_THAT(home(browser_).body, Not(HasSubstr("Sign out"))) << "a binding that is not of this sign-in";
}

TEST_F(PortalTest, EveryValueIsEscaped) {
  start(browser_);
  json claims = issuer.claims();
  claims["sub"] = "<script>alert('x')</script>\"&";
  claims["groups"] = {"</dd><form action=//evil.example>", "\xe2\x80\xae" "nimda"};
  json id = id_claims(nonce());
  id["sub"] = claims["sub"];
  give(claims, id);
  EXPECT_EQ(callback(browser_, {{"code", "c"}, {"state", state()}}).status, 303);
  const std::string body = confirm_page(browser_).body;
  EXPECT_THAT(body, HasSubstr("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;"));
  EXPECT_THAT(body, HasSubstr("&lt;/dd&gt;&lt;form action=//evil.example&gt;"));
  EXPECT_THAT(body, HasSubstr("\\xe2\\x80\\xaenimda")) << "what would turn the line around";
  EXPECT_THAT(body, Not(HasSubstr("<script")));
  EXPECT_EQ(html("a<b>&\"'\n\x01"), "a&lt;b&gt;&amp;&quot;&#39;\\n\\x01");
}

TEST_F(PortalTest, PagesHaveNoScriptAndAPolicyThatAllowsNone) {
  const PageAnswer page = home(browser_);
  EXPECT_THAT(page.policy, StartsWith("default-src 'none'; style-src 'sha256-"));
  EXPECT_THAT(page.policy, testing::EndsWith("'; form-action 'self' https://idp.example; frame-ancestors 'none'; base-uri 'none'"));
  for (const char* part : {"<script", "javascript:", "onload", "onclick", "style=", "<img", "src=", "http://"}) EXPECT_THAT(page.body, Not(HasSubstr(part)));
  // The policy names the style that is there.
  const std::size_t at = page.body.find("<style>") + 7;
  const std::string style = page.body.substr(at, page.body.find("</style>") - at);
  std::string hash = identify::sha256_text(style);
  std::replace(hash.begin(), hash.end(), '-', '+');
  std::replace(hash.begin(), hash.end(), '_', '/');
  EXPECT_THAT(page.policy, HasSubstr("'sha256-" + hash + "='"));
}

TEST_F(PortalTest, NoTokenCodeOrSecretIsShownOrRecorded) {
  bind(browser_);
  home(browser_);
  start(browser_);
  give();
  callback(browser_, {{"code", "the-code"}, {"state", "wrong"}});
  std::string recorded;
  for (const auto& asked : engine.asked) recorded += asked.verb == "bind" ? "" : asked.arguments.dump();
  for (const auto& line : host.told) recorded += line;
  const std::string verifier = between(provider.asked.back().form, "code_verifier=", "&");
  ASSERT_EQ(verifier.size(), 43u);
  for (const std::string& secret : {access_token, id_token, std::string("the-code"), verifier}) {
    EXPECT_THAT(everything, Not(HasSubstr(secret)));
    EXPECT_THAT(recorded, Not(HasSubstr(secret)));
  }
  EXPECT_THAT(recorded, Not(HasSubstr(state())));
}

TEST_F(PortalTest, ACookieThatStandsTwiceOrIsMadeUpIsNone) {
  sign_in(browser_);
  for (const std::string& cookie : {browser_.cookie + "; " + browser_.cookie, std::string("__Host-weir-portal=x"), "weir-portal=" + browser_.cookie.substr(19), browser_.cookie + "x",
                                    "__Host-weir-portal2=" + browser_.cookie.substr(19), std::string("=;;= ;")}) {
    Browser forged{kHere, cookie};
    EXPECT_THAT(confirm_page(forged).body, HasSubstr("Nobody has signed in with this browser")) << cookie;
  }
  Browser among{kHere, "a=b; " + browser_.cookie + "; c=d"};
  EXPECT_THAT(confirm_page(among).body, HasSubstr("Is this right?"));
}

TEST_F(PortalTest, AReloadThatChangesTheProviderEndsWhatIsUnderWay) {
  sign_in(browser_);
  portal->set(portal_settings(config));
  EXPECT_THAT(confirm_page(browser_).body, HasSubstr("Is this right?")) << "the same provider";
  config.identity.issuers[0].client_id = "another";
  portal->set(portal_settings(config));
  EXPECT_EQ(confirm_page(browser_).status, 403);
  config.identity.portal = {};
  portal->set(portal_settings(config));
  EXPECT_FALSE(portal->home(request(browser_)));
  EXPECT_FALSE(portal->callback(request(browser_)));
}

TEST_F(PortalTest, TheClientsSecretIsReadFromItsFileAlone) {
  identify::testing::Folder folder;
  config.identity.issuers[0].client_secret_file = folder.write("secret", "top secret\n", 0644);
  make();
  EXPECT_EQ(start(browser_).status, 503) << "others can read it";
  EXPECT_THAT(host.told.back(), HasSubstr("chmod"));
  chmod((folder / "secret").c_str(), 0600);
  sign_in(browser_);
  EXPECT_EQ(provider.asked.back().password, "top%20secret");
  EXPECT_THAT(everything, Not(HasSubstr("top secret")));
}

TEST_F(PortalTest, TheCountersHaveALineEach) {
  home(browser_);
  start(browser_);
  std::map<std::string, double> lines;
  for (const MetricSample& sample : portal->samples()) lines[sample.name + "{" + sample.labels + "}"] = sample.value;
  EXPECT_EQ(lines.size(), static_cast<std::size_t>(PortalResult::kCount) + 1);
  EXPECT_EQ(lines["weir_portal_sign_ins_total{result=\"started\"}"], 1);
  EXPECT_EQ(lines["weir_portal_pending{}"], 1);
}

TEST(PortalSettings, PeopleOfThePortalsIssuerBindThereAloneUnlessCodesAreAllowed) {
  IdentityConfig identity;
  identity.issuers.resize(2);
  identity.issuers[0].name = "people";
  identity.issuers[1].name = "agents";
  EXPECT_FALSE(is_by_portal_alone(identity, "people"));
  EXPECT_EQ(how_to_sign_in(identity), "sign in first (weir bind)");
  identity.portal = {"https://gw.example", "people", {}};
  EXPECT_TRUE(is_by_portal_alone(identity, "people"));
  EXPECT_FALSE(is_by_portal_alone(identity, "agents"));
  EXPECT_EQ(how_to_sign_in(identity), "sign in at https://gw.example/portal");
  identity.issuers[0].flows = {"code"};
  EXPECT_TRUE(is_by_portal_alone(identity, "people"));
  identity.issuers[0].flows = {"device", "code"};
  EXPECT_FALSE(is_by_portal_alone(identity, "people"));
}

}  // namespace
}  // namespace weir::control

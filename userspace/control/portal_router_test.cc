// The portal's pages as the API serves them: headers, forms, and what is looked at of a request.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/api_test_support.h"
#include "control/portal.h"

namespace weir::control {
namespace {

using testing::HasSubstr;
using testing::Not;

class Nobody final : public PortalHost {
 public:
  std::optional<Holder> holder_of(const Address& address) override {
    looked_at = address.text();
    return std::nullopt;
  }
  Result<identify::VerifiedToken> verify_token(std::string_view) override { return fail(Error::Kind::kDenied, ""); }
  Result<identify::VerifiedToken> verify_id_token(std::string_view, std::string_view, std::string_view) override { return fail(Error::Kind::kDenied, ""); }
  void tell(std::string_view) override {}
  std::string looked_at;
};

class PortalPages : public testing::Test {
 protected:
  PortalPages() {
    Config config;
    config.identity.issuers.resize(1);
    config.identity.issuers[0].name = "lab-idp";
    config.identity.issuers[0].url = "https://idp.example:9443";
    config.identity.portal = {"https://gw.example:8443", "lab-idp", {}};
    portal_.set(portal_settings(config));
    make();
  }
  void make() { router_.emplace(ApiServices{engine_, authority_, "", &portal_}, authority_.config, counters_); }
  // As it comes over the wire.
  test::Answer ask(const std::string& text, const std::string& from = "198.18.1.3") {
    ApiRequestReader reader(4096);
    const auto whole = reader.add(as_bytes(std::string_view(text)));
    std::string wire;
    const ApiSink sink = [&](std::string_view bytes) {
      wire += bytes;
      return true;
    };
    if (!whole) router_->answer(whole.error(), sink);
    else if (*whole) router_->answer(reader.take(), *Address::parse(from), {}, sink);
    return test::answer_of(wire);
  }
  static std::string post(const std::string& path, const std::string& body, const std::string& more = "", const std::string& type = "application/x-www-form-urlencoded") {
    return "POST " + path + " HTTP/1.1\r\nHost: gw\r\n" + more + "Content-Type: " + type + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  test::Authority authority_;
  test::NotingEngine engine_;
  Nobody host_;
  Portal portal_{host_, engine_, {}, [](const identify::HttpsRequest&) -> Result<identify::HttpsAnswer> { return fail(Error::Kind::kUnavailable, "nobody is there"); }};
  ApiCounters counters_;
  std::optional<ApiRouter> router_;
};

TEST_F(PortalPages, TheAddressIsTheConnectionsWhateverHeadersSay) {
  const test::Answer answer = ask(
      "GET /portal HTTP/1.1\r\nHost: 198.18.1.77\r\nX-Forwarded-For: 198.18.1.77\r\nForwarded: for=198.18.1.77\r\nX-Real-IP: 198.18.1.77\r\nX-Forwarded-Host: evil.example\r\nTrue-Client-IP: 198.18.1.77\r\n\r\n");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(host_.looked_at, "198.18.1.3");
  EXPECT_THAT(answer.body, HasSubstr("198.18.1.3"));
  for (const char* word : {"198.18.1.77", "evil.example"}) EXPECT_THAT(answer.body + answer.head, Not(HasSubstr(word)));
}

TEST_F(PortalPages, HaveTheHeadersOfPages) {
  const test::Answer answer = ask("GET /portal HTTP/1.1\r\nHost: gw\r\n\r\n");
  for (const char* line : {"Content-Type: text/html; charset=utf-8", "Cache-Control: no-store", "X-Frame-Options: DENY", "Referrer-Policy: no-referrer", "X-Content-Type-Options: nosniff",
                           "Strict-Transport-Security: max-age=31536000", "Connection: close"})
    EXPECT_TRUE(answer.has_header(line)) << line;
  EXPECT_THAT(answer.head, HasSubstr("form-action 'self' https://idp.example:9443; frame-ancestors 'none'"));
  EXPECT_EQ(counters_.done, 1u);
}

TEST_F(PortalPages, FormsOfOtherSitesAndOtherThingsAreRefused) {
  EXPECT_EQ(ask(post("/portal/sign-in", "", "Sec-Fetch-Site: cross-site\r\n")).status, 403);
  EXPECT_EQ(ask(post("/portal/sign-in", "", "Sec-Fetch-Site: same-site\r\n")).status, 403);
  EXPECT_EQ(ask(post("/portal/sign-out", "csrf=x", "Sec-Fetch-Site: same-origin\r\n")).status, 403) << "from here, but by nobody";
  EXPECT_EQ(ask(post("/portal/confirm", R"({"csrf":"x"})", "", "application/json")).status, 415);
  for (const char* body : {"csrf=a&csrf=b", "address=198.18.1.9", "csrf=a&address=198.18.1.9", "csrf=%zz"}) EXPECT_EQ(ask(post("/portal/confirm", body)).status, 400) << body;
  EXPECT_EQ(ask("GET /portal/sign-in HTTP/1.1\r\nHost: gw\r\n\r\n").status, 405);
  EXPECT_EQ(ask("GET /portal/ HTTP/1.1\r\nHost: gw\r\n\r\n").status, 404);
  EXPECT_EQ(ask("GET /portal HTTP/1.1\r\nHost: gw\r\nCookie: a=b\r\nCookie: c=d\r\n\r\n").status, 400);
  EXPECT_TRUE(engine_.asked.empty());
}

TEST_F(PortalPages, AreLimitedAsTheRestOfTheApi) {
  authority_.config.source_per_second = 1;
  authority_.config.burst = 2;
  make();
  const std::string look = "GET /portal HTTP/1.1\r\nHost: gw\r\n\r\n";
  EXPECT_EQ(ask(look).status, 200);
  EXPECT_EQ(ask(post("/portal/sign-in", "")).status, 503);
  EXPECT_EQ(ask(look).status, 429);
  EXPECT_EQ(ask(look, "198.18.1.4").status, 200);
}

}  // namespace
}  // namespace weir::control

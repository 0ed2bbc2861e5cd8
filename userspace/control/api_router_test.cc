// Every route of the table against every role, and what the router itself refuses.
#include "control/api_router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "control/api_test_support.h"

namespace weir::control {
namespace {

using nlohmann::json;
using test::Answer;
using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ApiRouterTest : public testing::Test {
 protected:
  ApiRouterTest() { make(); }
  void make() { router_.emplace(ApiServices{engine_, authority_, folder_.path}, authority_.config, counters_); }

  Answer ask(ApiRequest request, const std::string& from = "198.18.1.2") {
    std::string wire;
    router_->answer(request, *Address::parse(from), now_, [&](std::string_view bytes) {
      wire += bytes;
      return true;
    });
    return test::answer_of(wire);
  }
  Answer get(const std::string& path, const std::string& token, std::vector<std::pair<std::string, std::string>> query = {}) {
    return ask({.method = "GET", .path = path, .query = std::move(query), .token = token, .content_type = "", .body = ""});
  }
  Answer post(const std::string& path, const std::string& token, const std::string& body, const std::string& type = "application/json") {
    return ask({.method = "POST", .path = path, .query = {}, .token = token, .content_type = type, .body = body});
  }
  // A request that fits the route.
  static ApiRequest request_for(const ApiRoute& route, const std::string& token) {
    std::string path(route.path);
    if (const std::size_t at = path.find("{id}"); at != std::string::npos) path.replace(at, 4, "7");
    if (const std::size_t at = path.find("{sink}"); at != std::string::npos) path.replace(at, 6, "chat");
    json body = json::object();
    for (const ApiArgument& field : route.fields) {
      if (field.is_list) body[std::string(field.name)] = json::array();
      else body[std::string(field.name)] = field.name == "reason" ? "a reason" : field.name == "as" ? "benign" : field.is_required ? "x" : "";
    }
    if (route.path == "/v1/bindings/revoke") body["id"] = "7";
    const bool has_body = route.method == "POST" && !route.fields.empty();
    return {.method = std::string(route.method), .path = path, .query = {}, .token = token, .content_type = has_body ? "application/json" : "", .body = has_body ? body.dump() : ""};
  }
  std::string token_of(ApiRole role) const { return authority_.token_of(role); }

  identify::testing::Folder folder_;
  test::Authority authority_;
  test::NotingEngine engine_;
  ApiCounters counters_;
  RateLimit::Clock::time_point now_{};
  std::optional<ApiRouter> router_;
};

// The portal's pages: for people who are nobody yet.  Their own tests say what they may do.
const char* const kPages[] = {"GET /portal", "POST /portal/sign-in", "GET /portal/callback", "GET /portal/confirm", "POST /portal/confirm", "POST /portal/sign-out"};

TEST_F(ApiRouterTest, ThePagesAreThesePagesAndHaveNoRole) {
  std::vector<std::string> pages;
  for (const ApiRoute& route : api_routes()) {
    EXPECT_EQ(route.access == ApiAccess::kPage, route.path.starts_with("/portal"));
    EXPECT_EQ(route.access == ApiAccess::kPage, route.show != nullptr);
    EXPECT_NE(route.run != nullptr, route.show != nullptr);
    if (route.access == ApiAccess::kPage) pages.push_back(std::string(route.method) + " " + std::string(route.path));
  }
  EXPECT_THAT(pages, testing::UnorderedElementsAreArray(kPages));
}

TEST_F(ApiRouterTest, WithoutAPortalThereAreNoPages) {
  for (const std::string& token : {std::string(), token_of(ApiRole::kAdmin)}) {
    for (const ApiRoute& route : api_routes()) {
      if (route.access != ApiAccess::kPage) continue;
      EXPECT_EQ(ask({.method = std::string(route.method), .path = std::string(route.path), .query = {}, .token = token, .content_type = "", .body = ""}).status, 404) << route.path;
    }
  }
  EXPECT_THAT(engine_.asked, IsEmpty());
}

TEST_F(ApiRouterTest, NoRouteIsOpenButHealth) {
  for (const ApiRoute& route : api_routes()) {
    SCOPED_TRACE(std::string(route.method) + " " + std::string(route.path));
    EXPECT_TRUE(route.method == "GET" || route.method == "POST");
    EXPECT_EQ(route.access == ApiAccess::kOpen, route.path == "/v1/health");
    EXPECT_EQ(route.access == ApiAccess::kToken, route.method == "POST" && route.path == "/v1/bindings");
    EXPECT_EQ(route.access == ApiAccess::kSigned, route.path == "/v1/callbacks/{sink}");
    EXPECT_EQ(route.access == ApiAccess::kRole, route.roles != 0);
    EXPECT_TRUE(route.access != ApiAccess::kPage || route.path.starts_with("/portal"));
  }
}

TEST_F(ApiRouterTest, WithoutATokenEveryRouteAnswers401) {
  std::size_t count = 0;
  for (const ApiRoute& route : api_routes()) {
    if (route.access == ApiAccess::kPage) continue;
    ++count;
    SCOPED_TRACE(std::string(route.method) + " " + std::string(route.path));
    for (const std::string& token : {std::string(), std::string("no.token.atall"), authority_.token_of(ApiRole::kAdmin) + "x"}) {
      const Answer answer = ask(request_for(route, token));
      if (route.access == ApiAccess::kOpen) {
        EXPECT_EQ(answer.status, 200);
        continue;
      }
      if (route.access == ApiAccess::kSigned) continue;  // Below: ASignedRouteAsksTheEngine...
      EXPECT_EQ(answer.status, 401);
      EXPECT_THAT(answer.head, HasSubstr("\r\nWWW-Authenticate: Bearer"));
      EXPECT_EQ(answer.object()["error"]["kind"], "denied");
    }
  }
  EXPECT_THAT(engine_.verbs(), testing::Each("callback")) << "nothing else reached the engine";
  EXPECT_EQ(counters_.unauthenticated, 3 * (count - 2));
}

TEST_F(ApiRouterTest, ASignedRouteAsksTheEngineWithTheBytesAsTheyCameAndNoToken) {
  ApiRequest request{.method = "POST", .path = "/v1/callbacks/security-chat", .query = {}, .token = token_of(ApiRole::kAdmin), .content_type = "text/odd", .body = "{\"a\": 1, \"a\": 2}"};
  request.signature = "t=1,v1=00";
  request.slack_signature = "v0=00";
  request.slack_timestamp = "1";
  EXPECT_EQ(ask(request).status, 200);
  ASSERT_EQ(engine_.asked.size(), 1u);
  EXPECT_EQ(engine_.asked[0].arguments, (json{{"body", request.body}, {"content_type", "text/odd"}, {"signature", "t=1,v1=00"}, {"slack_signature", "v0=00"}, {"slack_timestamp", "1"}}));
  EXPECT_TRUE(engine_.asked[0].peer.is_callback());
  EXPECT_EQ(engine_.asked[0].peer.sink, "security-chat");
  EXPECT_EQ(engine_.asked[0].peer.subject, "") << "who it is is not the token's to say";
  engine_.failures["callback"] = {Error::Kind::kDenied, "a right signature is needed", 401};
  const Answer refused = ask(request);
  EXPECT_EQ(refused.status, 401);
  EXPECT_THAT(refused.head, HasSubstr("\r\nWWW-Authenticate: Weir-Signature\r\n"));
  engine_.failures["callback"] = {Error::Kind::kDenied, "nobody that we know", 403};
  EXPECT_EQ(ask(request).status, 403);
  engine_.failures["callback"] = {Error::Kind::kDenied, "ticket 17 is your own", 0};
  EXPECT_EQ(ask(request).status, 409);
  for (const char* path : {"/v1/callbacks/", "/v1/callbacks/a/b", "/v1/callbacks/a%20b", "/v1/callbacks/../x"}) {
    request.path = path;
    EXPECT_EQ(ask(request).status, 404) << path;
  }
}

TEST_F(ApiRouterTest, EveryLesserRoleIsRefusedAndTheRightOneServed) {
  for (const ApiRoute& route : api_routes()) {
    if (route.access == ApiAccess::kPage) continue;
    SCOPED_TRACE(std::string(route.method) + " " + std::string(route.path));
    std::vector<std::pair<std::string, RoleSet>> callers = {{authority_.token("user:nobody", {"dba"}), RoleSet{0}}};
    for (const ApiRole role : kApiRoles) callers.emplace_back(token_of(role), role_bit(role));
    for (const auto& [token, roles] : callers) {
      engine_.asked.clear();
      const Answer answer = ask(request_for(route, token));
      if (route.access == ApiAccess::kRole && (route.roles & roles) == 0) {
        EXPECT_EQ(answer.status, 403) << int{roles};
        EXPECT_THAT(answer.message(), HasSubstr("is needed"));
        EXPECT_THAT(engine_.verbs(), ElementsAre("refused")) << "the attempt is evidence, and nothing else happened";
      } else {
        EXPECT_THAT(answer.status, AnyOf(route.done, 404)) << int{roles} << answer.body;
        EXPECT_THAT(route.statuses(), testing::Contains(answer.status));
        EXPECT_THAT(engine_.verbs(), testing::Not(testing::Contains("refused")));
      }
    }
  }
}

TEST_F(ApiRouterTest, TheEngineIsToldWhoAsksAndInWhichRole) {
  EXPECT_EQ(post("/v1/sessions/7/cut", token_of(ApiRole::kAdmin), R"({"reason":"runs away"})").status, 200);
  ASSERT_EQ(engine_.asked.size(), 1u);
  const auto& asked = engine_.asked[0];
  EXPECT_EQ(asked.verb, "cut");
  EXPECT_EQ(asked.arguments, (json{{"session", 7}, {"reason", "runs away"}}));
  EXPECT_TRUE(asked.peer.is_api());
  EXPECT_EQ(asked.peer.subject, "user:admin");
  EXPECT_EQ(asked.peer.issuer, "lab-idp");
  EXPECT_EQ(asked.peer.role, "admin");
  EXPECT_EQ(asked.peer.address, "198.18.1.2");
}

TEST_F(ApiRouterTest, RolesAreNamesOfIssuersThatCount) {
  EXPECT_EQ(get("/v1/status", authority_.token("ann")).status, 403);
  authority_.config.auditor.subjects = {"ann"};
  EXPECT_EQ(get("/v1/status", authority_.token("ann")).status, 200);
  EXPECT_EQ(get("/v1/status", authority_.token("annx")).status, 403);
  authority_.config.issuers = {"another-idp"};
  EXPECT_EQ(get("/v1/status", authority_.token("ann")).status, 403);
  EXPECT_EQ(get("/v1/status", token_of(ApiRole::kAdmin)).status, 403);
  EXPECT_EQ(post("/v1/bindings", authority_.token("ann"), "", "").status, 201) << "any verified token binds its own address";
}

TEST_F(ApiRouterTest, WhatWaitsForASecondPersonIsNotDone) {
  engine_.waits = true;
  const std::string token = token_of(ApiRole::kAdmin);
  for (const char* path : {"/v1/reload", "/v1/sessions/7/cut"}) {
    const Answer answer = post(path, token, R"({"reason":"CHG-1"})");
    EXPECT_EQ(answer.status, 202) << path;
    EXPECT_EQ(answer.object()["pending"], 7) << path;
  }
  engine_.waits = false;
  EXPECT_EQ(post("/v1/changes/7/approve", token, R"({"reason":"CHG-2"})").status, 200);
  EXPECT_EQ(engine_.asked.back().arguments, (json{{"change", 7}, {"reason", "CHG-2"}}));
  EXPECT_EQ(engine_.asked.back().verb, "change-approve");
  EXPECT_EQ(post("/v1/changes/7/approve", token, "{}").status, 422) << "without a reason";
  EXPECT_EQ(post("/v1/changes/7/approve", token_of(ApiRole::kAuditor), R"({"reason":"r"})").status, 403) << "who only looks";
  EXPECT_EQ(get("/v1/changes", token_of(ApiRole::kAuditor)).status, 200);
  EXPECT_EQ(get("/v1/changes", token_of(ApiRole::kReviewer)).status, 403);
}

TEST_F(ApiRouterTest, ABindingIsOfTheConnectionsOwnAddress) {
  const std::string token = authority_.token("user:alice");
  EXPECT_EQ(ask({.method = "POST", .path = "/v1/bindings", .query = {}, .token = token, .content_type = "", .body = ""}, "198.18.1.3").status, 201);
  EXPECT_EQ(engine_.asked.back().arguments, (json{{"address", "198.18.1.3"}, {"token", token}}));
  EXPECT_EQ(post("/v1/bindings", token, R"({"address":"198.18.1.9"})").status, 422) << "no address is taken from a body";
  EXPECT_EQ(engine_.asked.size(), 1u);
  engine_.failures["bind"] = {Error::Kind::kDenied, "198.18.1.3 is somebody else's", 0};
  EXPECT_EQ(post("/v1/bindings", token, "", "").status, 409);
}

TEST_F(ApiRouterTest, AReviewersTokenGoesToTheEngineWithTheAnswer) {
  const std::string token = token_of(ApiRole::kReviewer);
  EXPECT_EQ(post("/v1/tickets/17/approve", token, R"({"reason":"CHG-1","until":"2037-01-01T00:00:00Z"})").status, 200);
  EXPECT_EQ(engine_.asked.back().verb, "approve");
  EXPECT_EQ(engine_.asked.back().arguments, (json{{"ticket", 17}, {"reason", "CHG-1"}, {"until", "2037-01-01T00:00:00Z"}, {"token", token}}));
  EXPECT_EQ(post("/v1/tickets/17/deny", token, R"({"reason":"no"})").status, 200);
  EXPECT_EQ(engine_.asked.back().arguments, (json{{"ticket", 17}, {"reason", "no"}, {"token", token}}));
  EXPECT_EQ(post("/v1/tickets/17/deny", token, R"({"reason":"no","token":"x"})").status, 422) << "nobody names another one's token";
  EXPECT_EQ(post("/v1/tickets/17/approve", token, "{}").status, 422) << "without a reason";
  EXPECT_EQ(get("/v1/tickets", token, {{"all", "true"}}).status, 200);
  EXPECT_EQ(engine_.asked.back().arguments, (json{{"all", true}}));
  EXPECT_EQ(get("/v1/tickets", token, {{"all", "yes"}}).status, 422);
  EXPECT_EQ(get("/v1/tickets/17", token).status, 200);
  EXPECT_EQ(engine_.asked.back().arguments, (json{{"ticket", 17}}));
  engine_.failures["approve"] = {Error::Kind::kDenied, "ticket 17 is your own: somebody else approves it", 0};
  EXPECT_EQ(post("/v1/tickets/17/approve", token, R"({"reason":"r"})").status, 409);
  EXPECT_EQ(post("/v1/tickets/17/approve", token_of(ApiRole::kAdmin), R"({"reason":"r"})").status, 403) << "an administrator is not above";
}

TEST_F(ApiRouterTest, ARevocationNamesOneThing) {
  const std::string admin = token_of(ApiRole::kAdmin);
  EXPECT_EQ(post("/v1/bindings/revoke", admin, R"({"subject":"user:x","reason":"r"})").status, 200);
  EXPECT_EQ(engine_.asked.back().arguments["which"], "user:x");
  EXPECT_EQ(post("/v1/bindings/revoke", admin, R"({"reason":"r"})").status, 422);
  EXPECT_EQ(post("/v1/bindings/revoke", admin, R"({"id":"1","subject":"user:x","reason":"r"})").status, 422);
  EXPECT_EQ(post("/v1/bindings/revoke", admin, R"({"id":"1"})").status, 422) << "without a reason";
  EXPECT_EQ(engine_.asked.size(), 1u);
}

TEST_F(ApiRouterTest, WhatCannotBeRecordedIsNotShown) {
  engine_.failures["view"] = {Error::Kind::kUnavailable, "the record is full", 0};
  for (const char* path : {"/v1/sessions", "/v1/sessions/1", "/v1/events"}) EXPECT_EQ(get(path, token_of(ApiRole::kAuditor)).status, 503) << path;
  EXPECT_EQ(counters_.failed, 3u);
}

TEST_F(ApiRouterTest, UnknownPathsMethodsAndArgumentsAreTold) {
  const std::string admin = token_of(ApiRole::kAdmin);
  EXPECT_EQ(get("/v1/nothing", admin).status, 404);
  EXPECT_EQ(get("/v1/sessions/x", admin).status, 404);
  EXPECT_EQ(get("/v1/sessions/1%2f2", admin).status, 404);
  EXPECT_EQ(get("/v1/sessions/../health", admin).status, 404);
  EXPECT_EQ(get("/v1/sessions/99999999999999999999", admin).status, 404);
  for (const char* method : {"HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW", "post"}) {
    const Answer answer = ask({.method = method, .path = "/v1/bindings", .query = {}, .token = admin, .content_type = "", .body = ""});
    EXPECT_EQ(answer.status, 405) << method;
    EXPECT_TRUE(answer.has_header("Allow: GET, POST")) << answer.head;
    EXPECT_EQ(ask({.method = method, .path = "/nowhere", .query = {}, .token = admin, .content_type = "", .body = ""}).status, 405) << method;
  }
  EXPECT_THAT(get("/v1/sessions", admin, {{"tarjet", "x"}}).message(), HasSubstr("did you mean \"target\"?"));
  EXPECT_EQ(get("/v1/sessions", admin, {{"target", "x"}, {"target", "y"}}).status, 422);
  EXPECT_EQ(get("/v1/sessions", admin, {{"target", "x\n"}}).status, 422);
  EXPECT_EQ(get("/v1/status", admin, {{"x", ""}}).status, 422);
  for (const char* bad : {"0", "1001", "-1", "many"}) EXPECT_EQ(get("/v1/sessions", admin, {{"limit", bad}}).status, 422) << bad;
  EXPECT_EQ(get("/v1/sessions", admin, {{"live", "maybe"}}).status, 422);
  EXPECT_EQ(get("/v1/sessions", admin, {{"text", "%"}}).status, 422);
  EXPECT_EQ(get("/v1/sessions", admin, {{"before", "x"}}).status, 422);
  EXPECT_EQ(get("/v1/sessions", admin, {{"since", "yesterday"}}).status, 422);
  EXPECT_EQ(get("/v1/sessions", admin, {{"since", "8h"}, {"live", "true"}, {"blocked", "true"}, {"limit", "5"}}).status, 200);
  EXPECT_EQ(post("/v1/reload", admin, "reason=x", "application/x-www-form-urlencoded").status, 415);
  EXPECT_EQ(post("/v1/reload", admin, "{").status, 400);
  EXPECT_EQ(post("/v1/reload", admin, R"({"reason":"a","reason":"b"})").status, 400) << "a name that stands twice";
  EXPECT_EQ(post("/v1/reload", admin, R"({"reason":7})").status, 422);
  EXPECT_EQ(post("/v1/reload", admin, R"({"reason":""})").status, 422);
  EXPECT_EQ(post("/v1/reload", admin, R"({"raeson":"x"})").status, 422);
  EXPECT_EQ(post("/v1/reload", admin, "", "").status, 422);
  EXPECT_EQ(post("/v1/reload", admin, R"({"reason":")" + std::string(2000, 'x') + R"("})").status, 422);
  EXPECT_THAT(engine_.verbs(), ElementsAre("view")) << "of all these one was right";
}

TEST_F(ApiRouterTest, TheEnginesErrorsKeepTheirKindAndMessage) {
  const std::pair<Error::Kind, int> kinds[] = {{Error::Kind::kInvalid, 422}, {Error::Kind::kNotFound, 404}, {Error::Kind::kDenied, 409},
                                               {Error::Kind::kUnavailable, 503}, {Error::Kind::kCorrupt, 500}, {Error::Kind::kSystem, 500}};
  for (const auto& [kind, status] : kinds) {
    engine_.failures["status"] = {kind, "why it is so", 0};
    const Answer answer = get("/v1/status", token_of(ApiRole::kAdmin));
    EXPECT_EQ(answer.status, status);
    EXPECT_EQ(answer.message(), "why it is so");
  }
}

TEST_F(ApiRouterTest, FloodsOfASourceAndOfAnIdentityAreLimited) {
  authority_.config.source_per_second = 1;
  authority_.config.burst = 3;
  make();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(get("/v1/health", "").status, 200);
  const Answer limited = get("/v1/health", "");
  EXPECT_EQ(limited.status, 429);
  EXPECT_TRUE(limited.has_header("Retry-After: 1")) << limited.head;
  EXPECT_EQ(get("/v1/nothing", "").status, 429) << "also what is not there costs";
  EXPECT_EQ(counters_.limited_source, 2u);
  // One identity from many addresses.
  const std::string token = token_of(ApiRole::kAdmin);
  const auto from = [&](int host) {
    return ask({.method = "GET", .path = "/v1/status", .query = {}, .token = token, .content_type = "", .body = ""}, "198.18.3." + std::to_string(host)).status;
  };
  authority_.config.identity_per_second = 1;
  make();
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(from(i), 200);
  EXPECT_EQ(from(4), 429);
  EXPECT_EQ(counters_.limited_identity, 1u);
  now_ += std::chrono::seconds(1);
  EXPECT_EQ(from(4), 200);
}

TEST_F(ApiRouterTest, EveryAnswerHasTheSecurityHeadersAndNoneOfCors) {
  for (const Answer& answer : {get("/v1/health", ""), get("/v1/status", ""), get("/v1/metrics", token_of(ApiRole::kAuditor)), get("/nothing", "")}) {
    for (const char* line : {"Connection: close", "Cache-Control: no-store", "X-Content-Type-Options: nosniff", "X-Frame-Options: DENY", "Referrer-Policy: no-referrer",
                             "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'", "Strict-Transport-Security: max-age=31536000"}) {
      EXPECT_TRUE(answer.has_header(line)) << line;
    }
    EXPECT_THAT(answer.head, testing::Not(HasSubstr("Access-Control")));
    EXPECT_THAT(answer.head, testing::Not(HasSubstr("Server:")));
  }
  EXPECT_EQ(get("/v1/health", "").body, "{\"status\":\"ok\"}\n");
  EXPECT_EQ(get("/v1/metrics", token_of(ApiRole::kAuditor)).body, "weir_up 1\n");
}

TEST_F(ApiRouterTest, NoAnswerRepeatsAToken) {
  const std::string token = authority_.token("user:nobody");
  for (const ApiRoute& route : api_routes()) {
    const Answer answer = ask(request_for(route, token));
    EXPECT_THAT(answer.head + answer.body, testing::Not(HasSubstr(token.substr(0, 20)))) << route.path;
  }
  EXPECT_THAT(get("/v1/status", "secret-secret").body, testing::Not(HasSubstr("secret")));
}

TEST_F(ApiRouterTest, TheCountersHaveALineEach) {
  get("/v1/health", "");
  get("/v1/status", "");
  std::map<std::string, double> lines;
  for (const MetricSample& sample : counters_.samples()) lines[sample.name + "{" + sample.labels + "}"] = sample.value;
  EXPECT_EQ(lines.size(), counters_.samples().size());
  EXPECT_EQ(lines["weir_api_requests_total{result=\"done\"}"], 1);
  EXPECT_EQ(lines["weir_api_requests_total{result=\"unauthenticated\"}"], 1);
}

TEST_F(ApiRouterTest, ExplainTakesAStatementOfSeveralLinesAndListsOfTexts) {
  const std::string auditor = token_of(ApiRole::kAuditor);
  EXPECT_EQ(post("/v1/explain", auditor, R"({"who":"user:ann","target":"orders-db","sql":"select 1\n\tfrom t","params":["a","b"],"groups":[]})").status, 200);
  ASSERT_FALSE(engine_.asked.empty());
  EXPECT_EQ(engine_.asked.back().verb, "explain");
  EXPECT_EQ(engine_.asked.back().arguments["sql"], "select 1\n\tfrom t");
  EXPECT_EQ(engine_.asked.back().arguments["params"], json::array({"a", "b"}));
  EXPECT_EQ(engine_.asked.back().peer.subject, "user:auditor");
  EXPECT_EQ(post("/v1/explain", token_of(ApiRole::kReviewer), R"({"who":"x","target":"y"})").status, 403);
  for (const char* wrong : {R"({"target":"y"})", R"({"who":"x","target":"y","params":"a"})", R"({"who":"x","target":"y","params":[1]})", R"({"who":"x","target":"y","sql":["a"]})",
                            R"({"who":"x\ny","target":"y"})", R"({"who":"x","target":"y","sql":"\u0007"})"}) {
    EXPECT_EQ(post("/v1/explain", auditor, wrong).status, 422) << wrong;
  }
  EXPECT_EQ(post("/v1/explain", auditor, R"({"who":"x","target":"y","sql":")" + std::string(32u << 10, 'a') + "\"}").status, 200);
  EXPECT_EQ(post("/v1/explain", auditor, R"({"who":"x","target":"y","sql":")" + std::string((32u << 10) + 1, 'a') + "\"}").status, 422);
}

}  // namespace
}  // namespace weir::control

// The reader: what it takes, and that nothing passes which two readers could understand in two ways.
#include "control/api_http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/api_limits.h"

namespace weir::control {
namespace {

using namespace std::string_literals;

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

constexpr std::size_t kBodyMax = 1024;

// Status of what is refused; 0: whole; -1: more is wanted.
int read(const std::string& text, ApiRequest* request = nullptr) {
  ApiRequestReader reader(kBodyMax);
  const auto whole = reader.add(as_bytes(text));
  if (!whole) return whole.error().status;
  if (!*whole) return -1;
  if (request != nullptr) *request = reader.take();
  return 0;
}
std::string get(const std::string& more, const std::string& line = "GET /v1/health HTTP/1.1") { return line + "\r\nHost: gw\r\n" + more + "\r\n"; }

TEST(ApiHttp, ARequestIsReadTheSameHoweverItIsCut) {
  const std::string text = "POST /v1/sessions/7/cut?a=b%20c&d&e=%3D+x HTTP/1.1\r\nHost: gw\r\nAuthorization: bearer  abc.def\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\nbody";
  for (std::size_t cut = 1; cut < text.size(); ++cut) {
    ApiRequestReader reader(kBodyMax);
    const auto first = reader.add(as_bytes(text.substr(0, cut)));
    ASSERT_TRUE(first && !*first) << cut;
    const auto second = reader.add(as_bytes(text.substr(cut)));
    ASSERT_TRUE(second && *second) << cut;
    const ApiRequest request = reader.take();
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.path, "/v1/sessions/7/cut");
    EXPECT_EQ(request.token, "abc.def");
    EXPECT_EQ(request.body, "body");
    EXPECT_THAT(request.query, ElementsAre(Pair("a", "b c"), Pair("d", ""), Pair("e", "= x")));
  }
}

TEST(ApiHttp, TwoWaysToReadALengthAreRefused) {
  EXPECT_EQ(read(get("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "POST /v1/reload HTTP/1.1")), 400);
  EXPECT_EQ(read(get("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "POST /v1/reload HTTP/1.1")), 400);
  EXPECT_EQ(read(get("Transfer-Encoding: chunked\r\n", "POST /v1/reload HTTP/1.1")), 411);
  EXPECT_EQ(read(get("Transfer-Encoding: xchunked\r\n", "POST /v1/reload HTTP/1.1")), 411);
  EXPECT_EQ(read(get("Content-Length: 3\r\nContent-Length: 3\r\n", "POST /v1/reload HTTP/1.1") + "abc"), 400);
  EXPECT_EQ(read(get("Content-Length: 3, 3\r\n", "POST /v1/reload HTTP/1.1") + "abc"), 400);
  EXPECT_EQ(read(get("Content-Length: -1\r\n", "POST /v1/reload HTTP/1.1")), 400);
  EXPECT_EQ(read(get("Content-Length: +3\r\n", "POST /v1/reload HTTP/1.1") + "abc"), 400);
  EXPECT_EQ(read(get("Content-Length: 0x3\r\n", "POST /v1/reload HTTP/1.1") + "abc"), 400);
  EXPECT_EQ(read(get("Content-Length : 3\r\n", "POST /v1/reload HTTP/1.1") + "abc"), 400);
  EXPECT_EQ(read(get("Content-Length: 3\r\n") + "abc"), 400) << "a GET with a body";
}

TEST(ApiHttp, WhatIsNoPlainHttp11IsRefused) {
  EXPECT_EQ(read(get("", "GET /v1/health HTTP/1.0")), 505);
  EXPECT_EQ(read("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
  EXPECT_EQ(read("GET /v1/health HTTP/1.1\r\n\r\n"), 400) << "no Host";
  EXPECT_EQ(read(get("Host: other\r\n")), 400) << "two hosts";
  EXPECT_EQ(read(get("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n")), 400);
  EXPECT_EQ(read(get("", "GET http://elsewhere/v1/health HTTP/1.1")), 400);
  EXPECT_EQ(read(get("", "GET /v1/health?a=%zz HTTP/1.1")), 400);
  EXPECT_EQ(read(get("", "GET /v1/health?a=%4 HTTP/1.1")), 400);
  EXPECT_GT(read("GET /v1/health HTTP/1.1\nHost: gw\n\n"), 0) << "bare line ends";
  EXPECT_NE(read("GET /v1/health HTTP/1.1\r\nHost: gw\n\n"), 0);
  EXPECT_EQ(read(get("A: b\rContent-Length: 3\r\n")), 400);
  EXPECT_EQ(read(get("A: b\r\n folded\r\n")), 0) << "folded values are joined, as RFC 9112 has it, and nothing is made of them";
  EXPECT_EQ(read("GET /v1/\0health HTTP/1.1\r\nHost: gw\r\n\r\n"s), 400);
  EXPECT_EQ(read("\x16\x03\x01"), 400);
}

TEST(ApiHttp, SizesAreBounded) {
  EXPECT_EQ(read(get("Content-Length: 1025\r\n", "POST /v1/reload HTTP/1.1")), 413);
  EXPECT_EQ(read(get("Content-Length: 99999999999999999999\r\n", "POST /v1/reload HTTP/1.1")), 400);
  EXPECT_EQ(read(get("A: " + std::string(kApiHeadSizeMax, 'x') + "\r\n")), 431);
  EXPECT_EQ(read("GET /" + std::string(kApiHeadSizeMax + 1, 'x')), 431) << "a head without an end";
  std::string many;
  for (std::size_t i = 0; i < kApiHeaderCountMax; ++i) many += "A: b\r\n";
  EXPECT_EQ(read(get(many)), 431);
}

TEST(ApiHttp, OnlyABearerTokenIsATokenAtAll) {
  const auto token = [](const std::string& value) {
    ApiRequest request;
    EXPECT_EQ(read(get("Authorization: " + value + "\r\n"), &request), 0);
    return request.token;
  };
  EXPECT_EQ(token("Bearer abc"), "abc");
  EXPECT_EQ(token("Basic abc"), "");
  EXPECT_EQ(token("Bearer"), "");
  EXPECT_EQ(token("Bearer a b"), "");
  EXPECT_EQ(token("Bearer a,b"), "");
  EXPECT_EQ(token("Bearer " + std::string(17 << 10, 'a')), "");
}

TEST(ApiLimits, ABucketFillsAgainAndSaysWhen) {
  RateLimit limit(2, 3);
  const RateLimit::Clock::time_point start{};
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(limit.take("a", start));
  EXPECT_EQ(limit.take("a", start), std::chrono::seconds(1));
  EXPECT_FALSE(limit.take("b", start)) << "one's flood is not the other's";
  EXPECT_FALSE(limit.take("a", start + std::chrono::milliseconds(500)));
  EXPECT_TRUE(limit.take("a", start + std::chrono::milliseconds(500)));
  EXPECT_TRUE(limit.take("a", start)) << "a clock that goes back gives nothing";
}

TEST(ApiLimits, ManySourcesDoNotMakeOneForgotten) {
  RateLimit limit(1, 1);
  RateLimit::Clock::time_point now{};
  for (std::size_t i = 0; i < 3 * RateLimit::kBucketsMax; ++i) {
    now += std::chrono::microseconds(1);
    (void)limit.take("source " + std::to_string(i), now);
    if (i % 100 == 0) (void)limit.take("flood", now);
  }
  EXPECT_TRUE(limit.take("flood", now));
}

TEST(ApiLimits, AnIpv6SourceIsItsNetwork) {
  EXPECT_EQ(source_of(*Address::parse("fd57:1::2")), source_of(*Address::parse("fd57:1::ffff:3")));
  EXPECT_NE(source_of(*Address::parse("fd57:1::2")), source_of(*Address::parse("fd57:1:0:1::2")));
  EXPECT_EQ(source_of(*Address::parse("198.18.1.2")), "198.18.1.2");
}

}  // namespace
}  // namespace weir::control

// Known answers were made by another program: printf '%s' TEXT | openssl dgst -sha256 -hmac SECRET
#include "notify/signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::notify {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr int64_t kNow = 1'767'225'600;
const std::string kBody = R"({"ticket":"17","action":"approve","by":"U04ANN"})";
const Secrets kOne = Secrets::of_lines("fake-secret-of-the-test-0001\n");
const Secrets kTwo = Secrets::of_lines("fake-secret-of-the-test-0001\nfake-secret-of-the-test-0002\r\n\n");

TEST(Signature, IsWhatOpensslMakes) {
  // RFC 4231, case 2.
  EXPECT_EQ(hmac_hex("Jefe", "what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hmac_hex("fake-secret-of-the-test-0001", "1767225600." + kBody), "4d97058e76c80596e5347c5b6e9c29fa9860e92ea8d834906ed68d238ed91c9f");
  EXPECT_EQ(weir_signature(kOne, kNow, kBody), "t=1767225600,v1=4d97058e76c80596e5347c5b6e9c29fa9860e92ea8d834906ed68d238ed91c9f");
  EXPECT_EQ(weir_signature(kTwo, kNow, kBody), "t=1767225600,v1=4d97058e76c80596e5347c5b6e9c29fa9860e92ea8d834906ed68d238ed91c9f,v1=d1f5e158292dbf36d33a99c95a41ef589dd36032b35b711df1b5dc6d8179a6e4");
}

// The example in Slack's own document on verifying requests.
TEST(Signature, OfSlackIsWhatSlackDocuments) {
  const Secrets secrets = Secrets::of_lines("8f742231b10e8888abcd99yyyzzz85a5");
  const std::string body =
      "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
      "&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id="
      "398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
  const std::string header = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
  const auto proof = check_slack_signature(secrets, header, "1531420618", body, 1'531'420'700);
  ASSERT_TRUE(proof) << proof.error().message;
  EXPECT_EQ(proof->at, 1'531'420'618);
  EXPECT_FALSE(check_slack_signature(secrets, header, "1531420619", body, 1'531'420'700)) << "the time is signed too";
  EXPECT_FALSE(check_slack_signature(secrets, header, "1531420618", body + "&", 1'531'420'700));
  EXPECT_FALSE(check_slack_signature(kOne, header, "1531420618", body, 1'531'420'700));
}

TEST(Signature, EitherOfTwoSecretsIsTakenAndNoOther) {
  for (const char* secret : {"fake-secret-of-the-test-0001", "fake-secret-of-the-test-0002"})
    EXPECT_TRUE(check_weir_signature(kTwo, weir_signature(Secrets::of_lines(secret), kNow, kBody), kBody, kNow)) << secret;
  EXPECT_TRUE(check_weir_signature(kOne, weir_signature(kTwo, kNow, kBody), kBody, kNow)) << "one side has both already";
  EXPECT_FALSE(check_weir_signature(kTwo, weir_signature(Secrets::of_lines("fake-secret-of-the-test-0003"), kNow, kBody), kBody, kNow));
}

TEST(Signature, EveryChangeIsRefused) {
  const std::string good = weir_signature(kOne, kNow, kBody);
  EXPECT_TRUE(check_weir_signature(kOne, good, kBody, kNow));
  for (std::size_t at = 0; at < kBody.size(); ++at) {
    std::string body = kBody;
    body[at] = static_cast<char>(body[at] ^ 1);
    EXPECT_FALSE(check_weir_signature(kOne, good, body, kNow)) << at;
  }
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string header = good;
    header[at] = static_cast<char>(header[at] ^ 1);
    EXPECT_FALSE(check_weir_signature(kOne, header, kBody, kNow)) << header;
  }
  EXPECT_FALSE(check_weir_signature(Secrets(), good, kBody, kNow)) << "no secret is no signature";
  EXPECT_FALSE(check_weir_signature(Secrets(), "t=1767225600,v1=" + hmac_hex("", "1767225600." + kBody), kBody, kNow));
  for (const std::string header : {"", "t=1767225600", "v1=00", "t=,v1=", "t=-1,v1=00", "x", ","}) EXPECT_FALSE(check_weir_signature(kOne, header, kBody, kNow)) << header;
}

TEST(Signature, AnOldOneIsStaleOnBothSidesOfNow) {
  const auto at = [&](int64_t offset) { return check_weir_signature(kOne, weir_signature(kOne, kNow + offset, kBody), kBody, kNow); };
  EXPECT_TRUE(at(-300));
  EXPECT_TRUE(at(300));
  ASSERT_FALSE(at(-301));
  EXPECT_FALSE(at(301));
  EXPECT_THAT(at(-301).error().message, HasSubstr("301 s from now"));
  // Whose signature is wrong hears nothing about the clock.
  EXPECT_THAT(check_weir_signature(kTwo, "t=1,v1=" + std::string(64, '0'), kBody, kNow).error().message, Not(HasSubstr("from now")));
}

}  // namespace
}  // namespace weir::notify

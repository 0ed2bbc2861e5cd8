#include "control/callback_body.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace weir::control {
namespace {

using nlohmann::json;

constexpr const char* kJson = "application/json; charset=utf-8";
constexpr const char* kForm = "application/x-www-form-urlencoded";

std::string form_of(const json& payload) {
  std::string out = "payload=";
  for (const char c : payload.dump()) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    if (c == ' ') out += '+';
    else out += {'%', kDigits[(static_cast<unsigned char>(c) >> 4)], kDigits[static_cast<unsigned char>(c) & 15]};
  }
  return out;
}
json slack(const std::string& action, const std::string& value) {
  return {{"type", "block_actions"}, {"user", {{"id", "U04ANN"}, {"name", "ann smith"}}}, {"actions", json::array({{{"action_id", action}, {"value", value}, {"type", "button"}}})},
          {"response_url", "https://evil.example/"}};
}

TEST(CallbackBody, SaysWhatWhoAndWhy) {
  const auto read = read_callback(kJson, R"({"ticket":"17","action":"deny","by":"U04ANN","reason":"not on a Friday","nonce":"x"})");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->ticket, 17u);
  EXPECT_FALSE(read->is_approval);
  EXPECT_EQ(read->by, "U04ANN");
  EXPECT_EQ(read->reason, "not on a Friday");
  EXPECT_TRUE(read_callback(kJson, R"({"ticket":"17","action":"approve","by":"U"})")->is_approval);
}

TEST(CallbackBody, TakesNothingThatIsNotOurs) {
  for (const char* body : {"", "[]", "{}", R"({"ticket":17,"action":"deny","by":"U"})", R"({"ticket":"17","action":"maybe","by":"U"})", R"({"ticket":"0","action":"deny","by":"U"})",
                           R"({"ticket":"17","action":"deny","by":""})", R"({"ticket":"17","action":"deny","by":"U","subject":"user:ann"})",
                           R"({"ticket":"17","ticket":"18","action":"deny","by":"U"})", R"({"ticket":"-1","action":"deny","by":"U"})", R"({"ticket":"17","action":"deny","by":"a\nb"})"}) {
    const auto read = read_callback(kJson, body);
    ASSERT_FALSE(read) << body;
    EXPECT_EQ(read.error().kind, Error::Kind::kInvalid);
  }
  EXPECT_FALSE(read_callback("text/plain", R"({"ticket":"17","action":"deny","by":"U"})"));
}

TEST(CallbackBody, OfSlackIsAButton) {
  const auto read = read_slack_callback(kForm, form_of(slack("weir_approve", "17")));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->ticket, 17u);
  EXPECT_TRUE(read->is_approval);
  EXPECT_EQ(read->by, "U04ANN");
  EXPECT_FALSE(read_slack_callback(kForm, form_of(slack("weir_deny", "17")))->is_approval);
  EXPECT_TRUE(read_slack_callback(kForm, form_of(slack("weir_open", "")))->is_nothing);
  EXPECT_FALSE(read_slack_callback(kForm, form_of(slack("another", "17"))));
  EXPECT_FALSE(read_slack_callback(kForm, form_of(slack("weir_deny", "x"))));
  EXPECT_FALSE(read_slack_callback(kJson, form_of(slack("weir_deny", "17"))));
  EXPECT_FALSE(read_slack_callback(kForm, form_of(slack("weir_deny", "17")) + "&payload=x"));
  EXPECT_FALSE(read_slack_callback(kForm, "payload=%7"));
  json two = slack("weir_approve", "17");
  two["actions"].push_back(two["actions"][0]);
  EXPECT_FALSE(read_slack_callback(kForm, form_of(two)));
  json other = slack("weir_approve", "17");
  other["type"] = "view_submission";
  EXPECT_FALSE(read_slack_callback(kForm, form_of(other)));
}

}  // namespace
}  // namespace weir::control

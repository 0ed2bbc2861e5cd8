#include "notify/webhook.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "notify/notice_json.h"

namespace weir::notify {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Notice ticket(std::string state = "open") {
  Notice notice;
  notice.id = "1767225600000001-0a0b0c0d";
  notice.event = NoticeEvent::kTicket;
  notice.gateway = "gw-1";
  notice.subject = "svc:report";
  notice.target = "orders-db";
  notice.rule = "asks";
  notice.state = std::move(state);
  notice.text = "a command waits for a reviewer";
  notice.statement = "delete from orders where id = $1";
  notice.ticket = 17;
  notice.session = 9'007'199'254'740'993;  // No double holds it.
  return notice;
}

json buttons_of(const json& message) {
  for (const json& block : message["blocks"])
    if (block["type"] == "actions") return block["elements"];
  return json::array();
}

TEST(NoticeJson, ComesBackAsItWas) {
  const Notice before = ticket();
  const auto after = notice_of(json::parse(dump(to_json(before))));
  ASSERT_TRUE(after);
  EXPECT_EQ(to_json(*after), to_json(before));
  EXPECT_EQ(after->session, before.session);
  EXPECT_FALSE(notice_of(json{{"event", "nothing"}}));
  for (uint8_t i = 0; i < static_cast<uint8_t>(NoticeEvent::kCount); ++i) EXPECT_EQ(event_of(name_of(static_cast<NoticeEvent>(i))), static_cast<NoticeEvent>(i));
}

TEST(SlackMessage, HasButtonsThatNameTheTicketWhileItIsOpen) {
  const json buttons = buttons_of(slack_message(ticket(), true, "https://gw.example/tickets/{ticket}"));
  ASSERT_EQ(buttons.size(), 3u);
  EXPECT_EQ(buttons[0]["action_id"], "weir_approve");
  EXPECT_EQ(buttons[0]["value"], "17");
  EXPECT_EQ(buttons[1]["action_id"], "weir_deny");
  EXPECT_EQ(buttons[2]["url"], "https://gw.example/tickets/17");
  EXPECT_EQ(buttons_of(slack_message(ticket("approved"), true, "")).size(), 0u) << "what is answered cannot be answered";
  EXPECT_EQ(buttons_of(slack_message(ticket(), false, "")).size(), 0u) << "nobody may answer there";
}

TEST(SlackMessage, APeersTextIsNoMarkup) {
  Notice notice = ticket();
  notice.text = "<!channel> & <https://evil.example|click>";
  notice.statement = "select '<!here>'";
  const json message = slack_message(notice, true, "");
  EXPECT_THAT(message["text"].get<std::string>(), HasSubstr("&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;"));
  for (const json& block : message["blocks"]) {
    EXPECT_THAT(block.dump(), Not(HasSubstr("mrkdwn")));
  }
}

class WebhookTest : public testing::Test {
 protected:
  Result<void> deliver(const Notice& notice) {
    const auto sink = make_webhook(config_, Secrets::of_lines("fake-secret-of-the-test-0001"), [this](const kernel::HttpsRequest& request) -> Result<kernel::HttpsAnswer> {
      asked_ = request;
      if (status_ == 0) return fail(Error::Kind::kUnavailable, "cannot connect");
      return kernel::HttpsAnswer{status_, "", ""};
    });
    return sink->deliver(notice);
  }
  std::string header(const std::string& name) const {
    for (const std::string& line : asked_.headers)
      if (line.starts_with(name + ": ")) return line.substr(name.size() + 2);
    return "";
  }
  SinkConfig config_ = [] {
    SinkConfig config;
    config.name = "hook";
    config.url = "https://chat.example/hooks/weir";
    config.ca_file = "/etc/ca.crt";
    return config;
  }();
  int status_ = 200;
  kernel::HttpsRequest asked_;
};

TEST_F(WebhookTest, EachIsSignedAndNamesItsId) {
  ASSERT_TRUE(deliver(ticket()));
  EXPECT_EQ(asked_.url, config_.url);
  EXPECT_EQ(asked_.ca_file, "/etc/ca.crt");
  EXPECT_EQ(asked_.content_type, "application/json");
  EXPECT_EQ(header("Weir-Notice-Id"), ticket().id);
  EXPECT_EQ(header("Idempotency-Key"), ticket().id);
  EXPECT_EQ(json::parse(asked_.body)["ticket"], "17");
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()).time_since_epoch().count();
  EXPECT_TRUE(check_weir_signature(Secrets::of_lines("fake-secret-of-the-test-0001"), header("Weir-Signature"), asked_.body, now));
  EXPECT_THAT(asked_.headers, Not(Contains(HasSubstr("fake-secret"))));
  config_.kind = SinkConfig::Kind::kSlack;
  ASSERT_TRUE(deliver(ticket()));
  EXPECT_TRUE(json::parse(asked_.body).contains("blocks"));
}

TEST_F(WebhookTest, OnlyTheTwoHundredsAreADelivery) {
  for (const int status : {201, 202, 204}) {
    status_ = status;
    EXPECT_TRUE(deliver(ticket())) << status;
  }
  for (const int status : {301, 302, 307, 401, 403, 404, 408, 410, 429, 500, 502, 503}) {
    status_ = status;
    EXPECT_EQ(deliver(ticket()).error().kind, Error::Kind::kUnavailable) << status;
  }
  for (const int status : {400, 413, 422}) {
    status_ = status;
    EXPECT_EQ(deliver(ticket()).error().kind, Error::Kind::kInvalid) << status;
  }
  status_ = 0;
  EXPECT_EQ(deliver(ticket()).error().kind, Error::Kind::kUnavailable);
  status_ = 302;
  EXPECT_THAT(deliver(ticket()).error().message, HasSubstr("no redirect is followed"));
}

}  // namespace
}  // namespace weir::notify

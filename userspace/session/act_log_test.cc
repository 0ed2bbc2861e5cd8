// Acts reach the record as a session of their own, and nobody is told so before they are on disk.
#include "session/act_log.h"

#include <gtest/gtest.h>

namespace weir::session {
namespace {

// Takes events, and makes them durable when it is told to.
class FakeRecorder final : public Recorder {
 public:
  Written write(const RecordEvent& event, uint64_t& group) override {
    if (is_full) return Written::kRefused;
    lines.push_back(std::to_string(event.session) + "." + std::to_string(event.sequence) + " " + std::string(event.verb));
    texts.emplace_back(as_text(event.text));
    group = ++last_group;
    return Written::kDurableLater;
  }
  uint64_t durable_upto() const override { return durable; }
  bool is_accepting() const override { return !is_full; }
  bool has_failed() const override { return is_broken; }

  std::vector<std::string> lines, texts;
  uint64_t last_group = 0, durable = 0;
  bool is_full = false, is_broken = false;
};

class ActLogTest : public testing::Test {
 protected:
  std::future<bool> write(const std::string& name) {
    std::promise<bool> done;
    auto result = done.get_future();
    log_.write({name, "{}", "why", true}, std::move(done));
    return result;
  }
  static bool is_told(const std::future<bool>& one) { return one.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }

  FakeRecorder recorder_;
  Directory directory_{7};
  ActLog log_{recorder_, [] { return std::chrono::sys_time<std::chrono::nanoseconds>{}; }, directory_, "gw"};
};

TEST_F(ActLogTest, TheFirstActOpensASessionOfTheGatewaysOwn) {
  EXPECT_TRUE(recorder_.lines.empty());
  (void)write("revoke");
  (void)write("reload");
  log_.close();
  EXPECT_EQ(recorder_.lines, (std::vector<std::string>{"7.1 opened", "7.2 revoke", "7.3 reload", "7.4 closed"}));
  EXPECT_EQ(recorder_.texts[0], R"({"about":"gateway","gateway":"gw"})");
  EXPECT_EQ(directory_.take_number(), 8u) << "no number is lost";
}

TEST_F(ActLogTest, WithoutAnActThereIsNoSession) {
  log_.close();
  EXPECT_TRUE(recorder_.lines.empty());
  EXPECT_EQ(directory_.take_number(), 7u);
}

TEST_F(ActLogTest, NobodyIsToldBeforeItIsOnDisk) {
  auto act = write("reload");
  log_.on_journal();
  EXPECT_FALSE(is_told(act));
  recorder_.durable = recorder_.last_group;
  log_.on_journal();
  ASSERT_TRUE(is_told(act));
  EXPECT_TRUE(act.get());
}

TEST_F(ActLogTest, ARecordThatIsFullOrBrokenTakesNothing) {
  recorder_.is_full = true;
  auto act = write("reload");
  ASSERT_TRUE(is_told(act));
  EXPECT_FALSE(act.get());
  EXPECT_EQ(directory_.take_number(), 7u) << "nor is a number lost over it";
  recorder_.is_full = false;
  auto next = write("cut");
  recorder_.is_broken = true;
  log_.on_journal();
  ASSERT_TRUE(is_told(next));
  EXPECT_FALSE(next.get());
}

TEST_F(ActLogTest, AfterTheDrainNoActIsTaken) {
  (void)write("reload");
  log_.close();
  log_.close();
  auto late = write("cut");
  ASSERT_TRUE(is_told(late));
  EXPECT_FALSE(late.get());
  EXPECT_EQ(recorder_.lines.back(), "7.3 closed");
}

}  // namespace
}  // namespace weir::session

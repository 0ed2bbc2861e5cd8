#include "notify/outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/memory_store.h"

namespace weir::notify {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::Ge;
using testing::IsEmpty;
using testing::Le;

class OutboxTest : public testing::Test {
 protected:
  static SinkConfig sink(std::string name) {
    SinkConfig config;
    config.name = std::move(name);
    config.events = ~NoticeEventSet{0};
    return config;
  }
  void start() {
    outbox_.reset();
    auto opened = Outbox::open(*store_, {.gateway = "gw", .seed = 7, .steady = [this] { return steady_; }, .wall = [this] { return wall_; }});
    ASSERT_TRUE(opened) << opened.error().message;
    outbox_ = std::move(*opened);
    outbox_->set_config(config_);
  }
  void pass(milliseconds time) {
    steady_ += time;
    wall_ += time;
  }
  static Notice notice(std::string text, NoticeEvent event = NoticeEvent::kAlert, NoticeSeverity severity = NoticeSeverity::kMedium) {
    Notice made;
    made.event = event;
    made.severity = severity;
    made.text = std::move(text);
    return made;
  }
  // Takes all that is due for a sink.
  std::vector<std::string> drain(const std::string& name) {
    std::vector<std::string> texts;
    while (const auto next = outbox_->next(name)) {
      texts.push_back(next->text);
      outbox_->delivered(name, next->id);
    }
    return texts;
  }
  SinkState state(const std::string& name) {
    for (const SinkState& each : outbox_->states())
      if (each.name == name) return each;
    return {};
  }
  std::size_t stored() { return shared_->items.size(); }

  std::shared_ptr<store::SharedMemory> shared_ = std::make_shared<store::SharedMemory>();
  std::unique_ptr<store::MemoryStore> store_ = std::make_unique<store::MemoryStore>("gw", shared_);
  Outbox::Steady::time_point steady_{std::chrono::hours(1)};
  Outbox::Wall wall_{milliseconds(1'767'225'600'000)};
  NotifyConfig config_;
  std::unique_ptr<Outbox> outbox_;
};

TEST_F(OutboxTest, EachSinkGetsWhatItWantsInOrder) {
  config_.sinks = {sink("all"), sink("tickets"), sink("loud")};
  config_.sinks[1].events = bit(NoticeEvent::kTicket);
  config_.sinks[2].min_severity = NoticeSeverity::kHigh;
  start();
  outbox_->add(notice("a"));
  outbox_->add(notice("b", NoticeEvent::kTicket));
  outbox_->add(notice("c", NoticeEvent::kAlert, NoticeSeverity::kCritical));
  EXPECT_THAT(drain("all"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(drain("tickets"), ElementsAre("b"));
  EXPECT_THAT(drain("loud"), ElementsAre("c"));
  EXPECT_EQ(outbox_->size(), 0u);
  config_.sinks.clear();
  start();
  EXPECT_EQ(outbox_->add(notice("nobody")), "");
}

TEST_F(OutboxTest, WhatWaitsComesAgainAfterARestartUnderTheSameId) {
  config_.sinks = {sink("up"), sink("down")};
  start();
  const std::string first = outbox_->add(notice("one"));
  const std::string second = outbox_->add(notice("two"));
  ASSERT_TRUE(outbox_->flush());
  EXPECT_THAT(drain("up"), ElementsAre("one", "two"));
  ASSERT_TRUE(outbox_->flush());
  start();  // As after a kill: nothing of the old one is asked.
  EXPECT_THAT(drain("up"), IsEmpty());
  auto next = outbox_->next("down");
  ASSERT_TRUE(next);
  EXPECT_EQ(next->id, first);
  EXPECT_EQ(next->text, "one");
  EXPECT_EQ(next->gateway, "gw");
  outbox_->delivered("down", first);
  next = outbox_->next("down");
  ASSERT_TRUE(next);
  EXPECT_EQ(next->id, second);
  outbox_->delivered("down", second);
  ASSERT_TRUE(outbox_->flush());
  EXPECT_EQ(stored(), 0u) << "what everybody has leaves the store";
}

TEST_F(OutboxTest, WhatWasNotWrittenAsDeliveredComesTwiceUnderOneId) {
  config_.sinks = {sink("s")};
  start();
  const std::string id = outbox_->add(notice("one"));
  ASSERT_TRUE(outbox_->flush());
  outbox_->delivered("s", id);
  start();
  ASSERT_TRUE(outbox_->next("s"));
  EXPECT_EQ(outbox_->next("s")->id, id);
}

TEST_F(OutboxTest, AStoreThatDoesNotAnswerLosesNothingAndHoldsUpNobody) {
  config_.sinks = {sink("up"), sink("down")};
  start();
  shared_->refuse_writes = true;
  outbox_->add(notice("one"));
  EXPECT_FALSE(outbox_->flush());
  EXPECT_THAT(drain("up"), ElementsAre("one"));
  EXPECT_FALSE(outbox_->flush());
  shared_->refuse_writes = false;
  ASSERT_TRUE(outbox_->flush());
  start();
  EXPECT_THAT(drain("up"), IsEmpty());
  EXPECT_THAT(drain("down"), ElementsAre("one"));
}

TEST_F(OutboxTest, ADeadSinkHoldsUpNoOtherAndIsAskedLessAndLess) {
  config_.sinks = {sink("up"), sink("down")};
  start();
  outbox_->add(notice("one"));
  milliseconds last{0};
  for (uint32_t failures = 1; failures <= 12; ++failures) {
    auto next = outbox_->next("down");
    ASSERT_TRUE(next) << failures;
    outbox_->failed("down", next->id, "cannot connect", false);
    EXPECT_FALSE(outbox_->next("down")) << "its turn has not come";
    const auto wait = std::chrono::ceil<milliseconds>(*outbox_->next_at("down") - steady_);
    const milliseconds most = std::min(kBackoffMost, kBackoffFirst * (1 << (failures - 1)));
    EXPECT_THAT(wait, AllOf(Ge(most / 2), Le(most))) << failures;
    last = wait;
    pass(wait);
  }
  EXPECT_GE(last, kBackoffMost / 2);
  EXPECT_THAT(drain("up"), ElementsAre("one"));
  EXPECT_EQ(state("down").counts.failed, 12u);
  EXPECT_EQ(state("down").error, "cannot connect");
  EXPECT_THAT(drain("down"), ElementsAre("one"));
  EXPECT_EQ(state("down").error, "");
  // The next failure starts small again.
  outbox_->add(notice("two"));
  outbox_->failed("down", outbox_->next("down")->id, "x", false);
  EXPECT_LE(*outbox_->next_at("down") - steady_, kBackoffFirst);
}

TEST_F(OutboxTest, TheJitterIsNotTheSameForAll) {
  std::set<int64_t> waits;
  for (uint64_t i = 0; i < 100; ++i) waits.insert(backoff(8, i * 7919).count());
  EXPECT_GT(waits.size(), 50u);
  EXPECT_LE(backoff(4'000'000'000u, 0), kBackoffMost);
}

TEST_F(OutboxTest, WhatIsTooOldIsGivenUpAfterItWasTried) {
  config_.sinks = {sink("s")};
  config_.sinks[0].retry = seconds(3600);
  start();
  outbox_->add(notice("old"));
  pass(std::chrono::hours(2));
  ASSERT_TRUE(outbox_->next("s")) << "never tried: it goes out, however late";
  outbox_->failed("s", outbox_->next("s")->id, "x", false);
  outbox_->add(notice("new"));
  pass(kBackoffFirst);
  EXPECT_THAT(drain("s"), ElementsAre("new"));
  EXPECT_EQ(state("s").counts.dropped, 1u);
}

TEST_F(OutboxTest, WhatASinkRefusesForGoodDoesNotBlockTheRest) {
  config_.sinks = {sink("s")};
  start();
  outbox_->add(notice("bad"));
  outbox_->add(notice("good"));
  for (uint32_t i = 0; i < Outbox::kRefusalsMax; ++i) {
    ASSERT_EQ(outbox_->next("s")->text, "bad");
    outbox_->failed("s", outbox_->next("s")->id, "it answered with status 400", true);
    pass(kBackoffMost);
  }
  EXPECT_THAT(drain("s"), ElementsAre("good"));
  EXPECT_EQ(state("s").counts.dropped, 1u);
}

TEST_F(OutboxTest, AFullSpoolDropsTheOldestThatIsNoAlertFirst) {
  config_.sinks = {sink("s")};
  config_.spool_max = 3;
  start();
  outbox_->add(notice("alert 1"));
  outbox_->add(notice("ticket 1", NoticeEvent::kTicket));
  outbox_->add(notice("ticket 2", NoticeEvent::kTicket));
  outbox_->add(notice("alert 2"));
  EXPECT_EQ(outbox_->dropped(), 1u);
  outbox_->add(notice("alert 3"));
  outbox_->add(notice("alert 4"));
  EXPECT_EQ(outbox_->dropped(), 3u);
  ASSERT_TRUE(outbox_->flush());
  EXPECT_EQ(stored(), 3u);
  EXPECT_THAT(drain("s"), ElementsAre("alert 2", "alert 3", "alert 4"));
  EXPECT_EQ(state("s").counts.dropped, 3u);
}

TEST_F(OutboxTest, WhatWaitsForASinkThatIsGoneLeaves) {
  config_.sinks = {sink("s"), sink("gone")};
  start();
  outbox_->add(notice("one"));
  ASSERT_TRUE(outbox_->flush());
  config_.sinks.pop_back();
  outbox_->set_config(config_);
  EXPECT_EQ(outbox_->dropped(), 1u);
  EXPECT_THAT(drain("s"), ElementsAre("one"));
  ASSERT_TRUE(outbox_->flush());
  EXPECT_EQ(stored(), 0u);
}

TEST_F(OutboxTest, AnotherGatewaysNoticesAreNotOursToDeliver) {
  config_.sinks = {sink("s")};
  start();
  outbox_->add(notice("ours"));
  ASSERT_TRUE(outbox_->flush());
  store::MemoryStore other("gw-2", shared_);
  auto elsewhere = Outbox::open(other, {.gateway = "gw-2"});
  ASSERT_TRUE(elsewhere);
  (*elsewhere)->set_config(config_);
  EXPECT_FALSE((*elsewhere)->next("s"));
  EXPECT_NE((*elsewhere)->add(notice("theirs")), "");
  ASSERT_TRUE((*elsewhere)->flush());
  start();
  EXPECT_THAT(drain("s"), ElementsAre("ours"));
}

TEST_F(OutboxTest, IdsRiseAlsoWhenTheClockGoesBack) {
  config_.sinks = {sink("s")};
  start();
  std::string last;
  for (int i = 0; i < 50; ++i) {
    const std::string id = outbox_->add(notice("x"));
    EXPECT_GT(id, last);
    last = id;
    wall_ -= milliseconds(10);
  }
}

}  // namespace
}  // namespace weir::notify

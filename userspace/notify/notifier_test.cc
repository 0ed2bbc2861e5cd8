// The threads: from a core's queue to sinks that come and go.
#include "notify/notifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/memory_store.h"

namespace weir::notify {
namespace {

using testing::Contains;
using testing::HasSubstr;

// What sinks were given, and whether they take it.
struct World {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, std::vector<Notice>> taken;
  std::map<std::string, bool> is_down;
  std::vector<std::string> logged;

  bool wait(const std::string& sink, std::size_t count) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(20), [&] { return taken[sink].size() >= count; });
  }
};

class FakeSink final : public Sink {
 public:
  FakeSink(World& world, std::string name) : world_(world), name_(std::move(name)) {}
  Result<void> deliver(const Notice& notice) override {
    const std::lock_guard lock(world_.mutex);
    if (world_.is_down[name_]) return fail(Error::Kind::kUnavailable, "cannot connect");
    world_.taken[name_].push_back(notice);
    world_.changed.notify_all();
    return {};
  }

 private:
  World& world_;
  const std::string name_;
};

class NotifierTest : public testing::Test {
 protected:
  void start() {
    notifier_.reset();
    store_ = std::make_unique<store::MemoryStore>("gw", shared_);
    Notifier::Options options;
    options.gateway = "gw";
    options.core_count = 2;
    options.log = [this](bool, std::string text) {
      const std::lock_guard lock(world_.mutex);
      world_.logged.push_back(std::move(text));
    };
    options.make = [this](const SinkConfig& config, Secrets, const std::atomic<bool>&) { return std::make_unique<FakeSink>(world_, config.name); };
    auto started = Notifier::start(*store_, std::move(options), setup());
    ASSERT_TRUE(started) << started.error().message;
    notifier_ = std::move(*started);
  }
  NotifierSetup setup() {
    NotifierSetup setup;
    for (const std::string& name : names_) {
      SinkConfig sink;
      sink.name = name;
      sink.events = ~NoticeEventSet{0};
      setup.config.sinks.push_back(sink);
    }
    setup.rules["no-secrets"] = {NoticeSeverity::kCritical, "secrets are nobody's business"};
    return setup;
  }
  static CoreNotice seed(std::string_view rule) {
    CoreNotice made;
    made.rule.set(rule);
    made.subject.set("user:ann");
    made.target.set("orders-db");
    made.verb.set("select");
    made.session = 7;
    made.at_ns = std::chrono::system_clock::now().time_since_epoch().count();
    return made;
  }
  std::vector<std::string> names_ = {"one", "two"};
  std::shared_ptr<store::SharedMemory> shared_ = std::make_shared<store::SharedMemory>();
  std::unique_ptr<store::MemoryStore> store_;
  World world_;
  std::unique_ptr<Notifier> notifier_;
};

TEST_F(NotifierTest, ACoresAlertReachesEverySinkAndTheBook) {
  start();
  notifier_->queue(0)->push(seed("no-secrets"));
  ASSERT_TRUE(world_.wait("one", 1));
  ASSERT_TRUE(world_.wait("two", 1));
  const Notice notice = world_.taken["one"][0];
  EXPECT_EQ(notice.id, world_.taken["two"][0].id);
  EXPECT_EQ(notice.severity, NoticeSeverity::kCritical);
  EXPECT_EQ(notice.text, "rule no-secrets fired on select: secrets are nobody's business");
  EXPECT_EQ(notice.subject, "user:ann");
  ASSERT_EQ(notifier_->alerts().list(true).size(), 1u);
  EXPECT_EQ(notice.alert, notifier_->alerts().list(true)[0].number);
}

TEST_F(NotifierTest, WhatRepeatsItselfIsToldOnce) {
  start();
  for (int i = 0; i < 500; ++i) notifier_->queue(1)->push(seed("noisy"));
  notifier_->queue(0)->push(seed("another"));
  Notice last;
  last.event = NoticeEvent::kTicket;
  notifier_->tell(last);
  ASSERT_TRUE(world_.wait("one", 3));
  notifier_->stop();
  EXPECT_EQ(world_.taken["one"].size(), 3u);
  for (const Alert& alert : notifier_->alerts().list(true)) {
    EXPECT_EQ(alert.count, alert.rule == "noisy" ? 500u : 1u);
  }
}

TEST_F(NotifierTest, AFullQueueIsCountedAndSaid) {
  start();
  for (int round = 0; round < 200 && notifier_->counts().lost == 0; ++round)
    for (std::size_t i = 0; i < 3 * NoticeQueue::kCapacity; ++i) notifier_->queue(0)->push(seed("flood"));
  ASSERT_GT(notifier_->counts().lost, 0u);
  ASSERT_TRUE(world_.wait("one", 2));
  notifier_->stop();
  std::vector<NoticeEvent> events;
  for (const Notice& notice : world_.taken["one"]) events.push_back(notice.event);
  EXPECT_THAT(events, Contains(NoticeEvent::kNoticesLost));
  EXPECT_THAT(world_.logged, Contains(HasSubstr("did not fit")));
}

TEST_F(NotifierTest, ASinkThatIsDownGetsAllAfterARestart) {
  world_.is_down["two"] = true;
  start();
  for (const char* rule : {"a", "b", "c"}) notifier_->queue(0)->push(seed(rule));
  ASSERT_TRUE(world_.wait("one", 3)) << "the other one is not held up";
  start();
  {
    const std::lock_guard lock(world_.mutex);
    world_.is_down["two"] = false;
  }
  ASSERT_TRUE(world_.wait("two", 3));
  notifier_->stop();
  ASSERT_EQ(world_.taken["two"].size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(world_.taken["two"][i].id, world_.taken["one"][i].id) << "in order, each under its id";
  EXPECT_EQ(world_.taken["one"].size(), 3u) << "who had it does not get it again";
}

TEST_F(NotifierTest, AReloadChangesTheSinks) {
  start();
  names_ = {"two", "three"};
  notifier_->set(setup());
  notifier_->queue(0)->push(seed("a"));
  ASSERT_TRUE(world_.wait("three", 1));
  ASSERT_TRUE(world_.wait("two", 1));
  notifier_->stop();
  EXPECT_EQ(world_.taken["one"].size(), 0u);
}

TEST_F(NotifierTest, AStoreThatIsDownIsSaidAndHoldsNobodyUp) {
  start();
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->refuse_writes = true;
  }
  notifier_->queue(0)->push(seed("a"));
  ASSERT_TRUE(world_.wait("one", 2));
  EXPECT_EQ(world_.taken["one"][0].rule, "a");
  EXPECT_EQ(world_.taken["one"][1].event, NoticeEvent::kStoreDown);
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->refuse_writes = false;
  }
  notifier_->wake();
  ASSERT_TRUE(world_.wait("one", 3));
  EXPECT_EQ(world_.taken["one"][2].state, kBack);
  EXPECT_EQ(notifier_->alerts().list(true).size(), 2u) << "that it is over is no alert";
}

TEST_F(NotifierTest, ATestGoesToTheSinkThatIsAsked) {
  start();
  const auto queued = notifier_->test("two");
  ASSERT_EQ(queued.size(), 1u);
  ASSERT_TRUE(world_.wait("two", 1));
  EXPECT_EQ(world_.taken["two"][0].event, NoticeEvent::kTest);
  EXPECT_EQ(notifier_->test("").size(), 2u);
  EXPECT_EQ(notifier_->test("nobody").size(), 0u);
  EXPECT_TRUE(notifier_->alerts().list(false).empty());
}

TEST(DropMeter, SaysABurstOncePerReason) {
  DropMeter meter;
  meter.set(5, std::chrono::seconds(10));
  DropMeter::Steady::time_point now{std::chrono::hours(1)};
  int said = 0;
  for (int i = 0; i < 100; ++i) said += meter.add("no-binding", "a", "b", now).has_value() ? 1 : 0;
  EXPECT_EQ(said, 1);
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(meter.add("other", "a", "b", now));
  now += std::chrono::seconds(10);
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(meter.add("other", "a", "b", now)) << "four in each ten seconds is no burst";
  const auto notice = meter.add("other", "198.18.1.2:9", "198.18.2.2:5432", now);
  ASSERT_TRUE(notice);
  EXPECT_EQ(notice->rule, "other");
  EXPECT_THAT(notice->text, HasSubstr("from 198.18.1.2:9 to 198.18.2.2:5432"));
}

}  // namespace
}  // namespace weir::notify

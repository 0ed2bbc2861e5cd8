#include "session/ticket_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "store/memory_store.h"

namespace weir::session {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::chrono::sys_seconds kNow{seconds(1'767'225'600)};

class TicketWatchTest : public testing::Test {
 protected:
  TicketWatchTest() {
    ApprovalConfig one, night;
    one.name = "one";
    one.reviewers.groups = {"dba"};
    one.deadline = minutes(10);
    night = one;
    night.name = "night";
    night.is_for_class = true;
    approvals_ = {one, night};
    start(kNow);
  }
  void start(std::chrono::sys_seconds now) {
    watch_.reset();
    book_.reset();
    auto opened = decide::TicketBook::open(store_, {}, approvals_, now);
    ASSERT_TRUE(opened) << opened.error().message;
    book_ = std::move(*opened);
    watch_.emplace(*book_, "gw", now, [this](Notice notice) { told_.push_back(std::move(notice)); }, [this] { ++woken_; });
  }
  uint64_t open(const std::string& approval = "one") {
    Identity identity;
    identity.subject = "svc:agent";
    identity.issuer = "lab-idp";
    TicketRequest request;
    request.session = 41;
    request.unit = 7;
    request.identity = std::make_shared<const Identity>(std::move(identity));
    request.target = "orders-db";
    request.approval = approval;
    request.rule = "asks";
    request.reason = "a reviewer must see this";
    request.statement = "delete from orders";
    request.verbs = bit(Verb::kWrite);
    return watch_->open(request, kNow).value_or(0);
  }
  std::vector<std::string> states() {
    std::vector<std::string> all;
    for (const Notice& notice : told_) all.push_back(notice.state);
    return all;
  }
  const decide::Reviewer bob_{"user:bob", {"dba"}, "lab-idp", {}};
  std::vector<ApprovalConfig> approvals_;
  store::MemoryStore store_;
  std::unique_ptr<decide::TicketBook> book_;
  std::optional<TicketWatch> watch_;
  std::vector<Notice> told_;
  int woken_ = 0;
};

TEST_F(TicketWatchTest, TellsThatOneWasOpenedAndWhatBecameOfIt) {
  const uint64_t number = open();
  EXPECT_EQ(woken_, 1);
  watch_->turn(kNow);
  ASSERT_THAT(states(), ElementsAre("open"));
  EXPECT_EQ(told_[0].event, NoticeEvent::kTicket);
  EXPECT_EQ(told_[0].ticket, number);
  EXPECT_EQ(told_[0].subject, "svc:agent");
  EXPECT_EQ(told_[0].statement, "delete from orders");
  EXPECT_THAT(told_[0].text, HasSubstr("waits for 1 reviewer until 2026-01-01T00:10:00Z: a reviewer must see this"));
  watch_->turn(kNow);
  EXPECT_EQ(told_.size(), 1u) << "once";
  ASSERT_TRUE(book_->approve(number, bob_, "CHG-1", {}, kNow));
  watch_->turn(kNow);
  ASSERT_THAT(states(), ElementsAre("open", "approved"));
  EXPECT_THAT(told_[1].text, HasSubstr("was approved by user:bob: CHG-1"));
  watch_->turn(kNow);
  EXPECT_EQ(told_.size(), 2u);
}

TEST_F(TicketWatchTest, TellsBothOfOneThatWasAnsweredBeforeTheTurn) {
  const uint64_t number = open();
  ASSERT_TRUE(book_->deny(number, bob_, "no", kNow));
  watch_->turn(kNow);
  EXPECT_THAT(states(), ElementsAre("open", "denied"));
}

TEST_F(TicketWatchTest, TellsOfDeadlinesAndOfClientsThatLeave) {
  open();
  const uint64_t left = open();
  watch_->withdraw(left, "the client left", kNow);
  EXPECT_EQ(woken_, 3);
  watch_->turn(kNow);
  watch_->turn(kNow + minutes(11));
  EXPECT_THAT(states(), ElementsAre("open", "open", "withdrawn", "expired"));
}

TEST_F(TicketWatchTest, WhatAWindowCoversAsksNobodyAndIsNotTold) {
  ASSERT_TRUE(book_->approve(open("night"), bob_, "CHG-1", kNow + minutes(5), kNow));
  watch_->turn(kNow);
  told_.clear();
  EXPECT_NE(open("night"), 0u);
  watch_->turn(kNow);
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(TicketWatchTest, WhatARestartClosesIsTold) {
  const uint64_t number = open();
  ASSERT_TRUE(book_->deny(open(), bob_, "no", kNow));
  watch_->turn(kNow);
  told_.clear();
  start(kNow + seconds(5));
  watch_->turn(kNow + seconds(5));
  ASSERT_THAT(states(), ElementsAre("denied"));
  EXPECT_EQ(told_[0].ticket, number);
  EXPECT_THAT(told_[0].text, HasSubstr("restarted"));
}

TEST_F(TicketWatchTest, AnswersAreTheBooksOwn) {
  const uint64_t number = open();
  EXPECT_EQ(watch_->ask(number, kNow).state, TicketAnswer::State::kOpen);
  EXPECT_FALSE(open("nowhere"));
}

}  // namespace
}  // namespace weir::session

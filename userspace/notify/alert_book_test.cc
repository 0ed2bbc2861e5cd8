#include "notify/alert_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/memory_store.h"

namespace weir::notify {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class AlertBookTest : public testing::Test {
 protected:
  void start() {
    book_.reset();
    store_ = std::make_unique<store::MemoryStore>("gw", shared_);
    auto opened = AlertBook::open(*store_, options_, now_);
    ASSERT_TRUE(opened) << opened.error().message;
    book_ = std::move(*opened);
  }
  static Notice notice(std::string rule, std::string subject = "user:ann", std::string target = "orders-db") {
    Notice made;
    made.rule = std::move(rule);
    made.subject = std::move(subject);
    made.target = std::move(target);
    made.text = "a rule fired";
    made.session = 7;
    return made;
  }
  std::shared_ptr<store::SharedMemory> shared_ = std::make_shared<store::SharedMemory>();
  std::unique_ptr<store::MemoryStore> store_;
  AlertBook::Options options_{.gateway = "gw", .repeat = seconds(600)};
  std::chrono::sys_seconds now_{seconds(1'767'225'600)};
  std::unique_ptr<AlertBook> book_;
};

TEST_F(AlertBookTest, TheSameAgainIsOneAlertWithACount) {
  start();
  const auto first = book_->raise(notice("r"), now_);
  EXPECT_TRUE(first.is_new);
  for (int i = 0; i < 9; ++i) {
    now_ += seconds(599);
    const auto again = book_->raise(notice("r"), now_);
    EXPECT_FALSE(again.is_new);
    EXPECT_EQ(again.number, first.number);
  }
  EXPECT_EQ(book_->find(first.number)->count, 10u);
  EXPECT_EQ(book_->find(first.number)->last, now_);
  EXPECT_NE(book_->raise(notice("another"), now_).number, first.number);
  EXPECT_NE(book_->raise(notice("r", "user:bob"), now_).number, first.number);
  EXPECT_NE(book_->raise(notice("r", "user:ann", "other-db"), now_).number, first.number);
  now_ += seconds(600);
  EXPECT_TRUE(book_->raise(notice("r"), now_).is_new) << "after the window it is a new one";
}

TEST_F(AlertBookTest, WhatWasClosedOpensAnew) {
  start();
  const auto first = book_->raise(notice("r"), now_);
  ASSERT_TRUE(book_->close(first.number, "benign", "a test", "local:ann", now_));
  const auto second = book_->raise(notice("r"), now_);
  EXPECT_TRUE(second.is_new);
  EXPECT_NE(second.number, first.number);
  EXPECT_EQ(book_->counters().open, 1u);
}

TEST_F(AlertBookTest, LivesOverARestartWithItsCountAndItsEnd) {
  start();
  const uint64_t open = book_->raise(notice("open"), now_).number, closed = book_->raise(notice("closed"), now_).number;
  book_->raise(notice("open"), now_);
  ASSERT_TRUE(book_->flush(now_));
  ASSERT_TRUE(book_->close(closed, "incident", "INC-4", "user:ann of idp", now_));
  start();
  ASSERT_TRUE(book_->find(open));
  EXPECT_EQ(book_->find(open)->count, 2u);
  EXPECT_TRUE(book_->find(open)->is_open());
  EXPECT_EQ(book_->find(closed)->outcome, "incident");
  EXPECT_EQ(book_->find(closed)->closed_by, "user:ann of idp");
  EXPECT_EQ(book_->list(true).size(), 1u);
  EXPECT_EQ(book_->list(false).size(), 2u);
  EXPECT_EQ(book_->raise(notice("open"), now_).number, open) << "it goes on counting";
  EXPECT_GT(book_->raise(notice("new"), now_).number, closed) << "no number twice";
}

TEST_F(AlertBookTest, AClosingThatCannotBeWrittenDoesNotCount) {
  start();
  const uint64_t number = book_->raise(notice("r"), now_).number;
  shared_->refuse_writes = true;
  EXPECT_FALSE(book_->close(number, "benign", "x", "local:ann", now_));
  EXPECT_TRUE(book_->find(number)->is_open());
  EXPECT_FALSE(book_->flush(now_));
  shared_->refuse_writes = false;
  EXPECT_TRUE(book_->close(number, "benign", "x", "local:ann", now_)) << "an alert that was not written yet can be closed";
}

TEST_F(AlertBookTest, ItIsClosedOnceWithAWordAndAReason) {
  start();
  const uint64_t number = book_->raise(notice("r"), now_).number;
  EXPECT_EQ(book_->close(number, "harmless", "x", "a", now_).error().kind, Error::Kind::kInvalid);
  EXPECT_EQ(book_->close(number, "benign", "", "a", now_).error().kind, Error::Kind::kInvalid);
  EXPECT_TRUE(book_->close(book_->raise(notice("again"), now_).number, "duplicate", "of 1", "a", now_));
  EXPECT_EQ(book_->close(number + 100, "benign", "x", "a", now_).error().kind, Error::Kind::kNotFound);
  ASSERT_TRUE(book_->close(number, "benign", "x", "local:ann", now_));
  const auto again = book_->close(number, "incident", "y", "local:bob", now_);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind, Error::Kind::kDenied);
  EXPECT_THAT(again.error().message, HasSubstr("closed as benign by local:ann"));
}

TEST_F(AlertBookTest, AnotherGatewaySeesItAndMayCloseIt) {
  start();
  store::MemoryStore other_store("gw-2", shared_);
  auto other = AlertBook::open(other_store, {.gateway = "gw-2"}, now_);
  ASSERT_TRUE(other);
  const uint64_t number = book_->raise(notice("r"), now_).number;
  ASSERT_TRUE(book_->flush(now_));
  ASSERT_TRUE((*other)->find(number));
  EXPECT_EQ((*other)->find(number)->gateway, "gw");
  EXPECT_NE((*other)->raise(notice("r"), now_).number, number) << "what happens there is another alert";
  ASSERT_TRUE((*other)->close(number, "benign", "seen", "local:bob", now_));
  EXPECT_FALSE(book_->find(number)->is_open());
  EXPECT_TRUE(book_->raise(notice("r"), now_).is_new);
  EXPECT_TRUE(book_->flush(now_));
}

TEST_F(AlertBookTest, WithoutAStoreItRaisesAndWritesLater) {
  start();
  shared_->refuse_writes = true;
  const uint64_t number = book_->raise(notice("r"), now_).number;
  EXPECT_NE(number, 0u);
  EXPECT_FALSE(book_->flush(now_));
  shared_->refuse_writes = false;
  ASSERT_TRUE(book_->flush(now_));
  start();
  EXPECT_TRUE(book_->find(number));
}

TEST_F(AlertBookTest, IsBounded) {
  options_.open_max = 3;
  options_.kept_max = 2;
  start();
  std::vector<uint64_t> numbers;
  for (const char* rule : {"a", "b", "c"}) numbers.push_back(book_->raise(notice(rule), now_).number);
  const auto fourth = book_->raise(notice("d"), now_);
  EXPECT_EQ(fourth.number, 0u);
  EXPECT_TRUE(fourth.is_new) << "it is told of";
  EXPECT_EQ(book_->counters().unkept, 1u);
  for (const uint64_t number : numbers) ASSERT_TRUE(book_->close(number, "benign", "x", "a", now_));
  ASSERT_TRUE(book_->flush(now_));
  EXPECT_EQ(book_->list(false).size(), 2u);
  EXPECT_EQ(shared_->items.size(), 2u);
  now_ += std::chrono::hours(24 * 91);
  ASSERT_TRUE(book_->flush(now_));
  EXPECT_EQ(shared_->items.size(), 0u);
}

TEST_F(AlertBookTest, OfASessionThatIsNotKeptClosedOnesGoAndOpenOnesForgetTheStatement) {
  start();
  Notice with = notice("open");
  with.statement = "select 'zebra'";
  const auto open = book_->raise(with, now_);
  with.rule = "closed";
  const auto closed = book_->raise(with, now_);
  with.session = 8;
  with.rule = "other";
  const auto other = book_->raise(with, now_);
  ASSERT_TRUE(book_->close(closed.number, "benign", "x", "me", now_));
  ASSERT_TRUE(book_->forget({7}, now_));
  EXPECT_FALSE(book_->find(closed.number));
  EXPECT_EQ(book_->find(open.number)->statement, "");
  EXPECT_NE(book_->find(other.number)->statement, "");
  start();
  EXPECT_FALSE(book_->find(closed.number)) << "nor is it in the store";
  EXPECT_EQ(book_->find(open.number)->statement, "");
}

}  // namespace
}  // namespace weir::notify

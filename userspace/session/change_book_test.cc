// Two people for one change: never one, never late, never for something else than was asked.
#include "session/change_book.h"

#include <gtest/gtest.h>

#include "store/memory_store.h"

namespace weir::session {
namespace {

using control::ControlPeer;
using nlohmann::json;
using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr sys_seconds kNow{seconds(1'800'000'000)};

ControlPeer login(uint32_t login_uid, uint32_t uid = 0) {
  ControlPeer peer;
  peer.uid = uid;
  peer.login_uid = login_uid;
  return peer;
}
ControlPeer subject(const std::string& name, const std::string& issuer = "https://idp") {
  ControlPeer peer;
  peer.subject = name;
  peer.issuer = issuer;
  return peer;
}
const Person kAnn = person_of(login(1000)), kBob = person_of(login(1001)), kNobody = person_of(login(ControlPeer::kNoLogin));

class ChangeBookTest : public testing::Test {
 protected:
  Result<Change> ask(const Person& by = kAnn, const std::string& digest = "d1") {
    Change change;
    change.act = "reload";
    change.arguments = {{"set", {"log.level=debug"}}};
    change.reason = "CHG-1";
    change.digest = digest;
    change.text = "rule r added";
    change.deadline = kNow + seconds(600);
    return book_.ask(std::move(change), by, kNow);
  }
  std::string refusal(const Result<Change>& answer) {
    EXPECT_FALSE(answer);
    return answer ? "" : answer.error().message;
  }
  std::shared_ptr<store::SharedMemory> shared_ = std::make_shared<store::SharedMemory>();
  store::MemoryStore store_{"gw-1", shared_};
  ChangeBook book_{store_, "gw-1"};
};

TEST_F(ChangeBookTest, SomebodyElseApprovesAndOnlyOnce) {
  const auto asked = ask();
  ASSERT_TRUE(asked) << asked.error().message;
  ASSERT_EQ(book_.list(false, kNow)->size(), 1u);
  const auto approved = book_.approve(asked->number, kBob, "looks right", "d1", kNow);
  ASSERT_TRUE(approved) << approved.error().message;
  EXPECT_EQ(approved->arguments, (json{{"set", {"log.level=debug"}}}));
  EXPECT_TRUE(book_.list(false, kNow)->empty());
  EXPECT_NE(refusal(book_.approve(asked->number, kBob, "again", "d1", kNow)).find("was answered: approved"), std::string::npos);
  EXPECT_NE(refusal(book_.deny(asked->number, kBob, "no", kNow)).find("was answered: approved"), std::string::npos);
  ASSERT_TRUE(book_.finish(*approved, true, "done"));
  const json shown = describe(*book_.find(asked->number, kNow));
  EXPECT_EQ(shown["state"], "approved");
  EXPECT_EQ(shown["by"], "uid 0, login uid 1000");
  EXPECT_EQ(shown["answered_by"], "uid 0, login uid 1001");
  EXPECT_EQ(shown["answer_reason"], "looks right");
  EXPECT_EQ(shown["outcome"], "done");
}

TEST_F(ChangeBookTest, NobodyApprovesTheirOwnAlsoNotThroughSudo) {
  const uint64_t number = ask()->number;
  EXPECT_NE(refusal(book_.approve(number, kAnn, "r", "d1", kNow)).find("is your own"), std::string::npos);
  EXPECT_NE(refusal(book_.approve(number, person_of(login(1000, 990)), "r", "d1", kNow)).find("is your own"), std::string::npos) << "as another uid";
  const uint64_t over_api = ask(person_of(subject("user:ann")))->number;
  EXPECT_NE(refusal(book_.approve(over_api, person_of(subject("user:ann")), "r", "d1", kNow)).find("is your own"), std::string::npos);
  EXPECT_TRUE(book_.approve(over_api, person_of(subject("user:bob")), "r", "d1", kNow));
}

TEST_F(ChangeBookTest, NobodyIsNoPerson) {
  EXPECT_NE(refusal(ask(kNobody)).find("needs a first one"), std::string::npos);
  const uint64_t number = ask()->number;
  EXPECT_NE(refusal(book_.approve(number, kNobody, "r", "d1", kNow)).find("nobody is known"), std::string::npos);
  EXPECT_TRUE(book_.approve(number, kBob, "r", "d1", kNow));
}

TEST_F(ChangeBookTest, ALoginAndATokenMayBeOnePerson) {
  const uint64_t number = ask()->number;
  EXPECT_NE(refusal(book_.approve(number, person_of(subject("user:bob")), "r", "d1", kNow)).find("approved the same way"), std::string::npos);
  const uint64_t over_api = ask(person_of(subject("user:bob")))->number;
  EXPECT_NE(refusal(book_.approve(over_api, kAnn, "r", "d1", kNow)).find("approved the same way"), std::string::npos);
}

TEST_F(ChangeBookTest, WhatChangedSinceIsNotApproved) {
  const uint64_t number = ask()->number;
  EXPECT_NE(refusal(book_.approve(number, kBob, "r", "d2", kNow)).find("changed since"), std::string::npos);
  EXPECT_TRUE(book_.approve(number, kBob, "r", "d1", kNow)) << "it was put back";
}

TEST_F(ChangeBookTest, TheDeadlineEndsIt) {
  const uint64_t number = ask()->number;
  EXPECT_NE(refusal(book_.approve(number, kBob, "late", "d1", kNow + seconds(600))).find("had to be approved before"), std::string::npos);
  EXPECT_TRUE(book_.list(false, kNow + seconds(600))->empty());
  EXPECT_NE(refusal(book_.deny(number, kBob, "late", kNow + seconds(600))).find("expired"), std::string::npos);
  const auto late = book_.expire(kNow + seconds(601));
  ASSERT_EQ(late->size(), 1u);
  EXPECT_TRUE(book_.expire(kNow + seconds(602))->empty()) << "told once";
  EXPECT_EQ(book_.find(number, kNow)->state, Change::State::kExpired) << "also by a clock that was put back";
  ASSERT_TRUE(book_.expire(kNow + seconds(601) + ChangeBook::kKeptFor));
  EXPECT_FALSE(book_.find(number, kNow)) << "the record has it";
}

TEST_F(ChangeBookTest, WhoAskedMayTakeItBack) {
  const uint64_t number = ask()->number;
  ASSERT_TRUE(book_.deny(number, kAnn, "a mistake", kNow));
  EXPECT_NE(refusal(book_.approve(number, kBob, "r", "d1", kNow)).find("denied"), std::string::npos);
}

TEST_F(ChangeBookTest, ItIsApprovedAtItsOwnGatewayAndOnceOverAll) {
  const uint64_t number = ask()->number;
  store::MemoryStore other_store("gw-2", shared_);
  ChangeBook other(other_store, "gw-2");
  EXPECT_EQ(other.list(false, kNow)->size(), 1u);
  EXPECT_NE(refusal(other.approve(number, kBob, "r", "d1", kNow)).find("gateway gw-1"), std::string::npos);
  ASSERT_TRUE(other.deny(number, kBob, "no", kNow)) << "a denial counts from anywhere";
  EXPECT_FALSE(book_.approve(number, kBob, "r", "d1", kNow));
}

TEST_F(ChangeBookTest, AnAnswerThatCannotBeWrittenIsNone) {
  const uint64_t number = ask()->number;
  shared_->refuse_writes = true;
  EXPECT_FALSE(book_.approve(number, kBob, "r", "d1", kNow));
  EXPECT_FALSE(ask());
  shared_->refuse_writes = false;
  EXPECT_EQ(book_.find(number, kNow)->state, Change::State::kPending);
  EXPECT_TRUE(book_.approve(number, kBob, "r", "d1", kNow));
}

TEST_F(ChangeBookTest, ItHasItsLimitsAndKeepsNoToken) {
  Change with_token;
  with_token.arguments = {{"token", "abc"}};
  with_token.deadline = kNow + seconds(1);
  EXPECT_FALSE(book_.ask(with_token, kAnn, kNow));
  for (uint32_t i = 0; i < ChangeBook::kPendingMax; ++i) ASSERT_TRUE(ask());
  EXPECT_EQ(ask().error().kind, Error::Kind::kUnavailable);
}

TEST_F(ChangeBookTest, WhatIsDamagedIsSaid) {
  ASSERT_TRUE(store_.write({{"change", "9", 0, R"({"state":"odd"})"}}));
  EXPECT_EQ(book_.find(9, kNow).error().kind, Error::Kind::kCorrupt);
  EXPECT_EQ(book_.list(true, kNow).error().kind, Error::Kind::kCorrupt);
}

}  // namespace
}  // namespace weir::session

// Who may cancel whom: a key of a live session of the same target and subject, and no other.
#include "session/directory.h"

#include <gtest/gtest.h>

namespace weir::session {
namespace {

LiveSession session(uint64_t id, std::string target, std::string subject) {
  auto identity = std::make_shared<Identity>();
  identity->subject = std::move(subject);
  LiveSession made;
  made.id = id;
  made.target = std::move(target);
  made.identity = std::move(identity);
  return made;
}

TEST(Directory, WhereProofIsOnTheWireAKeyCancelsFromItsOwnAddress) {
  Directory directory(1);
  const Endpoint here{*Address::parse("198.18.1.2"), 40000}, there{*Address::parse("198.18.1.3"), 40000};
  directory.enter({1, 0, "db", nullptr, here, {}, 0});
  directory.publish_cancel_key(1, as_bytes("key"));
  EXPECT_TRUE(directory.may_cancel_from(as_bytes("key"), "db", here.address));
  EXPECT_FALSE(directory.may_cancel_from(as_bytes("key"), "db", there.address));
  EXPECT_FALSE(directory.may_cancel_from(as_bytes("key"), "other", here.address));
  EXPECT_FALSE(directory.may_cancel_from(as_bytes("yek"), "db", here.address));
  auto ann = std::make_shared<Identity>();
  ann->subject = "ann";
  directory.identify(1, ann);
  EXPECT_EQ(directory.find(1)->identity->subject, "ann");
}

TEST(Directory, AKeyCancelsForTheSameTargetAndSubjectOnly) {
  Directory directory(1);
  directory.enter(session(1, "orders-db", "user:ann"));
  directory.publish_cancel_key(1, as_bytes("key-of-1"));
  EXPECT_TRUE(directory.may_cancel(as_bytes("key-of-1"), "orders-db", "user:ann"));
  EXPECT_FALSE(directory.may_cancel(as_bytes("key-of-1"), "orders-db", "user:bob"));
  EXPECT_FALSE(directory.may_cancel(as_bytes("key-of-1"), "orders-db", ""));
  EXPECT_FALSE(directory.may_cancel(as_bytes("key-of-1"), "other-db", "user:ann"));
  EXPECT_FALSE(directory.may_cancel(as_bytes("key-of-2"), "orders-db", "user:ann"));
  EXPECT_FALSE(directory.may_cancel({}, "orders-db", "user:ann"));
}

TEST(Directory, AKeyEndsWithItsSessionAndWithItsSuccessor) {
  Directory directory(1);
  directory.enter(session(1, "orders-db", "user:ann"));
  directory.publish_cancel_key(1, as_bytes("first"));
  directory.publish_cancel_key(1, as_bytes("second"));
  EXPECT_FALSE(directory.may_cancel(as_bytes("first"), "orders-db", "user:ann"));
  EXPECT_TRUE(directory.may_cancel(as_bytes("second"), "orders-db", "user:ann"));
  directory.leave(1);
  EXPECT_FALSE(directory.may_cancel(as_bytes("second"), "orders-db", "user:ann"));
  directory.publish_cancel_key(1, as_bytes("late"));
  EXPECT_FALSE(directory.may_cancel(as_bytes("late"), "orders-db", "user:ann"));
  EXPECT_EQ(directory.count(), 0u);
}

// Two targets may give the same key.
TEST(Directory, ASessionThatLeavesTakesNoOthersKeyWithIt) {
  Directory directory(1);
  directory.enter(session(1, "orders-db", "user:ann"));
  directory.enter(session(2, "other-db", "user:bob"));
  directory.publish_cancel_key(1, as_bytes("same"));
  directory.publish_cancel_key(2, as_bytes("same"));
  directory.leave(1);
  EXPECT_TRUE(directory.may_cancel(as_bytes("same"), "other-db", "user:bob"));
}

TEST(Directory, NumbersHaveNoGaps) {
  Directory directory(17);
  EXPECT_EQ(directory.take_number(), 17u);
  EXPECT_EQ(directory.take_number(), 18u);
}

}  // namespace
}  // namespace weir::session

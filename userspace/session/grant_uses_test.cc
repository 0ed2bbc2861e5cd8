#include "session/grant_uses.h"

#include <gtest/gtest.h>

#include "store/memory_store.h"

namespace weir::session {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

const sys_seconds kNow{seconds(1'800'000'000)};

std::vector<GrantConfig> grants(std::initializer_list<const char*> names) {
  std::vector<GrantConfig> made;
  for (const char* name : names) made.emplace_back().name = name;
  return made;
}

IdentityPtr by(const char* subject) {
  auto identity = std::make_shared<Identity>();
  identity->subject = subject;
  return identity;
}

TEST(GrantUses, WhatWasNeverUsedSaysSinceWhenItIsCounted) {
  store::MemoryStore store;
  GrantUses uses(store, "gw");
  ASSERT_TRUE(uses.load());
  uses.set_grants(grants({"reads"}), kNow);
  uses.set_grants(grants({"reads", "writes"}), kNow + seconds(60));
  EXPECT_EQ(uses.of("reads").since, kNow);
  EXPECT_EQ(uses.of("reads").count, 0u);
  EXPECT_EQ(uses.of("reads").last, sys_seconds{});
  EXPECT_EQ(uses.of("writes").since, kNow + seconds(60));
  EXPECT_EQ(uses.of("no-such").since, sys_seconds{});
}

TEST(GrantUses, OutliveTheProcess) {
  store::MemoryStore store;
  {
    GrantUses uses(store, "gw");
    ASSERT_TRUE(uses.load());
    uses.set_grants(grants({"reads", "writes"}), kNow);
    uses.add({{"reads", 3, kNow, kNow + seconds(5), "user:ann"}});
    ASSERT_TRUE(uses.save());
    uses.add({{"reads", 1, kNow, kNow + seconds(9), "user:bob"}});
    ASSERT_TRUE(uses.save());
    ASSERT_TRUE(uses.save()) << "nothing to write";
  }
  GrantUses uses(store, "gw");
  ASSERT_TRUE(uses.load());
  uses.set_grants(grants({"reads", "writes"}), kNow + seconds(1'000));
  EXPECT_EQ(uses.of("reads").count, 4u);
  EXPECT_EQ(uses.of("reads").last, kNow + seconds(9));
  EXPECT_EQ(uses.of("reads").subject, "user:bob");
  EXPECT_EQ(uses.of("writes").since, kNow) << "not since the restart";
}

TEST(GrantUses, OfSeveralGatewaysAddUp) {
  const auto shared = std::make_shared<store::SharedMemory>();
  store::MemoryStore store_a("a", shared), store_b("b", shared);
  GrantUses a(store_a, "a"), b(store_b, "b");
  ASSERT_TRUE(a.load());
  ASSERT_TRUE(b.load());
  a.set_grants(grants({"reads"}), kNow);
  b.set_grants(grants({"reads"}), kNow + seconds(60));
  a.add({{"reads", 3, kNow, kNow + seconds(70), "user:ann"}});
  b.add({{"reads", 2, kNow, kNow + seconds(80), "user:bob"}});
  ASSERT_TRUE(a.save());
  ASSERT_TRUE(b.save());
  for (const GrantUses* each : {&a, &b}) {
    EXPECT_EQ(each->of("reads").count, 5u);
    EXPECT_EQ(each->of("reads").subject, "user:bob");
    EXPECT_EQ(each->of("reads").since, kNow);
  }
}

TEST(GrantUses, AStoreThatIsAwayLosesNothing) {
  const auto shared = std::make_shared<store::SharedMemory>();
  store::MemoryStore store("a", shared);
  GrantUses uses(store, "a");
  ASSERT_TRUE(uses.load());
  uses.add({{"reads", 3, kNow, kNow, "user:ann"}});
  shared->refuse_writes = true;
  EXPECT_FALSE(uses.save());
  uses.add({{"reads", 1, kNow, kNow, "user:ann"}});
  shared->refuse_writes = false;
  EXPECT_TRUE(uses.save());
  GrantUses again(store, "a");
  ASSERT_TRUE(again.load());
  EXPECT_EQ(again.of("reads").count, 4u);
}

// Two processes of one name: who comes second looks at what the first wrote.
TEST(GrantUses, AnotherWritersVersionIsTakenUp) {
  const auto shared = std::make_shared<store::SharedMemory>();
  store::MemoryStore store_a("a", shared), store_b("a", shared);
  GrantUses a(store_a, "a"), b(store_b, "a");
  a.add({{"reads", 3, kNow, kNow, "user:ann"}});
  b.add({{"reads", 5, kNow, kNow, "user:bob"}});
  ASSERT_TRUE(a.save());
  EXPECT_FALSE(b.save());
  EXPECT_TRUE(b.save());
  EXPECT_EQ(b.of("reads").count, 5u);
}

// Who can write to the store must not be able to end a gateway by it.
TEST(GrantUses, AnItemOfAnyFormIsReadOrLeftAlone) {
  const auto shared = std::make_shared<store::SharedMemory>();
  store::MemoryStore store_a("a", shared), other("b", shared);
  GrantUses a(store_a, "a");
  ASSERT_TRUE(a.load());
  int id = 0;
  for (const char* body : {"[]", "7", "{}", R"({"grant":7})", R"({"grant":"reads","count":"9","since":[],"last":5,"subject":7})"}) {
    EXPECT_TRUE(other.write({{GrantUses::kKind, std::to_string(++id), 0, body}})) << body;
  }
  EXPECT_EQ(a.of("reads").count, 0u);
  EXPECT_EQ(a.of("reads").subject, "");
}

TEST(GrantUseCounter, HandsOverOnceASecondAndAtItsEnd) {
  store::MemoryStore store;
  GrantUses uses(store, "gw");
  GrantUseCounter counter(&uses);
  counter.set_grants(grants({"reads", "writes"}));
  counter.note("reads", 1, by("user:ann"), kNow);
  counter.flush(kNow);
  EXPECT_EQ(uses.of("reads").count, 1u);
  counter.note("reads", 1, by("user:ann"), kNow);
  counter.note("writes", 2, by("user:bob"), kNow);
  counter.flush(kNow + std::chrono::milliseconds(900));
  EXPECT_EQ(uses.of("reads").count, 1u);
  counter.flush(kNow + seconds(1));
  EXPECT_EQ(uses.of("reads").count, 2u);
  EXPECT_EQ(uses.of("writes").subject, "user:bob");
  counter.note("writes", 2, by("user:ann"), kNow + seconds(1));
  counter.flush({}, true);
  EXPECT_EQ(uses.of("writes").count, 2u);
}

// A session may still be judged by the rules from before a reload.
TEST(GrantUseCounter, GoesByTheNameWhereAReloadMovedTheGrants) {
  store::MemoryStore store;
  GrantUses uses(store, "gw");
  GrantUseCounter counter(&uses);
  counter.set_grants(grants({"reads", "writes"}));
  counter.note("reads", 1, by("user:ann"), kNow);
  counter.set_grants(grants({"writes", "reads"}));
  counter.note("reads", 1, by("user:ann"), kNow);
  counter.note("gone", 7, by("user:ann"), kNow);
  counter.note("", 0, by("user:ann"), kNow);
  counter.flush({}, true);
  EXPECT_EQ(uses.of("reads").count, 2u);
  EXPECT_EQ(uses.of("writes").count, 0u);
  EXPECT_EQ(uses.of("gone").count, 1u);
}

}  // namespace
}  // namespace weir::session

// What every Store is held to.
#include <gtest/gtest.h>

#include "store/memory_store.h"
#include "store/postgres_test_server.h"
#include "store/sqlite_store.h"
#include "store/store_test_support.h"

namespace weir::store {
namespace {

// Two gateways on one store.
struct Pair {
  std::shared_ptr<Folder> folder;  // Of the store's file, if it has one; goes last.
  std::unique_ptr<Store> one, other;
};
using MakePair = Pair (*)();

class StoreContract : public testing::TestWithParam<MakePair> {
 protected:
  void SetUp() override { ASSERT_TRUE(pair_.one && pair_.other); }
  Pair pair_ = GetParam()();
};

TEST_P(StoreContract, WhatOneWritesTheOtherReads) {
  ASSERT_TRUE(pair_.one->write({{"ticket", "7", 0, R"({"a":1})"}, {"ticket", "8", 0, "{}"}, {"binding", "7", 0, "[]"}}));
  const auto found = pair_.other->load("ticket");
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ((*found)[0].id, "7");
  EXPECT_EQ((*found)[0].version, 1u);
  EXPECT_EQ((*found)[0].gateway, "gw-1");
  EXPECT_EQ((*found)[0].body, R"({"a":1})");
  EXPECT_FALSE(*pair_.other->find("ticket", "9"));
}

TEST_P(StoreContract, WhoComesSecondIsToldAndChangesNothing) {
  ASSERT_TRUE(pair_.one->write({{"ticket", "7", 0, "{}"}}));
  const auto again = pair_.other->write({{"ticket", "9", 0, "{}"}, {"ticket", "7", 0, "[]"}});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind, Error::Kind::kDenied);
  EXPECT_FALSE(*pair_.one->find("ticket", "9"));
  ASSERT_TRUE(pair_.other->write({{"ticket", "7", 1, "[]"}}));
  EXPECT_FALSE(pair_.one->write({{"ticket", "7", 1, std::nullopt}}));
  EXPECT_EQ((*pair_.one->find("ticket", "7"))->version, 2u);
  ASSERT_TRUE(pair_.one->write({{"ticket", "7", 2, std::nullopt}}));
  EXPECT_FALSE(*pair_.other->find("ticket", "7"));
}

TEST_P(StoreContract, NumbersAreGivenOnce) {
  EXPECT_EQ(*pair_.one->take_numbers("ticket", 3, 0), 1u);
  EXPECT_EQ(*pair_.other->take_numbers("ticket", 1, 0), 4u);
  EXPECT_EQ(*pair_.one->take_numbers("ticket", 1, 1000), 1001u);
  EXPECT_EQ(*pair_.other->take_numbers("ticket", 1, 0), 1002u);
  EXPECT_EQ(*pair_.other->take_numbers("binding", 1, 0), 1u);
}

TEST_P(StoreContract, NamesAndBodiesHaveBounds) {
  for (const StoreWrite& write : {StoreWrite{"Ticket", "1", 0, "{}"}, {"", "1", 0, "{}"}, {"ticket", "", 0, "{}"}, {"ticket", std::string(513, 'x'), 0, "{}"},
                                  {"ticket", "1", 0, ""}, {"ticket", "1", 0, std::string(kStoreBodyMax + 1, ' ')}}) {
    const auto done = pair_.one->write({write});
    ASSERT_FALSE(done) << write.kind << "/" << write.id.substr(0, 10);
    EXPECT_EQ(done.error().kind, Error::Kind::kInvalid);
  }
}

TEST_P(StoreContract, WhatMustNotBeThereIsNotRemoved) {
  ASSERT_TRUE(pair_.one->write({{"ticket", "7", 0, "{}"}}));
  const auto gone = pair_.other->write({{"ticket", "7", 0, std::nullopt}});
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().kind, Error::Kind::kDenied);
  EXPECT_TRUE(pair_.other->write({{"ticket", "8", 0, std::nullopt}}));
}

TEST_P(StoreContract, AnyBytesOfABodyComeBack) {
  const std::string body = "{\"a\":\"\xc3\xa4 ' \\\" $1 ?\"}" + std::string(300'000, ' ');
  const std::string id = "a/b'\"; DROP TABLE weir_store_item; --\xe2\x82\xac";
  ASSERT_TRUE(pair_.one->write({{"ticket", id, 0, body}}));
  const auto found = pair_.other->find("ticket", id);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->body, body);
  EXPECT_EQ((*found)->id, id);
}

INSTANTIATE_TEST_SUITE_P(Memory, StoreContract, testing::Values([] {
  auto shared = std::make_shared<SharedMemory>();
  return Pair{nullptr, std::make_unique<MemoryStore>("gw-1", shared), std::make_unique<MemoryStore>("gw-2", shared)};
}));
// Two handles on one file, as no two gateways have: who comes second must be told here as well.
INSTANTIATE_TEST_SUITE_P(Sqlite, StoreContract, testing::Values([] {
  auto folder = std::make_shared<Folder>();
  return Pair{folder, SqliteStore::open(folder->file("store.db"), "gw-1").value(), SqliteStore::open(folder->file("store.db"), "gw-2").value()};
}));

// On a real server; without one these fail.
INSTANTIATE_TEST_SUITE_P(Postgres, StoreContract, testing::Values([] {
  auto login = TestServer::instance().fresh("gw-1");
  auto first = PostgresStore::open(login, nullptr);
  login.gateway = "gw-2";
  auto second = PostgresStore::open(login, nullptr);
  EXPECT_TRUE(first && second) << TestServer::instance().failure();
  return first && second ? Pair{nullptr, std::move(*first), std::move(*second)} : Pair{};
}));

TEST(MemoryStore, OthersAreToldOfChangesAndRemovals) {
  auto shared = std::make_shared<SharedMemory>();
  MemoryStore one("gw-1", shared), other("gw-2", shared);
  std::vector<std::string> seen;
  one.watch("ticket", [&seen](const StoreItem& item) { seen.push_back(item.id + "=" + item.body); });
  ASSERT_TRUE(one.write({{"ticket", "1", 0, "{}"}}));
  EXPECT_TRUE(seen.empty());
  ASSERT_TRUE(other.write({{"ticket", "1", 1, "[]"}, {"binding", "1", 0, "{}"}}));
  ASSERT_TRUE(other.write({{"ticket", "1", 2, std::nullopt}}));
  EXPECT_EQ(seen, (std::vector<std::string>{"1=[]", "1="}));
}

}  // namespace
}  // namespace weir::store

// What SQLite's store promises beyond the contract: the file.
#include "store/sqlite_store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <fstream>

#include "store/store_test_support.h"

namespace weir::store {
namespace {

void run_sql(const std::string& file, const std::string& sql) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(file.c_str(), &database), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
  sqlite3_close(database);
}

TEST(SqliteStore, WhatWasWrittenIsThereAfterARestart) {
  const Folder folder;
  {
    auto store = SqliteStore::open(folder.file("store.db"), "gw-1").value();
    ASSERT_TRUE(store->write({{"ticket", "7", 0, "{}"}}));
    EXPECT_EQ(*store->take_numbers("ticket", 10, 0), 1u);
    EXPECT_TRUE(store->is_healthy());
    EXPECT_EQ(store->name(), folder.file("store.db"));
  }
  auto store = SqliteStore::open(folder.file("store.db"), "gw-1").value();
  EXPECT_EQ((*store->find("ticket", "7"))->version, 1u);
  EXPECT_EQ(*store->take_numbers("ticket", 1, 0), 11u);
}

TEST(SqliteStore, TheFileIsItsOwnersAlone) {
  const Folder folder;
  std::ofstream(folder.file("store.db")).close();
  ASSERT_EQ(chmod(folder.file("store.db").c_str(), 0644), 0);
  auto store = SqliteStore::open(folder.file("store.db"), "gw-1").value();
  ASSERT_TRUE(store->write({{"ticket", "7", 0, "{}"}}));
  for (const char* name : {"store.db", "store.db-wal", "store.db-shm"}) {
    struct stat status {};
    ASSERT_EQ(stat(folder.file(name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 07777, 0600u) << name;
  }
}

TEST(SqliteStore, ALaterSchemaIsRefusedAndLeftAlone) {
  const Folder folder;
  { auto store = SqliteStore::open(folder.file("store.db"), "gw-1").value(); }
  run_sql(folder.file("store.db"), "PRAGMA user_version=99");
  for (int i = 0; i < 2; ++i) {
    const auto opened = SqliteStore::open(folder.file("store.db"), "gw-1");
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, Error::Kind::kInvalid);
    EXPECT_NE(opened.error().message.find("schema 99, made by a later version"), std::string::npos) << opened.error().message;
  }
}

TEST(SqliteStore, ADamagedFileIsToldAsSuch) {
  const Folder folder;
  const std::string file = folder.file("store.db");
  std::ofstream(file) << "this is not a database, however long it may be, and it is longer than a hundred bytes, which is a header's size";
  auto opened = SqliteStore::open(file, "gw-1");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, Error::Kind::kCorrupt);
  EXPECT_NE(opened.error().message.find("move it away"), std::string::npos);
  std::filesystem::remove(file);
  {
    auto store = SqliteStore::open(file, "gw-1").value();
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(store->write({{"ticket", std::to_string(i), 0, std::string(2000, 'x')}}));
  }
  {
    std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekp(3 * 4096);
    bytes << std::string(20 * 4096, '\x5a');
  }
  opened = SqliteStore::open(file, "gw-1");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, Error::Kind::kCorrupt) << opened.error().message;
}

TEST(SqliteStore, SomebodyElsesDatabaseIsNotTaken) {
  const Folder folder;
  run_sql(folder.file("store.db"), "CREATE TABLE weir_store_item (a)");
  const auto opened = SqliteStore::open(folder.file("store.db"), "gw-1");
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("no store of Weir's"), std::string::npos) << opened.error().message;
}

TEST(SqliteStore, NumbersEndBeforeTheyWrap) {
  const Folder folder;
  auto store = SqliteStore::open(folder.file("store.db"), "gw-1").value();
  EXPECT_FALSE(store->take_numbers("ticket", 1, UINT64_MAX - 1));
  EXPECT_EQ(*store->take_numbers("ticket", 1, 5), 6u);
}

TEST(SqliteStore, WhatWasRemovedIsInNoFile) {
  const Folder folder;
  const std::string marker = "zebra-4711-marker";
  auto store = SqliteStore::open(folder.file("store.db"), "gw-1").value();
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(store->write({{"ticket", std::to_string(i), 0, "{\"statement\":\"" + marker + std::string(500, 'x') + "\"}"}}));
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(store->write({{"ticket", std::to_string(i), 1, std::nullopt}}));
  ASSERT_TRUE(store->wipe_removed());
  for (const char* name : {"store.db", "store.db-wal", "store.db-shm"}) {
    std::ifstream file(folder.file(name), std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    EXPECT_EQ(text.find(marker), std::string::npos) << name;
  }
  ASSERT_TRUE(store->write({{"ticket", "next", 0, "{}"}})) << "it goes on";
}

}  // namespace
}  // namespace weir::store

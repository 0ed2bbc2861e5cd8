// What a `store` means.
#include <gtest/gtest.h>

#include "control/config_test_support.h"

namespace weir::control {
namespace {

StoreConfig store_of(const std::string& text) {
  const LoadedConfig loaded = load_text(kSmallConfig + text);
  EXPECT_TRUE(loaded.is_usable()) << text;
  return loaded.config.store;
}

TEST(ConfigStore, SqliteInStateIsTheDefault) {
  for (const char* text : {"", "store: sqlite\n", "store: \"sqlite:store.db\"\n", "store: {url: sqlite}\n"}) {
    EXPECT_FALSE(store_of(text).is_shared);
    EXPECT_EQ(store_of(text).file, "store.db");
  }
  EXPECT_EQ(store_of("store: \"sqlite:other.db\"\n").file, "other.db");
}

TEST(ConfigStore, AServerIsNamedByItsUrl) {
  const StoreConfig store = store_of("store: {url: \"postgresql://weir@db.example:6432/gateways?sslrootcert=keys/ca.crt\", password_file: keys/p}\n");
  EXPECT_TRUE(store.is_shared);
  EXPECT_EQ(store.user, "weir");
  EXPECT_EQ(store.host, "db.example");
  EXPECT_EQ(store.port, 6432);
  EXPECT_EQ(store.database, "gateways");
  EXPECT_EQ(store.tls, VerifyMode::kVerifyFull);
  EXPECT_EQ(store.ca_file, "/etc/weir/keys/ca.crt");
  EXPECT_EQ(store.password_file, "/etc/weir/keys/p");
  EXPECT_EQ(store_of("store: \"postgresql://weir@[fd57::5]:6432/w?sslmode=require\"\n").host, "fd57::5");
  EXPECT_EQ(store_of("store: \"postgresql://weir@/w?host=/run/postgresql\"\n").host, "/run/postgresql");
  EXPECT_EQ(store_of("store: \"postgresql://weir@/w?host=/run/postgresql\"\n").tls, VerifyMode::kNone);
}

TEST(ConfigStore, AnUnverifiedServerElsewhereIsWarnedOf) {
  const auto problems = problems_of(kSmallConfig + "store: \"postgresql://weir@db/w?sslmode=require\"\n");
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].find("warning: store: without sslmode=verify-full"), std::string::npos) << problems[0];
  EXPECT_TRUE(problems_of(kSmallConfig + "store: \"postgresql://weir@127.0.0.1/w?sslmode=disable\"\n").empty());
}

TEST(ConfigStore, ChangesAtAStartOnly) {
  const Config running = load_text(kSmallConfig).config, wanted = load_text(kSmallConfig + "store: \"sqlite:other.db\"\n").config;
  const auto problems = lines_of(restart_needed(running, wanted));
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].find("store takes effect at a start only"), std::string::npos) << problems[0];
}

}  // namespace
}  // namespace weir::control

// What PostgreSQL's store promises beyond the contract: others are told, whatever happens to a connection.
#include "store/postgres_store.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "store/postgres_test_server.h"

namespace weir::store {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// What a watcher was told, in order.
class Told {
 public:
  Store::OnChange to() {
    return [this](const StoreItem& item) {
      const std::lock_guard lock(mutex_);
      all_.push_back(item.id + "=" + (item.body.empty() ? "gone" : item.body) + "@" + item.gateway);
      changed_.notify_all();
    };
  }
  // How long it took; the limit: it never came.
  milliseconds wait(const std::string& what, milliseconds limit = kNoticedWithin) {
    const auto before = Clock::now();
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, limit, [&] { return std::find(all_.begin(), all_.end(), what) != all_.end(); });
    return std::chrono::duration_cast<milliseconds>(Clock::now() - before);
  }
  std::vector<std::string> all() {
    const std::lock_guard lock(mutex_);
    return all_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> all_;
};

class PostgresStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(server_.failure(), "");
    login_ = server_.fresh("gw-1");
    one_ = open("gw-1");
    other_ = open("gw-2");
    ASSERT_TRUE(one_ && other_);
    other_->watch("ticket", told_.to());
    one_->watch("ticket", own_.to());
  }
  std::unique_ptr<PostgresStore> open(const std::string& gateway) {
    auto login = login_;
    login.gateway = gateway;
    auto opened = PostgresStore::open(login, [](const std::string&) {});
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? std::move(*opened) : nullptr;
  }
  std::string sql(const std::string& text) { return server_.run(login_.database, text); }
  // Ends every connection of both stores.
  void cut_connections() { sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'weir %' AND datname = current_database()"); }
  // Until a call works again.
  Result<void> write_when_back(Store& store, const StoreWrite& write) {
    const auto end = Clock::now() + std::chrono::seconds(20);
    for (;;) {
      auto done = store.write({write});
      if (done || done.error().kind == Error::Kind::kDenied || Clock::now() > end) return done;
      std::this_thread::sleep_for(milliseconds(20));
    }
  }

  TestServer& server_ = TestServer::instance();
  PostgresLogin login_;
  Told told_, own_;  // Told to the end of the stores.
  std::unique_ptr<PostgresStore> one_, other_;
};

TEST_F(PostgresStoreTest, OthersAreToldAtOnceAndItselfNever) {
  ASSERT_TRUE(one_->write({{"ticket", "7", 0, "{}"}, {"binding", "7", 0, "{}"}}));
  EXPECT_LT(told_.wait("7={}@gw-1"), milliseconds(900));
  ASSERT_TRUE(one_->write({{"ticket", "7", 1, "[]"}}));
  ASSERT_TRUE(one_->write({{"ticket", "7", 2, std::nullopt}}));
  EXPECT_LT(told_.wait("7=gone@gw-1"), milliseconds(900));
  ASSERT_TRUE(other_->write({{"ticket", "9", 0, "{}"}}));
  EXPECT_LT(own_.wait("9={}@gw-2"), milliseconds(900));
  EXPECT_EQ(own_.all().size(), 1u);
  for (const std::string& each : told_.all()) EXPECT_EQ(each.front(), '7');
}

TEST_F(PostgresStoreTest, WhatNobodyNotifiedOfIsFoundByThePoll) {
  ASSERT_TRUE(one_->write({{"ticket", "7", 0, "{}"}}));
  ASSERT_LT(told_.wait("7={}@gw-1"), kNoticedWithin);
  sql("BEGIN; UPDATE weir.weir_store_change SET last = last + 1; UPDATE weir.weir_store_item SET version = 2, body = '[]', change = (SELECT last FROM weir.weir_store_change); COMMIT");
  EXPECT_LT(told_.wait("7=[]@gw-1"), kPollEvery + milliseconds(1'000));
}

TEST_F(PostgresStoreTest, AConnectionThatIsLostLosesNoChange) {
  ASSERT_TRUE(one_->write({{"ticket", "7", 0, "{}"}}));
  ASSERT_LT(told_.wait("7={}@gw-1"), kNoticedWithin);
  for (int i = 1; i <= 3; ++i) {
    cut_connections();
    ASSERT_TRUE(write_when_back(*one_, {"ticket", "7", static_cast<uint64_t>(i), "[" + std::to_string(i) + "]"}));
    EXPECT_LT(told_.wait("7=[" + std::to_string(i) + "]@gw-1"), kNoticedWithin);
  }
}

TEST_F(PostgresStoreTest, AwayIsToldAtOnceAndEndsByItself) {
  ASSERT_TRUE(one_->write({{"ticket", "7", 0, "{}"}}));
  server_.stop();
  (void)one_->write({{"ticket", "8", 0, "{}"}});
  const auto before = Clock::now();
  const auto done = one_->write({{"ticket", "8", 0, "{}"}});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, Error::Kind::kUnavailable) << done.error().message;
  EXPECT_FALSE(one_->find("ticket", "7"));
  EXPECT_FALSE(one_->take_numbers("ticket", 1, 0));
  EXPECT_LT(Clock::now() - before, milliseconds(500));
  EXPECT_FALSE(one_->is_healthy());
  server_.start();
  ASSERT_EQ(server_.failure(), "");
  ASSERT_TRUE(write_when_back(*one_, {"ticket", "7", 1, "[]"}));
  EXPECT_LT(told_.wait("7=[]@gw-1"), kNoticedWithin);
  EXPECT_TRUE(one_->is_healthy());
}

TEST_F(PostgresStoreTest, RemovalsThatWereForgottenMeanwhileAreStillTold) {
  ASSERT_TRUE(one_->write({{"ticket", "7", 0, "{}"}, {"ticket", "8", 0, "{}"}, {"ticket", "9", 0, "{}"}}));
  ASSERT_LT(told_.wait("9={}@gw-1"), kNoticedWithin);
  sql("BEGIN; DELETE FROM weir.weir_store_item WHERE id = '8'; UPDATE weir.weir_store_change SET last = last + 1, purged = last + 1; "
      "UPDATE weir.weir_store_item SET version = 2, body = '[]', change = (SELECT last FROM weir.weir_store_change) WHERE id = '9'; COMMIT");
  EXPECT_LT(told_.wait("8=gone@"), kNoticedWithin);
  EXPECT_LT(told_.wait("9=[]@gw-1"), kNoticedWithin);
  EXPECT_EQ(told_.all().size(), 5u);  // Of 7 nothing new.
}

TEST_F(PostgresStoreTest, AWriteWhoseOutcomeIsUnknownIsToldOf) {
  // The function commits, and then the answer does not come: the connection is ended from within.
  sql("CREATE FUNCTION weir.slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(2); RETURN NULL; END'; "
      "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON weir.weir_store_item DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION weir.slow()");
  sql("ALTER ROLE weir SET statement_timeout = 0");
  std::thread cutter([&] {
    std::this_thread::sleep_for(milliseconds(500));
    sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE '%weir_store_write%' AND pid <> pg_backend_pid()");
  });
  EXPECT_FALSE(one_->write({{"ticket", "7", 0, "{}"}}));
  cutter.join();
  sql("DROP TRIGGER slow ON weir.weir_store_item");
  // As if it had been committed.
  const std::string writer = sql("SELECT 1");
  ASSERT_EQ(writer, "1");
  ASSERT_TRUE(write_when_back(*one_, {"ticket", "7", 0, "[]"}));
  EXPECT_LT(own_.wait("7=[]@gw-1"), kNoticedWithin);
}

TEST_F(PostgresStoreTest, TwoGatewaysOfOneNameAreRefused) {
  auto login = login_;
  login.name_wait = milliseconds(200);
  const auto opened = PostgresStore::open(login, [](const std::string&) {});
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("named gw-1 as well"), std::string::npos) << opened.error().message;
  one_.reset();
  EXPECT_TRUE(PostgresStore::open(login_, [](const std::string&) {})) << "it has ended";
}

TEST_F(PostgresStoreTest, ALaterSchemaIsRefused) {
  sql("INSERT INTO weir.weir_store_migration (version) VALUES (99)");
  const auto opened = PostgresStore::open(login_, [](const std::string&) {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, Error::Kind::kInvalid);
  EXPECT_NE(opened.error().message.find("schema 99, made by a later version"), std::string::npos) << opened.error().message;
}

TEST_F(PostgresStoreTest, NothingWeakerThanConfiguredIsTakenAndNoPasswordIsSaid) {
  auto login = login_;
  login.host = "127.0.0.1";
  login.gateway = "gw-3";
  login.password = "wrong-fake";
  auto opened = PostgresStore::open(login, [](const std::string&) {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message.find("wrong-fake"), std::string::npos);
  login.password = "weir-fake";
  EXPECT_TRUE(PostgresStore::open(login, [](const std::string&) {}));
  login.tls = VerifyMode::kVerifyFull;
  login.ca_file = server_.certificate();
  opened = PostgresStore::open(login, [](const std::string&) {});
  EXPECT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(sql("SELECT bool_and(ssl)::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL AND application_name LIKE 'weir %'"), "true");
  const std::string authority = server_.certificate();
  for (const auto& [host, ca_file] : {std::pair{"127.0.0.1", "/etc/ssl/certs/ca-certificates.crt"}, {"localhost", authority.c_str()}}) {  // Another authority; another name.
    login.host = host;
    login.ca_file = ca_file;
    opened = PostgresStore::open(login, [](const std::string&) {});
    ASSERT_FALSE(opened) << host;
    EXPECT_EQ(opened.error().kind, Error::Kind::kUnavailable);
  }
}

TEST(PostgresLink, AServerThatSaysNothingIsNotWaitedForLong) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(fd, 8), 0);
  ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const auto before = Clock::now();
  const auto link = PostgresLink::connect({"127.0.0.1", "d", "u", "", "", "gw", ntohs(address.sin_port), VerifyMode::kNone}, milliseconds(300));
  EXPECT_FALSE(link);
  EXPECT_LT(Clock::now() - before, milliseconds(2'000));
  close(fd);
}

TEST_F(PostgresStoreTest, AnAnswerThatDoesNotComeInTimeEndsTheConnection) {
  auto link = PostgresLink::connect(login_, kCallLimit);
  ASSERT_TRUE(link) << link.error().message;
  const auto before = Clock::now();
  const auto answer = (*link)->run("SELECT pg_sleep(20)", {}, milliseconds(200));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, Error::Kind::kUnavailable);
  EXPECT_TRUE((*link)->is_broken()) << "what comes late must not be taken for another answer";
  EXPECT_LT(Clock::now() - before, milliseconds(2'000));
}

TEST_F(PostgresStoreTest, GatewaysThatWriteAtOnceLoseNothing) {
  constexpr int kEach = 60;
  ASSERT_TRUE(one_->write({{"ticket", "count", 0, "0"}}));
  const auto count_up = [&](Store& store) {
    for (int done = 0; done < kEach;) {
      const auto found = store.find("ticket", "count");
      ASSERT_TRUE(found && *found);
      const auto written = store.write({{"ticket", "count", (*found)->version, std::to_string(std::stoi((*found)->body) + 1)}});
      if (written) ++done;
      else ASSERT_EQ(written.error().kind, Error::Kind::kDenied) << written.error().message;
    }
  };
  std::thread second([&] { count_up(*other_); });
  count_up(*one_);
  second.join();
  EXPECT_EQ((*one_->find("ticket", "count"))->body, std::to_string(2 * kEach));
  EXPECT_EQ((*one_->find("ticket", "count"))->version, 1u + 2 * kEach);
}

}  // namespace
}  // namespace weir::store

// The codec between libpq, psql, pgbench and a real server: what transcripts cannot know.
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "tests/playbook/live/server.h"

namespace weir::testing {
namespace {

constexpr const char* kPassword = "password=alice-fake";

Verdict allow() {
  Verdict verdict;
  verdict.action = Verdict::Action::kAllow;
  return verdict;
}
Verdict allow_all(const Harness&, const Unit&, Bytes) { return allow(); }
// Refuses what names "forbidden": a command by its text or its statement's, COPY data by its bytes.
Verdict block_forbidden(const Harness& harness, const Unit& unit, Bytes wire) {
  Verdict verdict = allow();
  const auto names_it = [](Bytes bytes) { return as_text(bytes).find("forbidden") != std::string_view::npos; };
  bool refused = unit.kind == UnitKind::kCommand && (names_it(unit.text) || unit.verb == "function-call");
  if (unit.kind == UnitKind::kData) refused = names_it(wire);
  for (const uint64_t id : unit.meanings) refused = refused || (unit.kind == UnitKind::kCommand && id != 0 && names_it(harness.codec().statement(id)));
  if (!refused) return verdict;
  verdict.action = Verdict::Action::kBlock;
  verdict.rule_name = "forbidden";
  verdict.reason = "refused by a test";
  return verdict;
}

class PostgresLive : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(PostgresServer::instance().failure(), ""); }
  void begin(Harness::Judge judge, TargetFacts target = {}) {
    relay_ = std::make_unique<Relay>(PostgresServer::instance().port(), std::move(target), std::move(judge));
    connection_ = connect(relay_->port(), "alice", kPassword);
    ASSERT_EQ(PQstatus(connection_.get()), CONNECTION_OK) << PQerrorMessage(connection_.get());
  }
  void TearDown() override {
    connection_.reset();
    if (relay_) {
      EXPECT_EQ(relay_->breach(), "");
    }
  }
  std::string sql(const std::string& text) { return outcome(run(connection_, text)); }
  std::string with_parameters(const std::string& text, std::vector<const char*> values = {}, int result_format = 0) {
    return outcome(ResultSet(PQexecParams(connection_.get(), text.c_str(), static_cast<int>(values.size()), nullptr, values.data(), nullptr,
                                          nullptr, result_format), &PQclear));
  }
  [[nodiscard]] PGTransactionStatusType state() const { return PQtransactionStatus(connection_.get()); }
  std::string next_result() { return outcome(ResultSet(PQgetResult(connection_.get()), &PQclear)); }

  std::unique_ptr<Relay> relay_;
  Connection connection_{nullptr, &PQfinish};
};

TEST_F(PostgresLive, PassesWhatIsAllowedAsADirectConnectionWould) {
  begin(allow_all);
  const Connection direct = connect(PostgresServer::instance().port(), "alice", kPassword);
  for (const char* text : {"select 1, 'a', null", "create temp table t(n int, s text); insert into t select g, 'row ' || g from generate_series(1, 5000) g",
                           "select * from t order by n", "begin", "select 1/0", "select 1", "rollback", "", ";", "select 1; select 2; select nonsense; select 3",
                           "do $$ begin raise notice 'hello'; end $$", "show server_version", "explain select 1", "select repeat('x', 3000000)"}) {
    EXPECT_EQ(sql(text), outcome(run(direct, text))) << text;
    EXPECT_EQ(state(), PQtransactionStatus(direct.get())) << text;
  }
}

TEST_F(PostgresLive, PreparedBinaryAndSettingsByPortal) {
  begin(allow_all);
  EXPECT_EQ(with_parameters("select $1::int + 1, $2::text", {"41", nullptr}), "SELECT 1: 42|null");
  EXPECT_EQ(with_parameters("select 258::int4", {}, 1), std::string("SELECT 1: \0\0\x01\x02", 14));
  EXPECT_EQ(with_parameters("set application_name = 'renamed'"), "SET");
  EXPECT_STREQ(PQparameterStatus(connection_.get(), "application_name"), "renamed");
  EXPECT_EQ(with_parameters("select current_setting('application_name')"), "SELECT 1: renamed");
  EXPECT_EQ(sql("prepare mine(int) as select $1 + 1"), "PREPARE");
  const char* value = "7";
  EXPECT_EQ(outcome(ResultSet(PQexecPrepared(connection_.get(), "mine", 1, &value, nullptr, nullptr, 0), &PQclear)), "SELECT 1: 8");
  EXPECT_EQ(outcome(ResultSet(PQdescribePrepared(connection_.get(), "mine"), &PQclear)), "");
}

TEST_F(PostgresLive, RefusedWhenIdleLeavesTheSessionAsItWas) {
  begin(block_forbidden);
  EXPECT_EQ(sql("select 'forbidden'"), "ERROR 42501 refused by a test");
  EXPECT_EQ(state(), PQTRANS_IDLE);
  EXPECT_EQ(sql("create temp table x(n int); commit; select 'forbidden'"), "ERROR 42501 refused by a test");
  EXPECT_EQ(sql("select count(*) from pg_class where relname = 'x'"), "SELECT 1: 0");
  EXPECT_EQ(with_parameters("select 'forbidden'"), "ERROR 42501 refused by a test");
  EXPECT_EQ(sql("select 1"), "SELECT 1: 1");
  connection_.reset();
  EXPECT_TRUE(relay_->stand_ins().empty());
}

TEST_F(PostgresLive, RefusedInATransactionAbortsItAndSavepointsSurvive) {
  begin(block_forbidden);
  EXPECT_EQ(sql("begin; create temp table x(n int); savepoint s"), "SAVEPOINT");
  EXPECT_EQ(sql("insert into x values (1)"), "INSERT 0 1");
  EXPECT_EQ(sql("select 'forbidden'"), "ERROR 42501 refused by a test");
  EXPECT_EQ(state(), PQTRANS_INERROR);
  EXPECT_EQ(sql("select 1").substr(0, 11), "ERROR 25P02");
  EXPECT_EQ(sql("select 'forbidden'"), "ERROR 42501 refused by a test");
  EXPECT_EQ(sql("rollback to s"), "ROLLBACK");
  EXPECT_EQ(state(), PQTRANS_INTRANS);
  EXPECT_EQ(sql("select count(*) from x"), "SELECT 1: 0");
  EXPECT_EQ(with_parameters("select 'forbidden'"), "ERROR 42501 refused by a test");
  EXPECT_EQ(state(), PQTRANS_INERROR);
  EXPECT_EQ(sql("rollback"), "ROLLBACK");
  EXPECT_EQ(sql("select count(*) from pg_class where relname = 'x'"), "SELECT 1: 0");
  const std::string log = PostgresServer::instance().log();
  EXPECT_EQ(log.find("forbidden'"), std::string::npos) << "the target saw a refused statement";
  const std::size_t error = log.find("ERROR:  prepared statement \"weir-refused-");
  ASSERT_NE(error, std::string::npos);
  const std::size_t next = log.find('\n', error) + 1;
  EXPECT_EQ(log.substr(next, log.find('\n', next) - next).find("STATEMENT:"), std::string::npos) << "the stand-in left a statement in the log";
}

TEST_F(PostgresLive, RefusedInASegmentUndoesWhatTheSegmentDid) {
  begin(block_forbidden);
  EXPECT_EQ(sql("create temp table x(n int)"), "CREATE TABLE");
  ASSERT_EQ(PQenterPipelineMode(connection_.get()), 1);
  const auto send = [this](const char* text) { ASSERT_EQ(PQsendQueryParams(connection_.get(), text, 0, nullptr, nullptr, nullptr, nullptr, 0), 1); };
  send("insert into x values (1)");
  send("select 'forbidden'");
  send("insert into x values (2)");
  PQpipelineSync(connection_.get());
  send("select count(*) from x");
  PQpipelineSync(connection_.get());
  send("select 'forbidden'");
  PQpipelineSync(connection_.get());
  send("select 'after'");
  PQpipelineSync(connection_.get());
  const std::vector<std::string> wanted = {"INSERT 0 1", "nothing", "ERROR 42501 refused by a test", "nothing", "PGRES_PIPELINE_ABORTED", "nothing",
                                           "PGRES_PIPELINE_SYNC", "SELECT 1: 0", "nothing", "PGRES_PIPELINE_SYNC", "ERROR 42501 refused by a test", "nothing",
                                           "PGRES_PIPELINE_SYNC", "SELECT 1: after", "nothing", "PGRES_PIPELINE_SYNC"};
  for (const std::string& each : wanted) EXPECT_EQ(next_result(), each);
  EXPECT_EQ(PQexitPipelineMode(connection_.get()), 1);
}

TEST_F(PostgresLive, TheClientsUnnamedStatementSurvivesARefusal) {
  begin(block_forbidden);
  EXPECT_EQ(outcome(ResultSet(PQprepare(connection_.get(), "", "select 'kept'", 0, nullptr), &PQclear)), "");
  EXPECT_EQ(sql("begin"), "BEGIN");  // A Query drops the unnamed statement at the server: prepare again, inside.
  EXPECT_EQ(outcome(ResultSet(PQprepare(connection_.get(), "", "select 'kept'", 0, nullptr), &PQclear)), "");
  EXPECT_EQ(outcome(ResultSet(PQprepare(connection_.get(), "other", "select 'forbidden'", 0, nullptr), &PQclear)), "ERROR 42501 refused by a test");
  EXPECT_EQ(state(), PQTRANS_INERROR);
  EXPECT_EQ(outcome(ResultSet(PQexecPrepared(connection_.get(), "", 0, nullptr, nullptr, nullptr, 0), &PQclear)).substr(0, 11), "ERROR 25P02");
  EXPECT_EQ(outcome(ResultSet(PQprepare(connection_.get(), "r", "rollback", 0, nullptr), &PQclear)), "");
  EXPECT_EQ(outcome(ResultSet(PQexecPrepared(connection_.get(), "r", 0, nullptr, nullptr, nullptr, 0), &PQclear)), "ROLLBACK");
  EXPECT_EQ(outcome(ResultSet(PQexecPrepared(connection_.get(), "", 0, nullptr, nullptr, nullptr, 0), &PQclear)), "SELECT 1: kept");
}

TEST_F(PostgresLive, CopyInBothProtocolsAndRefusedInTheMiddle) {
  begin(block_forbidden);
  EXPECT_EQ(sql("create temp table x(s text)"), "CREATE TABLE");
  const auto put = [this](const char* line) { ASSERT_EQ(PQputCopyData(connection_.get(), line, static_cast<int>(std::strlen(line))), 1); };
  // By Query.
  EXPECT_EQ(sql("copy x from stdin"), "PGRES_COPY_IN");
  put("one\n");
  PQputCopyEnd(connection_.get(), nullptr);
  EXPECT_EQ(next_result(), "COPY 1");
  EXPECT_EQ(next_result(), "nothing");
  // By a portal: libpq has sent its Sync before it knows that this is a COPY.
  EXPECT_EQ(with_parameters("copy x from stdin"), "PGRES_COPY_IN");
  put("two\n");
  PQputCopyEnd(connection_.get(), nullptr);
  EXPECT_EQ(next_result(), "COPY 1");
  EXPECT_EQ(next_result(), "nothing");
  for (const bool by_portal : {false, true}) {
    EXPECT_EQ(by_portal ? with_parameters("copy x from stdin") : sql("copy x from stdin"), "PGRES_COPY_IN");
    put("three\n");
    put("forbidden\n");
    put("four\n");
    PQputCopyEnd(connection_.get(), nullptr);
    EXPECT_EQ(next_result(), "ERROR 42501 refused by a test");
    EXPECT_EQ(next_result(), "nothing");
    EXPECT_EQ(state(), PQTRANS_IDLE);
    EXPECT_EQ(sql("select count(*) from x"), "SELECT 1: 2");
  }
  // The target's own error.
  EXPECT_EQ(sql("create temp table n(n int)"), "CREATE TABLE");
  for (const bool by_portal : {false, true}) {
    EXPECT_EQ(by_portal ? with_parameters("copy n from stdin") : sql("copy n from stdin"), "PGRES_COPY_IN");
    put("not a number\n");
    PQputCopyEnd(connection_.get(), nullptr);
    EXPECT_EQ(next_result().substr(0, 11), "ERROR 22P02");
    EXPECT_EQ(next_result(), "nothing");
    EXPECT_EQ(with_parameters("select count(*) from x"), "SELECT 1: 2");
  }
}

TEST_F(PostgresLive, CopyOutComesThrough) {
  begin(allow_all);
  EXPECT_EQ(sql("copy (select g, 'row' || g from generate_series(1, 20000) g) to stdout"), "PGRES_COPY_OUT");
  char* line = nullptr;
  int lines = 0;
  for (int size; (size = PQgetCopyData(connection_.get(), &line, 0)) > 0; ++lines) PQfreemem(line);
  EXPECT_EQ(lines, 20000);
  EXPECT_EQ(next_result(), "COPY 20000");
  EXPECT_EQ(next_result(), "nothing");
  EXPECT_EQ(sql("select 1"), "SELECT 1: 1");
}

TEST_F(PostgresLive, ACancelRequestReachesTheRunningCommand) {
  begin(allow_all);
  ASSERT_EQ(PQsendQuery(connection_.get(), "select pg_sleep(60)"), 1);
  const Connection observer = connect(PostgresServer::instance().port(), "alice", kPassword);
  for (int i = 0; i < 1000 && outcome(run(observer, "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'")) != "SELECT 1: 1"; ++i) {
  }
  PGcancel* cancel = PQgetCancel(connection_.get());
  std::array<char, 256> error{};
  EXPECT_EQ(PQcancel(cancel, error.data(), error.size()), 1) << error.data();
  PQfreeCancel(cancel);
  EXPECT_EQ(next_result(), "ERROR 57014 canceling statement due to user request");
}

TEST_F(PostgresLive, FunctionCallIsRefusedAndTheSessionGoesOn) {
  begin(block_forbidden);
  PQArgBlock argument{};
  argument.len = 4;
  argument.isint = 1;
  argument.u.integer = 7;
  int result = 0, size = 0;
  const ResultSet answer(PQfn(connection_.get(), 1397 /* abs(int4) */, &result, &size, 1, &argument, 1), &PQclear);
  EXPECT_EQ(outcome(answer), "ERROR 42501 refused by a test");
  EXPECT_EQ(sql("select 1"), "SELECT 1: 1");
}

TEST_F(PostgresLive, TheGatewaysOwnLoginByScramAndMd5) {
  for (const auto& [login, password] : {std::pair{"alice", "alice-fake"}, std::pair{"oldtimer", "oldtimer-fake"}}) {
    TargetFacts target;
    target.inject = true;
    target.logins.push_back({"visitor", login, password, "visitor-fake"});
    const Relay relay(PostgresServer::instance().port(), target, allow_all);
    const Connection good = connect(relay.port(), "visitor", "password=visitor-fake dbname=shop");
    ASSERT_EQ(PQstatus(good.get()), CONNECTION_OK) << PQerrorMessage(good.get());
    EXPECT_EQ(outcome(run(good, "select current_user")), std::string("SELECT 1: ") + login);
    const Connection wrong = connect(relay.port(), "visitor", "password=other-fake dbname=shop");
    EXPECT_NE(std::string(PQerrorMessage(wrong.get())).find("password authentication failed for user \"visitor\""), std::string::npos);
    const Connection nobody = connect(relay.port(), "nobody", "password=visitor-fake dbname=shop");
    EXPECT_NE(std::string(PQerrorMessage(nobody.get())).find("password authentication failed for user \"nobody\""), std::string::npos);
    const Connection elsewhere = connect(relay.port(), "visitor", "password=visitor-fake dbname=nowhere");
    EXPECT_NE(std::string(PQerrorMessage(elsewhere.get())).find("database \"nowhere\" does not exist"), std::string::npos);
    EXPECT_EQ(relay.breach(), "");
  }
}

TEST_F(PostgresLive, PsqlAndPgbenchRunThroughIt) {
  begin(allow_all);
  std::string output;
  const std::string environment = "PGPASSWORD=alice-fake PGHOST=127.0.0.1 PGUSER=alice PGDATABASE=shop PGPORT=" + std::to_string(relay_->port()) + " ";
  EXPECT_EQ(shell(environment + "psql -X -At -c 'select 41 + 1' -c '\\d pg_class'", output), 0) << output;
  EXPECT_EQ(output.substr(0, 3), "42\n");
  ASSERT_EQ(shell(environment + "pgbench -i -q -s 1", output), 0) << output;
  for (const char* mode : {"simple", "extended", "prepared"}) {
    EXPECT_EQ(shell(environment + "pgbench -n -c 3 -j 2 -t 60 -M " + mode, output), 0) << output;
    EXPECT_NE(output.find("transactions actually processed: 180/180"), std::string::npos) << output;
  }
}

}  // namespace
}  // namespace weir::testing

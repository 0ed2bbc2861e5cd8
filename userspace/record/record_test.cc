// A record from the journal to verify, over real files: sealing, parts, recovery, reading.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "record/archive.h"
#include "record/manifest.h"
#include "record/reader.h"
#include "record/record_test_gateway.h"
#include "record/seal_log.h"
#include "record/verify.h"

namespace weir::record {
namespace {

using test::event_of;
using test::Gateway;
using nlohmann::json;

std::vector<json> sessions_of(const RecordPlace& place, const SessionFilter& filter = {}) {
  std::vector<json> rows;
  const Result<void> done = list_sessions(place, filter, [&](const std::string& line) {
    rows.push_back(json::parse(line));
    return true;
  });
  EXPECT_TRUE(done) << done.error().message;
  return rows;
}

std::vector<json> replay_of(const RecordPlace& place, uint64_t session) {
  std::vector<json> lines;
  const Result<void> done = replay(place, session, [&](const std::string& line) {
    lines.push_back(json::parse(line));
    return true;
  });
  EXPECT_TRUE(done) << done.error().message;
  return lines;
}

std::string findings_of(const VerifyReport& report) {
  std::string text;
  for (const Finding& finding : report.findings) text += finding.code + " " + finding.where + ": " + finding.message + "\n";
  return text;
}

TEST(Record, ASessionThatProvedItselfOnItsWireIsWhoseItWasThen) {
  Gateway gw;
  gw.start();
  gw.put(test::event_of(RecordEvent::Kind::kOpened, 1, 0, R"({"target":"orders-db","admit":"credential"})"));
  gw.put(test::event_of(RecordEvent::Kind::kIdentified, 1, 0, R"({"proof":"token","subject":"user:ann","token_id":"id-1"})"));
  gw.close(1);
  gw.seal();
  const std::vector<json> rows = sessions_of(RecordPlace::of(gw.state()));
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["subject"], "user:ann");
  EXPECT_EQ(rows[0]["facts"]["admit"], "credential");
  EXPECT_EQ(rows[0]["facts"]["token_id"], "id-1");
}

TEST(Record, AClosedSessionIsSealedListedReplayedAndVerifies) {
  Gateway gw;
  gw.start();
  gw.open(1, "orders-db", "user:ann");
  gw.command(1, 1, "select 1");
  gw.respond(1, 1, 1);
  gw.command(1, 2, "drop table t", Verdict::Action::kBlock, "no-drop");
  gw.command(1, 3, "select broken");
  gw.respond(1, 3, 0, "42703");
  gw.close(1);
  gw.seal();
  EXPECT_TRUE(exists(gw.state() + "/archive/" + archive_name(gw.time_ns(), 1, 1)));

  const std::vector<json> rows = sessions_of(RecordPlace::of(gw.state()));
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["id"], 1);
  EXPECT_EQ(rows[0]["target"], "orders-db");
  EXPECT_EQ(rows[0]["subject"], "user:ann");
  EXPECT_EQ(rows[0]["commands"], 3);
  EXPECT_EQ(rows[0]["blocked"], 1);
  EXPECT_EQ(rows[0]["masked"], 2);
  EXPECT_EQ(rows[0]["reason"], "client closed");
  EXPECT_EQ(rows[0]["bytes"]["to_target"]["kernel"], 100);
  EXPECT_EQ(rows[0]["bytes"]["to_client"]["injected"], 7);
  EXPECT_EQ(rows[0]["account"], "balanced");

  const std::vector<json> lines = replay_of(RecordPlace::of(gw.state()), 1);
  ASSERT_EQ(lines.size(), 7U);
  EXPECT_EQ(lines[0]["kind"], "opened");
  EXPECT_EQ(lines[1]["text"], "select 1");
  EXPECT_EQ(lines[1]["verdict"], "allow");
  EXPECT_EQ(lines[1]["outcome"], "passed");
  EXPECT_EQ(lines[3]["verdict"], "block");
  EXPECT_EQ(lines[3]["rule"], "no-drop");
  EXPECT_EQ(lines[3]["outcome"], "blocked");
  EXPECT_EQ(lines[4]["outcome"], "error:42703");
  EXPECT_EQ(lines[6]["kind"], "closed");

  const VerifyReport report = gw.verify();
  EXPECT_EQ(report.exit_code(), 0) << findings_of(report);
  EXPECT_EQ(report.archives, 1U);
  EXPECT_TRUE(report.has_head);
}

// Nobody knows whether it fits: a list that passes over it would look whole.
TEST(Record, ADamagedArchiveIsToldInEveryNarrowedList) {
  Gateway gw;
  gw.start();
  for (uint64_t session = 1; session <= 2; ++session) {
    gw.open(session, session == 1 ? "orders-db" : "billing", "user:ann");
    gw.command(session, 1, "select 1");
    gw.close(session);
  }
  gw.seal();
  std::filesystem::resize_file(gw.state() + "/archive/" + archive_name(gw.time_ns(), 1, 1), 100);
  std::vector<SessionFilter> filters(7);
  filters[0].target = "orders-db";
  filters[1].subject = "user:eve";
  filters[2].only_blocked = true;
  filters[3].is_live = false;
  filters[3].target = "nowhere";
  filters[4].request = "r-1";
  filters[5].text = "nothing";
  filters[6].since = std::chrono::sys_seconds(std::chrono::seconds(gw.time_ns() / 1'000'000'000 - 60));
  filters[6].target = "nowhere";
  for (const SessionFilter& filter : filters) {
    const std::vector<json> rows = sessions_of(RecordPlace::of(gw.state()), filter);
    ASSERT_EQ(rows.size(), 1U) << "filter " << &filter - filters.data();
    EXPECT_EQ(rows[0]["id"], 1);
    EXPECT_FALSE(rows[0]["broken"].get<std::string>().empty());
  }
}

// What is sealed while somebody reads moves from the journal to an archive: it is in both or in one, never in half.
TEST(Record, ReadersBesideTheSealerSeeWholeSessions) {
  constexpr uint64_t kSessions = 150, kCommands = 40;
  Gateway gw;
  gw.start();
  std::atomic<bool> is_done = false;
  std::thread writer([&] {
    for (uint64_t session = 1; session <= kSessions; ++session) {
      gw.open(session, "orders-db", "user:ann");
      for (uint64_t unit = 1; unit <= kCommands; ++unit) gw.command(session, unit, "select " + std::string(500, '1'));
      gw.close(session);
      gw.seal();
    }
    is_done = true;
  });
  uint64_t closed = 0;
  while (!is_done) {
    for (const json& row : sessions_of(RecordPlace::of(gw.state()))) {
      if (row["closed"].is_null()) continue;
      ++closed;
      EXPECT_EQ(row["commands"], kCommands) << row["id"];
      if (row["commands"] != kCommands) break;
    }
    const std::vector<json> events = sessions_of(RecordPlace::of(gw.state()), {.count_max = 1});
    if (events.empty()) continue;
    uint64_t next = 1;
    for (const json& event : replay_of(RecordPlace::of(gw.state()), events[0]["id"].get<uint64_t>())) EXPECT_EQ(event["seq"], next++);
  }
  writer.join();
  EXPECT_GT(closed, 0u);
}

TEST(Record, ALiveSessionIsListedAndReplayedFromPendingMemory) {
  Gateway gw;
  gw.start();
  gw.open(1, "orders-db", "user:ann");
  gw.command(1, 1, "select pg_sleep(9)");
  const std::vector<json> rows = sessions_of(RecordPlace::of(gw.state()));
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["is_live"], true);
  EXPECT_EQ(rows[0]["closed"], nullptr);
  const std::vector<json> lines = replay_of(RecordPlace::of(gw.state()), 1);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[1]["outcome"], "waiting");
  EXPECT_EQ(gw.verify().exit_code(), 0) << findings_of(gw.verify());
}

TEST(Record, OnlyWhatIsDurableIsSealed) {
  Gateway gw;
  gw.start();
  gw.open(1, "t", "s");
  gw.close(1);
  gw.seal_without_flush();
  EXPECT_EQ(gw.sealer().counts().seals, 0U);
  gw.seal();
  EXPECT_EQ(gw.sealer().counts().seals, 1U);
}

TEST(Record, AfterAKillTheSessionEndsInterruptedAndTheOpenCommandIsUnknown) {
  Gateway gw;
  gw.start();
  gw.open(1, "t", "s");
  gw.command(1, 1, "insert 1");
  gw.respond(1, 1, 1);
  gw.command(1, 2, "insert 2");
  gw.kill();
  const RecoveryReport report = gw.start();
  EXPECT_EQ(report.interrupted, 1U);
  EXPECT_EQ(report.unknown_commands, 1U);
  EXPECT_EQ(report.next_session, 2U);
  EXPECT_TRUE(report.damage.empty());
  gw.seal();
  const std::vector<json> lines = replay_of(RecordPlace::of(gw.state()), 1);
  ASSERT_EQ(lines.size(), 6U);
  EXPECT_EQ(lines[1]["outcome"], "passed");
  EXPECT_EQ(lines[3]["outcome"], "unknown");
  EXPECT_EQ(lines[5]["reason"], "interrupted");
  const VerifyReport verified = gw.verify();
  EXPECT_EQ(verified.exit_code(), 0) << findings_of(verified);
}

TEST(Record, KernelCountsOfTheDeadEngineGoToTheInterruptedAccount) {
  Gateway gw;
  gw.start();
  gw.open(1, "t", "s");
  gw.kill();
  gw.kernel_bytes = [](uint64_t) { return std::array<uint64_t, 2>{11, 22}; };
  gw.start();
  gw.seal();
  const std::vector<json> rows = sessions_of(RecordPlace::of(gw.state()));
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["bytes"]["to_client"]["kernel"], 22);
  EXPECT_EQ(rows[0]["account"], "unknown");
}

TEST(Record, RecoveryTwiceIsRecoveryOnce) {
  Gateway gw;
  gw.start();
  gw.open(1, "t", "s");
  gw.command(1, 1, "select 1");
  gw.open(2, "t", "s");
  gw.kill();
  gw.recover_only();
  const RecoveryReport again = gw.recover_only();
  EXPECT_EQ(again.interrupted, 0U);
  EXPECT_EQ(again.from_pending, 0U);
  gw.start();
  gw.seal();
  EXPECT_EQ(sessions_of(RecordPlace::of(gw.state())).size(), 2U);
  EXPECT_EQ(replay_of(RecordPlace::of(gw.state()), 1).size(), 4U);
  EXPECT_EQ(gw.verify().exit_code(), 0) << findings_of(gw.verify());
}

TEST(Record, ANumberOfWhichNothingReachedTheDiskGetsARecordThatSaysSo) {
  Gateway gw;
  gw.start();
  gw.open(1, "t", "s");
  gw.open(3, "t", "s");  // 2 was on another core, and its group was lost.
  gw.kill();
  gw.start();
  gw.seal();
  const std::vector<json> rows = sessions_of(RecordPlace::of(gw.state()));
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(std::count_if(rows.begin(), rows.end(), [](const json& row) { return row["id"] == 2 && row["reason"] == "never-opened"; }), 1);
  EXPECT_EQ(gw.verify().exit_code(), 0) << findings_of(gw.verify());
}

TEST(Record, ALongSessionIsSealedInPartsThatReadAsOne) {
  Gateway gw;
  gw.start();
  gw.open(1, "orders-db", "user:ann");
  for (uint64_t unit = 1; unit <= 5; ++unit) {
    gw.command(1, unit, "select " + std::to_string(unit));
    gw.respond(1, unit, 1);
    gw.seal();
    gw.advance(std::chrono::hours(2));
    gw.seal();
  }
  EXPECT_EQ(gw.sealer().counts().parts, 5U);
  EXPECT_EQ(gw.verify().exit_code(), 0) << findings_of(gw.verify());
  EXPECT_EQ(sessions_of(RecordPlace::of(gw.state())).at(0)["commands"], 5);
  EXPECT_EQ(sessions_of(RecordPlace::of(gw.state())).at(0)["subject"], "user:ann");
  gw.command(1, 6, "select 6");
  EXPECT_EQ(replay_of(RecordPlace::of(gw.state()), 1).size(), 12U);
  gw.kill();
  gw.start();
  gw.seal();
  EXPECT_EQ(replay_of(RecordPlace::of(gw.state()), 1).size(), 14U);
  const std::vector<json> rows = sessions_of(RecordPlace::of(gw.state()));
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["commands"], 6);
  EXPECT_EQ(rows[0]["sealed_parts"], 6);
  EXPECT_EQ(rows[0]["reason"], "interrupted");
  EXPECT_EQ(gw.verify().exit_code(), 0) << findings_of(gw.verify());
}

TEST(Record, ASessionThatWasSealedInPartAndThenIdleIsClosedByRecovery) {
  Gateway gw;
  gw.start();
  gw.open(1, "t", "s");
  gw.command(1, 1, "select 1");
  gw.seal();
  gw.advance(std::chrono::hours(2));
  gw.seal();
  EXPECT_EQ(gw.sealer().counts().parts, 1U);
  gw.kill();
  gw.start();
  gw.seal();
  const std::vector<json> lines = replay_of(RecordPlace::of(gw.state()), 1);
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[2]["outcome"], "unknown");
  EXPECT_EQ(gw.verify().exit_code(), 0) << findings_of(gw.verify());
}

TEST(Record, ManySessionsSpillAndSegmentsAreRecycled) {
  Gateway gw;
  gw.sealer_options.chunk_size = 8u << 10;
  gw.sealer_options.memory_max = 32u << 10;
  gw.sealer_options.segments_behind_max = 2;
  gw.start();
  const std::string text(1'000, 'x');
  for (uint64_t session = 1; session <= 20; ++session) gw.open(session, "t", "s");
  for (uint64_t unit = 1; unit <= 100; ++unit) {
    for (uint64_t session = 1; session <= 20; ++session) gw.command(session, unit, text);
    gw.flush();
    if (unit % 5 == 0) gw.seal();
  }
  for (uint64_t session = 1; session <= 20; ++session) gw.close(session);
  gw.seal();
  const SealerCounts counts = gw.sealer().counts();
  EXPECT_GT(counts.recycled, 3U);
  EXPECT_GT(counts.parts, 0U);
  EXPECT_EQ(counts.open_sessions, 0U);
  EXPECT_EQ(counts.gathered_bytes, 0U);
  EXPECT_EQ(replay_of(RecordPlace::of(gw.state()), 20).size(), 102U);
  const VerifyReport report = gw.verify();
  EXPECT_EQ(report.exit_code(), 0) << findings_of(report);
  EXPECT_EQ(report.sessions, 20U);
}

TEST(Record, AnAccountThatDoesNotBalanceIsASignedFinding) {
  Gateway gw;
  gw.start();
  gw.open(1, "t", "s");
  gw.close(1, 5);
  gw.seal();
  EXPECT_EQ(sessions_of(RecordPlace::of(gw.state())).at(0)["account"], "differs");
  const VerifyReport report = gw.verify();
  EXPECT_EQ(report.exit_code(), 3);
  EXPECT_EQ(report.findings.at(0).code, "bytes-unaccounted");
}

TEST(Record, AGapInTheSequenceIsAFinding) {
  Gateway gw;
  gw.start();
  gw.open(1, "t", "s");
  gw.skip_sequence(1);
  gw.close(1);
  gw.seal();
  const VerifyReport report = gw.verify();
  EXPECT_EQ(report.exit_code(), 3);
  EXPECT_EQ(report.findings.at(0).code, "sequence-gap");
}

TEST(Record, AClockThatWasSetBackIsAFinding) {
  Gateway gw;
  gw.start();
  gw.open(1, "t", "s");
  gw.advance(-std::chrono::hours(1));
  gw.close(1);
  gw.seal();
  const VerifyReport report = gw.verify();
  EXPECT_EQ(report.exit_code(), 3);
  EXPECT_EQ(report.findings.at(0).code, "clock-back");
}

TEST(Record, FiltersNarrowTheList) {
  Gateway gw;
  gw.start();
  gw.open(1, "a", "ann");
  gw.close(1);
  gw.open(2, "b", "bob");
  gw.command(2, 1, "drop", Verdict::Action::kBlock, "r");
  gw.close(2);
  gw.open(3, "b", "ann");
  gw.seal();
  const RecordPlace place = RecordPlace::of(gw.state());
  EXPECT_EQ(sessions_of(place).size(), 3U);
  EXPECT_EQ(sessions_of(place, {.target = "b"}).size(), 2U);
  EXPECT_EQ(sessions_of(place, {.subject = "ann"}).size(), 2U);
  EXPECT_EQ(sessions_of(place, {.only_blocked = true}).size(), 1U);
  EXPECT_EQ(sessions_of(place, {.is_live = true}).size(), 1U);
  EXPECT_EQ(sessions_of(place, {.is_live = false, .count_max = 1}).at(0)["id"], 2);
  EXPECT_EQ(sessions_of(place, {.session = 1}).size(), 1U);
  EXPECT_FALSE(replay(place, 99, [](const std::string&) { return true; }));
}

TEST(Record, WhatCarriedARequestIsFoundLiveAndSealedAlike) {
  constexpr std::string_view kTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  Gateway gw;
  gw.start();
  const auto put = [&](uint64_t session, uint64_t unit, std::string_view request, const std::string& text) {
    RecordEvent event = event_of(RecordEvent::Kind::kCommand, session, 0, text);
    event.unit.id = unit;
    event.unit.kind = UnitKind::kCommand;
    event.verb = "query";
    event.action = Verdict::Action::kAllow;
    event.request_id = request;
    event.grant = "reads";
    gw.put(event);
  };
  gw.open(1, "a", "ann");
  put(1, 1, kTrace, "select 1");
  put(1, 2, "", "select 2");
  put(1, 3, "ticket='4711',route='/x'", "select 3");
  gw.close(1);
  gw.open(2, "a", "bob");
  put(2, 1, "psql", "select 4");
  gw.close(2);
  gw.open(3, "a", "ann");
  put(3, 1, kTrace, "select 5");
  const RecordPlace place = RecordPlace::of(gw.state());
  const auto found = [&](const std::string& request) {
    std::string text;
    for (const json& row : sessions_of(place, {.request = request})) {
      text += std::to_string(row["id"].get<int>()) + ":";
      for (const json& command : row["request_commands"]) text += " " + command["text"].get<std::string>() + " by " + command["grant"].get<std::string>();
      text += "; ";
    }
    return text;
  };
  for (const bool is_sealed : {false, true}) {
    if (is_sealed) gw.seal();
    else gw.flush();
    EXPECT_EQ(found(std::string(kTrace)), "3: select 5 by reads; 1: select 1 by reads; ");
    EXPECT_EQ(found("4bf92f3577b34da6a3ce929d0e0e4736"), "3: select 5 by reads; 1: select 1 by reads; ") << "the whole trace";
    EXPECT_EQ(found("ticket='4711'"), "1: select 3 by reads; ");
    EXPECT_EQ(found("ticket='4711',route='/x'"), "1: select 3 by reads; ");
    EXPECT_EQ(found("psql"), "2: select 4 by reads; ");
    EXPECT_EQ(found("ticket='471'"), "");
    EXPECT_EQ(found("00f067aa0ba902b7"), "");
  }
  EXPECT_EQ(sessions_of(place, {.request = std::string(kTrace), .count_max = 1}).size(), 1U);
  EXPECT_EQ(gw.verify().exit_code(), 0);
  std::ifstream file(gw.state() + "/archive/" + archive_name(gw.time_ns(), 1, 1), std::ios::binary);
  const std::string archive((std::istreambuf_iterator<char>(file)), {});
  const std::string manifest = archive.substr(archive.find(R"({"acts")"));
  EXPECT_EQ(manifest.find("4711"), std::string::npos) << "no id in clear";
}

TEST(Record, AnEmailAddressStandsInTheOpeningAlone) {
  Gateway gw;
  gw.start();
  gw.put(event_of(RecordEvent::Kind::kOpened, 1, 0, R"({"target":"a","subject":"ann","email":"ann@example.org","until":"2027-01-01T00:00:00Z"})"));
  const RecordPlace place = RecordPlace::of(gw.state());
  for (const bool is_sealed : {false, true}) {
    if (is_sealed) gw.close(1);
    if (is_sealed) gw.seal();
    else gw.flush();
    const json row = sessions_of(place).at(0);
    EXPECT_FALSE(row["facts"].contains("email"));
    EXPECT_EQ(row["facts"]["until"], "2027-01-01T00:00:00Z");
    EXPECT_NE(replay_of(place, 1).at(0)["text"].get<std::string>().find("ann@example.org"), std::string::npos);
  }
  EXPECT_EQ(gw.verify().exit_code(), 0);
}

TEST(Record, ManyRequestsAreFoundByReadingTheArchive) {
  Gateway gw;
  gw.start();
  gw.open(1, "a", "ann");
  for (uint64_t unit = 1; unit <= RequestSet::kHashesMax + 1; ++unit) {
    RecordEvent event = event_of(RecordEvent::Kind::kCommand, 1, 0, "select 1");
    const std::string request = "request-" + std::to_string(unit);
    event.unit.id = unit;
    event.request_id = request;
    gw.put(event);
  }
  gw.close(1);
  gw.seal();
  const RecordPlace place = RecordPlace::of(gw.state());
  EXPECT_EQ(sessions_of(place, {.request = "request-1"}).size(), 1U);
  EXPECT_EQ(sessions_of(place, {.request = "request-" + std::to_string(RequestSet::kHashesMax + 1)}).size(), 1U);
  EXPECT_EQ(sessions_of(place, {.request = "request-0"}).size(), 0U);
  EXPECT_EQ(gw.verify().exit_code(), 0);
}

TEST(Record, ActsStandInSessionsOfTheirOwnAndAreSealedAndVerifiedAsAnyOther) {
  Gateway gateway;
  gateway.start();
  const auto act = [&](uint64_t session, std::string_view name, std::string_view text, std::string_view reason) {
    RecordEvent event = test::event_of(RecordEvent::Kind::kAct, session, 0, text);
    event.verb = name;
    event.reason = reason;
    gateway.put(event);
  };
  gateway.put(test::event_of(RecordEvent::Kind::kOpened, 1, 0, R"({"about":"gateway"})"));
  act(1, "revoke", R"({"by":{"via":"api","subject":"ann"},"object":"binding 7","outcome":"done"})", "left the team");
  gateway.open(2, "db", "alice");
  gateway.close(2);
  act(1, "replay", R"({"by":{"via":"socket","uid":0},"object":"session 2","outcome":"done"})", "");
  gateway.close(1);
  gateway.seal();
  gateway.put(test::event_of(RecordEvent::Kind::kOpened, 3, 0, R"({"about":"gateway"})"));
  act(3, "reload", R"({"by":{"via":"socket","uid":0},"object":"configuration","outcome":"invalid: no"})", "change 17");
  gateway.flush();

  const RecordPlace place = RecordPlace::of(gateway.state());
  const auto acts = [&](const ActFilter& filter) {
    std::vector<json> lines;
    EXPECT_TRUE(list_acts(place, filter, [&](const std::string& line) { lines.push_back(json::parse(line)); return true; }));
    return lines;
  };
  const std::vector<json> all = acts({});
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0]["act"], "reload");
  EXPECT_EQ(all[0]["reason"], "change 17");
  EXPECT_EQ(all[1]["object"], "session 2");
  EXPECT_EQ(all[2]["by"]["subject"], "ann");
  EXPECT_EQ(all[2]["outcome"], "done");
  EXPECT_EQ(acts({.count_max = 2}).size(), 2u);
  EXPECT_EQ(acts({.act = "revoke"}).size(), 1u);
  EXPECT_TRUE(acts({.until = std::chrono::sys_seconds{}}).empty());

  std::vector<uint64_t> sessions;
  ASSERT_TRUE(list_sessions(place, {}, [&](const std::string& line) { sessions.push_back(json::parse(line)["id"]); return true; }));
  EXPECT_EQ(sessions, std::vector<uint64_t>{2}) << "the gateway's own are not among those of people";
  const VerifyReport report = gateway.verify();
  EXPECT_EQ(report.exit_code(), 0);
}

TEST(Record, TwoEnginesCannotTakeOneStateFolder) {
  test::TemporaryFolder folder;
  const Result<StateLock> first = StateLock::take(folder.path());
  ASSERT_TRUE(first);
  const Result<StateLock> second = StateLock::take(folder.path(), std::chrono::milliseconds(0));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, Error::Kind::kUnavailable);
}

TEST(Record, AStateFolderIsWaitedForWhileItsLastEngineEnds) {
  test::TemporaryFolder folder;
  std::optional<StateLock> first(std::move(*StateLock::take(folder.path())));
  std::thread ending([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    first.reset();
  });
  EXPECT_TRUE(StateLock::take(folder.path(), std::chrono::minutes(1)));
  ending.join();
}

}  // namespace
}  // namespace weir::record

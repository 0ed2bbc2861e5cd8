// The index: it finds what a scan of the archives finds, is made again from them, and forgets.
#include <sqlite3.h>

#include <fstream>
#include <iterator>

#include "record/index_feed.h"
#include "record/index_test_support.h"
#include "record/key_store.h"
#include "record/reader.h"
#include "record/record_test_gateway.h"
#include "record/session_index.h"

namespace weir::record {
namespace {

using nlohmann::json;
using test::event_of;
using test::archive_path;
using test::bytes_beside;
using test::feed;
using test::Gateway;
using test::list;
using test::without_index;

constexpr const char* kSubjects[] = {"user:ann", "user:bob", "svc:report"};
constexpr const char* kTargets[] = {"orders-db", "users-db"};
constexpr const char* kGroups[] = {"dba", "support", "reports"};
constexpr const char* kObjects[] = {"public.orders", "public.customers", "hr.staff, public.orders", ""};
constexpr const char* kRules[] = {"", "no-drop", "mask-cards"};
constexpr const char* kTexts[] = {"select Total from orders where id = $1", "update customers set name = '***'", "drop table staff", "SELECT 1;", "select name_of(\xc3\xbc) from t"};
constexpr Verdict::Action kActions[] = {Verdict::Action::kAllow, Verdict::Action::kBlock, Verdict::Action::kMask, Verdict::Action::kTerminate};
constexpr VerbSet kVerbs[] = {bit(Verb::kRead), bit(Verb::kWrite), Verb::kDdl | Verb::kWrite, 0};

template <class T, std::size_t N>
const T& pick(Prng& prng, const T (&all)[N]) { return all[prng.below(N)]; }

void open(Gateway& gw, Prng& prng, uint64_t session) {
  const std::string subject = pick(prng, kSubjects), target = pick(prng, kTargets), group = pick(prng, kGroups);
  gw.put(event_of(RecordEvent::Kind::kOpened, session, 0, json{{"target", target}, {"subject", subject}, {"groups", {group, "all"}}, {"policy", "abc"}}.dump()));
}

void command(Gateway& gw, Prng& prng, uint64_t session, uint64_t unit) {
  const std::string text = pick(prng, kTexts);
  RecordEvent event = event_of(RecordEvent::Kind::kCommand, session, 0, text);
  event.unit.id = unit;
  event.unit.kind = UnitKind::kCommand;
  event.verb = prng.below(2) == 0 ? "query" : "execute";
  event.verbs = pick(prng, kVerbs);
  event.objects = pick(prng, kObjects);
  event.action = pick(prng, kActions);
  event.rule = pick(prng, kRules);
  event.observed = prng.below(4) == 0;
  const std::string request = "req-" + std::to_string(prng.below(4));
  if (prng.below(3) == 0) event.request_id = request;
  gw.put(event);
}

// Sessions with random commands; some end, some are sealed in parts, some live on.
void make_record(Gateway& gw, Prng& prng, uint64_t count) {
  gw.sealer_options.every = std::chrono::seconds(100);
  gw.start();
  for (uint64_t session = 1; session <= count; ++session) {
    open(gw, prng, session);
    const uint64_t commands = prng.below(4);
    for (uint64_t unit = 1; unit <= commands; ++unit) command(gw, prng, session, unit);
    if (prng.below(5) == 0) {
      gw.flush();
      gw.advance(std::chrono::seconds(200));
      (void)gw.sealer().step(std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(gw.time_ns())));
      gw.advance(std::chrono::seconds(200));
      (void)gw.sealer().step(std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(gw.time_ns())));
      command(gw, prng, session, 90);
    }
    if (prng.below(6) != 0) gw.close(session);
    gw.advance(std::chrono::hours(prng.below(20)));
    if (prng.below(3) == 0) gw.seal();
  }
  gw.flush();
}

SessionFilter random_filter(Prng& prng, int64_t until_ns) {
  SessionFilter filter;
  const auto some = [&] { return prng.below(5) == 0; };
  if (some()) filter.subject = pick(prng, kSubjects);
  if (some()) filter.group = pick(prng, kGroups);
  if (some()) filter.target = pick(prng, kTargets);
  if (some()) filter.verb = std::array{"read", "WRITE", "ddl", "query", "admin"}[prng.below(5)];
  if (some()) filter.object = std::array{"orders", "public.orders", "hr.staff", "Customers"}[prng.below(4)];
  if (some()) filter.rule = pick(prng, kRules);
  if (some()) filter.verdict = std::array{"block", "mask", "observed", "hold"}[prng.below(4)];
  if (some()) filter.text = std::array{"total", "drop STAFF", "select", "\xc3\xbc", "nowhere"}[prng.below(5)];
  if (some()) filter.request = "req-" + std::to_string(prng.below(5));
  if (some()) filter.only_blocked = true;
  if (some()) filter.is_live = prng.below(2) == 0;
  if (some()) filter.before = prng.below(40);
  if (some()) filter.count_max = prng.below(6);
  const auto moment = [&] { return std::chrono::sys_seconds(std::chrono::seconds(1'790'000'000 + static_cast<int64_t>(prng.below(static_cast<uint64_t>(until_ns / 1'000'000'000 - 1'790'000'000) + 1)))); };
  if (some()) filter.since = moment();
  if (some()) filter.until = moment();
  return filter;
}

// On even seeds the record is encrypted, some of its keys were destroyed, and the index lags behind, so that readers make up for it.
TEST(SessionIndex, FindsWhatAScanFindsForEveryFilter) {
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    Prng prng(seed);
    Gateway gw{"/dev/shm"};
    test::TemporaryFolder keys{"/dev/shm"};
    if (seed % 2 == 0) {
      ASSERT_TRUE(GatewayKeys::generate(keys.path() + "/kek.key"));
      gw.sealer_options.keys = open_ring(keys.path() + "/kek.key", {}).value();
    }
    make_record(gw, prng, 12);
    RecordPlace place = RecordPlace::of(gw.state());
    place.openers = gw.sealer_options.keys.openers;
    if (seed % 2 == 0) {
      std::set<std::filesystem::path> wraps;
      for (const auto& entry : std::filesystem::recursive_directory_iterator(place.keys)) {
        if (entry.is_regular_file()) wraps.insert(entry.path());
      }
      for (const auto& wrap : wraps) {
        if (prng.one_in(3)) std::filesystem::remove(wrap);
      }
    }
    feed(place);
    if (seed % 2 == 0) {
      for (uint64_t session = 13; session <= 20; ++session) {
        open(gw, prng, session);
        command(gw, prng, session, 1);
        gw.close(session);
      }
      gw.seal();
    }
    ASSERT_EQ(list(place, {}, true), list(without_index(place), {})) << "seed " << seed;
    std::size_t found = 0;
    for (int turn = 0; turn < 20; ++turn) {
      const SessionFilter filter = random_filter(prng, gw.time_ns());
      const std::string scanned = list(without_index(place), filter);
      found += scanned.empty() ? 0 : 1;
      ASSERT_EQ(list(place, filter, true), scanned) << "seed " << seed << ", turn " << turn;
    }
    EXPECT_GT(found, 5U) << "seed " << seed;
  }
}

TEST(SessionIndex, EachFilterFindsItsSessionAndNoOther) {
  Gateway gw{"/dev/shm"};
  gw.start();
  gw.put(event_of(RecordEvent::Kind::kOpened, 1, 0, R"({"target":"orders-db","subject":"user:ann","groups":["dba"]})"));
  RecordEvent event = event_of(RecordEvent::Kind::kCommand, 1, 0, "delete from public.orders where note = 'Quinoa'");
  event.unit.kind = UnitKind::kCommand;
  event.verb = "query";
  event.verbs = bit(Verb::kWrite);
  event.objects = "public.orders";
  event.action = Verdict::Action::kBlock;
  event.rule = "no-delete";
  event.request_id = "job-7";
  gw.put(event);
  gw.close(1);
  gw.open(2, "users-db", "user:bob");
  gw.command(2, 1, "select quin, oa");
  gw.close(2);
  gw.seal();
  const RecordPlace place = RecordPlace::of(gw.state());
  feed(place);
  std::vector<SessionFilter> filters(12);
  filters[0].subject = "user:ann";
  filters[1].group = "dba";
  filters[2].target = "orders-db";
  filters[3].verb = "write";
  filters[4].object = "orders";
  filters[5].rule = "no-delete";
  filters[6].verdict = "block";
  filters[7].text = "quinoa DELETE";
  filters[8].request = "job-7";
  filters[9].only_blocked = true;
  filters[10].before = 2;
  filters[11].session = 1;
  for (std::size_t index = 0; index < filters.size(); ++index) {
    const std::string found = list(place, filters[index], true);
    EXPECT_NE(found.find("\"id\":1,"), std::string::npos) << index << ": " << found;
    EXPECT_EQ(found.find("\"id\":2,"), std::string::npos) << index << ": " << found;
    SessionFilter both = filters[index];
    (index == 0 ? both.target : both.subject) = index == 0 ? "users-db" : "user:bob";
    EXPECT_EQ(list(place, both, true), "") << index;
  }
}

TEST(SessionIndex, WhatIsMissingDamagedOrOfAnotherLogIsMadeAgain) {
  Gateway gw{"/dev/shm"}, other{"/dev/shm"};
  Prng prng(7);
  make_record(gw, prng, 8);
  gw.seal();
  make_record(other, prng, 3);
  other.seal();
  const RecordPlace place = RecordPlace::of(gw.state());
  const std::string scanned = list(without_index(place), {});
  EXPECT_EQ(list(place, {}), scanned);  // None there yet.
  feed(place);
  const auto damages = std::vector<std::function<void()>>{
      [&] { std::filesystem::resize_file(place.index, 3); },
      [&] { std::ofstream(place.index, std::ios::trunc) << std::string(8192, 'x'); },
      [&] { std::filesystem::resize_file(place.index, std::filesystem::file_size(place.index) / 2 / 4096 * 4096); },
      [&] {
        feed(RecordPlace::of(other.state()));
        std::filesystem::copy_file(RecordPlace::of(other.state()).index, place.index, std::filesystem::copy_options::overwrite_existing);
      },
      [&] {
        sqlite3* made = nullptr;
        ASSERT_EQ(sqlite3_open(place.index.c_str(), &made), SQLITE_OK);
        ASSERT_EQ(sqlite3_exec(made, "PRAGMA user_version=99", nullptr, nullptr, nullptr), SQLITE_OK);
        sqlite3_close(made);
      },
      [&] { std::filesystem::remove_all(gw.state() + "/index"); },
  };
  for (std::size_t index = 0; index < damages.size(); ++index) {
    damages[index]();
    EXPECT_EQ(list(place, {}), scanned) << index;  // A reader does without.
    feed(place);
    EXPECT_EQ(list(place, {}, true), scanned) << index;
  }
}

// Whatever byte of it is wrong: it is used or not, and nothing but what is sealed is told.
TEST(SessionIndex, AChangedByteIsNoCrash) {
  Gateway gw{"/dev/shm"};
  Prng prng(8);
  make_record(gw, prng, 4);
  gw.seal();
  const RecordPlace place = RecordPlace::of(gw.state());
  feed(place);
  std::ifstream file(place.index, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(file)), {});
  for (int turn = 0; turn < 20; ++turn) {
    std::string changed = whole;
    changed[prng.below(changed.size())] ^= static_cast<char>(1 + prng.below(255));
    std::ofstream(place.index, std::ios::trunc | std::ios::binary) << changed;
    SessionFilter filter;
    filter.text = "select";
    (void)list(place, filter);
    IndexFeeder feeder(place);
    (void)feeder.step();
  }
}

TEST(SessionIndex, ALockedOneHoldsUpNobody) {
  Gateway gw{"/dev/shm"};
  Prng prng(9);
  make_record(gw, prng, 3);
  gw.seal();
  const RecordPlace place = RecordPlace::of(gw.state());
  feed(place);
  const std::string before = list(place, {}, true);
  sqlite3* made = nullptr;
  ASSERT_EQ(sqlite3_open(place.index.c_str(), &made), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(made, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  gw.open(50, "orders-db", "user:ann");
  gw.close(50);
  gw.seal();  // Does not know of it.
  IndexFeeder feeder(place);
  EXPECT_EQ(feeder.step().error().kind, Error::Kind::kUnavailable);
  EXPECT_EQ(feeder.counts().errors, 1U);
  EXPECT_FALSE(feeder.counts().error.empty());
  EXPECT_NE(list(place, {}, true).find("\"id\":50,"), std::string::npos);  // A reader makes up for it.
  sqlite3_exec(made, "ROLLBACK", nullptr, nullptr, nullptr);
  sqlite3_close(made);
  EXPECT_EQ(feeder.step().value_or(99), 0U);
  EXPECT_TRUE(feeder.counts().error.empty());
}

TEST(SessionIndex, ForgetLeavesNothingOfASessionAndAllOfTheOthers) {
  Gateway gw{"/dev/shm"};
  gw.start();
  for (uint64_t session = 1; session <= 30; ++session) {
    gw.open(session, session == 17 ? "secret-target" : "orders-db", session == 17 ? "user:zelda-secret" : "user:ann");
    gw.command(session, 1, session == 17 ? "select xylophone from quagmire" : "select total from orders");
    gw.close(session);
  }
  gw.seal();
  const RecordPlace place = RecordPlace::of(gw.state());
  feed(place);
  auto index = SessionIndex::open(place.index, SessionIndex::Mode::kWrite);
  ASSERT_TRUE(index) << index.error().message;
  // A word as FTS5 keeps it, found by what the index of the others does not have.
  const auto token_of = [&](std::string_view word) {
    std::string text;
    const Word hash = word_of((*index)->key(), WordKind::kText, word);
    for (int shift = 60; shift >= 0; shift -= 5) text += "abcdefghijklmnopqrstuvwxyz234567"[(hash >> shift) & 31];
    return text.substr(2, 9);  // FTS5 leaves out what a word shares with the one before.
  };
  const std::string before = bytes_beside(place.index);
  EXPECT_NE(before.find("user:zelda-secret"), std::string::npos);
  EXPECT_NE(before.find(token_of("xylophone")), std::string::npos);
  EXPECT_EQ(before.find("xylophone"), std::string::npos) << "no statement's word stands in it at all";

  // The feeder has the file open, as the engine does.
  IndexFeeder feeder(place);
  ASSERT_TRUE(feeder.step());
  const uint64_t forgotten[] = {17, 4711};
  std::filesystem::remove(archive_path(place, 17));
  for (int turn = 0; turn < 2; ++turn) {
    const Result<void> done = forget_sessions(place.index, forgotten);
    ASSERT_TRUE(done) << done.error().message;
  }
  const std::string after = bytes_beside(place.index);
  for (const std::string& gone : {std::string("zelda-secret"), std::string("secret-target"), token_of("xylophone"), token_of("quagmire")}) {
    EXPECT_EQ(after.find(gone), std::string::npos) << gone;
  }
  EXPECT_NE(after.find(token_of("total")), std::string::npos);
  EXPECT_EQ((*index)->counts()->sessions, 29U);
  EXPECT_TRUE((*index)->find(17).value()->is_erased);
  EXPECT_TRUE((*index)->find(17).value()->line.empty());
  EXPECT_FALSE((*index)->find(4711).value()) << "it may be one that lives";
  EXPECT_EQ((*index)->forgotten(9)->size(), 1U);
  EXPECT_EQ(list(place, {}, true), list(without_index(place), {})) << "before the feeder came";
  EXPECT_EQ(feeder.step().value_or(9), 0U);
  EXPECT_EQ((*index)->forgotten(9)->size(), 0U);
  index->reset();
  SessionFilter filter;
  filter.text = "xylophone";
  EXPECT_EQ(list(place, filter, true), "");
  filter.text = "total";
  const std::string others = list(place, filter, true);
  EXPECT_EQ(std::count(others.begin(), others.end(), '\n'), 29);
  EXPECT_EQ(list(place, {}, true), list(without_index(place), {}));
}

TEST(SessionIndex, WhatWasForgottenAndIsStillThereIsPutInAgain) {
  Gateway gw{"/dev/shm"};
  gw.start();
  for (uint64_t session = 1; session <= 3; ++session) {
    gw.open(session, "orders-db", "user:ann");
    gw.command(session, 1, "select total from orders");
    gw.close(session);
  }
  gw.seal();
  const RecordPlace place = RecordPlace::of(gw.state());
  feed(place);
  const uint64_t forgotten[] = {2};
  const std::string before = list(place, {}, true);
  ASSERT_TRUE(forget_sessions(place.index, forgotten));
  EXPECT_EQ(list(place, {}, true), before);
  feed(place);
  EXPECT_EQ(list(place, {}, true), before);
  EXPECT_EQ(SessionIndex::open(place.index, SessionIndex::Mode::kRead).value()->counts()->sessions, 3U);
}

TEST(SessionIndex, ForgettingNeedsNoIndexAndADamagedOneIsRemoved) {
  test::TemporaryFolder folder;
  const std::string file = folder.path() + "/index/sessions.db";
  const uint64_t forgotten[] = {2};
  EXPECT_TRUE(forget_sessions(file, forgotten));
  EXPECT_FALSE(std::filesystem::exists(file));
  std::filesystem::create_directories(folder_of(file));
  std::ofstream(file) << std::string(8192, 'x');
  EXPECT_TRUE(forget_sessions(file, forgotten));
  EXPECT_FALSE(std::filesystem::exists(file));
}

// Such a session says of itself that it may have any word, and is read when one is looked for.
TEST(SessionIndex, ASessionWithTooManyWordsIsFoundByReadingIt) {
  Gateway gw{"/dev/shm"};
  gw.start();
  gw.open(1, "orders-db", "user:ann");
  std::string text;
  for (std::size_t word = 0; word <= WordCollector::kWordsMax; ++word) {
    text += "w" + std::to_string(word) + " ";
    if (text.size() < 20'000 && word != WordCollector::kWordsMax) continue;
    gw.command(1, word, text);
    text.clear();
  }
  gw.close(1);
  gw.open(2, "orders-db", "user:bob");
  gw.command(2, 1, "select w7");
  gw.close(2);
  gw.seal();
  const RecordPlace place = RecordPlace::of(gw.state());
  feed(place);
  EXPECT_EQ(SessionIndex::open(place.index, SessionIndex::Mode::kRead).value()->counts()->cut, 1U);
  for (const char* word : {"w7", "w19999", "w20000", "absent"}) {
    SessionFilter filter;
    filter.text = word;
    EXPECT_EQ(list(place, filter, true), list(without_index(place), filter)) << word;
    filter.subject = "user:bob";
    EXPECT_EQ(list(place, filter, true), list(without_index(place), filter)) << word;
  }
}

// A batch is written whole or not at all, with how far it goes: killed in between, the feeder goes on where it was.
TEST(SessionIndex, AFeederThatDiesGoesOnWhereItWas) {
  Gateway gw{"/dev/shm"};
  Prng prng(11);
  make_record(gw, prng, 10);
  gw.seal();
  const RecordPlace place = RecordPlace::of(gw.state());
  feed(place);
  const std::string whole = list(place, {}, true);
  const std::string copy = gw.state() + "/copy";
  for (int turn = 0; turn < 4; ++turn) {
    // As kill -9 leaves it: the file and its log, while the writer is at work.
    auto index = SessionIndex::open(place.index, SessionIndex::Mode::kWrite);
    ASSERT_TRUE(index);
    ASSERT_TRUE((*index)->clear());
    const IndexPosition at = (*index)->position().value();
    if (turn % 2 == 1) {
      ASSERT_TRUE((*index)->write({}, at, at));
    }
    std::filesystem::remove_all(copy);
    std::filesystem::copy(gw.state() + "/index", copy, std::filesystem::copy_options::recursive);
    index->reset();
    std::filesystem::remove_all(gw.state() + "/index");
    std::filesystem::copy(copy, gw.state() + "/index", std::filesystem::copy_options::recursive);
    if (turn >= 2) std::filesystem::resize_file(place.index + "-wal", std::filesystem::file_size(place.index + "-wal") / 2);
    feed(place);
    EXPECT_EQ(list(place, {}, true), whole) << turn;
  }
  // Two feeders: what one wrote, the other does not write again.
  auto index = SessionIndex::open(place.index, SessionIndex::Mode::kWrite).value();
  const IndexPosition at = index->position().value();
  EXPECT_EQ(index->write({}, {}, at).error().kind, Error::Kind::kDenied);
}

}  // namespace
}  // namespace weir::record

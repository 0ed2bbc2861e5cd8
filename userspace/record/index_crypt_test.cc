// The index of an encrypted record: who has the disk and not the key learns no more than manifests say; what cannot be opened is told.
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "record/index_test_support.h"
#include "record/key_store.h"
#include "record/record_test_gateway.h"
#include "record/session_index.h"

namespace weir::record {
namespace {

namespace fs = std::filesystem;
using test::bytes_beside;
using test::event_of;
using test::feed;
using test::list;
using test::without_index;

class IndexCrypt : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(GatewayKeys::generate(kek()));
    gw_.sealer_options.keys = open_ring(kek(), {}).value();
    gw_.start();
    for (uint64_t session = 1; session <= 3; ++session) {
      gw_.put(event_of(RecordEvent::Kind::kOpened, session, 0, R"({"target":"ledger-db","subject":"user:zelda","groups":["nightshift"]})"));
      RecordEvent event = event_of(RecordEvent::Kind::kCommand, session, 0, "select xylophone from quagmire");
      event.unit.kind = UnitKind::kCommand;
      event.verb = "query";
      event.verbs = bit(Verb::kRead);
      event.objects = "hidden.quagmire";
      event.action = Verdict::Action::kBlock;
      event.rule = "no-quagmire";
      event.request_id = "job-4711";
      gw_.put(event);
      gw_.close(session);
    }
    gw_.seal();
  }
  std::string kek() const { return files_.path() + "/kek.key"; }
  RecordPlace place(const std::string& key = {}) const {
    RecordPlace place = RecordPlace::of(gw_.state());
    if (!key.empty()) place.openers.push_back(read_opener(key).value());
    return place;
  }
  void destroy_keys(uint64_t session) {
    const std::string archive = test::archive_path(place(), session), archives = place().archive;
    ASSERT_TRUE(fs::remove(place().keys + "/" + keys_name(archive.substr(archives.size() + 1))));
  }
  std::string salt() const {
    sqlite3* made = nullptr;
    std::string salt;
    EXPECT_EQ(sqlite3_open(place().index.c_str(), &made), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(made, "SELECT value FROM meta WHERE name = 'salt'", [](void* out, int, char** values, char**) { return *static_cast<std::string*>(out) = values[0], 0; }, &salt, nullptr), SQLITE_OK);
    sqlite3_close(made);
    return salt;
  }
  // How many of the words of the sessions stand in the file as this key hashes them, as the table keeps them: eight bytes each.
  std::size_t words_found(const std::string& bytes, const IndexKey& key) const {
    std::size_t found = 0;
    for (const auto& [kind, value] : {std::pair(WordKind::kText, "xylophone"), {WordKind::kText, "select"}, {WordKind::kObject, "hidden.quagmire"}, {WordKind::kSubject, "user:zelda"},
                                      {WordKind::kTarget, "ledger-db"}, {WordKind::kGroup, "nightshift"}, {WordKind::kRule, "no-quagmire"}, {WordKind::kVerb, "read"}}) {
      std::string word(sizeof(Word), '\0');
      store_le(MutableBytes(reinterpret_cast<std::byte*>(word.data()), word.size()), 0, word_of(key, kind, value));
      found += bytes.find(word) != std::string::npos ? 1 : 0;
    }
    return found;
  }
  static SessionFilter by_text(const char* text) {
    SessionFilter filter;
    filter.text = text;
    return filter;
  }

  test::TemporaryFolder files_{"/dev/shm"};
  test::Gateway gw_{"/dev/shm"};
};

constexpr const char* kSaid[] = {"zelda", "ledger", "nightshift", "xylophone", "quagmire", "hidden", "job-4711"};

TEST_F(IndexCrypt, NothingStandsInItAndNoHashMatchesWithoutTheKey) {
  feed(place(kek()));
  const auto index = SessionIndex::open(place().index, SessionIndex::Mode::kRead, place(kek()).openers).value();
  const std::string bytes = bytes_beside(place().index);
  for (const char* said : kSaid) EXPECT_EQ(bytes.find(said), std::string::npos) << said;
  EXPECT_EQ(words_found(bytes, index->key()), 8U) << "else this test would see nothing";
  EXPECT_EQ(words_found(bytes, IndexKey::plain(salt())), 0U);
  EXPECT_EQ(words_found(bytes, IndexKey::plain({})), 0U);
  ASSERT_TRUE(GatewayKeys::generate(files_.path() + "/other.key"));
  const KeyOpeners others = place(files_.path() + "/other.key").openers;
  EXPECT_EQ(words_found(bytes, *IndexKey::of(others, others.front()->first_id(), salt())), 0U);
}

TEST_F(IndexCrypt, IsReadWithItsKeyAloneAndListsAreTheSameWithout) {
  feed(place(kek()));
  const std::string all = list(place(kek()), {}, true);
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 3);
  EXPECT_EQ(SessionIndex::open(place().index, SessionIndex::Mode::kRead).error().kind, Error::Kind::kDenied);
  EXPECT_EQ(list(place(), {}, true), all) << "manifests are in clear: nothing is told";
  EXPECT_NE(list(place(), by_text("xylophone"), true).find("none was given"), std::string::npos);
  EXPECT_EQ(list(place(kek()), by_text("xylophone"), true), all);
}

TEST_F(IndexCrypt, MadeUnderOtherKeysItIsMadeAnew) {
  RecordPlace in_clear = place();
  feed(in_clear);
  EXPECT_NE(bytes_beside(in_clear.index).find("zelda"), std::string::npos) << "else this test would see nothing";
  EXPECT_EQ(SessionIndex::open(in_clear.index, SessionIndex::Mode::kRead).value()->counts()->locked, 3U);
  IndexFeeder feeder(place(kek()));
  EXPECT_EQ(feeder.step().value_or(9), 0U);
  EXPECT_EQ(feeder.counts().rebuilds, 1U);
  EXPECT_EQ(bytes_beside(in_clear.index).find("zelda"), std::string::npos);
  const std::string found = list(place(kek()), by_text("xylophone"), true);
  EXPECT_EQ(std::count(found.begin(), found.end(), '\n'), 3);
  // A key is put above the others: what is new is under it.
  const std::string text = read_text(kek(), 1u << 20).value(), next = files_.path() + "/next.key";
  std::ofstream(next) << "weir-key-1 " << std::string(64, '7') << "\n" << text;
  ::chmod(next.c_str(), 0600);
  IndexFeeder later(place(next));
  EXPECT_EQ(later.step().value_or(9), 0U);
  EXPECT_EQ(later.counts().rebuilds, 1U);
  EXPECT_EQ(list(place(next), by_text("xylophone"), true), found);
  EXPECT_EQ(SessionIndex::open(place().index, SessionIndex::Mode::kRead, place(kek()).openers).error().kind, Error::Kind::kDenied);
}

TEST_F(IndexCrypt, AChangedRowIsNotBelieved) {
  feed(place(kek()));
  const std::string all = list(place(kek()), {}, true);
  sqlite3* made = nullptr;
  ASSERT_EQ(sqlite3_open(place().index.c_str(), &made), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(made, "UPDATE content SET line = (SELECT line FROM content WHERE session = 2) WHERE session = 3", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(made);
  const std::string told = list(place(kek()), {}, true);
  EXPECT_NE(told.find("was changed"), std::string::npos) << told;
  EXPECT_NE(told.find(all), std::string::npos) << "the archives tell";
}

TEST_F(IndexCrypt, WhatCannotBeOpenedIsToldAndNotReadAgain) {
  destroy_keys(2);
  feed(place(kek()));
  EXPECT_EQ(SessionIndex::open(place().index, SessionIndex::Mode::kRead, place(kek()).openers).value()->counts()->locked, 1U);
  const std::string found = list(place(kek()), by_text("xylophone"), true);
  EXPECT_NE(found.find("locked 2\n"), std::string::npos) << found;
  EXPECT_EQ(found.find("\"id\":2,"), std::string::npos) << found;
  EXPECT_EQ(list(without_index(place(kek())), by_text("xylophone")), found);
  SessionFilter other = by_text("xylophone");
  other.subject = "user:bob";
  EXPECT_EQ(list(place(kek()), other, true), "") << "its manifest says that it does not fit";
  // None of its archive's bytes is needed for that.
  fs::resize_file(test::archive_path(place(), 2), 0);
  EXPECT_EQ(list(place(kek()), by_text("xylophone"), true), found);
  EXPECT_EQ(list(place(kek()), by_text("absent"), true), "locked 2\n");
}

TEST_F(IndexCrypt, ARequestIsFoundByManifestsAndNothingIsBrokenForWantOfAKey) {
  SessionFilter filter;
  filter.request = "job-4711";
  for (const bool by_index : {false, true}) {
    if (by_index) {
      destroy_keys(2);
      feed(place(kek()));
    }
    const std::string found = by_index ? list(place(kek()), filter, true) : list(place(), filter);
    EXPECT_EQ(std::count(found.begin(), found.end(), '\n'), 3) << found;
    EXPECT_EQ(found.find("broken"), std::string::npos) << found;
    std::size_t locked = 0;
    for (std::size_t at = 0; (at = found.find("\"is_locked\":true", at)) != std::string::npos; ++at) ++locked;
    EXPECT_EQ(locked, by_index ? 1U : 3U) << found;
    EXPECT_NE(found.find("\"request_commands\":[]"), std::string::npos) << found;
    if (by_index) {
      EXPECT_EQ(list(without_index(place(kek())), filter), found);
    }
  }
}

TEST_F(IndexCrypt, WhoseKeysWereDestroyedIsForgottenButForItsManifest) {
  feed(place(kek()));
  const std::string all = list(place(kek()), {}, true);
  destroy_keys(2);
  const uint64_t forgotten[] = {2};
  ASSERT_TRUE(forget_sessions(place().index, forgotten)) << "it needs no key";
  const std::string before = list(place(kek()), by_text("xylophone"), true);
  feed(place(kek()));
  EXPECT_EQ(list(place(kek()), by_text("xylophone"), true), before);
  EXPECT_NE(before.find("locked 2\n"), std::string::npos);
  EXPECT_EQ(list(place(kek()), {}, true), all);
  EXPECT_TRUE(SessionIndex::open(place().index, SessionIndex::Mode::kRead, place(kek()).openers).value()->find(2).value()->is_locked);
}

TEST(IndexKey, RowsAreBoundToTheirSessionAndToTheKey) {
  test::TemporaryFolder files{"/dev/shm"};
  ASSERT_TRUE(GatewayKeys::generate(files.path() + "/kek.key"));
  const KeyOpeners openers{read_opener(files.path() + "/kek.key").value()};
  const std::string id = openers.front()->first_id();
  const IndexKey key = *IndexKey::of(openers, id, "salt"), other = *IndexKey::of(openers, id, "another");
  EXPECT_FALSE(IndexKey::of(openers, "0123456789abcdef", "salt"));
  const std::string sealed = key.seal_row(7, "a row");
  EXPECT_NE(sealed, key.seal_row(7, "a row"));
  EXPECT_EQ(key.open_row(7, sealed), "a row");
  EXPECT_FALSE(key.open_row(8, sealed));
  EXPECT_FALSE(other.open_row(7, sealed));
  EXPECT_FALSE(key.open_row(7, sealed.substr(1)));
  EXPECT_FALSE(key.open_row(7, ""));
  EXPECT_EQ(key.hash('w', "x"), IndexKey::of(openers, id, "salt")->hash('w', "x"));
  EXPECT_NE(key.hash('w', "x"), other.hash('w', "x"));
  EXPECT_NE(key.hash('w', "x"), key.hash('o', "x"));
  // HMAC-SHA-256, known answer: Python's hmac.new(b"weir index words in clear 1\nsalt", b"wx", "sha256").
  EXPECT_EQ(IndexKey::plain("salt").hash('w', "x"), 0x252b11c1253251b5ULL);
}

}  // namespace
}  // namespace weir::record

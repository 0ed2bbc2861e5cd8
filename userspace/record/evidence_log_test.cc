// The evidence log: what stands in it, in which order, and that nothing is signed which is not on disk.
#include "record/evidence_log.h"

#include <fstream>

#include "record/archive.h"
#include "record/prove.h"
#include "record/record_test_gateway.h"
#include "record/seal_log.h"
#include "record/verify_log.h"

namespace weir::record {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Gateway;

std::vector<std::string> leaves_of(const std::string& log) {
  std::vector<std::string> all;
  EXPECT_TRUE(read_entries(log, read_head(log).value().checkpoint.size, [&](uint64_t, Bytes entry) { all.emplace_back(as_text(entry)); }));
  return all;
}

std::vector<json> leaves_of_kind(const std::string& log, std::string_view kind) {
  std::vector<json> found;
  for (const std::string& leaf : leaves_of(log)) {
    const json object = json::parse(leaf);
    if (object["kind"] == kind) found.push_back(object);
  }
  return found;
}

bool has(const VerifyReport& report, std::string_view code) {
  return std::any_of(report.findings.begin(), report.findings.end(), [&](const Finding& finding) { return finding.code == code; });
}

void put_act(Gateway& gw, uint64_t session, std::string_view verb, std::string_view text) {
  RecordEvent event = test::event_of(RecordEvent::Kind::kAct, session, 0, text);
  event.verb = verb;
  gw.put(event);
}

class Log : public testing::Test {
 protected:
  Log() : key_(SigningKey::generate(folder_.path() + "/k").value()) {}
  EvidenceLog open(std::size_t* seen = nullptr) {
    EvidenceLog log(folder_.path() + "/log", "log.example/one", key_, files_);
    const Result<void> opened = log.open([&](uint64_t, Bytes) { seen == nullptr ? void() : void(++*seen); });
    EXPECT_TRUE(opened) << opened.error().message;
    return log;
  }
  // Verified by the reader of all: signature, root, every tile.
  CheckedLog check() {
    VerifyOptions options;
    options.place.log = folder_.path() + "/log";
    options.keys = {key_.verifying()};
    options.threads = 1;
    Result<CheckedLog> checked = check_log(options);
    EXPECT_TRUE(checked);
    return checked ? std::move(*checked) : CheckedLog{};
  }

  test::TemporaryFolder folder_{"/dev/shm"};
  PosixFiles files_;
  SigningKey key_;
};

TEST_F(Log, GrowsOverTheEdgesOfTilesInBatchesOfAnySizeAndIsReadAgainAtEach) {
  std::size_t total = 0;
  for (const std::size_t batch : {1u, 1u, 5u, 248u, 1u, 1u, 255u, 256u, 700u, 3u}) {
    std::size_t seen = 0;
    EvidenceLog log = open(&seen);
    EXPECT_EQ(seen, total);
    for (std::size_t at = 0; at < batch; ++at) log.add(to_leaf("note", 0, {{"n", total + at}}));
    ASSERT_TRUE(log.commit());
    total += batch;
    EXPECT_EQ(log.size(), total);
    const CheckedLog checked = check();
    EXPECT_TRUE(checked.findings.empty()) << checked.findings.front().code << " " << checked.findings.front().where;
    EXPECT_EQ(checked.leaves.size(), total);
  }
  // Partial tiles go once the full one is there; the edge alone has some.
  EXPECT_FALSE(exists(folder_.path() + "/log/tile/entries/000.p"));
  EXPECT_TRUE(exists(folder_.path() + "/log/tile/1/000.p"));
}

TEST_F(Log, WhatACrashLeftBehindTheEdgeIsTakenAwayAndNotSigned) {
  {
    EvidenceLog log = open();
    for (int at = 0; at < 3; ++at) log.add(to_leaf("note", at, {}));
    ASSERT_TRUE(log.commit());
  }
  const std::string before = read_text(checkpoint_path(folder_.path() + "/log"), 4096).value();
  {
    EvidenceLog log = open();
    for (int at = 0; at < 4; ++at) log.add(to_leaf("planted", at, {}));
    ASSERT_TRUE(log.commit());
  }
  std::ofstream(checkpoint_path(folder_.path() + "/log")) << before;  // As if the checkpoint had not been reached.
  EvidenceLog log = open();
  EXPECT_EQ(log.size(), 3u);
  log.add(to_leaf("note", 9, {}));
  ASSERT_TRUE(log.commit());
  EXPECT_TRUE(check().findings.empty());
  for (const std::string& leaf : leaves_of(folder_.path() + "/log")) EXPECT_EQ(leaf.find("planted"), std::string::npos);
}

TEST_F(Log, ALostEdgeOfTheTilesIsMadeAnewOfTheEntries) {
  {
    EvidenceLog log = open();
    for (int at = 0; at < 300; ++at) log.add(to_leaf("note", at, {}));
    ASSERT_TRUE(log.commit());
  }
  fs::remove_all(folder_.path() + "/log/tile/0/001.p");
  fs::remove_all(folder_.path() + "/log/tile/1");
  EXPECT_FALSE(check().findings.empty());
  open();
  EXPECT_TRUE(check().findings.empty());
}

TEST_F(Log, IsNotOpenedWithAnotherKeyOriginOrFormat) {
  {
    EvidenceLog log = open();
    log.add("{}");
    ASSERT_TRUE(log.commit());
  }
  const std::string path = folder_.path() + "/log";
  const auto none = [](uint64_t, Bytes) {};
  EXPECT_FALSE(EvidenceLog(path, "log.example/two", key_, files_).open(none));
  EXPECT_FALSE(EvidenceLog(path, "log.example/one", SigningKey::generate(folder_.path() + "/k2").value(), files_).open(none));
  fs::remove_all(path);
  fs::create_directories(path);
  std::ofstream(path + "/seals") << "1 ...\n";
  const Result<void> old = EvidenceLog(path, "log.example/one", key_, files_).open(none);
  ASSERT_FALSE(old);
  EXPECT_NE(old.error().message.find("earlier format"), std::string::npos);
}

TEST(LogLeaf, ASealIsReadOnlyAsItIsWritten) {
  const SealEntry entry{.seal = 17, .digest = sha256(as_bytes("x")), .session = 12, .part = 2, .first_sequence = 3, .last_sequence = 40, .is_last = false, .path = "2027/03/09/12.2.weir",
                        .sealed_ns = 1'790'000'000'123'456'789, .key = "0011223344556677", .events = 38, .commands = 20, .blocked = 1, .masked = 5};
  const std::string leaf = to_leaf(entry);
  EXPECT_EQ(dump(json::parse(leaf)), leaf) << "its keys are sorted, and nothing stands between them";
  const std::optional<SealEntry> again = seal_from_leaf(leaf);
  ASSERT_TRUE(again);
  EXPECT_EQ(to_leaf(*again), leaf);
  EXPECT_EQ(again->sealed_ns, entry.sealed_ns);
  for (std::size_t at = 0; at < leaf.size(); ++at) {
    EXPECT_FALSE(seal_from_leaf(leaf.substr(0, at)));
    std::string longer = leaf;
    longer.insert(at, " ");
    EXPECT_FALSE(seal_from_leaf(longer)) << longer;
  }
  EXPECT_FALSE(ns_from_text("2027-02-30T00:00:00.000000000Z"));
  EXPECT_FALSE(ns_from_text("2027-02-03T24:00:00.000000000Z"));
  for (const int64_t ns : {int64_t{0}, int64_t{1}, int64_t{1'790'000'000'123'456'789}, int64_t{-1}}) EXPECT_EQ(ns_from_text(time_text(ns)), ns);
}

TEST(EvidenceLog, SaysStartStopAndSinceWhenNobodyWasHere) {
  Gateway gw("/dev/shm");
  gw.start();
  gw.seal();
  gw.kill();
  gw.advance(std::chrono::minutes(5));
  gw.start();
  gw.seal();
  ASSERT_TRUE(gw.sealer().stop(std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(gw.time_ns()))));
  gw.kill();
  gw.advance(std::chrono::minutes(2));
  gw.start();
  gw.seal();
  const std::string log = gw.state() + "/log";
  EXPECT_EQ(leaves_of_kind(log, "start").size(), 3u);
  const std::vector<json> gaps = leaves_of_kind(log, "gap");
  ASSERT_EQ(gaps.size(), 2u);
  EXPECT_EQ(gaps[0]["why"], "killed");
  EXPECT_EQ(gaps[1]["why"], "stopped");
  const VerifyReport report = gw.verify();
  EXPECT_EQ(report.exit_code(), 0);
  ASSERT_EQ(report.gaps.size(), 2u);
  EXPECT_EQ(*ns_from_text(report.gaps[0].until) - *ns_from_text(report.gaps[0].from), 300'000'000'000);
}

TEST(EvidenceLog, HeartbeatsAreNumberedOverAllRunsAndTheirSilenceIsAFinding) {
  Gateway gw("/dev/shm");
  uint64_t steered = 0;
  gw.sealer_options.heartbeat = [&] { return json{{"steered", steered += 10}}; };
  gw.start();
  const auto live = [&](int minutes) {
    for (int minute = 0; minute < minutes; ++minute) {
      gw.seal();
      gw.seal();  // Not twice within a minute.
      gw.advance(std::chrono::minutes(1));
    }
  };
  live(3);
  gw.kill();
  gw.advance(std::chrono::hours(1));
  gw.start();
  live(2);
  const std::vector<json> beats = leaves_of_kind(gw.state() + "/log", "heartbeat");
  ASSERT_EQ(beats.size(), 5u);
  for (std::size_t at = 0; at < beats.size(); ++at) EXPECT_EQ(beats[at]["number"], at + 1);
  EXPECT_EQ(beats[4]["steered"], 50);
  VerifyReport report = gw.verify();
  EXPECT_EQ(report.exit_code(), 0) << "an hour without a gateway is a gap, and no silence";
  EXPECT_EQ(report.heartbeats, 5u);
  gw.advance(std::chrono::minutes(10));
  gw.seal();
  report = gw.verify();
  EXPECT_EQ(report.exit_code(), 3);
  EXPECT_TRUE(has(report, "heartbeat-gap"));
}

TEST(EvidenceLog, ActsAreNamedByADigestAndNothingOfThemIsSaid) {
  Gateway gw("/dev/shm");
  gw.start();
  gw.put(test::event_of(RecordEvent::Kind::kOpened, 1, 0, R"({"about":"gateway"})"));
  put_act(gw, 1, "revoke", R"({"by":{"subject":"ann@corp.example"},"object":"binding 7","outcome":"done","salt":"00ff"})");
  gw.seal();
  put_act(gw, 1, "SELECT 'x'", R"({"by":{},"object":"o","outcome":"done","salt":"11ee"})");
  gw.flush();
  gw.kill();
  gw.start();  // Both stand in the journal still: the first is not named again.
  gw.seal();
  const std::vector<json> acts = leaves_of_kind(gw.state() + "/log", "act");
  ASSERT_EQ(acts.size(), 2u);
  EXPECT_EQ(acts[0]["act"], "revoke");
  EXPECT_EQ(acts[1]["act"], "other") << "what is no plain name is not repeated";
  for (const std::string& leaf : leaves_of(gw.state() + "/log")) {
    EXPECT_EQ(leaf.find("ann@"), std::string::npos);
    EXPECT_EQ(leaf.find("binding 7"), std::string::npos);
    EXPECT_EQ(leaf.find("00ff\""), std::string::npos);
  }
  EXPECT_EQ(gw.verify().exit_code(), 0);
}

// The log as it is, but for one kind of leaf, signed with the real key.
void rewrite(Gateway& gw, const std::function<std::vector<std::string>(std::vector<std::string>)>& change) {
  const std::string log = gw.state() + "/log";
  const std::vector<std::string> changed = change(leaves_of(log));
  fs::remove_all(log + "/tile");
  fs::remove(checkpoint_path(log));
  EvidenceLog forged(log, log_origin("", "gw"), SigningKey::read(gw.key_file()).value(), *gw.files);
  ASSERT_TRUE(forged.open([](uint64_t, Bytes) {}));
  for (const std::string& leaf : changed) forged.add(leaf);
  ASSERT_TRUE(forged.commit());
}

TEST(EvidenceLog, AnActLeftOutChangedOrInventedIsFound) {
  Gateway gw("/dev/shm");
  gw.start();
  gw.put(test::event_of(RecordEvent::Kind::kOpened, 1, 0, R"({"about":"gateway"})"));
  put_act(gw, 1, "bind", R"({"salt":"00"})");
  gw.close(1);
  gw.seal();
  ASSERT_EQ(gw.verify().exit_code(), 0);
  const std::vector<std::string> sound = leaves_of(gw.state() + "/log");
  const auto is_act = [](const std::string& leaf) { return leaf.find("\"kind\":\"act\"") != std::string::npos; };
  rewrite(gw, [&](std::vector<std::string> all) {
    std::erase_if(all, is_act);
    return all;
  });
  EXPECT_TRUE(has(gw.verify(), "act-unlisted"));
  rewrite(gw, [&](const std::vector<std::string>&) {
    std::vector<std::string> all = sound;
    for (std::string& leaf : all) {
      if (is_act(leaf)) leaf.replace(leaf.find("\"bind\""), 6, "\"view\"");
    }
    return all;
  });
  EXPECT_TRUE(has(gw.verify(), "act-differs"));
  rewrite(gw, [&](const std::vector<std::string>&) {
    std::vector<std::string> all = sound;
    all.insert(all.begin() + 1, to_leaf(act_entry(1, 3, 1, "bind", {})));
    return all;
  });
  EXPECT_TRUE(has(gw.verify(), "act-missing"));
  rewrite(gw, [&](const std::vector<std::string>&) {
    std::vector<std::string> all = sound;
    all.push_back(*std::find_if(sound.begin(), sound.end(), is_act));
    return all;
  });
  EXPECT_TRUE(has(gw.verify(), "act-twice"));
}

TEST(EvidenceLog, AHeartbeatLeftOutIsFoundByItsNumber) {
  Gateway gw("/dev/shm");
  gw.sealer_options.heartbeat = [] { return json::object(); };
  gw.sealer_options.heartbeat_every = std::chrono::seconds(600);
  gw.start();
  for (int at = 0; at < 3; ++at) {
    gw.seal();
    gw.advance(std::chrono::seconds(600));
  }
  ASSERT_EQ(gw.verify().exit_code(), 0);
  rewrite(gw, [](std::vector<std::string> all) {
    std::erase_if(all, [](const std::string& leaf) { return leaf.find("\"number\":2") != std::string::npos; });
    return all;
  });
  EXPECT_TRUE(has(gw.verify(), "heartbeat-gap"));
}

class Proving : public testing::Test {
 protected:
  Proving() {
    gw_.start();
    for (uint64_t session = 1; session <= 5; ++session) {
      gw_.open(session, "db", "user:ann");
      gw_.command(session, 1, "select 'what was said'");
      gw_.respond(session, 1, 0);
      gw_.close(session);
      gw_.seal();
    }
    proof_ = prove(gw_.state() + "/log", 3, std::nullopt).value();
    keys_ = {VerifyingKey::read(gw_.key_file() + ".pub").value()};
  }
  Gateway gw_{"/dev/shm"};
  std::string proof_;
  std::vector<VerifyingKey> keys_;
};

TEST_F(Proving, ASessionIsProvedWithTheKeyAloneAndItsArchiveIsTheOneThatWasSealed) {
  const Result<Proved> proved = check_proof(proof_, keys_);
  ASSERT_TRUE(proved) << proved.error().message;
  EXPECT_EQ(proved->seal.session, 3u);
  EXPECT_TRUE(check_proved_archive(*proved, gw_.state() + "/archive/" + proved->seal.path, keys_));
  EXPECT_FALSE(check_proved_archive(*proved, gw_.state() + "/archive/" + archive_name(proved->seal.sealed_ns, 2, 1), keys_));
  EXPECT_EQ(proof_.find("what was said"), std::string::npos);
  EXPECT_FALSE(prove(gw_.state() + "/log", 99, std::nullopt));
  const std::vector<VerifyingKey> other{SigningKey::generate(gw_.state() + "/other.key").value().verifying()};
  EXPECT_FALSE(check_proof(proof_, other));
}

TEST_F(Proving, AnyByteOfAProof) {
  for (std::size_t at = 0; at < proof_.size(); ++at) {
    std::string changed = proof_;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(check_proof(changed, keys_)) << "byte " << at << " of\n" << proof_;
  }
}

TEST_F(Proving, ASessionInPartsHasAProofForEach) {
  gw_.sealer_options.every = std::chrono::seconds(0);
  gw_.kill();
  gw_.start();
  gw_.open(6, "db", "user:ann");
  gw_.seal();
  gw_.close(6);
  gw_.seal();
  const Result<std::string> which = prove(gw_.state() + "/log", 6, std::nullopt);
  ASSERT_FALSE(which);
  EXPECT_EQ(which.error().kind, Error::Kind::kInvalid);
  for (const uint32_t part : {1u, 2u}) EXPECT_EQ(check_proof(prove(gw_.state() + "/log", 6, part).value(), keys_).value().seal.part, part);
}

}  // namespace
}  // namespace weir::record

// What is kept and for how long; and a crash, or a disk that fails, at every step of destroying what is not.
#include "record/retention.h"

#include <gmock/gmock.h>

#include <fstream>

#include "record/crashing_files.h"
#include "record/expirer.h"
#include "record/key_store.h"
#include "record/record_test_gateway.h"
#include "record/seal_log.h"

namespace weir::record {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using test::CrashingFiles;
using test::Gateway;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto kDay = hours(24);

RetentionConfig keep_for(seconds keep) { return {.keep = keep, .minimum = seconds(1), .rules = {}, .holds = {}}; }

SessionTraits traits_of(const std::string& target, const std::string& subject, std::set<std::string, std::less<>> rules = {}, std::set<std::string, std::less<>> tags = {}) {
  SessionTraits traits;
  traits.session = 7;
  traits.target = target;
  traits.subject = subject;
  traits.rules = std::move(rules);
  traits.tags = std::move(tags);
  traits.opened_ns = 1'000'000'000'000;
  traits.closed_ns = 2'000'000'000'000;
  return traits;
}

// ---- decisions ----

TEST(Retention, TheLongestOfTheRulesThatFitCountsAndOtherwiseTheDefault) {
  RetentionConfig config = keep_for(400 * kDay);
  config.rules = {{"sandbox", {"sandbox-*"}, {}, {}, {}, {}, 30 * kDay}, {"cards", {}, {"pci"}, {}, {}, {}, 7 * 365 * kDay}, {"ann", {}, {}, {}, {}, {"user:ann"}, 60 * kDay}};
  EXPECT_EQ(ruling_of(config, traits_of("orders", "user:bob")).policy, "default");
  EXPECT_EQ(ruling_of(config, traits_of("sandbox-1", "user:bob")).policy, "sandbox");
  EXPECT_EQ(ruling_of(config, traits_of("sandbox-1", "user:ann")).policy, "ann");
  EXPECT_EQ(ruling_of(config, traits_of("sandbox-1", "user:ann", {"mask-cards"}, {"pci"})).policy, "cards");
  EXPECT_EQ(ruling_of(config, traits_of("sandbox-1", "user:ann", {"mask-cards"}, {"pci"})).keep, 7 * 365 * kDay);
  EXPECT_EQ(shortest(config), 30 * kDay);
}

TEST(Retention, WhatIsNotKnownOfASessionKeepsItLongerNeverShorter) {
  RetentionConfig config = keep_for(400 * kDay);
  config.rules = {{"short", {}, {"noise"}, {}, {}, {}, 30 * kDay}};
  SessionTraits traits = traits_of("t", "s");
  traits.has_more_rules = true;
  EXPECT_EQ(ruling_of(config, traits).policy, "default") << "it may have the tag, and may not";
  config.rules.push_back({"long", {}, {}, {"mask-people"}, {}, {}, 500 * kDay});
  EXPECT_EQ(ruling_of(config, traits).policy, "long");
  config.rules = {{"target", {"t"}, {}, {}, {}, {}, 30 * kDay}};
  EXPECT_EQ(ruling_of(config, traits).policy, "target") << "that it fits is certain";
}

TEST(Retention, AHoldCoversWhatFitsAllThatItNames) {
  const SessionTraits traits = traits_of("orders", "user:ann");
  EXPECT_TRUE((Hold{.id = "1", .session = 7}).covers(traits));
  EXPECT_FALSE((Hold{.id = "1", .session = 8}).covers(traits));
  EXPECT_TRUE((Hold{.id = "1", .subject = "user:ann"}).covers(traits));
  EXPECT_FALSE((Hold{.id = "1", .subject = "user:ann", .target = "other"}).covers(traits));
  const auto at = [](int64_t s) { return std::chrono::sys_seconds(seconds(s)); };
  EXPECT_TRUE((Hold{.id = "1", .from = at(1'500), .until = at(1'600)}).covers(traits)) << "it lived then";
  EXPECT_TRUE((Hold{.id = "1", .from = at(2'000)}).covers(traits));
  EXPECT_FALSE((Hold{.id = "1", .from = at(2'001)}).covers(traits));
  EXPECT_FALSE((Hold{.id = "1", .until = at(1'000)}).covers(traits));
}

TEST(HoldBook, OutlivesTheProcessAndIsRefusedWhenItIsDamaged) {
  test::TemporaryFolder folder("/dev/shm");
  PosixFiles files;
  HoldBook book(folder.path());
  EXPECT_EQ(book.read().error().kind, Error::Kind::kNotFound);
  ASSERT_TRUE(book.create(files));
  const Result<Hold> first = book.add(files, {.id = "", .session = 12, .reason = "case 1", .by = "uid 0"});
  ASSERT_TRUE(first);
  ASSERT_TRUE(book.add(files, {.id = "", .subject = "user:ann", .from = std::chrono::sys_seconds(seconds(5)), .reason = "case 2"}));
  HoldBook again(folder.path());
  ASSERT_TRUE(again.read());
  ASSERT_EQ(again.holds().size(), 2U);
  EXPECT_EQ(again.holds()[0].session, 12U);
  EXPECT_EQ(again.holds()[1].from, std::chrono::sys_seconds(seconds(5)));
  EXPECT_FALSE(again.holds()[1].until);
  ASSERT_TRUE(again.remove(files, first->id));
  EXPECT_EQ(again.remove(files, first->id).error().kind, Error::Kind::kNotFound);
  EXPECT_NE(again.add(files, {.id = "", .session = 1})->id, first->id) << "an id is used once";
  const std::string text = read_text(again.path(), 1u << 20).value();
  for (const std::string& bad : {text.substr(0, text.size() / 2), std::string("{}"), std::string(R"({"format":"weir holds 1","next":1,"holds":[{"id":"x"}]})")}) {
    std::ofstream(again.path(), std::ios::trunc) << bad;
    EXPECT_EQ(HoldBook(folder.path()).read().error().kind, Error::Kind::kCorrupt) << bad;
  }
}

TEST(HoldBook, OnAFullDiskItIsAsItWas) {
  test::TemporaryFolder folder("/dev/shm");
  test::RefusingFiles files;
  HoldBook book(folder.path());
  ASSERT_TRUE(book.create(files));
  ASSERT_TRUE(book.read());
  files.refuse(true);
  EXPECT_FALSE(book.add(files, {.id = "", .session = 1}));
  EXPECT_THAT(book.holds(), IsEmpty());
  HoldBook again(folder.path());
  ASSERT_TRUE(again.read());
  EXPECT_THAT(again.holds(), IsEmpty());
}

// ---- expiry ----

constexpr const char* kMarker = "zebra-4711-marker";

// A gateway with three sessions that have ended (the second sealed in two parts), one that lives, and a record that is encrypted.
struct Scene {
  explicit Scene(RetentionConfig config = keep_for(kDay)) : gw("/dev/shm"), desk(gw.state(), std::move(config), files) {
    EXPECT_TRUE(GatewayKeys::generate(keys.path() + "/kek.key"));
    gw.sealer_options.keys = open_ring(keys.path() + "/kek.key", {}).value();
    gw.sealer_options.retention = &desk;
    gw.sealer_options.tags_of = [](const std::string& rule) { return rule == "mask-cards" ? std::vector<std::string>{"pci"} : std::vector<std::string>{}; };
    gw.start();
    live(1, "orders", "user:ann");
    gw.open(2, "orders", "user:bob");
    gw.command(2, 1, kMarker, Verdict::Action::kMask, "mask-cards");
    gw.respond(2, 1, 0);
    gw.seal();
    gw.advance(hours(2));
    EXPECT_TRUE(gw.try_step());        // Its first part, since it is old.
    gw.command(2, 2, kMarker);
    gw.respond(2, 2, 0);
    gw.close(2);
    live(3, "billing", "user:ann");
    gw.open(4, "orders", "user:eve");
    gw.seal();
  }
  void live(uint64_t session, const std::string& target, const std::string& subject) {
    gw.open(session, target, subject);
    gw.command(session, 1, kMarker);
    gw.respond(session, 1, 0);
    gw.close(session);
  }
  // Steps until nothing more changes, or fails.
  Result<void> expire() {
    for (int step = 0; step < 8; ++step) {
      desk.look_now();
      if (Result<void> done = gw.try_step(); !done) return done;
    }
    return {};
  }
  std::string codes() {
    std::string text;
    for (const Finding& finding : gw.verify().findings) {
      if (finding.severity != Finding::Severity::kNote) text += finding.code + " " + finding.where + ": " + finding.message + "\n";
    }
    return text;
  }
  std::vector<uint64_t> there() {
    std::set<uint64_t> sessions;
    EXPECT_TRUE(list_sessions(RecordPlace::of(gw.state()), {.is_live = false}, [&](const std::string& line) {
      sessions.insert(nlohmann::json::parse(line)["id"].get<uint64_t>());
      return true;
    }));
    sessions.erase(4);                 // A restart ends it.
    return {sessions.begin(), sessions.end()};
  }
  // Of the three that have ended.
  uint64_t keys_left() {
    uint64_t count = 0;
    for (const auto& each : std::filesystem::recursive_directory_iterator(gw.state() + "/keys")) count += each.is_regular_file() && each.path().filename().string()[0] < '4' ? 1 : 0;
    return count;
  }

  test::TemporaryFolder keys{"/dev/shm"};
  PosixFiles files;
  Gateway gw;
  RetentionDesk desk;
};

// A wrong clock would make the whole record due.
TEST(Expiry, AClockThatLeapsDestroysNothingForADayUnlessSomebodySaysSo) {
  for (const bool is_asked : {false, true}) {
    for (const bool is_restart : {false, true}) {
      Scene scene;
      RetentionDesk::Surroundings around;
      around.leap_max = kDay;
      scene.desk.set_surroundings(around);
      ASSERT_TRUE(scene.gw.try_step());
      scene.gw.advance(30 * kDay);
      if (is_restart) scene.gw.start();
      ASSERT_TRUE(scene.gw.try_step());
      EXPECT_THAT(scene.there(), ElementsAre(1, 2, 3));
      EXPECT_THAT(scene.desk.counts().problem, HasSubstr("nothing expires for a day"));
      for (int hour = 0; hour < (is_asked ? 0 : 23); ++hour) {
        scene.gw.advance(hours(1));
        ASSERT_TRUE(scene.gw.try_step());
      }
      EXPECT_THAT(scene.there(), ElementsAre(1, 2, 3));
      if (is_asked) {
        ASSERT_TRUE(scene.expire());
      } else {
        for (int step = 0; step < 8; ++step) {
          scene.gw.advance(hours(1));
          ASSERT_TRUE(scene.gw.try_step());
        }
      }
      EXPECT_THAT(scene.there(), IsEmpty());
      EXPECT_EQ(scene.desk.counts().problem, "");
    }
  }
}

TEST(Expiry, WhatIsOverGoesWithItsKeysAndTheRestVerifies) {
  Scene scene;
  scene.desk.set_surroundings({});
  ASSERT_TRUE(scene.expire());
  EXPECT_THAT(scene.there(), ElementsAre(1, 2, 3)) << "nothing is due";
  EXPECT_GT(scene.desk.counts().next_ns, 0);
  scene.gw.advance(hours(23));          // Only the first was sealed more than a day ago.
  ASSERT_TRUE(scene.expire());
  EXPECT_THAT(scene.there(), ElementsAre(2, 3));
  EXPECT_EQ(scene.codes(), "");
  scene.gw.advance(hours(2));
  ASSERT_TRUE(scene.expire());
  EXPECT_THAT(scene.there(), IsEmpty());
  EXPECT_EQ(scene.keys_left(), 0U);
  EXPECT_EQ(scene.desk.counts().expired, 3U);
  const VerifyReport report = scene.gw.verify();
  EXPECT_EQ(report.exit_code(), 0) << scene.codes();
  EXPECT_EQ(report.expired.sessions, 3U);
  EXPECT_EQ(report.expired.archives, 4U);
  ASSERT_EQ(report.expired.policies.size(), 1U);
  EXPECT_EQ(report.expired.policies[0].name, "default");
  EXPECT_EQ(report.expired.policies[0].keep_s, 86'400U);
  EXPECT_EQ(report.expired.in_progress, 0U);
  // And the chain goes on over what is gone.
  scene.gw.close(4);
  scene.gw.seal();
  EXPECT_EQ(scene.codes(), "");
  EXPECT_EQ(scene.gw.verify().exit_code(), 0);
}

TEST(Expiry, NothingIsToldOrDestroyedBeforeTheRestOfTheEngineIsThere) {
  Scene scene;
  scene.gw.advance(hours(48));
  ASSERT_TRUE(scene.expire());
  EXPECT_THAT(scene.there(), ElementsAre(1, 2, 3));
}

TEST(Expiry, AHoldWinsAndWhatItCoveredGoesOnceItIsLifted) {
  Scene scene;
  scene.desk.set_surroundings({});
  ASSERT_TRUE(scene.expire());
  const Result<Hold> hold = scene.desk.add_hold({.id = "", .subject = "user:ann", .reason = "case 17"});
  ASSERT_TRUE(hold) << hold.error().message;
  scene.gw.advance(hours(72));
  ASSERT_TRUE(scene.expire());
  EXPECT_THAT(scene.there(), ElementsAre(1, 3));
  EXPECT_EQ(scene.desk.counts().held, 2U);
  // Also over a restart.
  scene.gw.kill();
  scene.gw.start();
  ASSERT_TRUE(scene.expire());
  EXPECT_THAT(scene.there(), ElementsAre(1, 3));
  ASSERT_TRUE(scene.desk.remove_hold(hold->id));
  ASSERT_TRUE(scene.expire());
  EXPECT_THAT(scene.there(), IsEmpty());
  EXPECT_EQ(scene.codes(), "");
}

TEST(Expiry, AHoldOfTheConfigurationCountsAndALaterPolicyKeepsLonger) {
  RetentionConfig config = keep_for(kDay);
  config.holds = {{.name = "case-17", .subject = "", .target = "billing", .session = 0, .set_by = "legal", .reason = "x"}};
  Scene scene(config);
  scene.desk.set_surroundings({});
  config.rules = {{"cards", {}, {"pci"}, {}, {}, {}, 30 * kDay}};
  scene.desk.set_config(config);
  scene.gw.advance(hours(72));
  ASSERT_TRUE(scene.expire());
  EXPECT_THAT(scene.there(), ElementsAre(2, 3)) << "a rule with the tag fired in the second, the third is held";
  EXPECT_EQ(scene.desk.remove_hold("case-17").error().kind, Error::Kind::kDenied);
  config.holds.clear();
  scene.desk.set_config(config);
  scene.gw.advance(31 * kDay);
  ASSERT_TRUE(scene.expire());
  EXPECT_THAT(scene.there(), IsEmpty());
  const VerifyReport report = scene.gw.verify();
  EXPECT_EQ(report.exit_code(), 0) << scene.codes();
  EXPECT_EQ(report.expired.policies.size(), 2U);
}

TEST(Expiry, WithoutTheHoldsNothingExpires) {
  Scene scene;
  scene.desk.set_surroundings({});
  ASSERT_TRUE(scene.expire());
  std::filesystem::remove(scene.gw.state() + "/holds.json");
  RetentionDesk again(scene.gw.state(), keep_for(kDay), scene.files);
  again.set_surroundings({});
  scene.gw.kill();
  scene.gw.sealer_options.retention = &again;
  scene.gw.start();
  scene.gw.advance(hours(72));
  const Result<void> done = scene.gw.try_step();
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("holds.json"));
  EXPECT_THAT(again.counts().problem, HasSubstr("nothing expires"));
  EXPECT_FALSE(again.add_hold({.id = "", .session = 1}));
  EXPECT_THAT(scene.there(), ElementsAre(1, 2, 3));
  std::ofstream(scene.gw.state() + "/holds.json") << R"({"format":"weir holds 1","holds":[],"next":1})";
  again.look_now();
  ASSERT_TRUE(scene.gw.try_step());
  EXPECT_THAT(scene.there(), IsEmpty());
}

TEST(Expiry, WhatCannotBeReadStaysAndIsCounted) {
  Scene scene;
  scene.desk.set_surroundings({});
  std::string path;
  ASSERT_TRUE(read_seals(scene.gw.state() + "/log", [&](const SealEntry& seal) {
    if (seal.session == 1) path = scene.gw.state() + "/archive/" + seal.path;
  }));
  std::filesystem::resize_file(path, 40);
  scene.gw.advance(hours(72));
  ASSERT_TRUE(scene.expire());
  EXPECT_EQ(scene.desk.counts().unreadable, 1U);
  EXPECT_TRUE(exists(path));
  EXPECT_EQ(scene.desk.counts().expired, 2U);
}

TEST(Expiry, WhatElseHasContentForgetsItFirstAndATicketThatWaitsHoldsItUp) {
  Scene scene;
  std::vector<uint64_t> forgotten;
  bool can_forget = false, is_in_use = true;
  scene.desk.set_surroundings({.forget = {[&](const std::vector<uint64_t>& sessions) -> Result<void> {
                                 if (!can_forget) return fail(Error::Kind::kUnavailable, "the store is away");
                                 forgotten.insert(forgotten.end(), sessions.begin(), sessions.end());
                                 return {};
                               }},
                               .is_in_use = [&](uint64_t session) { return is_in_use && session == 1; }, .tidy_journal = {}, .is_journal_tidy = {}});
  scene.gw.advance(hours(72));
  const Result<void> away = scene.expire();
  ASSERT_FALSE(away);
  EXPECT_THAT(away.error().message, HasSubstr("store is away"));
  EXPECT_EQ(scene.gw.verify().expired.sessions, 0U) << "no tombstone while something is left";
  EXPECT_EQ(scene.gw.verify().expired.in_progress, 2U);
  EXPECT_EQ(scene.codes(), "");
  can_forget = true;
  ASSERT_TRUE(scene.expire());
  EXPECT_THAT(forgotten, ElementsAre(2, 3));
  EXPECT_THAT(scene.there(), ElementsAre(1));
  is_in_use = false;
  scene.gw.advance(seconds(2));
  ASSERT_TRUE(scene.expire());
  EXPECT_THAT(scene.there(), IsEmpty());
}

TEST(Expiry, WhatIsStillInTheJournalWaitsForIt) {
  Scene scene;
  int asked = 0;
  bool is_tidy = false;
  scene.desk.set_surroundings({.forget = {}, .is_in_use = {}, .tidy_journal = [&] { ++asked; }, .is_journal_tidy = [&] { return is_tidy; }});
  scene.gw.advance(hours(72));
  ASSERT_TRUE(scene.expire());
  EXPECT_EQ(asked, 1) << "and is not asked again before it answered";
  EXPECT_THAT(scene.there(), ElementsAre(1, 2, 3));
  is_tidy = true;
  scene.gw.advance(seconds(2));
  ASSERT_TRUE(scene.expire());
  EXPECT_THAT(scene.there(), ElementsAre(1, 2, 3)) << "the only segment holds them still, and a session that lives";
  EXPECT_EQ(scene.desk.counts().waiting, 3U);
}

// ---- crashes ----

void expect_done(Scene& scene, const std::string& where) {
  EXPECT_THAT(scene.there(), IsEmpty()) << where;
  EXPECT_EQ(scene.keys_left(), 0U) << where;
  const VerifyReport report = scene.gw.verify();
  EXPECT_EQ(scene.codes(), "") << where;
  EXPECT_EQ(report.expired.sessions, 3U) << where;
  EXPECT_EQ(report.expired.archives, 4U) << where;
}

void crash_everywhere(bool loses_power) {
  bool reached_the_end = false;
  for (uint64_t steps = 1; !reached_the_end && steps < 200; ++steps) {
    const std::string where = "crash at step " + std::to_string(steps) + (loses_power ? " with power loss" : "");
    Scene scene;
    scene.desk.set_surroundings({});
    ASSERT_TRUE(scene.expire());
    scene.gw.kill();
    CrashingFiles files(steps, steps, loses_power);
    scene.gw.files = &files;
    scene.gw.advance(hours(72));
    if (scene.gw.try_start()) {
      (void)scene.expire();
      (void)scene.expire();          // A step that goes on after an error.
    }
    reached_the_end = !files.has_crashed();
    // Whoever looks now finds no content without its explanation, and nothing destroyed without one.
    EXPECT_EQ(scene.codes(), "") << where;
    scene.gw.kill();
    scene.gw.files = &scene.gw.posix_files;
    scene.gw.start();
    ASSERT_TRUE(scene.expire()) << where;
    expect_done(scene, where);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_TRUE(reached_the_end);
}

TEST(ExpiryCrash, AtEveryStepItIsFinishedByTheNextStart) { crash_everywhere(false); }
TEST(ExpiryCrash, AtEveryStepWithPowerLossItIsFinishedByTheNextStart) { crash_everywhere(true); }

// Fails once, at the n-th change.
class FlakyFiles final : public Files {
 public:
  explicit FlakyFiles(uint64_t at) : left_(at) {}
  bool has_failed = false;
  Result<void> make_folder(const std::string& path) override { return step([&] { return real_.make_folder(path); }); }
  Result<void> append(const std::string& path, Bytes bytes) override { return step([&] { return real_.append(path, bytes); }); }
  Result<void> truncate(const std::string& path, uint64_t size) override { return step([&] { return real_.truncate(path, size); }); }
  Result<void> sync(const std::string& path) override { return step([&] { return real_.sync(path); }); }
  Result<void> rename(const std::string& from, const std::string& to) override { return step([&] { return real_.rename(from, to); }); }
  Result<void> sync_folder(const std::string& path) override { return step([&] { return real_.sync_folder(path); }); }
  Result<void> remove(const std::string& path) override { return step([&] { return real_.remove(path); }); }
  Result<void> remove_folder(const std::string& path) override { return step([&] { return real_.remove_folder(path); }); }
  Result<void> overwrite(const std::string& path) override { return step([&] { return real_.overwrite(path); }); }

 private:
  template <class Change>
  Result<void> step(Change change) {
    if (left_ == 0 || --left_ != 0) return change();
    has_failed = true;
    return fail(Error::Kind::kSystem, "Input/output error", EIO);
  }
  PosixFiles real_;
  uint64_t left_;
};

TEST(ExpiryDisk, AnErrorAtAnyStepIsCountedAndDoneAgain) {
  bool reached_the_end = false;
  for (uint64_t at = 1; !reached_the_end && at < 200; ++at) {
    Scene scene;
    scene.desk.set_surroundings({});
    ASSERT_TRUE(scene.expire());
    scene.gw.kill();
    FlakyFiles files(at);
    scene.gw.files = &files;
    scene.gw.advance(hours(72));
    if (!scene.gw.try_start()) {
      scene.gw.kill();
      scene.gw.start();
    }
    const bool at_start = files.has_failed;
    const Result<void> first = scene.expire();
    reached_the_end = !files.has_failed;
    // What failed outside of expiry (a new edge's removal) may have been no error.
    if (!first) {
      EXPECT_THAT(first.error().message, HasSubstr("Input/output error")) << at;
      EXPECT_TRUE(at_start || scene.desk.counts().failures <= 1) << at;
    }
    ASSERT_TRUE(scene.expire()) << at;
    expect_done(scene, "error at step " + std::to_string(at));
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_TRUE(reached_the_end);
}

TEST(ExpiryOrder, TheKeysGoBeforeTheArchiveAndBothBeforeTheTombstone) {
  Scene scene;
  scene.desk.set_surroundings({});
  ASSERT_TRUE(scene.expire());
  scene.gw.kill();
  bool saw_archive_without_keys = false, is_archive_gone = false;
  for (uint64_t steps = 1; !is_archive_gone && steps < 200; ++steps) {
    CrashingFiles files(steps, steps, false);
    Scene again;
    again.desk.set_surroundings({});
    ASSERT_TRUE(again.expire());
    again.gw.kill();
    again.gw.files = &files;
    again.gw.advance(hours(72));
    if (!again.gw.try_start()) continue;
    (void)again.expire();
    const std::size_t archives = again.there().size();
    const uint64_t keys = again.keys_left();
    EXPECT_TRUE(archives == 3 || keys == 0) << "an archive went before all keys had: step " << steps;
    EXPECT_TRUE(archives == 0 || again.gw.verify().expired.sessions == 0) << "a tombstone stands over what is there: step " << steps;
    saw_archive_without_keys = saw_archive_without_keys || (archives == 3 && keys == 0);
    is_archive_gone = archives == 0;
  }
  EXPECT_TRUE(saw_archive_without_keys);
}

}  // namespace
}  // namespace weir::record

// What somebody may do to a record about what policy destroyed, each with the finding that must name it (I12).  All but the first few
// hold the log's own key: what they write must contradict itself.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

#include "record/expirer.h"
#include "record/key_store.h"
#include "record/record_test_gateway.h"
#include "record/seal_log.h"
#include "record/verify.h"

namespace weir::record {
namespace {

namespace fs = std::filesystem;
using Leaves = std::vector<std::string>;

// Sessions 1 and 2 (in two parts) have expired, 3 has ended and is kept, 4 lives.
class Sound {
 public:
  static Sound& get() {
    static Sound sound;
    return sound;
  }
  test::Gateway gw{"/dev/shm"};
  test::TemporaryFolder folder{"/dev/shm"};
  SigningKey key = SigningKey::read(gw.key_file()).value();
  std::string before;      // The state folder before anything expired.

 private:
  Sound() {
    EXPECT_TRUE(GatewayKeys::generate(folder.path() + "/kek.key"));
    gw.sealer_options.keys = open_ring(folder.path() + "/kek.key", {}).value();
    gw.sealer_options.retention = &desk_;
    gw.start();
    live(1);
    gw.open(2, "orders-db", "user:bob");
    gw.seal();
    gw.advance(std::chrono::hours(2));
    EXPECT_TRUE(gw.try_step());
    gw.close(2);
    gw.seal();
    before = folder.path() + "/before";
    fs::copy(gw.state(), before, fs::copy_options::recursive);
    gw.advance(std::chrono::hours(24));
    live(3);
    gw.open(4, "orders-db", "user:ann");
    gw.seal();
    desk_.set_surroundings({});
    for (int step = 0; step < 4; ++step) EXPECT_TRUE(gw.try_step());
  }
  void live(uint64_t session) {
    gw.open(session, "orders-db", "user:ann");
    gw.command(session, 1, "select 1");
    gw.respond(session, 1, 0);
    gw.close(session);
  }
  PosixFiles files_;
  RetentionDesk desk_{gw.state(), {.keep = std::chrono::hours(24), .minimum = std::chrono::hours(24), .rules = {}, .holds = {}}, files_};
};

class Scene {
 public:
  Scene() : state(folder_.path() + "/state"), log(state + "/log"), sound(Sound::get()) { fs::copy(sound.gw.state(), state, fs::copy_options::recursive); }
  VerifyReport verify() const {
    VerifyOptions options;
    options.place = RecordPlace::of(state);
    options.threads = 1;
    options.keys = {sound.key.verifying()};
    const Result<VerifyReport> report = record::verify(options);
    EXPECT_TRUE(report) << report.error().message;
    return report.value_or(VerifyReport{});
  }
  Leaves leaves() const {
    Leaves all;
    EXPECT_TRUE(read_entries(log, read_head(log).value().checkpoint.size, [&](uint64_t, Bytes entry) { all.emplace_back(as_text(entry)); }));
    return all;
  }
  static std::size_t place(const Leaves& all, std::string_view kind, std::size_t nth = 0) {
    for (std::size_t at = 0; at < all.size(); ++at) {
      if (all[at].find("\"kind\":\"" + std::string(kind) + "\"") != std::string::npos && nth-- == 0) return at;
    }
    ADD_FAILURE() << "no leaf " << kind;
    return 0;
  }
  // Tree and checkpoint anew, with the log's own key.
  void change(const std::function<void(Leaves&)>& change) {
    Leaves all = leaves();
    change(all);
    fs::remove_all(log + "/tile");
    fs::remove(checkpoint_path(log));
    PosixFiles files;
    EvidenceLog forged(log, "weir.invalid/gw", sound.key, files);
    EXPECT_TRUE(forged.open([](uint64_t, Bytes) {}));
    for (const std::string& leaf : all) forged.add(leaf);
    EXPECT_TRUE(forged.commit());
  }
  static void replace(std::string& text, std::string_view what, std::string_view with) {
    const std::size_t at = text.find(what);
    ASSERT_NE(at, std::string::npos) << what << " in " << text;
    text.replace(at, what.size(), with);
  }
  SealEntry seal(uint64_t session) const {
    SealEntry found;
    EXPECT_TRUE(read_seals(log, [&](const SealEntry& each) {
      if (each.session == session) found = each;
    }));
    return found;
  }
  std::string archive(uint64_t session) const { return state + "/archive/" + seal(session).path; }
  // What an expiry of a session adds to the log.
  void end(Leaves& all, uint64_t session, int64_t after_ns) const {
    const SealEntry of = seal(session);
    const int64_t at_ns = sound.gw.time_ns() + after_ns;
    all.push_back(to_leaf(kExpiringKind, at_ns, to_object(Expiring{.policy = "default", .keep_s = 86'400, .sessions = {session}})));
    all.push_back(to_leaf(kTombstoneKind, at_ns, to_object(Tombstone{.seal = of.seal, .session = session, .part = 1, .digest = of.digest, .policy = "default", .keep_s = 86'400})));
  }
  static constexpr int64_t kDayNs = 86'400'000'000'000;

 private:
  test::TemporaryFolder folder_{"/dev/shm"};

 public:
  std::string state, log;
  Sound& sound;
};

struct Kind {
  const char* name;
  const char* finding;
  void (*spoil)(Scene&);
  int exit = 1;
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

std::ptrdiff_t as_index(std::size_t at) { return static_cast<std::ptrdiff_t>(at); }
void drop(Leaves& all, std::size_t at) { all.erase(all.begin() + as_index(at)); }

const Kind kKinds[] = {
    {"ArchiveRemovedWithoutATombstone", "archive-missing", [](Scene& s) { fs::remove(s.archive(3)); }},
    {"KeysRemovedWithoutATombstone", "keys-missing", [](Scene& s) { fs::remove(s.state + "/keys/" + keys_name(s.seal(3).path)); }, 3},
    {"ExpiredArchivePutBack", "tombstone-alive", [](Scene& s) { fs::copy(s.sound.before + "/archive", s.state + "/archive", fs::copy_options::recursive | fs::copy_options::skip_existing); }},
    {"ExpiredKeysPutBack", "tombstone-alive", [](Scene& s) { fs::copy(s.sound.before + "/keys", s.state + "/keys", fs::copy_options::recursive | fs::copy_options::skip_existing); }},
    {"TombstoneAddedWithoutTheKey", "list-changed", [](Scene& s) {
       const std::string head = read_text(checkpoint_path(s.log), 1u << 20).value(), path = s.archive(3);
       s.change([&](Leaves& all) { s.end(all, 3, 2 * Scene::kDayNs); });
       std::ofstream(checkpoint_path(s.log), std::ios::trunc) << head;
       fs::remove(path);
     }},
    // With the log's own key.
    {"TombstoneOfALiveSession", "tombstone-live", [](Scene& s) {
       s.change([&](Leaves& all) { all.push_back(to_leaf(kExpiringKind, s.sound.gw.time_ns() + 2 * Scene::kDayNs, to_object(Expiring{.policy = "default", .keep_s = 86'400, .sessions = {4}}))); });
     }},
    {"TombstoneWithoutRemoval", "tombstone-alive", [](Scene& s) { s.change([&](Leaves& all) { s.end(all, 3, 2 * Scene::kDayNs); }); }},
    {"DestroyedBeforeItsTime", "tombstone-early", [](Scene& s) {
       const std::string path = s.archive(3);
       s.change([&](Leaves& all) { s.end(all, 3, 1); });
       fs::remove(path);
       fs::remove_all(s.state + "/keys");
     }},
    {"KeptForLessThanThePolicySays", "tombstone-wrong", [](Scene& s) {
       s.change([&](Leaves& all) {
         for (std::string& leaf : all) {
           if (leaf.find("tombstone") != std::string::npos || leaf.find("expiring") != std::string::npos) Scene::replace(leaf, "\"keep_s\":86400", "\"keep_s\":3600");
         }
       });
     }},
    {"TombstoneByAnotherPolicyThanAnnounced", "tombstone-wrong", [](Scene& s) { s.change([](Leaves& all) { Scene::replace(all[Scene::place(all, "tombstone")], "\"policy\":\"default\"", "\"policy\":\"other\""); }); }},
    {"PoliciesLeftOut", "tombstone-wrong", [](Scene& s) { s.change([](Leaves& all) { drop(all, Scene::place(all, "retention")); }); }},
    {"TombstoneMovedToAnotherSession", "tombstone-wrong", [](Scene& s) { s.change([](Leaves& all) { Scene::replace(all[Scene::place(all, "tombstone")], "\"session\":1", "\"session\":3"); }); }},
    {"TombstoneMovedToAnotherSeal", "tombstone-wrong", [](Scene& s) { s.change([](Leaves& all) { Scene::replace(all[Scene::place(all, "tombstone")], "\"seal\":1", "\"seal\":4"); }); }},
    {"TombstoneOfAnotherDigest", "tombstone-wrong", [](Scene& s) {
       s.change([](Leaves& all) {
         std::string& leaf = all[Scene::place(all, "tombstone")];
         char& digit = leaf[leaf.find("\"digest\":\"") + 12];
         digit = digit == '0' ? '1' : '0';
       });
     }},
    {"TombstoneTwice", "tombstone-twice", [](Scene& s) { s.change([](Leaves& all) { all.push_back(all[Scene::place(all, "tombstone")]); }); }},
    {"TombstoneOfOnePartAlone", "tombstone-partial", [](Scene& s) { s.change([](Leaves& all) { drop(all, Scene::place(all, "tombstone", 1)); }); }},
    {"TombstoneNotAnnounced", "tombstone-wrong", [](Scene& s) { s.change([](Leaves& all) { drop(all, Scene::place(all, "expiring")); }); }},
    {"TombstoneBeforeItsSeal", "tombstone-wrong", [](Scene& s) {
       s.change([](Leaves& all) {
         const std::size_t at = Scene::place(all, "tombstone");
         const std::string stone = all[at];
         drop(all, at);
         all.insert(all.begin(), stone);
       });
     }},
    {"TombstonesLeftOut", "expiry-unfinished", [](Scene& s) {
       s.change([&](Leaves& all) {
         std::erase_if(all, [](const std::string& leaf) { return leaf.find("\"kind\":\"tombstone\"") != std::string::npos; });
         all.push_back(to_leaf("stop", s.sound.gw.time_ns() + 2 * Scene::kDayNs, {}));
       });
     }, 3},
    {"AllThatSpeaksOfExpiryLeftOut", "archive-missing", [](Scene& s) {
       s.change([](Leaves& all) {
         std::erase_if(all, [](const std::string& leaf) { return leaf.find("tombstone") != std::string::npos || leaf.find("expiring") != std::string::npos; });
       });
     }},
    {"SealOfAnExpiredSessionChanged", "tombstone-wrong", [](Scene& s) {
       s.change([](Leaves& all) {
         SealEntry seal = *seal_from_leaf(all[Scene::place(all, "seal")]);
         seal.digest[0] ^= std::byte{1};
         all[Scene::place(all, "seal")] = to_leaf(seal);
       });
     }},
    {"SealAndTombstoneOfAnExpiredSessionChanged", "link-broken", [](Scene& s) {
       s.change([](Leaves& all) {
         const std::size_t at = Scene::place(all, "seal", 2);   // The one before the session that is kept.
         SealEntry seal = *seal_from_leaf(all[at]);
         const std::string before = hex(seal.digest);
         seal.digest[0] ^= std::byte{1};
         all[at] = to_leaf(seal);
         for (std::string& leaf : all) {
           if (leaf.find("tombstone") != std::string::npos && leaf.find(before) != std::string::npos) Scene::replace(leaf, before, hex(seal.digest));
         }
       });
     }},
};

class TamperRetention : public testing::TestWithParam<Kind> {};
TEST_P(TamperRetention, IsFoundAndNamed) {
  Scene scene;
  GetParam().spoil(scene);
  const VerifyReport report = scene.verify();
  std::string codes;
  for (const Finding& finding : report.findings) codes += finding.code + " (" + finding.where + ": " + finding.message + ")\n";
  EXPECT_TRUE(std::any_of(report.findings.begin(), report.findings.end(), [](const Finding& finding) { return finding.code == GetParam().finding; })) << codes;
  EXPECT_EQ(report.exit_code(), GetParam().exit) << codes;
}
INSTANTIATE_TEST_SUITE_P(Kinds, TamperRetention, testing::ValuesIn(kKinds), [](const auto& kind) { return std::string(kind.param.name); });

TEST(TamperRetentionBefore, ItIsSound) {
  const VerifyReport report = Scene().verify();
  EXPECT_EQ(report.exit_code(), 0) << (report.findings.empty() ? "" : report.findings[0].code + report.findings[0].message);
  EXPECT_EQ(report.expired.sessions, 2U);
  EXPECT_EQ(report.expired.archives, 3U);
  EXPECT_EQ(report.archives, 1U);
}

}  // namespace
}  // namespace weir::record

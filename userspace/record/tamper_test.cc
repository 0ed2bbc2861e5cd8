// One table of what somebody may do to a record, each with the finding that must name it (I12).  Who does it holds the log's own
// key where the kind says so; then only what somebody else signed, or kept, can tell.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

#include "record/archive.h"
#include "record/countersigned.h"
#include "record/countersigner.h"
#include "record/countersigner_test_support.h"
#include "record/record_test_gateway.h"
#include "record/seal_log.h"
#include "record/time_stamp.h"
#include "record/verify.h"

namespace weir::record {
namespace {

namespace fs = std::filesystem;

std::string slurp(const std::string& path) { return read_text(path, 64u << 20).value(); }
void spew(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary | std::ios::trunc).write(text.data(), static_cast<std::streamsize>(text.size())); }

// A record that is sound: three sessions, one with an act, cosigned and stamped after the second and at the end.
class Sound {
 public:
  static Sound& get() {
    static Sound sound;
    return sound;
  }
  test::Gateway gw{"/dev/shm"};
  test::TemporaryFolder keys{"/dev/shm"};
  test::FakeWitness witness{keys.path() + "/w1"}, other_witness{keys.path() + "/w2", "witness.example/w2"};
  test::FakeAuthority authority{keys.path()};
  SigningKey key = SigningKey::read(gw.key_file()).value(), other_key = SigningKey::generate(keys.path() + "/other").value();
  std::string early;       // The state folder after the second session.
  std::string early_head, late_head;

 private:
  Sound() {
    gw.start();
    PosixFiles files;
    witness.at_s = static_cast<uint64_t>(gw.time_ns() / 1'000'000'000) + 100;
    authority.at_s = std::time(nullptr);
    CountersignerOptions options{.log = gw.state() + "/log", .witnesses = {{.url = "w", .key = witness.verifier()}}, .stamps = {.url = "t", .ca_file = authority.ca_file}};
    Countersigner countersigner(options, [&](const PostRequest& request) { return request.url == "t" ? authority.post(request) : witness.post(request); }, files, nullptr);
    EXPECT_TRUE(countersigner.open());
    for (uint64_t session = 1; session <= 3; ++session) {
      gw.open(session, "orders-db", "user:ann");
      gw.command(session, 1, "select " + std::to_string(session));
      gw.respond(session, 1, 0);
      if (session == 1) {
        RecordEvent act = test::event_of(RecordEvent::Kind::kAct, session, 0, R"({"by":{"via":"socket"},"outcome":"done","salt":"aa"})");
        act.verb = "revoke";
        gw.put(act);
      }
      gw.close(session);
      gw.seal();
      if (session == 1) continue;
      countersigner.step(std::chrono::hours(2 * session));
      if (session == 2) {
        early = keys.path() + "/early";
        fs::copy(gw.state(), early, fs::copy_options::recursive);
        early_head = slurp(checkpoint_path(early + "/log"));
      }
    }
    late_head = slurp(checkpoint_path(gw.state() + "/log"));
  }
};

// A copy of it, to be spoilt.
class Scene {
 public:
  Scene() : state(folder_.path() + "/state"), log(state + "/log"), sound(Sound::get()) { fs::copy(sound.gw.state(), state, fs::copy_options::recursive); }
  VerifyReport verify() const {
    VerifyOptions options;
    options.place = RecordPlace::of(state);
    options.threads = 1;
    options.keys = {sound.key.verifying()};
    options.known_head = known_head;
    if (asks_witness) options.witnesses = {sound.witness.verifier()};
    if (asks_stamps) options.stamp_ca = sound.authority.ca_file;
    const Result<VerifyReport> report = record::verify(options);
    EXPECT_TRUE(report) << report.error().message;
    return report.value_or(VerifyReport{});
  }
  // How it was before the third session.
  void put_back(bool with_countersigned) {
    const std::string kept = folder_.path() + "/kept";
    fs::create_directory(kept);
    for (const char* name : {"witnessed", "timestamps"}) fs::rename(log + "/" + name, kept + "/" + name);
    fs::remove_all(state);
    fs::copy(sound.early, state, fs::copy_options::recursive);
    if (with_countersigned) return;
    for (const char* name : {"witnessed", "timestamps"}) {
      fs::remove_all(log + "/" + name);
      fs::rename(kept + "/" + name, log + "/" + name);
    }
  }
  std::vector<std::string> leaves() const {
    std::vector<std::string> all;
    EXPECT_TRUE(read_entries(log, read_head(log).value().checkpoint.size, [&](uint64_t, Bytes entry) { all.emplace_back(as_text(entry)); }));
    return all;
  }
  std::size_t place(std::string_view kind, std::size_t nth = 0) const {
    const std::vector<std::string> all = leaves();
    for (std::size_t at = 0; at < all.size(); ++at) {
      if (all[at].find("\"kind\":\"" + std::string(kind) + "\"") != std::string::npos && nth-- == 0) return at;
    }
    ADD_FAILURE() << "no leaf " << kind;
    return 0;
  }
  // Tree and checkpoint anew of these leaves, signed with `key`; without one the checkpoint stays as it was.
  void rewrite(const std::vector<std::string>& all, const SigningKey* key, const std::string& origin = "weir.invalid/gw") {
    const std::string checkpoint = slurp(checkpoint_path(log));
    fs::remove_all(log + "/tile");
    fs::remove(checkpoint_path(log));
    PosixFiles files;
    EvidenceLog forged(log, origin, key != nullptr ? *key : sound.key, files);
    EXPECT_TRUE(forged.open([](uint64_t, Bytes) {}));
    for (const std::string& leaf : all) forged.add(leaf);
    EXPECT_TRUE(forged.commit());
    if (key == nullptr) spew(checkpoint_path(log), checkpoint);
  }
  void change_leaves(const std::function<void(std::vector<std::string>&)>& change, bool with_key) {
    std::vector<std::string> all = leaves();
    change(all);
    rewrite(all, with_key ? &sound.key : nullptr);
  }
  // Another tree of the same log, sound in itself.
  void fork() {
    change_leaves([](std::vector<std::string>& all) { all[0].replace(all[0].find("\"heartbeat_s\":0"), 15, "\"heartbeat_s\":0,\"note\":1"); }, true);
  }
  void flip(const std::string& path, std::size_t at) {
    std::string text = slurp(path);
    ASSERT_LT(at, text.size()) << path;
    text[at] = static_cast<char>(text[at] ^ 1);
    spew(path, text);
  }
  std::string head() const { return slurp(checkpoint_path(log)); }
  void put_head(const std::string& text) { spew(checkpoint_path(log), text); }
  // A part of the checkpoint, or of another note, replaced.
  static std::string replaced(std::string text, std::string_view what, std::string_view with) {
    const std::size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return at == std::string::npos ? text : text.replace(at, what.size(), with);
  }
  std::string archive(uint64_t session) const {
    std::string path;
    EXPECT_TRUE(read_seals(log, [&](const SealEntry& seal) {
      if (seal.session == session) path = state + "/archive/" + seal.path;
    }));
    return path;
  }
  uint64_t size() const { return read_head(log).value().checkpoint.size; }
  std::string edge(bool is_entries) const { return log + "/" + tile_path({.is_entries = is_entries, .index = 0, .width = static_cast<unsigned>(size())}); }
  std::string witnessed() const { return log + "/" + read_witnessed(log).value().back().name; }
  std::string stamp() const { return log + "/" + read_stamps(log).value().back().name; }
  std::string stamped() const { return log + "/" + read_stamps(log).value().back().over.name; }
  // A checkpoint of any text, signed by the log's key.
  std::string signed_note(const std::string& text, const SigningKey& with) const {
    Note note{.text = text, .signatures = {sign_note(text, "weir.invalid/gw", with).value()}};
    return to_text(note);
  }

 private:
  test::TemporaryFolder folder_{"/dev/shm"};

 public:
  std::string state, log;
  Sound& sound;
  bool asks_witness = true, asks_stamps = true;
  std::string known_head;
};

struct Kind {
  const char* name;
  const char* finding;
  void (*spoil)(Scene&);
  int exit = 1;             // 3: it must be explained.
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

using Leaves = std::vector<std::string>;
std::ptrdiff_t as_index(std::size_t at) { return static_cast<std::ptrdiff_t>(at); }

const Kind kKinds[] = {
    // The checkpoint, without the key.
    {"CheckpointRemoved", "head-missing", [](Scene& s) { fs::remove(checkpoint_path(s.log)); }},
    {"CheckpointEmptied", "head-changed", [](Scene& s) { s.put_head(""); }},
    {"CheckpointCutShort", "head-changed", [](Scene& s) { s.put_head(s.head().substr(0, 40)); }},
    {"CheckpointOriginFlipped", "head-changed", [](Scene& s) { s.flip(checkpoint_path(s.log), 3); }},
    {"CheckpointSizeRaised", "head-changed", [](Scene& s) { s.put_head(Scene::replaced(s.head(), "\n" + std::to_string(s.size()) + "\n", "\n" + std::to_string(s.size() + 1) + "\n")); }},
    {"CheckpointSizeLowered", "head-changed", [](Scene& s) { s.put_head(Scene::replaced(s.head(), "\n" + std::to_string(s.size()) + "\n", "\n" + std::to_string(s.size() - 1) + "\n")); }},
    {"CheckpointSizeNoNumber", "head-changed", [](Scene& s) { s.put_head(Scene::replaced(s.head(), "\n" + std::to_string(s.size()) + "\n", "\n0" + std::to_string(s.size()) + "\n")); }},
    {"CheckpointRootFlipped", "head-changed", [](Scene& s) { s.flip(checkpoint_path(s.log), s.head().find("\n\n") - 20); }},
    {"CheckpointSignatureFlipped", "head-changed", [](Scene& s) { s.flip(checkpoint_path(s.log), s.head().size() - 20); }},
    {"CheckpointSignatureRemoved", "head-changed", [](Scene& s) { s.put_head(s.head().substr(0, s.head().find("\n\n") + 2)); }},
    {"CheckpointKeyIdChanged", "head-changed", [](Scene& s) { s.flip(checkpoint_path(s.log), s.head().find("\xe2\x80\x94") + 4 + std::string("weir.invalid/gw ").size()); }},
    {"CheckpointOfAnotherKey", "head-changed", [](Scene& s) { s.put_head(s.signed_note(read_head(s.log).value().note.text, s.sound.other_key)); }},
    {"CheckpointWithAnExtensionLine", "head-changed", [](Scene& s) { s.put_head(Scene::replaced(s.head(), "\n\n", "\nmore\n\n")); }},
    {"CheckpointOfTheEarlyLogAndNothingElse", "cosigned-removed", [](Scene& s) { s.put_head(s.sound.early_head); }},
    // Entries and tiles, without the key.
    {"EntryFlipped", "list-changed", [](Scene& s) { s.flip(s.edge(true), 60); }},
    {"EntrySizeFlipped", "list-changed", [](Scene& s) { s.flip(s.edge(true), 1); }},
    {"EntriesCutShort", "list-changed", [](Scene& s) { spew(s.edge(true), slurp(s.edge(true)).substr(0, 100)); }},
    {"EntriesMadeLonger", "list-changed", [](Scene& s) { spew(s.edge(true), slurp(s.edge(true)) + std::string("\0\1x", 3)); }},
    {"EntriesRemoved", "list-changed", [](Scene& s) { fs::remove(s.edge(true)); }},
    {"EntriesSwapped", "list-changed", [](Scene& s) { s.change_leaves([](Leaves& all) { std::swap(all[0], all[1]); }, false); }},
    {"EntryAddedAtTheEnd", "list-changed", [](Scene& s) { s.change_leaves([](Leaves& all) { all.push_back(all[0]); }, false); }},
    {"EntryRemoved", "list-changed", [](Scene& s) { s.change_leaves([](Leaves& all) { all.erase(all.begin() + 1); }, false); }},
    {"EntryChangedWithItsTiles", "list-changed", [](Scene& s) { s.change_leaves([&](Leaves& all) { all[0] += " "; }, false); }},
    {"TileFlipped", "tile-changed", [](Scene& s) { s.flip(s.edge(false), 33); }},
    {"TileCutShort", "tile-changed", [](Scene& s) { spew(s.edge(false), slurp(s.edge(false)).substr(0, 32)); }},
    {"TileRemoved", "tile-missing", [](Scene& s) { fs::remove(s.edge(false)); }},
    {"EarlierEdgeChanged", "tile-changed", [](Scene& s) { spew(s.log + "/tile/0/000.p/1", std::string(32, 'x')); }},
    {"FileAmongTiles", "file-strange", [](Scene& s) { spew(s.log + "/tile/0/notes.txt", "x"); }},
    // Archives and seals, without the key.
    {"ArchiveRemoved", "archive-missing", [](Scene& s) { fs::remove(s.archive(2)); }},
    {"NewestArchiveRemoved", "archive-missing", [](Scene& s) { fs::remove(s.archive(3)); }},
    {"AllArchivesRemoved", "archive-missing", [](Scene& s) { for (const uint64_t each : {1U, 2U, 3U}) fs::remove(s.archive(each)); }},
    {"ArchiveCutShort", "archive-changed", [](Scene& s) { spew(s.archive(2), slurp(s.archive(2)).substr(0, 200)); }},
    {"ArchiveEmptied", "archive-changed", [](Scene& s) { spew(s.archive(2), ""); }},
    {"ArchiveSignatureFlipped", "signature-wrong", [](Scene& s) { s.flip(s.archive(2), slurp(s.archive(2)).size() - 70); }},
    {"ArchivesSwapped", "archive-moved", [](Scene& s) {
       const std::string two = s.archive(2), three = s.archive(3), kept = slurp(two);
       spew(two, slurp(three));
       spew(three, kept);
     }},
    {"ArchiveCopiedUnderAnotherNumber", "archive-moved", [](Scene& s) { fs::copy(s.archive(2), fs::path(s.archive(2)).parent_path().string() + "/9.weir"); }},
    {"FileAmongArchives", "file-strange", [](Scene& s) { spew(fs::path(s.archive(2)).parent_path().string() + "/notes.txt", "x"); }},
    {"ArchiveAndItsLeafRemoved", "list-changed", [](Scene& s) {
       fs::remove(s.archive(2));
       s.change_leaves([&](Leaves& all) { all.erase(all.begin() + as_index(s.place("seal", 1))); }, false);
     }},
    // With the log's own key: what the record says of itself.
    {"SealDroppedByTheKey", "seal-missing", [](Scene& s) {
       fs::remove(s.archive(2));
       s.change_leaves([&](Leaves& all) { all.erase(all.begin() + as_index(s.place("seal", 1))); }, true);
     }},
    {"LeafOfASealDroppedByTheKey", "archive-extra", [](Scene& s) { s.change_leaves([&](Leaves& all) { all.erase(all.begin() + as_index(s.place("seal", 1))); }, true); }},
    {"LeafOfASealTwiceByTheKey", "list-changed", [](Scene& s) { s.change_leaves([&](Leaves& all) { all.push_back(all[s.place("seal", 1)]); }, true); }},
    {"LeafOfASealChangedByTheKey", "archive-replaced", [](Scene& s) {
       s.change_leaves([&](Leaves& all) {
         std::string& leaf = all[s.place("seal", 1)];
         leaf = Scene::replaced(leaf, "\"blocked\":0", "\"blocked\":9");
       }, true);
     }},
    {"LeafOfNoArchiveByTheKey", "archive-missing", [](Scene& s) {
       s.change_leaves([&](Leaves& all) {
         SealEntry seal = *seal_from_leaf(all[s.place("seal", 2)]);
         ++seal.seal;
         ++seal.session;
         seal.path = "2026/09/21/4.weir";
         all.push_back(to_leaf(seal));
       }, true);
     }},
    {"ActDroppedByTheKey", "act-unlisted", [](Scene& s) { s.change_leaves([&](Leaves& all) { all.erase(all.begin() + as_index(s.place("act"))); }, true); }},
    {"ActTwiceByTheKey", "act-twice", [](Scene& s) { s.change_leaves([&](Leaves& all) { all.push_back(all[s.place("act")]); }, true); }},
    {"ActRenamedByTheKey", "act-differs", [](Scene& s) {
       s.change_leaves([&](Leaves& all) { all[s.place("act")] = Scene::replaced(all[s.place("act")], "\"act\":\"revoke\"", "\"act\":\"view\""); }, true);
     }},
    {"ActInventedByTheKey", "act-missing", [](Scene& s) {
       s.change_leaves([&](Leaves& all) { all.push_back(Scene::replaced(all[s.place("act")], "\"session\":1", "\"session\":2")); }, true);
     }},
    {"ClockSetBackByTheKey", "clock-back", [](Scene& s) { s.change_leaves([&](Leaves& all) { all.push_back(to_leaf("stop", 1'000'000'000, {})); }, true); }, 3},
    {"HeartbeatsLeftOutByTheKey", "heartbeat-gap", [](Scene& s) { s.change_leaves([&](Leaves& all) { all.push_back(to_leaf("heartbeat", s.sound.gw.time_ns(), {{"number", 5}})); }, true); }, 3},
    {"SessionLeftOutByTheKey", "session-unrecorded", [](Scene& s) { s.change_leaves([&](Leaves& all) { all.push_back(to_leaf("sessions", s.sound.gw.time_ns(), {{"highest", 9}})); }, true); }, 3},
    {"AnotherOriginByTheKey", "cosigned-changed", [](Scene& s) { s.rewrite(s.leaves(), &s.sound.key, "weir.invalid/other"); }},
    // With the log's own key, sound in itself: what somebody else signed, or kept.
    {"RewriteAgainstTheWitness", "cosigned-differs", [](Scene& s) { s.asks_stamps = false; s.fork(); }},
    {"RewriteAgainstTheTimeStamp", "stamped-differs", [](Scene& s) { s.asks_witness = false; s.fork(); }},
    {"RewriteAgainstAKeptCheckpoint", "head-differs", [](Scene& s) { s.known_head = s.sound.late_head; s.fork(); }},
    {"RewriteThatTookTheCosignaturesAway", "cosignature-missing", [](Scene& s) { s.fork(); fs::remove_all(witnessed_folder(s.log)); fs::remove_all(stamps_folder(s.log)); }, 3},
    {"RewriteThatTookTheStampsAway", "stamp-missing", [](Scene& s) { s.fork(); fs::remove_all(witnessed_folder(s.log)); fs::remove_all(stamps_folder(s.log)); }, 3},
    {"ForkAfterTheEarlyCheckpoint", "cosigned-differs", [](Scene& s) { s.change_leaves([](Leaves& all) { all.back() += " "; }, true); }},
    {"ForkAfterTheEarlyStamp", "stamped-differs", [](Scene& s) { s.change_leaves([](Leaves& all) { all.back() += " "; }, true); }},
    {"ForkAgainstAnEarlierCheckpoint", "head-differs", [](Scene& s) { s.known_head = s.sound.early_head; s.fork(); }},
    {"RollbackAgainstTheWitness", "cosigned-removed", [](Scene& s) { s.put_back(false); }},
    {"RollbackAgainstTheTimeStamp", "stamped-removed", [](Scene& s) { s.put_back(false); }},
    {"RollbackOfAllAgainstAKeptCheckpoint", "seals-removed", [](Scene& s) { s.known_head = s.sound.late_head; s.put_back(true); }},
    {"RollbackOfAllAgainstWhatTheWitnessKept", "seals-removed", [](Scene& s) {
       const std::string text = read_head(s.log).value().note.text;   // The witness has its own line alone.
       s.known_head = to_text(Note{.text = text, .signatures = {s.sound.witness.cosign(text)}});
       s.put_back(true);
     }},
    {"LastEntriesCutByTheKey", "cosigned-removed", [](Scene& s) { s.change_leaves([](Leaves& all) { all.pop_back(); }, true); }},
    // What others signed, changed.
    {"CosignatureFlipped", "cosignature-wrong", [](Scene& s) {
       Note note = parse_note(slurp(s.witnessed())).value();
       note.signatures.back().bytes[40] ^= std::byte{1};   // Of the signature, not of its text, which would be no base 64 now and then.
       spew(s.witnessed(), to_text(note));
     }},
    {"CosignatureTimeChanged", "cosignature-wrong", [](Scene& s) {
       Note note = parse_note(slurp(s.witnessed())).value();
       note.signatures.back().bytes[7] ^= std::byte{1};
       spew(s.witnessed(), to_text(note));
     }},
    {"CosignatureOfAnotherCheckpoint", "cosignature-wrong", [](Scene& s) {
       Note note = parse_note(slurp(s.witnessed())).value();
       note.signatures.back() = s.sound.witness.cosign(parse_note(s.sound.early_head).value().text);
       spew(s.witnessed(), to_text(note));
     }},
    {"CosignatureLineRemoved", "cosigned-changed", [](Scene& s) {
       Note note = parse_note(slurp(s.witnessed())).value();
       note.signatures.pop_back();
       spew(s.witnessed(), to_text(note));
     }},
    {"CosignatureOfSomebodyElse", "cosignature-missing", [](Scene& s) {
       Note note = parse_note(slurp(s.witnessed())).value();
       note.signatures.back() = s.sound.other_witness.cosign(note.text);
       spew(s.witnessed(), to_text(note));
     }, 3},
    {"CosignedCheckpointNoNote", "cosigned-changed", [](Scene& s) { spew(s.witnessed(), "x"); }},
    {"CosignedCheckpointUnderAnotherSize", "cosigned-changed", [](Scene& s) { fs::rename(s.witnessed(), s.log + "/witnessed/1"); }},
    {"CosignedCheckpointOfNobody", "cosigned-changed", [](Scene& s) {
       s.asks_witness = false;
       Note note = parse_note(slurp(s.witnessed())).value();
       note.signatures.erase(note.signatures.begin());
       spew(s.witnessed(), to_text(note));
     }},
    {"CosignaturesRemoved", "cosignature-missing", [](Scene& s) { fs::remove_all(witnessed_folder(s.log)); }, 3},
    {"CosignedBeforeItsEntries", "cosignature-early", [](Scene& s) {
       const uint64_t kept = std::exchange(s.sound.witness.at_s, 1'000'000'000);
       Note note = parse_note(slurp(s.witnessed())).value();
       note.signatures.back() = s.sound.witness.cosign(note.text);
       s.sound.witness.at_s = kept;
       spew(s.witnessed(), to_text(note));
     }, 3},
    {"UnwitnessedTail", "cosignature-behind", [](Scene& s) { s.change_leaves([&](Leaves& all) { all.push_back(to_leaf("stop", s.sound.gw.time_ns() + 7'200'000'000'000, {})); }, true); }, 3},
    {"FileAmongCosigned", "file-strange", [](Scene& s) { spew(s.log + "/witnessed/notes.txt", "x"); }},
    {"StampFlipped", "stamp-wrong", [](Scene& s) { s.flip(s.stamp(), slurp(s.stamp()).size() - 10); }},
    {"StampNoStamp", "stamp-wrong", [](Scene& s) { spew(s.stamp(), "x"); }},
    {"StampOfAnotherCheckpoint", "stamp-wrong", [](Scene& s) { spew(s.stamp(), slurp(s.log + "/" + read_stamps(s.log).value().front().name)); }},
    {"StampOfAnotherAuthority", "stamp-wrong", [](Scene& s) {
       fs::create_directory(s.state + "/elsewhere");
       test::FakeAuthority other(s.state + "/elsewhere");
       spew(s.stamp(), other.answer(stamp_request(read_stamps(s.log).value().back().over.note.text).value()));
     }},
    {"StampRemoved", "stamp-missing", [](Scene& s) { fs::remove(s.stamp()); }, 3},
    {"StampsRemoved", "stamp-missing", [](Scene& s) { fs::remove_all(stamps_folder(s.log)); }, 3},
    {"StampedCheckpointRemoved", "stamped-changed", [](Scene& s) { fs::remove(s.stamped()); }},
    {"StampedCheckpointOfAnotherKey", "stamped-changed", [](Scene& s) { spew(s.stamped(), s.signed_note(read_head(s.log).value().note.text, s.sound.other_key)); }},
    {"StampedCheckpointUnderAnotherSize", "stamped-changed", [](Scene& s) { fs::rename(s.stamped(), s.log + "/timestamps/1.checkpoint"); }},
    {"StampedBeforeItsEntries", "stamp-early", [](Scene& s) {
       const int64_t kept = std::exchange(s.sound.authority.at_s, 1'700'000'000);
       spew(s.stamp(), s.sound.authority.answer(stamp_request(read_stamps(s.log).value().back().over.note.text).value()));
       s.sound.authority.at_s = kept;
     }, 3},
    {"FileAmongStamps", "file-strange", [](Scene& s) { spew(s.log + "/timestamps/notes.txt", "x"); }},
};
static_assert(std::size(kKinds) >= 60);

class Tamper : public testing::TestWithParam<Kind> {};
TEST_P(Tamper, IsFoundAndNamed) {
  Scene scene;
  GetParam().spoil(scene);
  const VerifyReport report = scene.verify();
  std::string codes;
  for (const Finding& finding : report.findings) codes += finding.code + " (" + finding.message + ")\n";
  EXPECT_TRUE(std::any_of(report.findings.begin(), report.findings.end(), [](const Finding& finding) { return finding.code == GetParam().finding; })) << codes;
  EXPECT_EQ(report.exit_code(), GetParam().exit) << codes;
}
INSTANTIATE_TEST_SUITE_P(Kinds, Tamper, testing::ValuesIn(kKinds), [](const auto& kind) { return std::string(kind.param.name); });

TEST(TamperBefore, ItIsSoundAndHasAllThreeProtections) {
  Scene scene;
  scene.known_head = scene.sound.early_head;
  const VerifyReport report = scene.verify();
  EXPECT_EQ(report.exit_code(), 0) << (report.findings.empty() ? "" : report.findings[0].code + report.findings[0].message);
  EXPECT_TRUE(report.has_witness());
  EXPECT_TRUE(report.has_stamp());
  EXPECT_TRUE(report.has_known_head);
  EXPECT_EQ(report.stamps.count, 2U);
}

}  // namespace
}  // namespace weir::record

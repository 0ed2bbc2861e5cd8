// What somebody may do to a sealed record, and that verify finds it (I12).
#include "record/verify.h"

#include <algorithm>
#include <fstream>

#include "record/archive.h"
#include "record/record_test_gateway.h"
#include "record/seal_log.h"

namespace weir::record {
namespace {

namespace fs = std::filesystem;
using test::Gateway;

std::string slurp(const std::string& path) { return read_text(path, 64u << 20).value(); }
void spew(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(text.data(), static_cast<std::streamsize>(text.size()));
}

// Three sealed sessions, and what they looked like before somebody came.
bool has(const VerifyReport& report, std::string_view code) {
  return std::any_of(report.findings.begin(), report.findings.end(), [&](const Finding& finding) { return finding.code == code; });
}

class Tampering : public testing::Test {
 protected:
  void SetUp() override {
    gw_.start();
    for (uint64_t session = 1; session <= 3; ++session) {
      if (session == 3) fs::copy(log(), gw_.state() + "/early-log", fs::copy_options::recursive);
      gw_.open(session, "orders-db", "user:ann");
      gw_.command(session, 1, "select " + std::to_string(session));
      gw_.respond(session, 1, 0);
      gw_.command(session, 2, "delete from t");
      gw_.respond(session, 2, 0);
      gw_.close(session);
      gw_.seal();
      paths_.push_back(gw_.state() + "/archive/" + archive_name(opened_of(session), session, 1));
    }
    ASSERT_EQ(gw_.verify().exit_code(), 0);
  }
  int64_t opened_of(uint64_t session) {
    int64_t opened = 0;
    EXPECT_TRUE(read_seals(log(), [&](const SealEntry& entry) {
      if (entry.session == session) opened = ArchiveReader::open(gw_.state() + "/archive/" + entry.path).value().manifest().opened_ns;
    }));
    return opened;
  }
  std::string log() const { return gw_.state() + "/log"; }
  std::string early_head() const { return slurp(checkpoint_path(gw_.state() + "/early-log")); }
  // The log's leaves, and where the seals are among them.
  std::vector<std::string> leaves() const {
    std::vector<std::string> all;
    EXPECT_TRUE(read_entries(log(), read_head(log()).value().checkpoint.size, [&](uint64_t, Bytes entry) { all.emplace_back(as_text(entry)); }));
    return all;
  }
  static std::vector<std::size_t> seals_among(const std::vector<std::string>& all) {
    std::vector<std::size_t> places;
    for (std::size_t at = 0; at < all.size(); ++at) {
      if (seal_from_leaf(all[at])) places.push_back(at);
    }
    return places;
  }
  // Entries, tiles and checkpoint made anew of these leaves, as only who holds the key can; without a key the checkpoint
  // stays as it was.
  void rewrite_log(const std::vector<std::string>& all, const SigningKey* key = nullptr) {
    const std::string checkpoint = slurp(checkpoint_path(log()));
    const std::string origin = read_head(log()).value().checkpoint.origin;
    fs::remove_all(log() + "/tile");
    fs::remove(checkpoint_path(log()));
    PosixFiles files;
    EvidenceLog forged(log(), origin, key != nullptr ? *key : SigningKey::read(gw_.key_file()).value(), files);
    ASSERT_TRUE(forged.open([](uint64_t, Bytes) {}));
    for (const std::string& leaf : all) forged.add(leaf);
    ASSERT_TRUE(forged.commit());
    if (key == nullptr) spew(checkpoint_path(log()), checkpoint);
  }
  // As a whole folder kept aside and put back.
  void keep(const std::string& folder) { fs::copy(folder, folder + ".kept", fs::copy_options::recursive); }
  void put_back(const std::string& folder) {
    fs::remove_all(folder);
    fs::copy(folder + ".kept", folder, fs::copy_options::recursive);
  }
  std::vector<std::string> files_below(const std::string& folder) const {
    std::vector<std::string> paths;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) paths.push_back(entry.path().string());
    }
    std::sort(paths.begin(), paths.end());
    return paths;
  }
  testing::AssertionResult is_found(std::string_view code = {}) {
    const VerifyReport report = gw_.verify(place_);
    if (report.exit_code() != 1) return testing::AssertionFailure() << "exit code " << report.exit_code();
    if (code.empty()) return testing::AssertionSuccess();
    std::string codes;
    for (const Finding& finding : report.findings) {
      if (finding.code == code) return testing::AssertionSuccess();
      codes += finding.code + " ";
    }
    return testing::AssertionFailure() << "found " << codes;
  }
  // Every byte, by its lowest bit and wholly.
  void flip_every_byte(const std::string& path, std::size_t step = 1) {
    place_.journal.clear();  // Only to be quick.
    const std::string original = slurp(path);
    for (std::size_t at = 0; at < original.size(); at += step) {
      for (const int flip : {0x01, 0xff}) {
        std::string changed = original;
        changed[at] = static_cast<char>(changed[at] ^ flip);
        spew(path, changed);
        ASSERT_TRUE(is_found()) << path << " byte " << at << " of " << original.size();
      }
    }
    spew(path, original);
    ASSERT_EQ(gw_.verify().exit_code(), 0);
  }

  Gateway gw_{"/dev/shm"};
  RecordPlace place_ = RecordPlace{.archive = gw_.state() + "/archive", .journal = gw_.state() + "/journal", .log = gw_.state() + "/log"};
  std::vector<std::string> paths_;
};

TEST_F(Tampering, AnyByteOfAnArchive) { flip_every_byte(paths_[1]); }
TEST_F(Tampering, AnyByteOfTheHead) { flip_every_byte(checkpoint_path(log())); }
TEST_F(Tampering, AnyByteOfAnyTileAndOfAnyEntry) {
  const std::vector<std::string> paths = files_below(log() + "/tile");
  ASSERT_GE(paths.size(), 4U);
  // The edge as it is, every byte; those of before, which are beginnings of it, some.
  const auto width = "/" + std::to_string(read_head(log()).value().checkpoint.size);
  for (const std::string& path : paths) flip_every_byte(path, path.ends_with(width) ? 1 : 17);
}

TEST_F(Tampering, AnArchiveCutAtAnyPlaceOrMadeLonger) {
  const std::string original = slurp(paths_[1]);
  for (std::size_t size = 0; size < original.size(); size += 7) {
    spew(paths_[1], original.substr(0, size));
    ASSERT_TRUE(is_found("archive-changed")) << size;
  }
  spew(paths_[1], original + '\0');
  EXPECT_TRUE(is_found());
}

// Somebody who knows the format makes everything below the manifest fit again.
TEST_F(Tampering, ChunksWithAChainOfTheirOwnDoNotFitTheManifest) {
  const std::string file = slurp(paths_[1]);
  const Bytes header = as_bytes(file).first(kArchiveHeaderSize), chunk = as_bytes(file).subspan(kArchiveHeaderSize);
  const ChunkHeader head = chunk_header(chunk, false).value();
  std::vector<std::byte> frames;
  ASSERT_TRUE(unpack_chunk(header, chunk.first(kChunkHeaderSize), chunk.subspan(kChunkHeaderSize, head.stored), nullptr, frames));
  bool has_changed = false;
  for (std::size_t at = 0; at < frames.size();) {
    Bytes rest = Bytes(frames).subspan(at);
    ASSERT_TRUE(take_frame(rest, 0));
    const MutableBytes frame = MutableBytes(frames).subspan(at, frames.size() - at - rest.size());
    const std::size_t place = as_text(frame).find("delete from t");
    if (place != std::string_view::npos) {
      frame[place + 12] = std::byte{'u'};
      store_le(frame, 4, frame_crc(0, frame));
      has_changed = true;
    }
    at += frame.size();
  }
  ASSERT_TRUE(has_changed);
  // Both chunks, the second the end mark, with a chain that fits them.
  std::string forged = file.substr(0, kArchiveHeaderSize);
  Digest chain = sha256(header);
  for (const auto& one : {pack_chunk(header, 0, head.frames, frames, false, nullptr), pack_chunk(header, 1, 0, {}, true, nullptr)}) {
    chain = sha256({Bytes(chain), Bytes(one)});
    forged += as_text(one);
    forged += as_text(chain);
  }
  const std::size_t manifest = ArchiveReader::open(paths_[1]).value().manifest_text().size() + 80;
  spew(paths_[1], forged + file.substr(file.size() - manifest));
  EXPECT_TRUE(is_found("chunk-changed"));
}

TEST_F(Tampering, ARemovedArchiveIsNamed) {
  for (const std::string& path : paths_) {
    fs::rename(path, path + ".away");
    EXPECT_TRUE(is_found("archive-missing")) << path;
    fs::rename(path + ".away", path);
  }
}

TEST_F(Tampering, ARemovedArchiveWithItsLeafIsAnotherTree) {
  keep(log());
  for (std::size_t index = 0; index < 3; ++index) {
    std::vector<std::string> kept = leaves();
    kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(seals_among(kept)[index]));
    fs::rename(paths_[index], paths_[index] + ".away");
    rewrite_log(kept);
    EXPECT_TRUE(is_found("list-changed")) << index;
    EXPECT_TRUE(index == 2 || is_found("seal-missing")) << index;
    fs::rename(paths_[index] + ".away", paths_[index]);
    put_back(log());
    ASSERT_EQ(gw_.verify().exit_code(), 0);
  }
}

// Who holds the key signs the tree without it: the chain of seals has the hole, and behind the last one a checkpoint that
// somebody kept.
TEST_F(Tampering, ASessionDroppedByWhoHoldsTheKeyIsAHoleInTheChainOrAgainstAKeptCheckpoint) {
  const SigningKey key = SigningKey::read(gw_.key_file()).value();
  const std::string head = slurp(checkpoint_path(log()));
  keep(log());
  for (std::size_t index = 0; index < 3; ++index) {
    std::vector<std::string> kept = leaves();
    kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(seals_among(kept)[index]));
    fs::rename(paths_[index], paths_[index] + ".away");
    rewrite_log(kept, &key);
    EXPECT_TRUE(index == 2 || is_found("seal-missing")) << index;
    const VerifyReport report = gw_.verify(RecordPlace::of(gw_.state()), head);
    EXPECT_EQ(report.exit_code(), 1);
    EXPECT_TRUE(has(report, "seals-removed")) << index;
    fs::rename(paths_[index] + ".away", paths_[index]);
    put_back(log());
  }
}

TEST_F(Tampering, ARemovedArchiveIsFoundInTheArchiveFolderAlone) {
  for (std::size_t index = 0; index < 2; ++index) {
    fs::rename(paths_[index], paths_[index] + ".away");
    const VerifyReport report = gw_.verify({.archive = gw_.state() + "/archive", .journal = {}, .log = {}});
    EXPECT_EQ(report.exit_code(), 1);
    fs::rename(paths_[index] + ".away", paths_[index]);
  }
  const VerifyReport whole = gw_.verify({.archive = gw_.state() + "/archive", .journal = {}, .log = {}});
  EXPECT_EQ(whole.exit_code(), 0);
  EXPECT_FALSE(whole.has_head);
}

// What no signature can find without something that the auditor kept: the folder put back as it was.  Said, not hidden.
TEST_F(Tampering, ARollbackWithItsOwnHeadIsFoundOnlyWithAHeadThatWasKept) {
  const std::string late_head = slurp(checkpoint_path(log()));
  fs::remove(paths_[2]);
  fs::remove_all(log());
  fs::copy(gw_.state() + "/early-log", log(), fs::copy_options::recursive);
  EXPECT_NE(gw_.verify().exit_code(), 1);
  const VerifyReport report = gw_.verify(RecordPlace::of(gw_.state()), late_head);
  EXPECT_EQ(report.exit_code(), 1);
  EXPECT_TRUE(report.has_known_head);
  EXPECT_TRUE(has(report, "seals-removed"));
}

TEST_F(Tampering, ALaterLogGoesOnFromACheckpointThatWasKept) {
  const VerifyReport report = gw_.verify(RecordPlace::of(gw_.state()), early_head());
  EXPECT_EQ(report.exit_code(), 0);
  EXPECT_TRUE(report.has_known_head);
}

// Two trees of one log, each sound in itself and signed with the real key: whoever kept a checkpoint of the one sees it.
TEST_F(Tampering, AForkIsFoundWithACheckpointOfTheOtherTree) {
  const SigningKey key = SigningKey::read(gw_.key_file()).value();
  const std::string head = slurp(checkpoint_path(log()));
  std::vector<std::string> other = leaves();
  other.front() = to_leaf("start", gw_.time_ns() - 1'000'000'000, {{"format", kLogFormat}, {"gateway", "gw"}, {"heartbeat_s", 0}, {"note", "another"}});
  rewrite_log(other, &key);
  ASSERT_EQ(gw_.verify().exit_code(), 0) << "sound in itself";
  const VerifyReport report = gw_.verify(RecordPlace::of(gw_.state()), head);
  EXPECT_EQ(report.exit_code(), 1);
  EXPECT_TRUE(has(report, "head-differs"));
}

TEST_F(Tampering, ACheckpointSignedWithAnotherKey) {
  const SigningKey other = SigningKey::generate(gw_.state() + "/other.key").value();
  rewrite_log(leaves(), &other);
  EXPECT_TRUE(is_found("head-changed"));
}

TEST_F(Tampering, ACheckpointRolledBackWithoutItsEntries) {
  spew(checkpoint_path(log()), early_head());
  // What goes on behind it is what a crash leaves, but for the archives that nothing names now.
  const VerifyReport report = gw_.verify();
  EXPECT_TRUE(has(report, "list-torn"));
  EXPECT_TRUE(has(report, "seal-unlisted"));
  EXPECT_FALSE(EvidenceLog(log(), "other", SigningKey::read(gw_.key_file()).value(), *gw_.files).open([](uint64_t, Bytes) {}));
}

TEST_F(Tampering, ALeafThatNamesNoArchive) {
  const SigningKey key = SigningKey::read(gw_.key_file()).value();
  std::vector<std::string> more = leaves();
  SealEntry entry = *seal_from_leaf(more[seals_among(more).back()]);
  entry.seal = 4;
  entry.session = 4;
  entry.path = "2026/09/21/4.weir";
  more.push_back(to_leaf(entry));
  rewrite_log(more, &key);
  EXPECT_TRUE(is_found("archive-missing"));
}

TEST_F(Tampering, AnArchiveThatNoLeafNames) {
  const SigningKey key = SigningKey::read(gw_.key_file()).value();
  std::vector<std::string> fewer = leaves();
  fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(seals_among(fewer)[1]));
  rewrite_log(fewer, &key);
  EXPECT_TRUE(is_found("archive-extra"));
  EXPECT_TRUE(is_found("list-changed"));
}

TEST_F(Tampering, ATileOrABundleRemoved) {
  keep(log());
  const uint64_t size = read_head(log()).value().checkpoint.size;
  fs::remove(log() + "/" + tile_path({.level = 0, .index = 0, .width = static_cast<unsigned>(size)}));
  EXPECT_TRUE(is_found("tile-missing"));
  put_back(log());
  fs::remove(log() + "/" + tile_path({.is_entries = true, .index = 0, .width = static_cast<unsigned>(size)}));
  EXPECT_TRUE(is_found("list-changed"));
  put_back(log());
  spew(log() + "/tile/0/notes.txt", "x");
  EXPECT_TRUE(is_found("file-strange"));
}

// An entry and its tiles made to fit each other do not fit the checkpoint, and it is said which.
TEST_F(Tampering, AnEntryChangedWithItsTiles) {
  std::vector<std::string> changed = leaves();
  std::string& leaf = changed[seals_among(changed)[1]];
  leaf.replace(leaf.find("\"blocked\":0"), 11, "\"blocked\":9");
  rewrite_log(changed);
  EXPECT_TRUE(is_found("list-changed"));
  EXPECT_TRUE(is_found("archive-replaced"));
}

TEST_F(Tampering, TheEngineSignsNothingOverALogThatWasChanged) {
  std::vector<std::string> changed = leaves();
  changed.front()[changed.front().find_last_of("0123456789")] ^= 1;
  rewrite_log(changed);
  const std::string head = slurp(checkpoint_path(log()));
  gw_.kill();
  Result<RecoveryReport> recovered = recover({.state = gw_.state(), .gateway = "gw", .public_key_file = gw_.key_file() + ".pub", .now = {}});
  ASSERT_FALSE(recovered);
  EXPECT_EQ(recovered.error().kind, Error::Kind::kCorrupt);
  EvidenceLog log_again(log(), log_origin("", "gw"), SigningKey::read(gw_.key_file()).value(), *gw_.files);
  EXPECT_FALSE(log_again.open([](uint64_t, Bytes) {}));
  EXPECT_EQ(slurp(checkpoint_path(log())), head);
}

TEST_F(Tampering, TheEngineBeginsNoNewLogBesideArchives) {
  gw_.kill();
  fs::remove(checkpoint_path(log()));
  const Result<RecoveryReport> recovered = recover({.state = gw_.state(), .gateway = "gw", .public_key_file = gw_.key_file() + ".pub", .now = {}});
  ASSERT_FALSE(recovered);
  EXPECT_EQ(recovered.error().kind, Error::Kind::kCorrupt);
  EXPECT_TRUE(exists(paths_[0]));
  fs::remove_all(gw_.state() + "/archive");
  EXPECT_TRUE(recover({.state = gw_.state(), .gateway = "gw", .public_key_file = gw_.key_file() + ".pub", .now = {}}));
}

TEST_F(Tampering, TheHeadOrTheListRemoved) {
  const std::string head = slurp(checkpoint_path(log()));
  fs::remove(checkpoint_path(log()));
  EXPECT_TRUE(is_found("head-missing"));
  spew(checkpoint_path(log()), head);
  fs::remove_all(log() + "/tile");
  EXPECT_TRUE(is_found("list-changed"));
  fs::remove_all(gw_.state() + "/archive");
  EXPECT_TRUE(is_found("seals-removed"));
}

TEST_F(Tampering, TwoArchivesSwapped) {
  const std::string a = slurp(paths_[0]), b = slurp(paths_[1]);
  spew(paths_[0], b);
  spew(paths_[1], a);
  EXPECT_TRUE(is_found("archive-moved"));
  EXPECT_TRUE(is_found("archive-replaced"));
}

TEST_F(Tampering, AnArchiveTwice) {
  fs::copy_file(paths_[0], fs::path(paths_[0]).parent_path() / "9.weir");
  EXPECT_TRUE(is_found("seal-twice"));
  EXPECT_TRUE(is_found("archive-extra"));
}

TEST_F(Tampering, AStrangeFileAmongTheArchives) {
  spew(fs::path(paths_[0]).parent_path() / "notes.txt", "x");
  EXPECT_TRUE(is_found("file-strange"));
}

TEST_F(Tampering, LeavesInAnotherOrder) {
  const SigningKey key = SigningKey::read(gw_.key_file()).value();
  std::vector<std::string> swapped = leaves();
  const std::vector<std::size_t> seals = seals_among(swapped);
  std::swap(swapped[seals[0]], swapped[seals[1]]);
  keep(log());
  rewrite_log(swapped);
  EXPECT_TRUE(is_found("list-changed"));
  put_back(log());
  rewrite_log(swapped, &key);
  EXPECT_TRUE(is_found("list-changed")) << "also where the key was at hand";
}

TEST_F(Tampering, SealedAgainWithAnotherKey) {
  const std::string other_key = gw_.state() + "/other.key";
  const SigningKey key = SigningKey::generate(other_key).value();
  const ArchiveReader original = ArchiveReader::open(paths_[1]).value();
  PosixFiles files;
  ArchiveBuilder builder(files, paths_[1] + ".forged", 2, 1);
  ASSERT_TRUE(original.read([&](const FrameView& frame) {
    builder.add(frame);
    return true;
  }));
  Manifest manifest = original.manifest();
  ASSERT_TRUE(builder.finish(manifest, key));
  fs::rename(paths_[1] + ".forged", paths_[1]);
  EXPECT_TRUE(is_found("signature-wrong"));
  manifest.key = key.id();
  ArchiveBuilder named(files, paths_[1] + ".forged", 2, 1);
  ASSERT_TRUE(named.finish(manifest, key));
  fs::rename(paths_[1] + ".forged", paths_[1]);
  EXPECT_TRUE(is_found("signature-wrong"));
}

// Drops the last events and moves the end: chunks, chain and manifest made anew, the old signature put under it.
TEST_F(Tampering, TheLastEventsDroppedAndTheEndMoved) {
  const std::string other_key = gw_.state() + "/other.key";
  const SigningKey key = SigningKey::generate(other_key).value();
  const std::string bytes = slurp(paths_[1]);
  const ArchiveReader original = ArchiveReader::open(paths_[1]).value();
  PosixFiles files;
  ArchiveBuilder builder(files, paths_[1] + ".forged", 2, 1);
  uint64_t count = 0;
  ASSERT_TRUE(original.read([&](const FrameView& frame) {
    if (++count <= original.manifest().summary.events - 2) builder.add(frame);
    return true;
  }));
  Manifest manifest = original.manifest();
  manifest.summary.events -= 2;
  manifest.summary.last_sequence -= 2;
  ASSERT_TRUE(builder.finish(manifest, key));
  std::string forged = slurp(paths_[1] + ".forged");
  forged.replace(forged.size() - 80, 64, bytes.substr(bytes.size() - 80, 64));
  fs::remove(paths_[1] + ".forged");
  spew(paths_[1], forged);
  EXPECT_TRUE(is_found("signature-wrong"));
}

// Whoever holds the key can rewrite one session; the next seal's link and the list still show it.
TEST_F(Tampering, OneSessionRewrittenWithTheRealKeyBreaksTheLink) {
  const SigningKey key = SigningKey::read(gw_.key_file()).value();
  const ArchiveReader original = ArchiveReader::open(paths_[1]).value();
  PosixFiles files;
  ArchiveBuilder builder(files, paths_[1] + ".forged", 2, 1);
  ASSERT_TRUE(original.read([&](const FrameView& frame) {
    builder.add(frame);
    return true;
  }));
  Manifest manifest = original.manifest();
  manifest.sealed_ns += 1;
  ASSERT_TRUE(builder.finish(manifest, key));
  fs::rename(paths_[1] + ".forged", paths_[1]);
  EXPECT_TRUE(is_found("link-broken"));
  EXPECT_TRUE(is_found("archive-replaced"));
}

TEST_F(Tampering, ALiveSessionWipedFromTheJournalIsMissed) {
  gw_.open(4, "t", "s");
  gw_.flush();
  gw_.seal();  // The head now speaks of four sessions.
  ASSERT_EQ(gw_.verify().exit_code(), 0);
  gw_.kill();
  for (const auto& entry : fs::directory_iterator(gw_.state() + "/journal")) fs::remove(entry.path());
  const VerifyReport report = gw_.verify();
  EXPECT_EQ(report.exit_code(), 3);
  EXPECT_EQ(report.findings.at(0).code, "session-unrecorded");
}

TEST_F(Tampering, AByteOfADurableGroupInTheJournal) {
  gw_.open(4, "t", "s");
  gw_.flush();
  gw_.open(5, "t", "s");
  gw_.flush();
  const std::string path = segment_path(gw_.state() + "/journal", 1);
  std::string bytes = slurp(path);
  const std::size_t at = bytes.find("\"target\":\"t\"");
  ASSERT_NE(at, std::string::npos);
  bytes[at + 1] ^= 1;
  spew(path, bytes);
  EXPECT_TRUE(is_found("journal-damaged"));
}

TEST(Verify, SaysWhenThereIsNothingToCheck) {
  Gateway gw;
  gw.start();
  VerifyOptions options;
  options.place = RecordPlace::of(gw.state());
  EXPECT_FALSE(verify(options));  // No key.
  EXPECT_EQ(gw.verify().exit_code(), 0);
  options.keys.push_back(VerifyingKey::read(gw.key_file() + ".pub").value());
  options.place = RecordPlace::of("/nonexistent/weir");
  EXPECT_FALSE(verify(options));
}

TEST(Keys, APrivateKeyThatOthersCanReadIsRefused) {
  test::TemporaryFolder folder;
  const std::string path = folder.path() + "/k";
  ASSERT_TRUE(SigningKey::generate(path));
  EXPECT_FALSE(SigningKey::generate(path)) << "an existing key is never overwritten";
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  EXPECT_FALSE(SigningKey::read(path));
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  const Result<SigningKey> key = SigningKey::read(path);
  ASSERT_TRUE(key);
  EXPECT_EQ(VerifyingKey::read(path + ".pub").value().id(), key->id());
}

}  // namespace
}  // namespace weir::record

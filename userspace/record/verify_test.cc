// What somebody may do to a sealed record, and that verify finds it (I12).
#include "record/verify.h"

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
class Tampering : public testing::Test {
 protected:
  void SetUp() override {
    gw_.start();
    for (uint64_t session = 1; session <= 3; ++session) {
      if (session == 3) early_head_ = slurp(head_path(log()));
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
  std::string list_path() const { return seals_path(log()); }
  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    EXPECT_TRUE(read_seals(log(), [&](const SealEntry& entry) { all.push_back(to_line(entry)); }));
    return all;
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
  void flip_every_byte(const std::string& path) {
    place_.journal.clear();  // Only to be quick.
    const std::string original = slurp(path);
    for (std::size_t at = 0; at < original.size(); ++at) {
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
  std::string early_head_;
};

TEST_F(Tampering, AnyByteOfAnArchive) { flip_every_byte(paths_[1]); }
TEST_F(Tampering, AnyByteOfTheSealList) { flip_every_byte(list_path()); }
TEST_F(Tampering, AnyByteOfTheHead) { flip_every_byte(head_path(log())); }

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
  constexpr std::size_t kHeader = 32, kChunkHeader = 16;
  std::string file = slurp(paths_[1]);
  const MutableBytes all(reinterpret_cast<std::byte*>(file.data()), file.size());
  const uint32_t size = load_le<uint32_t>(all, kHeader + 4);
  const MutableBytes payload = all.subspan(kHeader + kChunkHeader, size);
  bool has_changed = false;
  for (std::size_t at = 0; at < size;) {
    Bytes rest = payload.subspan(at);
    ASSERT_TRUE(take_frame(rest, 0));
    const MutableBytes frame = payload.subspan(at, size - at - rest.size());
    const std::size_t place = as_text(frame).find("delete from t");
    if (place != std::string_view::npos) {
      frame[place + 12] = std::byte{'u'};
      store_le(frame, 4, frame_crc(0, frame));
      has_changed = true;
    }
    at += frame.size();
  }
  ASSERT_TRUE(has_changed);
  const Digest start = sha256(Bytes(all).first(kHeader));
  const Digest chain = sha256({Bytes(start), Bytes(all).subspan(kHeader, kChunkHeader), Bytes(payload)});
  std::copy(chain.begin(), chain.end(), payload.end());
  spew(paths_[1], file);
  EXPECT_TRUE(is_found("chunk-changed"));
}

TEST_F(Tampering, ARemovedArchiveIsNamed) {
  for (const std::string& path : paths_) {
    fs::rename(path, path + ".away");
    EXPECT_TRUE(is_found("archive-missing")) << path;
    fs::rename(path + ".away", path);
  }
}

TEST_F(Tampering, ARemovedArchiveWithItsLineIsAHoleInTheChain) {
  for (std::size_t index = 0; index < 3; ++index) {
    const std::string original = slurp(list_path());
    std::string kept;
    for (std::size_t line = 0; line < 3; ++line) kept += line == index ? "" : lines()[line];
    fs::rename(paths_[index], paths_[index] + ".away");
    spew(list_path(), kept);
    EXPECT_TRUE(is_found(index == 2 ? "seals-removed" : "seal-missing")) << index;
    fs::rename(paths_[index] + ".away", paths_[index]);
    spew(list_path(), original);
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
  const std::string late_head = slurp(head_path(log()));
  fs::remove(paths_[2]);
  spew(list_path(), lines()[0] + lines()[1]);
  spew(head_path(log()), early_head_);
  EXPECT_NE(gw_.verify().exit_code(), 1);
  const VerifyReport report = gw_.verify(RecordPlace::of(gw_.state()), late_head);
  EXPECT_EQ(report.exit_code(), 1);
  EXPECT_TRUE(report.has_known_head);
}

TEST_F(Tampering, TheHeadOrTheListRemoved) {
  const std::string head = slurp(head_path(log())), list = slurp(list_path());
  fs::remove(head_path(log()));
  EXPECT_TRUE(is_found("head-missing"));
  spew(head_path(log()), head);
  fs::remove(list_path());
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

TEST_F(Tampering, LinesOfTheListInAnotherOrder) {
  spew(list_path(), lines()[1] + lines()[0] + lines()[2]);
  EXPECT_TRUE(is_found("list-changed"));
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

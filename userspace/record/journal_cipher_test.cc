// The journal under encryption (I12, DESIGN "Journal"): nothing of a statement is on disk in clear, before it is sealed and after a
// kill; what stands in clear is bound to it; without the key nothing is lost and nothing starts.
#include "record/journal_cipher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "record/crc32c.h"
#include "record/key_store.h"
#include "record/record_test_gateway.h"

namespace weir::record {
namespace {

using test::Gateway;
using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr std::string_view kStatement = "select what nobody outside may read";

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class EncryptedJournal : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(GatewayKeys::generate(kek()));
    ASSERT_TRUE(GatewayKeys::generate(other()));
    gw_.sealer_options.keys = open_ring(kek(), {}).value();
    gw_.start();
  }
  std::string kek() const { return files_.path() + "/kek.key"; }
  std::string other() const { return files_.path() + "/other.key"; }
  std::string journal() const { return gw_.state() + "/journal"; }

  void session(uint64_t number, uint64_t commands, const std::string& more = {}) {
    gw_.open(number, "orders-db", "user:ann");
    for (uint64_t unit = 1; unit <= commands; ++unit) gw_.command(number, unit, std::string(kStatement) + " where id = " + std::to_string(unit) + more);
  }
  // Files of the state folder that hold any of it in clear.
  std::vector<std::string> leaks(std::string_view text = kStatement) const {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(gw_.state())) {
      if (entry.is_regular_file() && slurp(entry.path().string()).find(text) != std::string::npos) found.push_back(entry.path().string());
    }
    return found;
  }
  std::vector<std::string> with_end(std::string_view end) const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(journal())) {
      if (entry.path().string().ends_with(end)) found.push_back(entry.path().string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  // How often the text stands in the session's replay; or what the error says.
  std::string read(uint64_t session, const std::string& key, std::string_view text = kStatement) const {
    RecordPlace place = RecordPlace::of(gw_.state());
    if (!key.empty()) place.openers.push_back(read_opener(key).value());
    std::size_t count = 0;
    const Result<void> done = replay(place, session, [&](const std::string& line) {
      count += line.find(text) != std::string::npos ? 1 : 0;
      return true;
    });
    return done ? std::to_string(count) : done.error().message;
  }
  // Every whole frame of the segments, as it stands.
  std::vector<std::vector<std::byte>> frames() const {
    std::vector<std::vector<std::byte>> all;
    FileJournalFolder folder(journal());
    CoreReader reader(folder, 0);
    EXPECT_TRUE(reader.refresh());
    EXPECT_TRUE(reader.read(UINT64_MAX, [&](const JournalFrame& frame) {
      all.emplace_back(frame.frame.whole.begin(), frame.frame.whole.end());
      return true;
    }));
    return all;
  }

  test::TemporaryFolder files_{"/dev/shm"};
  Gateway gw_{"/dev/shm"};
};

TEST_F(EncryptedJournal, NothingOfAStatementIsOnDiskInClearBeforeItIsSealedNorAfter) {
  session(1, 5);
  EXPECT_THAT(leaks(), testing::IsEmpty()) << "in pending memory";
  gw_.flush();
  ASSERT_FALSE(with_end(".segment").empty());
  EXPECT_THAT(leaks(), testing::IsEmpty()) << "in a segment";
  EXPECT_THAT(leaks("user:ann"), testing::IsEmpty());
  gw_.kill();
  gw_.start();
  EXPECT_THAT(leaks(), testing::IsEmpty()) << "in what recovery carried over";
  gw_.seal();
  EXPECT_THAT(leaks(), testing::IsEmpty());
  EXPECT_EQ(read(1, kek()), "5");
  EXPECT_EQ(gw_.verify().exit_code(), 0);
}

TEST_F(EncryptedJournal, WithoutAKeyRingItStandsInClearAsTheConfigurationSays) {
  gw_.kill();
  gw_.sealer_options.keys = {};
  gw_.start();
  session(1, 1);
  EXPECT_FALSE(leaks().empty());
  EXPECT_THAT(with_end(".keys"), testing::IsEmpty()) << "of the run before, which has nothing left";
}

TEST_F(EncryptedJournal, NoNonceStandsThereTwice) {
  session(1, 200);
  gw_.flush();
  std::set<std::string> nonces;
  const auto all = frames();
  ASSERT_EQ(all.size(), 201U);
  for (const auto& frame : all) nonces.emplace(as_text(Bytes(frame).subspan(FrameHeader::kSize, kFrameNonceSize)));
  EXPECT_EQ(nonces.size(), all.size());
}

TEST_F(EncryptedJournal, AnEventOfManyFramesComesBackWhole) {
  const std::string tail = " -- the end of a long one";
  session(1, 2, std::string(100'000, 'x') + tail);
  EXPECT_EQ(read(1, kek(), tail), "2") << "live";
  gw_.close(1);
  gw_.seal();
  EXPECT_EQ(read(1, kek(), tail), "2");
  EXPECT_EQ(gw_.verify().exit_code(), 0);
}

TEST_F(EncryptedJournal, ALiveSessionIsReadWithAKeyAndAskedForWithoutOne) {
  session(1, 3);
  gw_.flush();
  EXPECT_EQ(read(1, kek()), "3");
  EXPECT_THAT(read(1, {}), HasSubstr("--key-file"));
  EXPECT_THAT(read(1, other()), HasSubstr("not sealed yet"));
  EXPECT_EQ(gw_.verify().exit_code(), 0) << "numbers and ends need no key";
}

// Also what only pending memory held.
TEST_F(EncryptedJournal, WithoutItsKeyNothingStartsAndNothingIsLost) {
  session(1, 4);
  gw_.flush();
  gw_.command(1, 9, std::string(kStatement));
  gw_.kill();
  gw_.sealer_options.keys = open_ring(other(), {}).value();
  const Result<void> refused = gw_.try_start();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Error::Kind::kDenied);
  EXPECT_THAT(refused.error().message, HasSubstr("start once with the key file of then"));
  gw_.sealer_options.keys = {};
  EXPECT_FALSE(gw_.try_start()) << "encryption was turned off";
  std::ofstream(other(), std::ios::app) << slurp(kek());   // A rotated file.
  gw_.sealer_options.keys = open_ring(other(), {}).value();
  const RecoveryReport report = gw_.start();
  EXPECT_THAT(report.damage, testing::IsEmpty());
  EXPECT_EQ(report.interrupted, 1U);
  gw_.seal();
  EXPECT_EQ(read(1, other()), "5");
  EXPECT_EQ(gw_.verify().exit_code(), 0);
}

TEST_F(EncryptedJournal, AKeyThatWasRemovedIsMissedByName) {
  session(1, 1);
  gw_.flush();
  gw_.kill();
  const std::vector<std::string> keys = with_end(".keys");
  ASSERT_EQ(keys.size(), 1U);
  fs::rename(keys[0], keys[0] + ".aside");
  const Result<void> refused = gw_.try_start();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Error::Kind::kNotFound);
  EXPECT_THAT(refused.error().message, HasSubstr(keys[0]));
  fs::rename(keys[0] + ".aside", keys[0]);
  gw_.start();
  gw_.seal();
  EXPECT_EQ(read(1, kek()), "1");
}

TEST_F(EncryptedJournal, ARunsKeyGoesWhenItsSegmentsAreSealed) {
  const std::vector<std::string> first = with_end(".keys");
  session(1, 1);
  gw_.kill();
  gw_.start();
  EXPECT_EQ(with_end(".keys").size(), 2U) << "recovery's segment needs the first";
  session(2, 1);   // Goes to a segment behind it.
  gw_.close(2);
  gw_.seal();
  gw_.kill();
  gw_.start();
  EXPECT_THAT(with_end(".keys"), testing::Not(testing::Contains(first.at(0))));
  EXPECT_EQ(read(1, kek()), "1");
}

// The header is authenticated with the payload; a frame in another's place opens no more than a changed one.
TEST_F(EncryptedJournal, AnyChangedByteOfAFrameIsFound) {
  session(1, 2);
  gw_.flush();
  const JournalKeys keys = JournalKeys::read(journal(), gw_.sealer_options.keys.openers).value();
  const std::vector<std::byte> whole = frames().at(1);
  std::vector<std::byte> plain;
  const auto open = [&](const std::vector<std::byte>& bytes) {
    const std::optional<FrameHeader> header = load_frame_header(bytes);
    return header && keys.open(FrameView{*header, bytes}, plain).has_value() && load_frame_header(plain)->key_id == 0;
  };
  ASSERT_TRUE(open(whole));
  EXPECT_THAT(std::string(as_text(plain)), HasSubstr(std::string(kStatement)));
  for (std::size_t at = 8; at < whole.size(); ++at) {
    std::vector<std::byte> changed = whole;
    changed[at] ^= std::byte{1};
    if (at >= 12 && at < 16) continue;  // The key's id: no such key, or none at all.
    ASSERT_FALSE(open(changed)) << at;
  }
  std::vector<std::byte> in_clear = whole;
  store_le(MutableBytes(in_clear), 12, uint32_t{0});
  RecordEvent event;
  Accounts accounts;
  ASSERT_TRUE(keys.open(FrameView{*load_frame_header(in_clear), in_clear}, plain));
  EXPECT_FALSE(decode_event(*load_frame_header(whole), Bytes(whole).subspan(FrameHeader::kSize), event, accounts)) << "what nobody opened is no event";
}

// With a CRC that fits: damage is told, sealed as an event that nobody can read, and the rest is as it was.
TEST_F(EncryptedJournal, AChangedFrameIsToldAndSealedAsUnreadable) {
  session(1, 3);
  gw_.flush();
  gw_.kill();
  const std::string path = with_end(".segment").at(0);
  std::string segment = slurp(path);
  const MutableBytes bytes(reinterpret_cast<std::byte*>(segment.data()), segment.size());
  for (std::size_t offset = kBlockSize; offset < bytes.size();) {
    std::optional<GroupHeader> group = load_closed_group(bytes.subspan(offset));
    if (!group) break;
    MutableBytes at = bytes.subspan(offset + GroupHeader::kSize);
    group->frames_crc = 0;
    for (uint32_t frame = 0; frame < group->frame_count; ++frame) {
      const FrameHeader header = *load_frame_header(at);
      const MutableBytes whole = at.first(header.size);
      if (header.sequence == 3) whole[whole.size() - 1] ^= std::byte{1};
      store_le(whole, 4, frame_crc(frame_seed(group->run, group->number), whole));
      group->frames_crc = crc32c(group->frames_crc, whole.subspan(4, 4));
      at = at.subspan(whole.size());
    }
    store(bytes.subspan(offset), *group);
    offset += group->padded_size();
  }
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(segment.data(), static_cast<std::streamsize>(segment.size()));
  const RecoveryReport report = gw_.start();
  ASSERT_EQ(report.damage.size(), 1U);
  EXPECT_THAT(report.damage[0], HasSubstr("event 3 of session 1 is not what the gateway wrote"));
  gw_.seal();
  EXPECT_EQ(read(1, kek()), "2");
  RecordPlace place = RecordPlace::of(gw_.state());
  place.openers.push_back(read_opener(kek()).value());
  const VerifyReport verified = gw_.verify(place);
  EXPECT_EQ(verified.exit_code(), 0);
  EXPECT_TRUE(std::any_of(verified.findings.begin(), verified.findings.end(), [](const Finding& finding) { return finding.code == "event-unreadable"; }));
}

}  // namespace
}  // namespace weir::record

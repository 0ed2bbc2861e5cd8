// A crash at every step of sealing: the next start ends where an undisturbed run would.
#include "record/sealer.h"

#include <nlohmann/json.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "record/crashing_files.h"
#include "record/key_store.h"
#include "record/reader.h"
#include "record/record_test_gateway.h"
#include "record/seal_log.h"

namespace weir::record {
namespace {

using test::CrashingFiles;
using test::Gateway;

void live_a_little(Gateway& gw, uint64_t first) {
  for (uint64_t session = first; session < first + 3; ++session) {
    gw.open(session, "t", "s");
    gw.command(session, 1, "select 1");
    gw.respond(session, 1, 0);
    if (session != first + 1) gw.close(session);  // One goes on.
  }
}

void expect_whole(Gateway& gw, const KeyRing& ring, uint64_t sessions, const std::string& where) {
  const VerifyReport report = gw.verify();
  std::string text;
  for (const Finding& finding : report.findings) text += finding.code + " " + finding.where + ": " + finding.message + "\n";
  ASSERT_EQ(report.exit_code(), 0) << where << "\n" << text;
  RecordPlace place = RecordPlace::of(gw.state());
  place.openers = ring.openers;  // And each can be opened: its keys stand in their place.
  uint64_t listed = 0;
  ASSERT_TRUE(list_sessions(place, {}, [&](const std::string& line) {
    const nlohmann::json row = nlohmann::json::parse(line);
    ++listed;
    uint64_t events = 0, expected = 1;
    EXPECT_TRUE(replay(place, row["id"], [&](const std::string& event) {
      EXPECT_EQ(nlohmann::json::parse(event)["seq"], expected++) << where;
      ++events;
      return true;
    })) << where;
    EXPECT_GE(events, 4U) << where;
    return true;
  }));
  EXPECT_EQ(listed, sessions) << where;
}

void crash_everywhere(bool loses_power) {
  test::TemporaryFolder keys("/dev/shm");
  ASSERT_TRUE(GatewayKeys::generate(keys.path() + "/kek.key"));
  const KeyRing ring = open_ring(keys.path() + "/kek.key", {}).value();
  bool reached_the_end = false;
  for (uint64_t steps = 1; !reached_the_end && steps < 300; ++steps) {
    const std::string where = "crash at step " + std::to_string(steps) + (loses_power ? " with power loss" : "");
    Gateway gw("/dev/shm");
    gw.sealer_options.keys = ring;
    gw.sealer_options.every = std::chrono::seconds(0);  // The open session is sealed in part.
    CrashingFiles files(steps, steps, loses_power);
    gw.start();
    live_a_little(gw, 1);
    gw.kill();
    gw.files = &files;
    if (!gw.try_start()) {  // Crashed while it opened.
      gw.kill();
      gw.files = &gw.posix_files;
      gw.start();
    }
    live_a_little(gw, 4);
    (void)gw.try_seal();
    (void)gw.try_seal();  // A step that goes on after an error.
    reached_the_end = !files.has_crashed();
    gw.kill();
    gw.files = &gw.posix_files;
    gw.start();
    gw.seal();
    expect_whole(gw, ring, 6, where);
  }
  EXPECT_TRUE(reached_the_end);
}

TEST(SealerCrash, AtEveryStepNothingIsLostOrTwice) { crash_everywhere(false); }
TEST(SealerCrash, AtEveryStepWithPowerLossNothingIsLostOrTwice) { crash_everywhere(true); }

// A disk that is full for a while: nothing is lost, and sealing goes on when there is room.
TEST(Sealer, OnAFullDiskItFailsAndGoesOnWhenThereIsRoom) {
  Gateway gw;
  test::RefusingFiles files;
  gw.files = &files;
  gw.sealer_options.chunk_size = 4u << 10;
  gw.start();
  for (uint64_t unit = 0; unit <= 40; ++unit) {
    if (unit == 0) gw.open(1, "t", "s");
    if (unit == 0) continue;
    gw.command(1, unit, std::string(500, 'q'));
    gw.respond(1, unit, 0);
    files.refuse(unit % 3 == 1);
    EXPECT_TRUE(gw.try_seal().has_value() || files.refusals != 0);
  }
  gw.close(1);
  files.refuse(true);
  EXPECT_FALSE(gw.try_seal());
  EXPECT_GT(gw.sealer().counts().errors, 0U);
  files.refuse(false);
  gw.seal();
  const VerifyReport report = gw.verify();
  EXPECT_EQ(report.exit_code(), 0);
  EXPECT_EQ(report.events, 82U);
}

TEST(SegmentStore, MakesReusesAndReportsAFullDisk) {
  test::TemporaryFolder folder;
  SegmentStoreOptions options{.folder = folder.path(), .core_count = 1, .segment_size = 64u << 10, .reserve = 128u << 10, .poll = std::chrono::milliseconds(1)};
  Result<std::unique_ptr<SegmentStore>> store = SegmentStore::start(options);
  ASSERT_TRUE(store) << store.error().message;
  const std::optional<SegmentFile> first = (*store)->supply(0).take();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->size, 64u << 10);
  EXPECT_FALSE((*store)->supply(0).is_full());
  (*store)->supply(0).give_up(*first);
  store->reset();
  EXPECT_TRUE(exists(segment_path(folder.path(), first->id)));

  options.reserve = uint64_t{1} << 60;
  const Result<std::unique_ptr<SegmentStore>> too_much = SegmentStore::start(options);
  ASSERT_FALSE(too_much);
  EXPECT_EQ(too_much.error().kind, Error::Kind::kUnavailable);
  options.reserve = 0;
  options.space_low = uint64_t{1} << 60;
  EXPECT_FALSE(SegmentStore::start(options)) << "less room than the bound";
}

// What stood in it is nowhere, and it is used again; what a kill left half wiped is wiped by the next start.
TEST(SegmentStore, ARecycledSegmentIsWipedWhole) {
  test::TemporaryFolder folder("/dev/shm");
  const SegmentStoreOptions options{.folder = folder.path(), .core_count = 1, .segment_size = 64u << 10, .reserve = 128u << 10, .poll = std::chrono::milliseconds(1)};
  Result<std::unique_ptr<SegmentStore>> store = SegmentStore::start(options);
  ASSERT_TRUE(store) << store.error().message;
  const auto has_marker = [&] {
    for (const auto& each : std::filesystem::directory_iterator(folder.path())) {
      if (read_text(each.path().string(), 1u << 20).value_or("").find("zebra") != std::string::npos) return true;
    }
    return false;
  };
  const auto wait_wiped = [&] {
    for (int turn = 0; turn < 10'000 && (*store)->unwiped() != 0; ++turn) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ((*store)->unwiped(), 0U);
  };
  const std::optional<SegmentFile> taken = (*store)->supply(0).take();
  ASSERT_TRUE(taken);
  AlignedBuffer block(kBlockSize);
  std::memcpy(block.bytes().data(), "zebra", 5);
  for (const uint64_t at : {uint64_t{0}, uint64_t{32u << 10}, uint64_t{60u << 10}}) ASSERT_TRUE(write_at(taken->file, at, block.bytes()));
  ASSERT_TRUE(has_marker());
  const uint64_t id = taken->id;
  (*store)->supply(0).give_up(*taken);
  (*store)->recycle(id);
  wait_wiped();
  EXPECT_FALSE(has_marker());
  store->reset();
  std::filesystem::rename(segment_path(folder.path(), id), segment_path(folder.path(), id) + ".wiping");
  std::filesystem::resize_file(segment_path(folder.path(), id) + ".wiping", 1000);
  std::ofstream(segment_path(folder.path(), id) + ".wiping") << "zebra";
  store = SegmentStore::start(options);
  ASSERT_TRUE(store) << store.error().message;
  wait_wiped();
  EXPECT_FALSE(has_marker());
}

}  // namespace
}  // namespace weir::record

#include "record/journal.h"

#include "record/record_test_support.h"

namespace weir::record {
namespace {

using test::DiskIo;
using test::event_of;
using test::MemoryDisk;
using Kind = RecordEvent::Kind;

constexpr uint64_t kSegmentSize = 256u << 10;

struct Bench {
  explicit Bench(std::size_t segments = 64, uint64_t seed = 1)
      : memory(shape.bytes()), disk(kSegmentSize, segments), io([this](int file, uint64_t offset, Bytes bytes) { return on_write(file, offset, bytes); }, seed) {
    std::memset(memory.bytes().data(), 0xee, memory.bytes().size());
    journal.emplace(JournalOptions{.gateway = "gw", .commit_every = std::chrono::milliseconds(2), .shape = shape}, io, disk, memory.bytes(), counters);
  }
  int32_t on_write(int file, uint64_t offset, Bytes bytes) {
    if (!results.empty()) {
      const int32_t result = results.front();
      results.pop_front();
      if (result > 0) disk.write(file, offset, bytes.first(static_cast<std::size_t>(result)));
      if (result != 0) return result;
    }
    return disk.write(file, offset, bytes);
  }
  Written put(Kind kind, uint64_t sequence, std::string_view text = "select 1") { return journal->write(event_of(kind, 1, sequence, text), group); }
  std::vector<uint64_t> sequences_on_disk() {
    std::vector<uint64_t> sequences;
    CoreReader reader(disk, 0);
    EXPECT_TRUE(reader.refresh());
    EventAssembler assembler;
    EXPECT_TRUE(reader.read(UINT64_MAX, [&](const JournalFrame& frame) {
      if (const auto whole = assembler.add(frame.frame)) sequences.push_back(whole->header.sequence);
      return true;
    }));
    EXPECT_TRUE(reader.damage().empty());
    return sequences;
  }

  PendingShape shape{.buffer_size = 32u << 10, .buffer_count = 8};
  AlignedBuffer memory;
  MemoryDisk disk;
  std::deque<int32_t> results;   // Of the next writes; 0: as it should be.
  DiskIo io;
  CoreCounters counters;
  std::optional<JournalWriter> journal;
  uint64_t group = 0;
};

TEST(Journal, ACommandGoesOutAtTheEndOfItsTurnAndIsDurableWhenTheWriteCompletes) {
  Bench b;
  EXPECT_EQ(b.put(Kind::kCommand, 1), Written::kDurableLater);
  EXPECT_EQ(b.io.writes_pending(), 0U);
  b.journal->end_turn();
  EXPECT_EQ(b.io.writes_pending(), 1U);
  EXPECT_LT(b.journal->durable_upto(), b.group);
  b.io.step(*b.journal);
  EXPECT_EQ(b.journal->durable_upto(), b.group);
}

TEST(Journal, WhatArrivesDuringAWriteGoesOutTogether) {
  Bench b;
  (void)b.put(Kind::kCommand, 1);
  b.journal->end_turn();
  for (uint64_t sequence = 2; sequence <= 9; ++sequence) (void)b.put(Kind::kCommand, sequence);
  b.journal->end_turn();
  EXPECT_EQ(b.io.writes_pending(), 1U);
  b.io.settle(*b.journal);
  EXPECT_EQ(b.io.write_count, 2U);
  EXPECT_EQ(b.sequences_on_disk().size(), 9U);
}

TEST(Journal, WhereGroupsHeldSeveralSessionsOneWaitsForTheOthersAtMostHalfAWrite) {
  Bench b;
  const auto command = [&](uint64_t session, uint64_t sequence) {
    EXPECT_EQ(b.journal->write(event_of(Kind::kCommand, session, sequence, "select 1"), b.group), Written::kDurableLater);
    b.journal->end_turn();
  };
  const auto complete = [&] {
    b.io.advance(std::chrono::microseconds(400));
    ASSERT_TRUE(b.io.step(*b.journal));
  };
  command(1, 1);
  EXPECT_EQ(b.io.writes_pending(), 1U) << "alone, it does not wait";
  command(2, 1);
  command(3, 1);
  complete();
  complete();
  EXPECT_EQ(b.io.writes_pending(), 0U);
  command(1, 2);
  EXPECT_EQ(b.io.writes_pending(), 0U) << "the last group had two";
  command(2, 2);
  EXPECT_EQ(b.io.writes_pending(), 1U) << "and here is the second";
  complete();
  command(1, 3);
  const auto begun = b.io.now();
  EXPECT_EQ(b.io.writes_pending(), 0U);
  while (b.io.writes_pending() == 0 && b.io.step(*b.journal)) continue;  // Nobody else comes.
  EXPECT_EQ(b.io.writes_pending(), 1U);
  EXPECT_LE(b.io.now() - begun, std::chrono::microseconds(200)) << "half a write";
  complete();
  command(1, 4);
  EXPECT_EQ(b.io.writes_pending(), 1U) << "it is alone again";
}

TEST(Journal, AnswersWaitForCompanyAtMostCommitEvery) {
  Bench b;
  (void)b.put(Kind::kResponse, 1);
  b.journal->end_turn();
  EXPECT_EQ(b.io.writes_pending(), 0U);
  EXPECT_EQ(b.io.timers_pending(), 1U);
  b.io.step(*b.journal);  // The timer.
  EXPECT_EQ(b.io.writes_pending(), 1U);
  b.io.settle(*b.journal);
  EXPECT_EQ(b.journal->durable_upto(), b.group);
}

TEST(Journal, AnAsyncCommandWaitsForCompanyToo) {
  Bench b;
  RecordEvent event = event_of(Kind::kCommand, 1, 1, "select 1");
  event.is_awaited = false;
  EXPECT_EQ(b.journal->write(event, b.group), Written::kDurableLater);
  b.journal->end_turn();
  EXPECT_EQ(b.io.writes_pending(), 0U);
  (void)b.put(Kind::kCommand, 2);
  b.journal->end_turn();
  EXPECT_EQ(b.io.writes_pending(), 1U);
}

TEST(Journal, WhatIsNotYetOnDiskIsInPendingMemory) {
  Bench b;
  for (uint64_t sequence = 1; sequence <= 5; ++sequence) (void)b.put(Kind::kResponse, sequence);
  uint64_t count = 0;
  const PendingFrames found = read_pending(b.memory.bytes(), 1, [&](const JournalFrame& frame) { return frame.frame.header.sequence == ++count; });
  EXPECT_EQ(found.groups, 1U);
  EXPECT_EQ(count, 5U);
}

TEST(Journal, ALargeEventIsSplitOverGroupsAndPutTogetherAgain) {
  Bench b;
  const std::string text(150'000, 'x');
  EXPECT_EQ(b.put(Kind::kCommand, 1, text), Written::kDurableLater);
  EXPECT_EQ(b.put(Kind::kCommand, 2), Written::kDurableLater);
  b.io.settle(*b.journal);
  CoreReader reader(b.disk, 0);
  ASSERT_TRUE(reader.refresh());
  EventAssembler assembler;
  std::vector<std::size_t> sizes;
  ASSERT_TRUE(reader.read(UINT64_MAX, [&](const JournalFrame& frame) {
    if (const auto whole = assembler.add(frame.frame)) {
      RecordEvent event;
      Accounts accounts;
      EXPECT_TRUE(decode_event(whole->header, whole->payload, event, accounts));
      sizes.push_back(event.text.size());
    }
    return true;
  }));
  EXPECT_EQ(sizes, (std::vector<std::size_t>{150'000, 8}));
  EXPECT_EQ(assembler.broken(), 0U);
}

TEST(Journal, AnEventThatDoesNotFitIsRefusedWhole) {
  Bench b;
  EXPECT_EQ(b.put(Kind::kCommand, 1, std::string(400'000, 'x')), Written::kRefused);
  EXPECT_TRUE(b.journal->is_idle());
  EXPECT_EQ(b.counters.value(Metric::kJournalRefused), 1U);
  EXPECT_EQ(b.put(Kind::kCommand, 1), Written::kDurableLater);
}

TEST(Journal, ASlowDiskMakesItCongestedThenRefusesNewWorkAndStillTakesEndings) {
  Bench b;
  const std::string text(20'000, 'x');
  uint64_t sequence = 0;
  while (b.put(Kind::kCommand, ++sequence, text) == Written::kDurableLater) {
    ASSERT_LT(sequence, 100U);
    b.journal->end_turn();
  }
  EXPECT_TRUE(b.journal->is_congested());
  EXPECT_FALSE(b.journal->is_accepting());
  EXPECT_FALSE(b.journal->has_failed());
  EXPECT_EQ(b.put(Kind::kClosed, sequence, text), Written::kDurableLater);
  b.io.settle(*b.journal);
  EXPECT_TRUE(b.journal->is_accepting());
  EXPECT_EQ(b.sequences_on_disk().size(), sequence);
}

TEST(Journal, SegmentsFollowOneAnotherWithoutAGap) {
  Bench b;
  for (uint64_t sequence = 1; sequence <= 200; ++sequence) {
    ASSERT_EQ(b.put(Kind::kCommand, sequence, std::string(5'000, 'x')), Written::kDurableLater);
    b.io.settle(*b.journal);
  }
  EXPECT_GT(b.disk.file_count(), 4U);
  EXPECT_EQ(b.disk.given_up, b.disk.file_count() - 1);
  const std::vector<uint64_t> sequences = b.sequences_on_disk();
  ASSERT_EQ(sequences.size(), 200U);
  EXPECT_EQ(sequences.back(), 200U);
}

TEST(Journal, AFailedWriteGoesToANewSegmentAndIsNeverRetriedOnTheSame) {
  Bench b;
  (void)b.put(Kind::kCommand, 1);
  b.io.settle(*b.journal);
  b.results = {-EIO};
  (void)b.put(Kind::kCommand, 2);
  b.io.settle(*b.journal);
  EXPECT_EQ(b.journal->durable_upto(), b.group);
  EXPECT_EQ(b.disk.file_count(), 2U);
  EXPECT_EQ(b.disk.given_up, 1U);
  EXPECT_EQ(b.counters.value(Metric::kJournalErrors), 1U);
  EXPECT_EQ(b.sequences_on_disk(), (std::vector<uint64_t>{1, 2}));
}

TEST(Journal, AGroupWhoseSyncFailedIsNotReadTwice) {
  Bench b;
  (void)b.put(Kind::kCommand, 1);
  b.journal->end_turn();
  // The bytes reach the disk, the sync does not.
  b.results = {-EIO};
  const auto entry = b.disk.file_count();
  b.io.settle(*b.journal);
  EXPECT_EQ(b.disk.file_count(), entry + 1);
  b.disk.reuse(1, b.disk.file(2));  // Segment 1 holds the group as well...
  SegmentHeader header{.core = 0, .number = 1, .first_group = 1, .run = b.journal->run(), .gateway = "gw"};
  store(MutableBytes(b.disk.file(1)), header);
  EXPECT_EQ(b.sequences_on_disk(), (std::vector<uint64_t>{1}));
}

TEST(Journal, TwoFailuresInARowEndIt) {
  Bench b;
  b.results = {-EIO, -ENOSPC};
  (void)b.put(Kind::kCommand, 1);
  b.io.settle(*b.journal);
  EXPECT_TRUE(b.journal->has_failed());
  EXPECT_FALSE(b.journal->is_accepting());
  EXPECT_EQ(b.put(Kind::kClosed, 2), Written::kRefused);
  EXPECT_EQ(b.journal->durable_upto(), 0U);
}

TEST(Journal, AShortWriteIsContinuedFromAWholeBlock) {
  Bench b;
  b.results = {static_cast<int32_t>(kBlockSize + 100)};
  (void)b.put(Kind::kCommand, 1, std::string(9'000, 'x'));
  b.io.settle(*b.journal);
  EXPECT_EQ(b.journal->durable_upto(), b.group);
  EXPECT_EQ(b.sequences_on_disk(), (std::vector<uint64_t>{1}));
  EXPECT_EQ(b.disk.file_count(), 1U);
}

TEST(Journal, AFullDiskRefusesNewWorkAndTakesEndings) {
  Bench b;
  (void)b.put(Kind::kCommand, 1);
  b.disk.is_full_now = true;
  EXPECT_FALSE(b.journal->is_accepting());
  for (const Kind kind : {Kind::kOpened, Kind::kLogin, Kind::kCommand, Kind::kStandIn}) EXPECT_EQ(b.put(kind, 2), Written::kRefused);
  for (const Kind kind : {Kind::kFate, Kind::kResponse, Kind::kAlert, Kind::kNote, Kind::kClosed}) EXPECT_EQ(b.put(kind, 2), Written::kDurableLater);
  b.io.settle(*b.journal);
  EXPECT_FALSE(b.journal->has_failed());
  EXPECT_EQ(b.journal->durable_upto(), b.group);
}

TEST(Journal, WithoutASegmentItWaitsAndOnAFullDiskItHasFailedWhileItLasts) {
  Bench b(0);
  (void)b.put(Kind::kCommand, 1);
  b.journal->end_turn();
  EXPECT_FALSE(b.journal->is_accepting());
  EXPECT_FALSE(b.journal->has_failed());
  b.disk.is_full_now = true;
  EXPECT_TRUE(b.journal->has_failed());
  b.disk.is_full_now = false;
  b.disk.add_segments(1);
  b.io.settle(*b.journal);
  EXPECT_EQ(b.journal->durable_upto(), b.group);
  EXPECT_TRUE(b.journal->is_accepting());
}

TEST(Journal, WhatAnEarlierUseLeftInASegmentIsNotRead) {
  Bench first;
  for (uint64_t sequence = 1; sequence <= 20; ++sequence) {
    (void)first.put(Kind::kCommand, sequence);
    first.io.settle(*first.journal);
  }
  Bench second(64, 2);  // Another run.
  (void)second.put(Kind::kCommand, 1);
  second.io.settle(*second.journal);
  // The same blocks, but for the header and the first group, hold groups of another run.
  std::vector<std::byte> mixed = first.disk.file(1);
  std::copy(second.disk.file(1).begin(), second.disk.file(1).begin() + 2 * kBlockSize, mixed.begin());
  second.disk.reuse(1, mixed);
  EXPECT_EQ(second.sequences_on_disk(), (std::vector<uint64_t>{1}));
}

TEST(Journal, FlushSendsAnswersWithoutWaiting) {
  Bench b;
  (void)b.put(Kind::kResponse, 1);
  b.journal->flush();
  EXPECT_EQ(b.io.writes_pending(), 1U);
  b.io.settle(*b.journal);
  EXPECT_TRUE(b.journal->is_idle());
}

// The kill differential: whatever the moment, what was reported durable is read back, as an unbroken prefix, once.
// Out of memory, and the next group begins a new segment; nothing that is not durable is touched.
TEST(Journal, TidiedItForgetsWhatIsDurableAndLeavesItsSegment) {
  Bench b;
  std::memset(b.memory.bytes().data() + kBlockSize, 0, b.memory.bytes().size() - kBlockSize);
  const auto in_memory = [&](std::string_view text) { return as_text(b.memory.bytes()).find(text) != std::string_view::npos; };
  (void)b.put(Kind::kCommand, 1, std::string(400, 'x') + "zebra");
  b.io.settle(*b.journal);
  (void)b.put(Kind::kCommand, 2, "select 'heron'");     // In the same buffer, which is open: the end of the first stands behind it.
  EXPECT_TRUE(in_memory("zebra"));
  b.journal->tidy();
  EXPECT_FALSE(in_memory("zebra"));
  EXPECT_TRUE(in_memory("heron"));
  b.io.settle(*b.journal);
  EXPECT_EQ(b.disk.file_count(), 2U);
  EXPECT_EQ(b.sequences_on_disk(), (std::vector<uint64_t>{1, 2}));
  // In the middle of a write it waits for its end.
  (void)b.put(Kind::kCommand, 3);
  b.journal->end_turn();
  b.journal->tidy();
  b.io.settle(*b.journal);
  EXPECT_EQ(load_progress(b.memory.bytes()).segment_number, 3U) << "it says that it has left the second one";
  (void)b.put(Kind::kCommand, 4);
  b.io.settle(*b.journal);
  EXPECT_EQ(b.disk.file_count(), 3U);
  EXPECT_EQ(b.sequences_on_disk(), (std::vector<uint64_t>{1, 2, 3, 4}));
}

TEST(JournalKill, AtEveryWriteBoundaryTheRecordIsAPrefixWithAllThatWasReported) {
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    Prng prng(seed);
    const PendingShape shape{.buffer_size = 32u << 10, .buffer_count = 8};
    AlignedBuffer memory(shape.bytes());
    MemoryDisk disk(kSegmentSize, 64);
    const uint64_t writes_until_cut = 1 + prng.below(30);
    const bool loses_power = prng.one_in(2);
    uint64_t writes = 0;
    bool is_cut = false;
    DiskIo io(
        [&](int file, uint64_t offset, Bytes bytes) -> int32_t {
          if (++writes < writes_until_cut) {
            if (prng.one_in(12)) return -EIO;
            return disk.write(file, offset, bytes);
          }
          // Cut: any of its blocks may have reached the disk.
          is_cut = true;
          for (std::size_t block = 0; block < bytes.size(); block += kBlockSize) {
            if (prng.one_in(2)) disk.write(file, offset + block, bytes.subspan(block, kBlockSize));
          }
          return DiskIo::kCut;
        },
        seed);
    CoreCounters counters;
    uint64_t reported = 0, accepted = 0;
    {
      JournalWriter journal(JournalOptions{.gateway = "gw", .shape = shape}, io, disk, memory.bytes(), counters);
      std::map<uint64_t, uint64_t> sequence_of_group;
      for (int turn = 0; turn < 400 && !is_cut; ++turn) {
        for (uint64_t left = prng.below(4); left > 0; --left) {
          uint64_t group = 0;
          const std::string text(prng.below(prng.one_in(10) ? 40'000 : 500), 'q');
          if (journal.write(event_of(prng.one_in(2) ? Kind::kCommand : Kind::kResponse, 1, accepted + 1, text), group) != Written::kDurableLater) continue;
          sequence_of_group[group] = ++accepted;
        }
        journal.end_turn();
        if (prng.one_in(3)) continue;
        const uint64_t before = journal.durable_upto();
        io.step(journal);
        if (!is_cut && journal.durable_upto() != before) {
          for (const auto& [group, sequence] : sequence_of_group) {
            if (group <= journal.durable_upto()) reported = std::max(reported, sequence);
          }
        }
        if (journal.has_failed()) break;
      }
    }
    if (loses_power) std::memset(memory.bytes().data(), 0, memory.bytes().size());
    std::vector<uint64_t> found;
    EventAssembler assembler;
    const auto take = [&](const JournalFrame& frame) {
      if (const auto whole = assembler.add(frame.frame)) found.push_back(whole->header.sequence);
      return true;
    };
    CoreReader reader(disk, 0);
    ASSERT_TRUE(reader.refresh());
    ASSERT_TRUE(reader.read(UINT64_MAX, take));
    EXPECT_TRUE(reader.damage().empty()) << "seed " << seed << ": " << reader.damage().front();
    const uint64_t expected = std::max<uint64_t>(1, reader.next_group());
    read_pending(memory.bytes(), expected, take);
    for (std::size_t index = 0; index < found.size(); ++index) ASSERT_EQ(found[index], index + 1) << "seed " << seed;
    EXPECT_GE(found.size(), reported) << "seed " << seed;
    EXPECT_LE(found.size(), accepted) << "seed " << seed;
    if (!loses_power) {
      EXPECT_EQ(found.size(), accepted) << "seed " << seed << ": a killed process loses nothing that was accepted (I5)";
    }
  }
}

}  // namespace
}  // namespace weir::record

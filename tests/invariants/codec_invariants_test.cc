// I2, I3, I6 and the codec's part of I1, over every transcript of every protocol.
#include <gtest/gtest.h>

#include <map>

#include "parse/registry.h"
#include "tests/playbook/transcript.h"

namespace weir::testing {
namespace {

constexpr uint64_t kSeeds = 25;

std::vector<Transcript> transcripts() {
  std::vector<Transcript> all;
  for (const ProtocolModule* module : protocol_modules()) {
    for (const std::string& file : transcript_files(std::string(WEIR_PARSE_FOLDER "/") + std::string(module->name))) all.push_back(read_transcript(file));
  }
  return all;
}

// A unit without what depends on the cuts: ids count parts, so they are replaced by the place in the joined list.  What a name
// may mean depends on which answers had come by then, not on the cuts of its own stream: it is left out.
std::string describe(const SettledUnit& unit, const std::map<uint64_t, std::size_t>& places) {
  std::string text = std::to_string(static_cast<int>(unit.ref.kind)) + " " + unit.verb + " [" + std::to_string(unit.ref.wire.offset) + "+" +
                     std::to_string(unit.ref.wire.size) + "] \"" + unit.text + "\" rows " + std::to_string(unit.row_count) + " tag " + unit.tag +
                     " code " + unit.sqlstate + " " +
                     std::string(name_of(unit.fate));
  if (unit.ref.in_reply_to != 0) {
    const auto found = places.upper_bound(unit.ref.in_reply_to);
    text += " to " + std::to_string(found == places.begin() ? 0 : std::prev(found)->second);
  }
  return text;
}

std::array<std::vector<std::string>, 2> by_direction(const Harness& harness) {
  std::map<uint64_t, std::size_t> places;  // First id of each joined to_target unit.
  const std::vector<SettledUnit> joined = harness.joined_units();
  for (const SettledUnit& unit : joined) {
    if (unit.ref.direction == Direction::kToTarget) places.emplace(unit.ref.id, places.size());
  }
  std::array<std::vector<std::string>, 2> lists;
  for (const SettledUnit& unit : joined) lists[index_of(unit.ref.direction)].push_back(describe(unit, places));
  return lists;
}

TEST(CodecInvariants, TheSameUnitsComeOutHoweverTheStreamIsCut) {  // I6
  for (const Transcript& transcript : transcripts()) {
    const TranscriptRun whole = run_transcript(transcript, Cuts::kNone, 0);
    const auto wanted = by_direction(*whole.harness);
    for (uint64_t seed = 0; seed <= kSeeds; ++seed) {
      const TranscriptRun cut = run_transcript(transcript, seed == 0 ? Cuts::kBytes : Cuts::kRandom, seed);
      EXPECT_EQ(cut.harness->breach(), "") << transcript.path << " seed " << seed;
      EXPECT_EQ(by_direction(*cut.harness), wanted) << transcript.path << " seed " << seed;
    }
  }
}

TEST(CodecInvariants, WithEverythingAllowedBothPeersSeeADirectConnection) {  // I3
  std::size_t compared = 0;
  for (const Transcript& transcript : transcripts()) {
    if (!transcript.is_transparent()) continue;
    ++compared;
    for (const Cuts cuts : {Cuts::kNone, Cuts::kBytes, Cuts::kRandom}) {
      const TranscriptRun run = run_transcript(transcript, cuts, 7, true);
      for (const Direction direction : {Direction::kToTarget, Direction::kToClient}) {
        std::string passed;
        for (const SettledUnit& unit : run.harness->units()) {
          if (unit.ref.direction == direction) passed += unit.passed;
        }
        uint64_t offset = 0;
        for (const SettledUnit& unit : run.harness->units()) {
          if (unit.ref.direction == direction) offset = unit.ref.wire.end();
        }
        EXPECT_EQ(passed.size(), offset) << transcript.path;  // Every byte of every unit was passed on as it is.
      }
      // Nothing of ours among it, but the Flush that a fence needs.
      EXPECT_EQ(run.harness->injected(Side::kClient), 0U) << transcript.path;
      EXPECT_EQ(run.harness->injected(Side::kTarget) % 5, 0U) << transcript.path;
      EXPECT_EQ(run.harness->sent(Side::kTarget).size(), run.harness->injected(Side::kTarget) + [&] {
        uint64_t size = 0;
        for (const SettledUnit& unit : run.harness->units()) size += unit.ref.direction == Direction::kToTarget ? unit.passed.size() : 0;
        return size;
      }()) << transcript.path;
    }
  }
  EXPECT_GT(compared, 10U);
}

TEST(CodecInvariants, ARefusedCommandContributesNoByte) {  // I2
  for (const Transcript& transcript : transcripts()) {
    for (uint64_t seed = 0; seed < 3; ++seed) {
      const TranscriptRun run = run_transcript(transcript, seed == 0 ? Cuts::kNone : Cuts::kRandom, seed);
      for (const SettledUnit& unit : run.harness->units()) {
        if (unit.ref.direction != Direction::kToTarget || unit.was_allowed || unit.ref.part != Part::kWhole) continue;
        EXPECT_EQ(unit.passed, "") << transcript.path << ": " << unit.text;
      }
    }
  }
}

TEST(CodecInvariants, UnitsAreNumberedWithoutGaps) {  // I5: what is recorded can be counted.
  for (const Transcript& transcript : transcripts()) {
    const TranscriptRun run = run_transcript(transcript, Cuts::kRandom, 3);
    std::array<uint64_t, 2> next{1, 1};
    for (const SettledUnit& unit : run.harness->units()) EXPECT_EQ(unit.ref.id, next[index_of(unit.ref.direction)]++) << transcript.path;
  }
}

}  // namespace
}  // namespace weir::testing

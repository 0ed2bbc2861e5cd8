// Every transcript of every protocol, read whole, byte by byte, and at random cuts.
#include <gtest/gtest.h>

#include "tests/playbook/transcript.h"

namespace weir::testing {
namespace {

constexpr uint64_t kRandomRuns = 8;

class Playbook : public ::testing::TestWithParam<std::string> {};

TEST_P(Playbook, ComesTrueHoweverTheStreamIsCut) {
  const Transcript transcript = read_transcript(GetParam());
  EXPECT_EQ(run_transcript(transcript, Cuts::kNone, 0).failure, "");
  EXPECT_EQ(run_transcript(transcript, Cuts::kBytes, 0).failure, "");
  for (uint64_t seed = 1; seed <= kRandomRuns; ++seed) EXPECT_EQ(run_transcript(transcript, Cuts::kRandom, seed).failure, "") << "seed " << seed;
}

std::string case_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param.substr(info.param.rfind('/') + 1);
  name = name.substr(0, name.find('.'));
  for (char& c : name) {
    if (c == '-') c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Postgres, Playbook, ::testing::ValuesIn(transcript_files(WEIR_PARSE_FOLDER "/postgres")), case_name);

}  // namespace
}  // namespace weir::testing

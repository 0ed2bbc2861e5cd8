// fuzz_corpus PROTOCOL_FOLDER: writes each transcript of a protocol as a seed of its codec's fuzz target (fuzz_codec.h).
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/playbook/transcript.h"

namespace {

std::string seed_of(const weir::testing::Transcript& transcript) {
  const weir::TargetFacts& target = transcript.target;
  unsigned settings = (target.inject ? 1U : 0U) | (target.tls_to_target ? 2U : 0U) | (target.tls_to_client == weir::LegTls::kNone ? 4U : 0U) |
                      (target.client_binding_is_own_pair ? 8U : 0U) | (transcript.limits.unit_size_max < 4096 ? 16U : 0U) | (transcript.is_dialled ? 0U : 128U);
  if (transcript.proof != weir::ClientProof::kOwnLogin) settings = (settings & ~4U) | 8U | (transcript.proof == weir::ClientProof::kDone ? 4U : 0U);
  std::string seed(1, static_cast<char>(settings));
  const char mood = static_cast<char>(transcript.rules.empty() ? 0 : transcript.rules[0].verb == "mask" ? 2 << 1 : 3 << 1);
  const auto piece = [&seed, mood](bool from_target, const std::string& bytes) {
    seed += static_cast<char>(mood | (from_target ? 1 : 0));
    seed += static_cast<char>(bytes.size() >> 8 & 0xff);
    seed += static_cast<char>(bytes.size() & 0xff);
    seed += bytes;
  };
  std::vector<weir::testing::Word> words;
  std::string problem;
  for (const weir::testing::TranscriptLine& line : transcript.lines) {
    if (line.command == "dial") seed += '\x08';
    if (line.command == "logged-in") {
      weir::testing::split_words("startup user=alice database=shop", words);
      piece(false, weir::testing::encode_messages(words, true, problem));
      weir::testing::split_words("R ok ; K 7 99 ; Z I", words);
      piece(true, weir::testing::encode_messages(words, false, problem));
    }
    if (line.command == "client>" || line.command == "target>") {
      piece(line.command == "target>", weir::testing::encode_messages(line.words, line.command == "client>", problem));
    }
  }
  return seed;
}

}  // namespace

int main(int count, char** values) {
  if (count != 2) {
    std::fprintf(stderr, "usage: fuzz_corpus PROTOCOL_FOLDER\n");
    return 2;
  }
  const std::filesystem::path folder = std::filesystem::path(values[1]) / "corpus" / "codec";
  std::filesystem::create_directories(folder);
  for (const std::string& file : weir::testing::transcript_files(values[1])) {
    std::ofstream(folder / std::filesystem::path(file).stem(), std::ios::binary) << seed_of(weir::testing::read_transcript(file));
  }
  return 0;
}

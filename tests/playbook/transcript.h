// A transcript: what both peers say, what each of them is to receive, which units come out.  README.md has the format.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "tests/playbook/harness.h"
#include "tests/playbook/wire_text.h"

namespace weir::testing {

struct TranscriptLine {
  std::string command;       // "client>", "target<", "unit", "rule", ...
  std::vector<Word> words;
  std::string source;
  int number = 0;
};

struct VerdictRule {
  std::string verb;          // "block", "terminate", "mask", "grammar", "hold".
  std::string pattern, with, name;
  uint32_t position = 0;
  bool is_null = false;
};

struct Transcript {
  std::string path;
  std::vector<TranscriptLine> lines;
  TargetFacts target;
  Limits limits;
  std::vector<VerdictRule> rules;
  ClientProof proof = ClientProof::kOwnLogin;
  bool is_dialled = true;    // The target is connected before the first line.
  // The peers' own bytes are enough to go on: nothing is refused, masked, or answered by the gateway itself.
  [[nodiscard]] bool is_transparent() const;
};

// Throws std::runtime_error with file and line on a mistake in the file.
Transcript read_transcript(const std::string& path);
std::vector<std::string> transcript_files(const std::string& protocol_folder);

struct TranscriptRun {
  std::unique_ptr<Harness> harness;
  std::string failure;       // Empty: all that the transcript says came true.
};
enum class Cuts { kNone, kBytes, kRandom };
// `checks_units`: also the lines "unit" and "fenced" (they hold for whole reads only).
TranscriptRun run_transcript(const Transcript&, Cuts, uint64_t seed, bool allow_all = false);

}  // namespace weir::testing

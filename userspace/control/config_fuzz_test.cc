#include "control/config_fuzz.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/prng.h"
#include "control/config_test_support.h"

namespace weir::control {
namespace {

std::string read_example() {
  std::ifstream in(std::filesystem::path(WEIR_SOURCE_FOLDER) / "scripts/weir.example.yaml");
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// A short walk from right files: CI's fuzzer goes further from the same entry.
TEST(ConfigFuzz, SpoiltFilesNeverBreakTheLoader) {
  const std::string example = read_example();
  ASSERT_FALSE(example.empty());
  Prng random(20270101);
  for (int turn = 0; turn < 300; ++turn) {
    std::string text = turn % 2 == 0 ? kSmallConfig : example;
    const uint64_t edits = 1 + random.below(4);
    for (uint64_t i = 0; i < edits; ++i) {
      const std::size_t at = random.below(text.size());
      const uint64_t what = random.below(4);
      static constexpr std::string_view kTokens[] = {"[", "]", "{", "}", ": ", "- ", "&a ", "*a", "\"", "\n", "\t", "#", "!!", "|", ">", "0x", "-1", "~", "\xff"};
      if (what == 0) text.erase(at, 1 + random.below(20));
      if (what == 1) text.insert(at, kTokens[random.below(std::size(kTokens))]);
      if (what == 2) text[at] = static_cast<char>(random.below(256));
      if (what == 3) text.insert(random.below(text.size()), text.substr(at, random.below(60)));
      if (text.empty()) text = " ";
    }
    EXPECT_EQ(fuzz_config(reinterpret_cast<const uint8_t*>(text.data()), text.size()), 0);
  }
}

}  // namespace
}  // namespace weir::control

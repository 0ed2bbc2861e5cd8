// The one fuzz driver.  Under WEIR_FUZZ it is linked once per target with libFuzzer (WEIR_FUZZ_NAME names the target); else it
// is a plain program that replays corpora and their mutations:
//   fuzz_replay [--target NAME] [--rounds N] [--root TREE] [FILE...]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/prng.h"
#include "tests/fuzz/fuzz_target.h"

#ifdef WEIR_FUZZ_NAME

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  static const weir::fuzz::Target* const target = weir::fuzz::find_target(WEIR_FUZZ_NAME);
  target->run({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}

#else

namespace {

constexpr uint64_t kRoundsUsual = 30;  // Mutations of each seed.

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::filesystem::path> files_of(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  if (!std::filesystem::is_directory(folder)) return files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

void mutate(std::string& bytes, weir::Prng& prng) {
  const uint64_t changes = 1 + prng.below(6);
  for (uint64_t i = 0; i < changes; ++i) {
    const uint64_t kind = prng.below(5);
    const std::size_t at = bytes.empty() ? 0 : static_cast<std::size_t>(prng.below(bytes.size()));
    const auto byte = static_cast<char>(prng.below(256));
    if (kind == 0 && !bytes.empty()) bytes[at] = byte;
    else if (kind == 1) bytes.insert(at, 1, byte);
    else if (kind == 2 && !bytes.empty()) bytes.erase(at, 1 + static_cast<std::size_t>(prng.below(8)));
    else if (kind == 3 && !bytes.empty()) bytes.insert(at, bytes.substr(at, 1 + static_cast<std::size_t>(prng.below(24))));
    else if (!bytes.empty()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << prng.below(8)));
  }
}

void replay(const weir::fuzz::Target& target, const std::string& bytes) { target.run(weir::as_bytes(bytes)); }

// Seeds as they are, then `rounds` mutations of each; the place of a finding is printed before it happens.
std::size_t replay_corpus(const weir::fuzz::Target& target, const std::filesystem::path& root, uint64_t rounds) {
  std::size_t runs = 0;
  for (const auto& file : files_of(root / target.corpus)) {
    const std::string seed = read_file(file);
    for (uint64_t round = 0; round <= rounds; ++round, ++runs) {
      std::string bytes = seed;
      weir::Prng prng(round + 1);
      if (round > 0) mutate(bytes, prng);
      std::fprintf(stderr, "\r%.*s %s round %llu        ", static_cast<int>(target.name.size()), target.name.data(),
                   file.filename().c_str(), static_cast<unsigned long long>(round));
      replay(target, bytes);
    }
  }
  return runs;
}

}  // namespace

int main(int count, char** values) {
  std::string name, root = ".";
  uint64_t rounds = kRoundsUsual;
  std::vector<std::string> files;
  for (int i = 1; i < count; ++i) {
    const std::string word = values[i];
    if (word == "--target" && i + 1 < count) name = values[++i];
    else if (word == "--root" && i + 1 < count) root = values[++i];
    else if (word == "--rounds" && i + 1 < count) rounds = std::strtoull(values[++i], nullptr, 10);
    else files.push_back(word);
  }
  if (!name.empty() && weir::fuzz::find_target(name) == nullptr) {
    std::fprintf(stderr, "no fuzz target is called %s\n", name.c_str());
    return 2;
  }
  for (const weir::fuzz::Target& target : weir::fuzz::targets()) {
    if (!name.empty() && target.name != name) continue;
    if (!files.empty()) {
      for (const std::string& file : files) replay(target, read_file(file));
      continue;
    }
    const std::size_t runs = replay_corpus(target, root, rounds);
    std::printf("%.*s: %zu inputs\n", static_cast<int>(target.name.size()), target.name.data(), runs);
    if (runs == 0) {
      std::fprintf(stderr, "the corpus of %.*s is empty\n", static_cast<int>(target.name.size()), target.name.data());
      return 1;
    }
  }
  return 0;
}

#endif

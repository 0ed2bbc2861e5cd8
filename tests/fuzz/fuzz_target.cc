#include "tests/fuzz/fuzz_target.h"

#include <array>
#include <cstdio>
#include <cstdlib>

namespace weir::fuzz {

// The protocols of the registry.
#define WEIR_PROTOCOL(name) void fuzz_codec_##name(Bytes);
#include "parse/registry.def"
#undef WEIR_PROTOCOL
#define WEIR_FUZZ_TARGET(name, corpus) void fuzz_##name(Bytes);
#include "tests/fuzz/targets.def"
#undef WEIR_FUZZ_TARGET

namespace {
constexpr std::array kTargets = {
#define WEIR_PROTOCOL(name) Target{"codec_" #name, "userspace/parse/" #name "/corpus/codec", fuzz_codec_##name},
#include "parse/registry.def"
#undef WEIR_PROTOCOL
#define WEIR_FUZZ_TARGET(name, corpus) Target{#name, corpus, fuzz_##name},
#include "tests/fuzz/targets.def"
#undef WEIR_FUZZ_TARGET
};
}  // namespace

std::span<const Target> targets() { return kTargets; }

const Target* find_target(std::string_view name) {
  for (const Target& target : kTargets) {
    if (target.name == name) return &target;
  }
  return nullptr;
}

void finding(std::string_view what) {
  std::fprintf(stderr, "finding: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

}  // namespace weir::fuzz

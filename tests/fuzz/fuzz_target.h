// One entry of the fuzz driver.  A target takes any bytes and must neither crash, hang, nor break an invariant: it aborts.
// Adding one: a cc file in this folder that defines `void fuzz_<name>(Bytes)`, and a line in targets.def.  Protocols of the
// registry have theirs without asking (codec_<protocol>).
#pragma once
#include <span>
#include <string_view>

#include "base/bytes.h"

namespace weir::fuzz {

struct Target {
  std::string_view name;
  std::string_view corpus;  // Folder of seeds, from the tree's root.
  void (*run)(Bytes);
};
std::span<const Target> targets();
const Target* find_target(std::string_view name);

// Ends the program with what broke: a finding.
[[noreturn]] void finding(std::string_view what);

}  // namespace weir::fuzz

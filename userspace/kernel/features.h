// What this kernel can do, asked at start-up by trying: no version number decides anything elsewhere.
#pragma once
#include <string>
#include <vector>

namespace weir::kernel {

struct Feature {
  std::string name;       // "tcx links"
  bool is_there = false;
  bool is_required = true;
  std::string needed_for; // What goes without it, and the Linux that has it.
};
// Opens and closes what it tries; leaves nothing behind.  Needs the capabilities that the features need: without them a
// feature may seem to be missing.
[[nodiscard]] std::vector<Feature> probe_features();

[[nodiscard]] std::string kernel_release();

}  // namespace weir::kernel

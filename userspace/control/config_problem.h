// What is wrong with a configuration, as data: the command line prints it, a reload answers with it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.h"

namespace weir::control {

struct ConfigProblem {
  enum class Severity : uint8_t { kError, kWarning } severity = Severity::kError;
  SourcePlace place;      // Line and column count from 1; 0: the file as a whole.
  std::string message;    // What is wrong, with the key's path in it.
  std::string hint;       // What to do, or the nearest name; may be empty.
};

// "weir.yaml:12:3: error: targets[0].prot: unknown key (did you mean \"protocol\"?)"
std::string text_of(const ConfigProblem& problem);
bool has_errors(const std::vector<ConfigProblem>& problems);
// By file (in the order given first), line and column, so that a person can work from the top.
void sort_by_place(std::vector<ConfigProblem>& problems);

// The candidate that is nearest by edit distance (insert, delete, change, swap), or "" if none is near enough to be meant.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace weir::control

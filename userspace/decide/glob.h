// Name patterns of the configuration: `*` stands for any run of characters, `!` in front takes away.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/glob.h"

namespace weir::decide {

inline bool any_matches(std::span<const std::string> patterns, std::string_view text) noexcept {
  for (const std::string& pattern : patterns) {
    if (glob_matches(pattern, text)) return true;
  }
  return false;
}

// A list in which `!` takes away from what the others give.  Empty, or with takers only: everything else.
class NamePatterns {
 public:
  NamePatterns() = default;
  explicit NamePatterns(std::span<const std::string> patterns) {
    for (const std::string& pattern : patterns) {
      if (pattern.starts_with('!'))
        taken_.push_back(pattern.substr(1));
      else
        given_.push_back(pattern);
    }
  }
  [[nodiscard]] bool admits(std::string_view name) const noexcept { return gives(name) && !takes(name); }
  [[nodiscard]] bool gives(std::string_view name) const noexcept { return given_.empty() || any_matches(given_, name); }
  [[nodiscard]] bool takes(std::string_view name) const noexcept { return any_matches(taken_, name); }
  // A name that could not be resolved is admitted only where every name is.
  [[nodiscard]] bool admits_all() const noexcept { return taken_.empty() && (given_.empty() || any_matches(given_, "")); }
  [[nodiscard]] const std::vector<std::string>& given() const noexcept { return given_; }
  [[nodiscard]] const std::vector<std::string>& taken() const noexcept { return taken_; }

 private:
  std::vector<std::string> given_, taken_;
};

}  // namespace weir::decide

// Scripts that complete the command line in a shell, made from the table of verbs and their options: there is no other list.
// Words of a verb ("init", "show") and whether it takes a file are read from its synopsis.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "control/verbs.h"

namespace weir::control {

struct CompletedOption {
  std::string name;         // "--set"
  std::string value;        // "KEY=VALUE"; empty: it takes none.
  std::string description;
  [[nodiscard]] bool takes_file() const { return value == "FILE" || value == "FOLDER"; }
};
[[nodiscard]] std::vector<CompletedOption> options_for_completion(const Verb& verb);
// Lower-case words of the synopsis that are no option's value.
[[nodiscard]] std::vector<std::string> words_for_completion(const Verb& verb);
// True: FILE or FOLDER stands in the synopsis by itself.
[[nodiscard]] bool takes_file(const Verb& verb);

inline constexpr std::string_view kShells[] = {"bash", "zsh", "fish"};
// The whole script.  Pre: `shell` is one of kShells.
[[nodiscard]] std::string completion_script(std::string_view shell, const std::vector<Verb>& verbs);

}  // namespace weir::control

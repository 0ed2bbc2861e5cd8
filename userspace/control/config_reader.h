// Reads one map of the tree, key by key, and knows what was never asked for: unknown keys, wrong types, ranges and missing
// entries all become problems with their place, and reading goes on.  A value that is wrong leaves the default in place.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/config_files.h"
#include "control/config_problem.h"
#include "control/config_values.h"
#include "control/yaml_tree.h"
#include "core/config.h"

namespace weir::control {

struct LoadContext {
  ConfigFiles& files;
  bool check_files = true;
  std::string folder;                       // Relative paths start here: the folder of the file being read.
  std::vector<ConfigProblem> problems{};
  std::set<std::string> schema{};           // Every key asked for, with list entries as []: "targets[].tls.to_client".
  std::set<std::string> approvals{};        // Names, for references.
  std::map<std::string, SourcePlace> places{};  // "rules[x].what.data=card", "rules[x].approval": where a name stands.

  void error(const SourcePlace& place, std::string message, std::string hint = {});
  void warn(const SourcePlace& place, std::string message, std::string hint = {});
  [[nodiscard]] std::string absolute(std::string_view path) const;
  // Where `value` stands in the list `path` (or, without one, the value of `path`); `otherwise` if it was not read.
  [[nodiscard]] SourcePlace place_of(const std::string& path, std::string_view value, const SourcePlace& otherwise) const;
};

enum class Need : uint8_t { kOptional, kRequired };
enum class FileKind : uint8_t {
  kPublic,
  kSecret,         // Must be there, and its owner's alone.
  kSecretOrMade,   // As a secret; if it is not there, the engine makes it.
};
struct ListRule {
  Need need = Need::kOptional;
  bool may_be_empty = false;
};

template <class E>
using Choices = std::span<const std::pair<std::string_view, E>>;

class MapReader {
 public:
  // A null `node` reads as an empty map; one of another kind is a problem, once, and then reads as empty.
  MapReader(LoadContext& context, const YamlNode* node, std::string path, std::string schema_path);
  // An entry of a list: its `name` or `id` (else `index`) goes into the path.
  static MapReader entry(const MapReader& parent, std::string_view list, const YamlNode& node, std::size_t index);
  MapReader map(std::string_view key);      // A nested map; absent: empty.

  [[nodiscard]] bool has(std::string_view key) const;
  [[nodiscard]] const SourcePlace& place() const { return place_; }
  [[nodiscard]] SourcePlace place_of(std::string_view key) const;
  [[nodiscard]] std::string path_of(std::string_view key) const;
  LoadContext& context() { return context_; }

  // nullptr: absent, or without a value and then a problem.  All readers below go through it.
  const YamlNode* take(std::string_view key, Need need = Need::kOptional);
  const YamlNode* take_scalar(std::string_view key, Need need = Need::kOptional);
  // The entries of a list of maps; empty after a problem.
  std::span<const YamlNode> take_maps(std::string_view key, Need need = Need::kOptional);

  void text(std::string_view key, std::string& out, Need need = Need::kOptional);
  void name(std::string_view key, std::string& out, Need need = Need::kRequired);   // is_plain_name()
  void flag(std::string_view key, bool& out);
  void size(std::string_view key, uint64_t& out, uint64_t least, uint64_t most);
  void file(std::string_view key, std::string& out, FileKind kind, Need need = Need::kOptional);
  void folder(std::string_view key, std::string& out, Need need = Need::kOptional);
  void strings(std::string_view key, std::vector<std::string>& out, ListRule rule = {});
  // As strings(), each with its place: for callers that look further into them.
  std::vector<std::pair<std::string, SourcePlace>> placed_strings(std::string_view key, ListRule rule = {});
  void time(std::string_view key, std::chrono::sys_seconds& out);

  template <class Integer>
  void number(std::string_view key, Integer& out, uint64_t least, uint64_t most) {
    uint64_t value = out;
    if (number_in(key, value, least, most)) out = static_cast<Integer>(value);
  }
  template <class Integer>
  void size32(std::string_view key, Integer& out, uint64_t least, uint64_t most) {
    uint64_t value = out;
    size(key, value, least, most);
    out = static_cast<Integer>(value);
  }
  template <class Duration>
  void duration(std::string_view key, Duration& out, std::chrono::microseconds least, std::chrono::microseconds most,
                bool with_years = false) {
    std::chrono::microseconds value = out;
    if (duration_in(key, value, least, most, with_years, std::chrono::microseconds(Duration{1}))) {
      out = std::chrono::duration_cast<Duration>(value);
    }
  }
  template <class E, std::size_t N>
  void choice(std::string_view key, E& out, const std::pair<std::string_view, E> (&choices)[N], Need need = Need::kOptional) {
    std::vector<std::string_view> names;
    for (const auto& option : choices) names.push_back(option.first);
    if (const int found = choice_of(key, names, need); found >= 0) out = choices[found].second;
  }
  // Index of the scalar among `names`; -1: absent or a problem.
  int choice_of(std::string_view key, const std::vector<std::string_view>& names, Need need = Need::kOptional);

  // Recognised, read by the caller for its types, but without effect here: a warning if it is set.
  void has_no_effect(std::string_view key, std::string_view what_instead = {});
  // Every key that nobody asked for is a problem, with the nearest one that was.
  void finish();

 private:
  bool number_in(std::string_view key, uint64_t& value, uint64_t least, uint64_t most);
  bool duration_in(std::string_view key, std::chrono::microseconds& value, std::chrono::microseconds least,
                   std::chrono::microseconds most, bool with_years, std::chrono::microseconds granularity);
  void check_secret(const std::string& key, const SourcePlace& place, const std::string& path, const ConfigFiles::Facts& facts);

  LoadContext& context_;
  const YamlNode* node_;
  std::string path_, schema_path_;
  SourcePlace place_;
  std::vector<std::string> asked_;
};

// For messages: shortened, without control characters.
std::string in_quotes(std::string_view text);
// "a, b or c"
std::string join(const std::vector<std::string_view>& names, std::string_view last = " or ");
// "did you mean \"x\"?" or "one of: a, b or c" when nothing is near.
std::string suggestion(std::string_view word, const std::vector<std::string_view>& names);

}  // namespace weir::control

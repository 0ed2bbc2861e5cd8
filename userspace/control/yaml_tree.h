// YAML as a bounded tree with the place of every node.  yaml-cpp's own Node keeps the first of two equal keys without a
// word and shares nodes between aliases; here both are seen: equal keys are problems, aliases are copied and counted.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/config_problem.h"

namespace weir::control {

struct YamlNode {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap } kind = Kind::kNull;
  struct Entry;
  std::string scalar;
  bool is_quoted = false;              // "5" is text, 5 may be a number.
  std::vector<YamlNode> items;         // kList.
  std::vector<Entry> entries;          // kMap, in file order; keys are scalars and differ.
  SourcePlace place;

  [[nodiscard]] const YamlNode* find(std::string_view key) const;
  [[nodiscard]] YamlNode* find(std::string_view key);
};
struct YamlNode::Entry {
  std::string key;
  SourcePlace place;
  YamlNode value;
};
std::string_view name_of(YamlNode::Kind kind);  // "nothing", "a value", "a list", "a map": for messages.

struct YamlLimits {
  std::size_t size_max = 1u << 20;     // Bytes of one file.
  uint32_t nodes_max = 50'000;         // After aliases are copied: a bomb ends here.
  uint32_t depth_max = 24;
};

// Pre: none; `text` is hostile.  Post: true and the root (kNull for an empty document; equal keys are already in `problems`,
// the first is kept), or false and why in `problems`.
bool parse_yaml(std::string_view text, const std::string& file, const YamlLimits& limits, YamlNode& root,
                std::vector<ConfigProblem>& problems);

}  // namespace weir::control

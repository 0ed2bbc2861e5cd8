#include "control/config_overrides.h"

#include "control/config_reader.h"

namespace weir::control {
namespace {

constexpr std::size_t kStepsMax = 16;

struct Step {
  std::string name;
  bool is_entry = false;  // "[name]" or "[index]".
};

// False: not a key.
bool split_key(std::string_view key, std::vector<Step>& steps) {
  while (!key.empty()) {
    Step step;
    if (key.front() == '[') {
      const std::size_t end = key.find(']');
      if (end == std::string_view::npos || end == 1 || steps.empty()) return false;
      step = {std::string(key.substr(1, end - 1)), true};
      key.remove_prefix(end + 1);
    } else {
      if (!steps.empty()) {
        if (key.front() != '.') return false;
        key.remove_prefix(1);
      }
      const std::size_t end = key.find_first_of(".[");
      step.name = std::string(key.substr(0, end));
      if (step.name.empty()) return false;
      key.remove_prefix(step.name.size());
    }
    steps.push_back(std::move(step));
    if (steps.size() > kStepsMax) return false;
  }
  return !steps.empty();
}

YamlNode* entry_of(YamlNode& list, const std::string& name) {
  for (YamlNode& item : list.items) {
    for (const char* key : {"name", "id", "client", "subject"}) {
      const YamlNode* found = item.find(key);
      if (found != nullptr && found->kind == YamlNode::Kind::kScalar && found->scalar == name) return &item;
    }
  }
  const auto index = parse_number(name);
  return index && *index < list.items.size() ? &list.items[*index] : nullptr;
}

// The node that `step` names under `parent`, made if `parent` is a map without it; nullptr: cannot be.
YamlNode* follow(YamlNode& parent, const Step& step, const SourcePlace& place) {
  if (step.is_entry) return parent.kind == YamlNode::Kind::kList ? entry_of(parent, step.name) : nullptr;
  if (parent.kind == YamlNode::Kind::kNull) parent.kind = YamlNode::Kind::kMap;
  if (parent.kind != YamlNode::Kind::kMap) return nullptr;
  if (YamlNode* found = parent.find(step.name)) return found;
  YamlNode made;
  made.place = place;
  parent.entries.push_back({step.name, place, std::move(made)});
  return &parent.entries.back().value;
}

}  // namespace

void apply_override(const std::string& text, YamlNode& root, std::vector<ConfigProblem>& problems) {
  const std::size_t equals = text.find('=');
  const std::string key = text.substr(0, equals);
  const SourcePlace place{"--set " + key, 0, 0};
  const auto refuse = [&](std::string message, std::string hint) {
    problems.push_back({ConfigProblem::Severity::kError, place, std::move(message), std::move(hint)});
  };
  std::vector<Step> steps;
  if (equals == std::string::npos) return refuse("a value is missing", "--set key=value");
  if (!split_key(key, steps)) return refuse(in_quotes(key) + " is not a key", "write one like engine.limits.sessions_max or targets[orders-db].mode");
  YamlNode value;
  std::vector<ConfigProblem> value_problems;
  if (!parse_yaml(std::string_view(text).substr(equals + 1), place.file, {}, value, value_problems) || !value_problems.empty()) {
    return refuse("the value is not valid YAML", value_problems.empty() ? "" : value_problems.front().message);
  }
  YamlNode* node = &root;
  for (const Step& step : steps) {
    node = follow(*node, step, place);
    if (node == nullptr) return refuse("there is no entry " + in_quotes(step.name) + " to set", "a list entry is named by its name, id or index");
  }
  value.place = place;
  *node = std::move(value);
}

}  // namespace weir::control

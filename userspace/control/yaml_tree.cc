#include "control/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <map>
#include <sstream>

namespace weir::control {
namespace {

// Leaves the parser at once; never leaves parse_yaml().
struct TooMuch {
  YAML::Mark mark;
  std::string message, hint;
};

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const std::string& file, const YamlLimits& limits, std::vector<ConfigProblem>& problems)
      : file_(file), limits_(limits), problems_(problems) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { leaf(mark, anchor, node(mark, YamlNode::Kind::kNull)); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    YamlNode made = node(mark, YamlNode::Kind::kScalar);
    made.scalar = value;
    made.is_quoted = tag == "!";
    if (!made.is_quoted && (value.empty() || value == "~" || value == "null")) made.kind = YamlNode::Kind::kNull;
    leaf(mark, anchor, std::move(made));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw TooMuch{mark, "an alias stands inside its own anchor", "write the entry out"};
    count(mark, found->second.second);
    YamlNode copy = found->second.first;
    place_value(std::move(copy));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, anchor, YamlNode::Kind::kList);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { close(); }

  YamlNode take_root() { return std::move(root_); }

 private:
  struct Open {
    YamlNode node;
    YAML::Mark mark;
    YAML::anchor_t anchor = 0;
    uint32_t count_before = 0;
    bool has_key = false;       // kMap: a key waits for its value.
    std::string key;
    SourcePlace key_place;
  };

  SourcePlace place_of(const YAML::Mark& mark) const {
    return {file_, static_cast<uint32_t>(mark.line + 1), static_cast<uint32_t>(mark.column + 1)};
  }
  void count(const YAML::Mark& mark, uint32_t more) {
    count_ += more;
    if (count_ > limits_.nodes_max) {
      throw TooMuch{mark, "more than " + std::to_string(limits_.nodes_max) + " entries, aliases written out",
                    "use fewer anchors and aliases"};
    }
  }
  YamlNode node(const YAML::Mark& mark, YamlNode::Kind kind) {
    count(mark, 1);
    YamlNode made;
    made.kind = kind;
    made.place = place_of(mark);
    return made;
  }
  void leaf(const YAML::Mark& mark, YAML::anchor_t anchor, YamlNode made) {
    if (anchor != 0) keep(mark, anchor, made, 1);
    place_value(std::move(made));
  }
  // The kept copy counts too: nested anchors would otherwise hold many times what the file does.
  void keep(const YAML::Mark& mark, YAML::anchor_t anchor, const YamlNode& made, uint32_t size) {
    count(mark, size);
    anchors_[anchor] = {made, size};
  }
  void open(const YAML::Mark& mark, YAML::anchor_t anchor, YamlNode::Kind kind) {
    if (stack_.size() >= limits_.depth_max) {
      throw TooMuch{mark, "nested more than " + std::to_string(limits_.depth_max) + " deep", ""};
    }
    if (!stack_.empty() && stack_.back().node.kind == YamlNode::Kind::kMap && !stack_.back().has_key) {
      throw TooMuch{mark, "a key must be a plain word", ""};
    }
    Open opened;
    opened.count_before = count_;
    opened.node = node(mark, kind);
    opened.mark = mark;
    opened.anchor = anchor;
    stack_.push_back(std::move(opened));
  }
  void close() {
    Open done = std::move(stack_.back());
    stack_.pop_back();
    if (done.anchor != 0) keep(done.mark, done.anchor, done.node, count_ - done.count_before);
    place_value(std::move(done.node));
  }
  void place_value(YamlNode made) {
    if (stack_.empty()) {
      root_ = std::move(made);
      return;
    }
    Open& parent = stack_.back();
    if (parent.node.kind == YamlNode::Kind::kList) {
      parent.node.items.push_back(std::move(made));
      return;
    }
    if (!parent.has_key) {
      parent.has_key = true;
      parent.key = std::move(made.scalar);
      parent.key_place = made.place;
      return;
    }
    parent.has_key = false;
    if (const YamlNode* before = parent.node.find(parent.key)) {
      problems_.push_back({ConfigProblem::Severity::kError, parent.key_place,
                           "\"" + parent.key + "\" stands twice in one map", "first on line " + std::to_string(before->place.line)});
      return;
    }
    parent.node.entries.push_back({std::move(parent.key), parent.key_place, std::move(made)});
  }

  const std::string& file_;
  const YamlLimits& limits_;
  std::vector<ConfigProblem>& problems_;
  std::vector<Open> stack_;
  std::map<YAML::anchor_t, std::pair<YamlNode, uint32_t>> anchors_;  // Node and its count.
  uint32_t count_ = 0;
  YamlNode root_;
};

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

YamlNode* YamlNode::find(std::string_view key) {
  for (Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

std::string_view name_of(YamlNode::Kind kind) {
  switch (kind) {
    case YamlNode::Kind::kNull: return "nothing";
    case YamlNode::Kind::kScalar: return "a value";
    case YamlNode::Kind::kList: return "a list";
    case YamlNode::Kind::kMap: return "a map";
  }
  return "nothing";
}

bool parse_yaml(std::string_view text, const std::string& file, const YamlLimits& limits, YamlNode& root,
                std::vector<ConfigProblem>& problems) {
  const auto report = [&](const YAML::Mark& mark, std::string message, std::string hint) {
    const auto line = static_cast<uint32_t>(mark.line + 1), column = static_cast<uint32_t>(mark.column + 1);
    problems.push_back({ConfigProblem::Severity::kError, {file, line, column}, std::move(message), std::move(hint)});
  };
  root = YamlNode{};
  root.place = {file, 1, 1};
  if (text.size() > limits.size_max) {
    problems.push_back({ConfigProblem::Severity::kError, {file, 0, 0},
                        "larger than " + std::to_string(limits.size_max >> 10) + " KiB", "split rules into rule_files"});
    return false;
  }
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    problems.push_back({ConfigProblem::Severity::kError, {file, 0, 0}, "byte " + std::to_string(nul) + " is NUL: not a text file", ""});
    return false;
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder(file, limits, problems);
    if (!parser.HandleNextDocument(builder)) return true;
    YamlNode first = builder.take_root();
    TreeBuilder rest(file, limits, problems);
    if (parser.HandleNextDocument(rest)) {
      const SourcePlace second = rest.take_root().place;
      problems.push_back({ConfigProblem::Severity::kError, second, "a second document (---) in one file", "keep one"});
      return false;
    }
    root = std::move(first);
    return true;
  } catch (const TooMuch& stop) {
    report(stop.mark, stop.message, stop.hint);
  } catch (const YAML::Exception& wrong) {
    report(wrong.mark, "not valid YAML: " + wrong.msg, "");
  } catch (const std::exception& wrong) {  // yaml-cpp lets std::bad_alloc, std::out_of_range and kin through.
    report(YAML::Mark{}, std::string("not valid YAML: ") + wrong.what(), "");
  }
  return false;
}

}  // namespace weir::control

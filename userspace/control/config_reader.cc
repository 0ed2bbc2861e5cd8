#include "control/config_reader.h"

#include <algorithm>
#include <filesystem>

namespace weir::control {
namespace {

constexpr std::size_t kTextMax = 64u << 10;
constexpr std::size_t kListMax = 10'000;

}  // namespace

void LoadContext::error(const SourcePlace& place, std::string message, std::string hint) {
  problems.push_back({ConfigProblem::Severity::kError, place, std::move(message), std::move(hint)});
}

void LoadContext::warn(const SourcePlace& place, std::string message, std::string hint) {
  problems.push_back({ConfigProblem::Severity::kWarning, place, std::move(message), std::move(hint)});
}

std::string LoadContext::absolute(std::string_view path) const {
  const std::filesystem::path given(path);
  return (given.is_absolute() ? given : std::filesystem::path(folder) / given).lexically_normal().string();
}

SourcePlace LoadContext::place_of(const std::string& path, std::string_view value, const SourcePlace& otherwise) const {
  const auto found = places.find(value.empty() ? path : path + "=" + std::string(value));
  return found == places.end() ? otherwise : found->second;
}

std::string join(const std::vector<std::string_view>& names, std::string_view last) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i != 0) text += i + 1 == names.size() ? last : ", ";
    text += names[i];
  }
  return text;
}

std::string in_quotes(std::string_view text) {
  std::string shown(text.substr(0, 80));
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return "\"" + shown + (text.size() > 80 ? "...\"" : "\"");
}

std::string suggestion(std::string_view word, const std::vector<std::string_view>& names) {
  if (const std::string_view near = nearest(word, names); !near.empty()) return "did you mean \"" + std::string(near) + "\"?";
  if (names.empty()) return {};
  if (names.size() > 24) return {};
  return names.size() == 1 ? "there is only " + std::string(names[0]) : "one of " + join(names);
}

MapReader::MapReader(LoadContext& context, const YamlNode* node, std::string path, std::string schema_path)
    : context_(context), node_(node), path_(std::move(path)), schema_path_(std::move(schema_path)) {
  if (node_ == nullptr) return;
  place_ = node_->place;
  if (node_->kind == YamlNode::Kind::kMap) return;
  if (node_->kind != YamlNode::Kind::kNull || !path_.empty()) {
    context_.error(place_, (path_.empty() ? "the file" : path_) + ": a map of keys is needed, not " + std::string(name_of(node_->kind)));
  }
  node_ = nullptr;
}

MapReader MapReader::entry(const MapReader& parent, std::string_view list, const YamlNode& node, std::size_t index) {
  std::string label = std::to_string(index);
  for (const char* key : {"name", "id", "client", "subject"}) {
    const YamlNode* found = node.find(key);
    if (found == nullptr || found->kind != YamlNode::Kind::kScalar || !is_plain_name(found->scalar)) continue;
    label = found->scalar;
    break;
  }
  const std::string schema = parent.schema_path_ + (parent.schema_path_.empty() ? "" : ".") + std::string(list) + "[]";
  return MapReader(parent.context_, &node, parent.path_of(list) + "[" + label + "]", schema);
}

MapReader MapReader::map(std::string_view key) {
  const YamlNode* child = take(key);
  const std::string schema = schema_path_ + (schema_path_.empty() ? "" : ".") + std::string(key);
  MapReader reader(context_, child, path_of(key), schema);
  if (child == nullptr) reader.place_ = place_;
  return reader;
}

bool MapReader::has(std::string_view key) const { return node_ != nullptr && node_->find(key) != nullptr; }

SourcePlace MapReader::place_of(std::string_view key) const {
  if (node_ != nullptr) {
    if (const YamlNode* found = node_->find(key)) return found->place;
  }
  return place_;
}

std::string MapReader::path_of(std::string_view key) const { return path_.empty() ? std::string(key) : path_ + "." + std::string(key); }

const YamlNode* MapReader::take(std::string_view key, Need need) {
  asked_.emplace_back(key);
  context_.schema.insert(schema_path_.empty() ? std::string(key) : schema_path_ + "." + std::string(key));
  const YamlNode* found = node_ == nullptr ? nullptr : node_->find(key);
  if (found == nullptr) {
    if (need == Need::kRequired) context_.error(place_, path_of(key) + " is missing");
    return nullptr;
  }
  if (found->kind == YamlNode::Kind::kNull) {
    // The parser places an absent value at the next token; the key's own place is what helps.
    for (const YamlNode::Entry& entry : node_->entries) {
      if (entry.key == key) context_.error(entry.place, path_of(key) + " has no value", "give it one or take the key out");
    }
    return nullptr;
  }
  return found;
}

const YamlNode* MapReader::take_scalar(std::string_view key, Need need) {
  const YamlNode* found = take(key, need);
  if (found == nullptr || found->kind == YamlNode::Kind::kScalar) return found;
  context_.error(found->place, path_of(key) + ": one value is needed, not " + std::string(name_of(found->kind)));
  return nullptr;
}

std::span<const YamlNode> MapReader::take_maps(std::string_view key, Need need) {
  const YamlNode* found = take(key, need);
  if (found == nullptr) return {};
  if (found->kind != YamlNode::Kind::kList) {
    context_.error(found->place, path_of(key) + ": a list is needed, not " + std::string(name_of(found->kind)),
                   "begin each entry with \"- \"");
    return {};
  }
  if (found->items.empty() && need == Need::kRequired) context_.error(found->place, path_of(key) + " is empty: at least one entry is needed");
  return found->items;
}

void MapReader::text(std::string_view key, std::string& out, Need need) {
  const YamlNode* found = take_scalar(key, need);
  if (found == nullptr) return;
  if (found->scalar.empty()) {
    context_.error(found->place, path_of(key) + " is empty");
  } else if (found->scalar.size() > kTextMax) {
    context_.error(found->place, path_of(key) + " is longer than " + std::to_string(kTextMax >> 10) + " KiB");
  } else {
    out = found->scalar;
  }
}

void MapReader::name(std::string_view key, std::string& out, Need need) {
  const YamlNode* found = take_scalar(key, need);
  if (found == nullptr) return;
  if (is_plain_name(found->scalar)) {
    out = found->scalar;
    context_.places.emplace(path_of(key), found->place);
  } else {
    context_.error(found->place, path_of(key) + ": " + in_quotes(found->scalar) + " is not a name",
                   "letters, digits, '.', '_' and '-', at most 64");
  }
}

void MapReader::flag(std::string_view key, bool& out) {
  const YamlNode* found = take_scalar(key);
  if (found == nullptr) return;
  if (!found->is_quoted && (found->scalar == "true" || found->scalar == "false")) {
    out = found->scalar == "true";
  } else {
    context_.error(found->place, path_of(key) + ": " + in_quotes(found->scalar) + " is neither true nor false");
  }
}

bool MapReader::number_in(std::string_view key, uint64_t& value, uint64_t least, uint64_t most) {
  const YamlNode* found = take_scalar(key);
  if (found == nullptr) return false;
  const auto parsed = parse_number(found->scalar);
  if (!parsed) {
    context_.error(found->place, path_of(key) + ": " + in_quotes(found->scalar) + " is not a whole number");
    return false;
  }
  if (*parsed < least || *parsed > most) {
    context_.error(found->place, path_of(key) + " must be " + std::to_string(least) + " to " + std::to_string(most) + ", not " + found->scalar);
    return false;
  }
  value = *parsed;
  return true;
}

bool MapReader::duration_in(std::string_view key, std::chrono::microseconds& value, std::chrono::microseconds least,
                            std::chrono::microseconds most, bool with_years, std::chrono::microseconds granularity) {
  const YamlNode* found = take_scalar(key);
  if (found == nullptr) return false;
  const auto parsed = parse_duration(found->scalar, with_years);
  if (!parsed) {
    context_.error(found->place, path_of(key) + ": " + parsed.error().message);
    return false;
  }
  if (*parsed < least || *parsed > most) {
    context_.error(found->place, path_of(key) + " must be " + text_of(least) + " to " + text_of(most) + ", not " + found->scalar);
    return false;
  }
  if (*parsed % granularity != std::chrono::microseconds{0}) {
    context_.error(found->place, path_of(key) + ": " + in_quotes(found->scalar) + " is finer than " + text_of(granularity));
    return false;
  }
  value = *parsed;
  return true;
}

void MapReader::size(std::string_view key, uint64_t& out, uint64_t least, uint64_t most) {
  const YamlNode* found = take_scalar(key);
  if (found == nullptr) return;
  const auto parsed = parse_size(found->scalar);
  if (!parsed) {
    context_.error(found->place, path_of(key) + ": " + parsed.error().message);
  } else if (*parsed < least || *parsed > most) {
    context_.error(found->place, path_of(key) + " must be " + size_text(least) + " to " + size_text(most) + ", not " + found->scalar);
  } else {
    out = *parsed;
  }
}

void MapReader::time(std::string_view key, std::chrono::sys_seconds& out) {
  const YamlNode* found = take_scalar(key);
  if (found == nullptr) return;
  const auto parsed = parse_time(found->scalar);
  if (parsed) {
    out = *parsed;
  } else {
    context_.error(found->place, path_of(key) + ": " + parsed.error().message);
  }
}

void MapReader::folder(std::string_view key, std::string& out, Need need) {
  std::string given;
  text(key, given, need);
  if (given.empty()) return;
  out = context_.absolute(given);
  if (context_.files.facts(out).exists && !context_.files.facts(out).is_folder) {
    context_.error(place_of(key), path_of(key) + ": " + out + " is not a folder");
  }
}

void MapReader::file(std::string_view key, std::string& out, FileKind kind, Need need) {
  std::string given;
  text(key, given, need);
  if (given.empty()) return;
  out = context_.absolute(given);
  if (!context_.check_files) return;
  const ConfigFiles::Facts facts = context_.files.facts(out);
  const SourcePlace where = place_of(key);
  if (!facts.exists && kind == FileKind::kSecretOrMade) {
    context_.warn(where, path_of(key) + ": there is no file " + out + " yet: `weir ca init --keys` or the first `weir run` makes it");
  } else if (!facts.exists) {
    context_.error(where, path_of(key) + ": there is no file " + out);
  } else if (!facts.is_regular) {
    context_.error(where, path_of(key) + ": " + out + " is not a regular file");
  } else if (kind != FileKind::kPublic) {
    check_secret(path_of(key), where, out, facts);
  }
}

void MapReader::check_secret(const std::string& key, const SourcePlace& place, const std::string& path, const ConfigFiles::Facts& facts) {
  if ((facts.mode & 077) != 0) {
    context_.error(place, key + ": others than its owner can use the secret " + path, "chmod 600 " + path);
  }
}

void MapReader::strings(std::string_view key, std::vector<std::string>& out, ListRule rule) {
  if (!has(key)) {
    take(key, rule.need);
    return;
  }
  std::vector<std::string> read;
  for (auto& [value, place] : placed_strings(key, rule)) read.push_back(std::move(value));
  out = std::move(read);
}

std::vector<std::pair<std::string, SourcePlace>> MapReader::placed_strings(std::string_view key, ListRule rule) {
  std::vector<std::pair<std::string, SourcePlace>> read;
  const YamlNode* found = take(key, rule.need);
  if (found == nullptr) return read;
  if (found->kind != YamlNode::Kind::kList) {
    context_.error(found->place, path_of(key) + ": a list is needed, not " + std::string(name_of(found->kind)),
                   found->kind == YamlNode::Kind::kScalar ? "write [" + found->scalar.substr(0, 80) + "]" : "");
    return read;
  }
  if (found->items.empty() && !rule.may_be_empty) {
    context_.error(found->place, path_of(key) + " is empty: at least one entry is needed", rule.need == Need::kRequired ? "" : "take the key out for the default");
  }
  if (found->items.size() > kListMax) {
    context_.error(found->place, path_of(key) + " has more than " + std::to_string(kListMax) + " entries");
    return read;
  }
  for (const YamlNode& item : found->items) {
    if (item.kind != YamlNode::Kind::kScalar || item.scalar.empty() || item.scalar.size() > kTextMax) {
      context_.error(item.place, path_of(key) + ": each entry must be one text, not " +
                                     (item.kind == YamlNode::Kind::kScalar ? "an empty or endless one" : std::string(name_of(item.kind))));
      continue;
    }
    if (std::any_of(read.begin(), read.end(), [&](const auto& before) { return before.first == item.scalar; })) {
      context_.error(item.place, path_of(key) + ": " + in_quotes(item.scalar) + " stands twice");
      continue;
    }
    read.emplace_back(item.scalar, item.place);
    context_.places.emplace(path_of(key) + "=" + item.scalar, item.place);
  }
  return read;
}

int MapReader::choice_of(std::string_view key, const std::vector<std::string_view>& names, Need need) {
  const YamlNode* found = take_scalar(key, need);
  if (found == nullptr) return -1;
  const auto match = std::find(names.begin(), names.end(), found->scalar);
  if (match != names.end()) return static_cast<int>(match - names.begin());
  const std::string_view near = nearest(found->scalar, names);
  context_.error(found->place, path_of(key) + ": " + in_quotes(found->scalar) + " is not one of " + join(names),
                 near.empty() ? "" : "did you mean \"" + std::string(near) + "\"?");
  return -1;
}

void MapReader::has_no_effect(std::string_view key, std::string_view what_instead) {
  if (!has(key)) return;
  context_.warn(place_of(key), path_of(key) + " has no effect in this version", std::string(what_instead));
}

void MapReader::finish() {
  if (node_ == nullptr) return;
  const std::vector<std::string_view> known(asked_.begin(), asked_.end());
  for (const YamlNode::Entry& entry : node_->entries) {
    if (std::find(known.begin(), known.end(), entry.key) != known.end()) continue;
    context_.error(entry.place, (path_.empty() ? std::string() : path_ + ": ") + "unknown key " + in_quotes(entry.key), suggestion(entry.key, known));
  }
}

}  // namespace weir::control

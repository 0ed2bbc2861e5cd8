#include "control/config_parts.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <tuple>

namespace weir::control {
namespace {

using nlohmann::json;

constexpr std::string_view kOrder = "order of";   // Its digest is the names themselves, a line each.
constexpr std::size_t kPartsListedMax = 500;   // An act on the record stays readable.
constexpr std::size_t kPartsToldMax = 12;

// Lists whose entries have names of their own.  `in`: the map that holds them; empty: the file's root.
struct Named { std::string_view in, list, kind; };
constexpr Named kNamed[] = {
    {"", "rules", "rule"},           {"", "kinds", "kind"},     {"", "grants", "grant"},         {"", "approvals", "approval"},
    {"", "targets", "target"},       {"", "notify", "notify"},  {"identity", "issuers", "issuer"}, {"identity", "static", "static binding"},
    {"retention", "rules", "retention rule"}, {"retention", "holds", "hold"},
};

// Each text with its size, so that no two trees print alike.
void print(const YamlNode& node, std::string& out) {
  const auto add = [&](char kind, std::string_view text) { out.append(1, kind).append(std::to_string(text.size())).append(1, ':').append(text); };
  switch (node.kind) {
    case YamlNode::Kind::kNull: out += 'n'; return;
    case YamlNode::Kind::kScalar: return add(node.is_quoted ? 'q' : 's', node.scalar);
    case YamlNode::Kind::kList:
      out += '[';
      for (const YamlNode& item : node.items) print(item, out);   // As deep as YamlLimits::depth_max.
      out += ']';
      return;
    case YamlNode::Kind::kMap: {
      std::vector<const YamlNode::Entry*> entries;
      for (const YamlNode::Entry& entry : node.entries) entries.push_back(&entry);
      std::sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) { return a->key < b->key; });
      out += '{';
      for (const YamlNode::Entry* entry : entries) {
        add('k', entry->key);
        print(entry->value, out);
      }
      out += '}';
      return;
    }
  }
}

std::string digest_of(const YamlNode& node) {
  std::string text;
  print(node, text);
  return sha256_text(text);
}

std::string name_in_list(const YamlNode& entry, std::size_t index) {
  for (const char* key : {"id", "name", "address"}) {
    if (const YamlNode* name = entry.find(key); name != nullptr && name->kind == YamlNode::Kind::kScalar) return name->scalar;
  }
  return "#" + std::to_string(index + 1);
}

const Named* named(std::string_view in, std::string_view list) {
  const auto* found = std::find_if(std::begin(kNamed), std::end(kNamed), [&](const Named& each) { return each.in == in && each.list == list; });
  return found == std::end(kNamed) ? nullptr : found;
}

void add_list(const YamlNode& list, const Named& named, const std::string& path, std::vector<ConfigPart>& out) {
  std::string order;
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    const std::string name = name_in_list(list.items[i], i);
    out.push_back({std::string(named.kind), name, digest_of(list.items[i])});
    order += name + "\n";
  }
  out.push_back({std::string(kOrder), path, std::move(order)});
}

// A map's own keys, as settings; `path` is the map's, or empty.
void add_map(const YamlNode& map, const std::string& path, const std::string& file, uint32_t depth, std::vector<ConfigPart>& out) {
  for (const YamlNode::Entry& entry : map.entries) {
    const std::string at = path.empty() ? entry.key : path + "." + entry.key;
    const Named* list = named(path, entry.key);
    if (list != nullptr && entry.value.kind == YamlNode::Kind::kList) add_list(entry.value, *list, file + at, out);
    else if (entry.value.kind == YamlNode::Kind::kMap && depth < 2) add_map(entry.value, at, file, depth + 1, out);
    else out.push_back({"setting", file + at, digest_of(entry.value)});
  }
}

// The names of `order` that `other` has too.
std::vector<std::string_view> common(std::string_view order, std::string_view other) {
  const auto split = [](std::string_view text) {
    std::vector<std::string_view> names;
    for (std::size_t end = 0; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1)) names.push_back(text.substr(0, end));
    return names;
  };
  std::vector<std::string_view> known = split(other), names = split(order);
  std::sort(known.begin(), known.end());
  std::erase_if(names, [&](std::string_view name) { return !std::binary_search(known.begin(), known.end(), name); });
  return names;
}
bool is_changed(const ConfigPart& old, const ConfigPart& now) {
  if (old.digest == now.digest) return false;
  return old.kind != kOrder || common(old.digest, now.digest) != common(now.digest, old.digest);
}

auto key_of(const ConfigPart& part) { return std::tie(part.kind, part.name, part.digest); }
auto name_of(const ConfigPart& part) { return std::tie(part.kind, part.name); }

json files_between(const Config& before, const Config& after) {
  json files = json::array();
  const auto find = [](const std::vector<ConfigFile>& all, const std::string& path) -> json {
    const auto found = std::find_if(all.begin(), all.end(), [&](const ConfigFile& each) { return each.path == path; });
    return found == all.end() ? json() : json(found->digest);
  };
  for (const ConfigFile& file : before.files) {
    if (const json now = find(after.files, file.path); now != json(file.digest)) files.push_back({{"file", file.path}, {"before", file.digest}, {"after", now}});
  }
  for (const ConfigFile& file : after.files) {
    if (find(before.files, file.path).is_null()) files.push_back({{"file", file.path}, {"before", nullptr}, {"after", file.digest}});
  }
  return files;
}

}  // namespace

std::string sha256_text(std::string_view text) {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), bytes, &size, EVP_sha256(), nullptr);
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex += kDigits[bytes[i] >> 4];
    hex += kDigits[bytes[i] & 15];
  }
  return hex;
}

void add_parts(const YamlNode& root, std::string_view rule_file, std::vector<ConfigPart>& out) {
  const std::string file = rule_file.empty() ? "" : std::string(rule_file) + " ";
  if (root.kind == YamlNode::Kind::kMap) return add_map(root, "", file, 0, out);
  if (root.kind == YamlNode::Kind::kList && !file.empty()) add_list(root, *named("", "rules"), file + "rules", out);
}

void sort_parts(std::vector<ConfigPart>& parts) {
  std::sort(parts.begin(), parts.end(), [](const ConfigPart& a, const ConfigPart& b) { return key_of(a) < key_of(b); });
}

json change_between(const Config& before, const Config& after) {
  json parts = json::array();
  std::size_t more = 0;
  const auto add = [&](const ConfigPart& part, const char* how) {
    if (parts.size() < kPartsListedMax) parts.push_back({{"kind", part.kind}, {"name", part.name}, {"how", how}});
    else ++more;
  };
  auto old = before.parts.begin();
  auto now = after.parts.begin();
  while (old != before.parts.end() || now != after.parts.end()) {
    const bool is_gone = now == after.parts.end() || (old != before.parts.end() && name_of(*old) < name_of(*now));
    const bool is_new = !is_gone && (old == before.parts.end() || name_of(*now) < name_of(*old));
    if (is_gone || is_new) {
      const ConfigPart& part = is_gone ? *old++ : *now++;
      if (part.kind != kOrder) add(part, is_gone ? "removed" : "added");
    } else {
      if (is_changed(*old, *now)) add(*now, "changed");
      ++old;
      ++now;
    }
  }
  json change = {{"digest", {{"before", before.digest}, {"after", after.digest}}}, {"files", files_between(before, after)}, {"parts", std::move(parts)}};
  if (more != 0) change["more"] = more;
  return change;
}

std::string change_text(const json& change) {
  std::string text;
  std::size_t left = change.value("more", std::size_t{0});
  std::size_t told = 0;
  for (const json& part : change.value("parts", json::array())) {
    if (told++ >= kPartsToldMax) ++left;
    else text += (text.empty() ? "" : ", ") + part.value("kind", std::string()) + " " + part.value("name", std::string()) + " " + part.value("how", std::string());
  }
  if (left != 0) text += " and " + std::to_string(left) + " more";
  if (!text.empty()) return text;
  const json digest = change.value("digest", json::object());
  return digest.value("before", "") == digest.value("after", "") ? "nothing" : "nothing but layout";
}

}  // namespace weir::control

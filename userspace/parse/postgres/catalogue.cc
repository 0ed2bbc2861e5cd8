#include "parse/postgres/catalogue.h"

#include <algorithm>

namespace weir::postgres {

namespace {

constexpr std::string_view kUserSchema = "$user";

class Snapshot final : public Catalogue {
 public:
  explicit Snapshot(CatalogueContents contents) : contents_(std::move(contents)) {
    for (const CatalogueRelation& relation : contents_.relations) {
      by_id_.emplace(relation.id, &relation);
      by_name_[relation.name].push_back(&relation);
    }
    for (const CatalogueOverload& function : contents_.functions) functions_[function.name].push_back(&function);
  }

  uint64_t generation() const override { return contents_.generation; }

  const CatalogueRelation* relation(std::string_view schema, std::string_view name, std::string_view search_path) const override {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) return nullptr;
    const auto in_schema = [&](std::string_view wanted) -> const CatalogueRelation* {
      for (const CatalogueRelation* candidate : found->second) {
        if (candidate->schema == wanted) return candidate;
      }
      return nullptr;
    };
    if (!schema.empty()) return in_schema(schema);
    if (contents_.temporary_names.contains(std::string(name))) return nullptr;  // It may be this session's, which comes first.
    const std::vector<std::string> path = path_of(search_path);
    for (const std::string& place : path) {
      if (place == kUserSchema) {
        if (may_be_elsewhere(found->second, path)) return nullptr;
        continue;
      }
      if (const CatalogueRelation* const here = in_schema(place); here != nullptr) return here;
    }
    return nullptr;
  }

  const CatalogueRelation* relation(uint32_t id) const override {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : found->second;
  }

  bool function_only_reads(std::string_view schema, std::string_view name, std::string_view search_path) const override {
    bool is_known = false;
    bool only_reads = true;
    for_each_overload(schema, name, search_path, [&](const CatalogueOverload& overload) {
      is_known = true;
      only_reads &= overload.only_reads;
    });
    return is_known && only_reads;
  }

  bool function_is_shadowed(std::string_view name, std::string_view search_path) const override {
    bool is_shadowed = false;
    for_each_overload({}, name, search_path, [&](const CatalogueOverload& overload) { is_shadowed |= overload.schema != "pg_catalog"; });
    return is_shadowed;
  }

  std::string_view default_search_path(std::string_view login) const override {
    const auto found = contents_.role_search_paths.find(std::string(login));
    return found == contents_.role_search_paths.end() ? std::string_view(contents_.database_search_path) : std::string_view(found->second);
  }

 private:
  // pg_catalog is searched first unless the path names it.
  std::vector<std::string> path_of(std::string_view search_path) const {
    std::vector<std::string> path = split_search_path(search_path.empty() ? std::string_view(contents_.database_search_path) : search_path);
    if (std::ranges::find(path, "pg_catalog") == path.end()) path.insert(path.begin(), "pg_catalog");
    return path;
  }

  // A schema that the path does not name may be the user's own.
  static bool may_be_elsewhere(const std::vector<const CatalogueRelation*>& candidates, const std::vector<std::string>& path) {
    return std::ranges::any_of(candidates, [&path](const CatalogueRelation* candidate) {
      return candidate->schema != "information_schema" && std::ranges::find(path, candidate->schema) == path.end();
    });
  }

  template <class Visit>
  void for_each_overload(std::string_view schema, std::string_view name, std::string_view search_path, Visit visit) const {
    const auto found = functions_.find(name);
    if (found == functions_.end()) return;
    const std::vector<std::string> path = schema.empty() ? path_of(search_path) : std::vector<std::string>{std::string(schema)};
    const bool is_any = std::ranges::find(path, kUserSchema) != path.end();
    for (const CatalogueOverload* overload : found->second) {
      if (is_any || std::ranges::find(path, overload->schema) != path.end()) visit(*overload);
    }
  }

  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  template <class T>
  using ByName = std::unordered_map<std::string_view, std::vector<const T*>, TextHash, std::equal_to<>>;

  const CatalogueContents contents_;
  std::unordered_map<uint32_t, const CatalogueRelation*> by_id_;
  ByName<CatalogueRelation> by_name_;
  ByName<CatalogueOverload> functions_;
};

}  // namespace

std::shared_ptr<const Catalogue> make_catalogue(CatalogueContents contents) {
  if (contents.database_search_path.empty()) contents.database_search_path = "\"$user\", public";
  return std::make_shared<const Snapshot>(std::move(contents));
}

std::vector<std::string> split_search_path(std::string_view text) {
  std::vector<std::string> schemas;
  std::size_t at = 0;
  while (at < text.size()) {
    while (at < text.size() && (text[at] == ' ' || text[at] == ',' || text[at] == '\t' || text[at] == '\n')) ++at;
    if (at >= text.size()) break;
    std::string schema;
    if (text[at] == '"') {
      for (++at; at < text.size(); ++at) {
        if (text[at] != '"') {
          schema += text[at];
        } else if (at + 1 < text.size() && text[at + 1] == '"') {
          schema += text[++at];
        } else {
          ++at;
          break;
        }
      }
    } else {
      for (; at < text.size() && text[at] != ',' && text[at] != ' '; ++at) {
        schema += text[at] >= 'A' && text[at] <= 'Z' ? static_cast<char>(text[at] + ('a' - 'A')) : text[at];
      }
    }
    schemas.push_back(std::move(schema));
  }
  return schemas;
}

}  // namespace weir::postgres

// An immutable snapshot of one database's catalogue, and how names are looked up in it.
// Must never: answer for a name that may mean something else at the server; such a name is unknown.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/facts.h"

namespace weir::postgres {

// One overload of a function, or an operator under its name.
struct CatalogueOverload {
  std::string schema, name;
  bool only_reads = false;   // Proven, see catalogue_reader.h; of pg_catalog: on the safe list.
};

struct CatalogueContents {
  uint64_t generation = 0;
  std::vector<CatalogueRelation> relations;
  std::vector<CatalogueOverload> functions;
  std::unordered_set<std::string> temporary_names;        // Relations in any session's pg_temp: these names are unsure.
  std::string database_search_path;                       // ALTER DATABASE ... SET, else the server's.
  std::unordered_map<std::string, std::string> role_search_paths;  // By login, `$user` replaced by it.
};

std::shared_ptr<const Catalogue> make_catalogue(CatalogueContents contents);

// The schemas of a search_path setting, in order, as PostgreSQL splits it (quotes, case); `$user` is kept as is.
std::vector<std::string> split_search_path(std::string_view search_path);

}  // namespace weir::postgres

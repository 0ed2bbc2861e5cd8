// What is known of functions, operators, settings and system relations by name alone.  Default deny: what no table
// names is an unknown function, and only the catalogue may clear it.
#pragma once
#include <string_view>

#include "core/facts.h"

namespace weir::postgres {

struct FunctionNote {
  VerbSet verbs = 0;
  ShapeSet shapes = 0;
  bool is_cleared = false;       // Only reads (or does no more than `verbs` and `shapes` say).
  bool runs_anything = false;    // Its argument is SQL, or it reaches data that no name in the statement shows.
  enum class Argument : uint8_t { kNone, kSequence, kSetting } argument = Argument::kNone;  // What its first literal means.
};
// `schema` empty or pg_catalog.  Names as PostgreSQL folds them.
FunctionNote note_of_function(std::string_view schema, std::string_view name);
bool is_builtin_operator(std::string_view name);

struct SettingNote {
  ShapeSet shapes = 0;
  VerbSet verbs = 0;
  bool is_fence = false;         // What follows is read differently.
};
SettingNote note_of_setting(std::string_view lower_name);

// System relations that show secrets, other sessions' statements, or values of columns.
bool is_secret_relation(std::string_view schema, std::string_view name);

}  // namespace weir::postgres

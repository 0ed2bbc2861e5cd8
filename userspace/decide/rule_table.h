// Rules, grants and patterns of one snapshot, ready to be asked.  Plain data and pure questions; made by policy_compiler.cc
// and never changed afterwards.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.h"
#include "core/mask.h"
#include "decide/glob.h"
#include "decide/pattern_set.h"
#include "decide/time_zone.h"

namespace weir::decide {

// "schema.table.column", each may be a glob.
struct ColumnPattern {
  std::string schema, table, column;
  static std::optional<ColumnPattern> parse(std::string_view text);
  [[nodiscard]] bool matches_table(std::string_view in_schema, std::string_view in_table) const {
    return glob_matches(schema, in_schema) && glob_matches(table, in_table);
  }
  // A relation that could not be resolved matches by what is known of it: nothing that might be meant is let through.
  [[nodiscard]] bool may_match_table(const RelationRef& relation) const;
  // `*` stands for all columns of a relation.
  [[nodiscard]] bool matches_column(std::string_view name) const { return name == "*" || glob_matches(column, name); }
};

struct Who {
  std::vector<std::string> subjects, groups;
  explicit Who(const WhoConfig& config = {}) : subjects(config.subjects), groups(config.groups) {}
  [[nodiscard]] bool admits(const Identity& identity) const;
};

class Rule {
 public:
  Rule(const RuleConfig& config, uint32_t index);

  // Where: decided once a session.
  [[nodiscard]] bool applies_to(const Identity& identity, std::string_view target, std::string_view protocol) const;
  [[nodiscard]] bool in(Direction d) const { return !direction || *direction == d; }
  // What, by the facts of one statement.
  [[nodiscard]] bool narrows_to(const StatementFacts& facts) const;       // `verbs` and `objects`: all that is given must hold.
  [[nodiscard]] bool is_triggered_by(const StatementFacts& facts) const;  // `facts`, `functions`, `columns`: any.
  [[nodiscard]] bool has_triggers() const {
    return shapes != 0 || !functions.empty() || has_patterns || (!columns.empty() && then != RuleAction::kMask);
  }
  // Judged by facts alone; rules with patterns are asked again when a pattern hits.
  [[nodiscard]] bool matches(const StatementFacts& facts) const;
  [[nodiscard]] bool masks_columns() const { return then == RuleAction::kMask && !columns.empty(); }
  [[nodiscard]] bool touches(const ColumnPattern&, const StatementFacts& facts) const;

  uint32_t index = 0;  // From 1, in file order.
  std::string id;
  std::string message;  // What the client is told.
  std::string approval;
  RuleAction then = RuleAction::kBlock;
  MaskConfig mask;
  bool is_observed = false;
  bool has_patterns = false;
  std::optional<Direction> direction;
  NamePatterns targets;
  std::string protocol;
  Who who;
  ShapeSet shapes = 0;
  VerbSet verbs = 0;
  std::vector<std::string> functions, objects;
  std::vector<ColumnPattern> columns;
  std::vector<uint32_t> exempts;  // Indices; then: allow.
};

// The strictest of two masks of one value wins: null, full, hash, partial.
bool is_stricter(const MaskSpec& a, const MaskSpec& b);
Verdict::Action action_of(RuleAction action);

enum class PatternKind : uint8_t { kWord, kText, kData };
struct Pattern {
  PatternKind kind{};
  std::string name;  // The word, the expression, or the kind's name.
  Expression expression;
  uint32_t width_max = 0;
  const DataValidator* validator = nullptr;
  PatternDatabase finder;       // kData: finds a start.
  std::vector<uint32_t> rules;  // Indices of the rules that ask for it.
};

// Which patterns are scanned for one protocol.  `bytes` runs over a chunk as it came, `text` over one statement.
struct ScanSet {
  PatternDatabase bytes, text;
  uint32_t width_max = 0;  // Longest match of `bytes`.
};
struct ProtocolScans {
  std::string protocol;
  std::array<ScanSet, 2> directions;  // By Direction.
};

struct Hours {
  TimeZone zone;
  std::vector<HoursConfig::Span> spans;
  std::string text;  // For messages.
  [[nodiscard]] bool admits(int64_t unix_seconds) const;
};

// How far a grant got before it did not admit: the one that got furthest is what the client is told of.
enum class GrantStop : uint8_t {
  kWho,
  kTarget,
  kLogin,
  kDatabase,
  kEnded,
  kHours,
  kAssurance,
  kAgent,
  kVerbs,
  kRole,
  kFunction,
  kObject,
  kRequestId,  // All else is as it must be.
  kAdmits
};

struct Grant {
  explicit Grant(const GrantConfig& config);
  std::string name, approval;
  uint32_t number = 0;  // Its place in the configuration, from 1.
  Who who;
  NamePatterns targets, logins, databases, objects;
  VerbSet verbs = 0;
  Hours hours;
  Assurance assurance = Assurance::kStatic;
  bool request_id_required = false;
  bool is_for_people = false;
  int64_t until = 0;  // Unix seconds, 0: no end.
  std::vector<std::string> impersonate;
  // Read only: whoever has it may not call what might write.
  [[nodiscard]] bool is_read_only() const;
};

struct Target {
  std::string name, protocol;
  bool is_observed = false;
  Opaque opaque = Opaque::kBlock;
  std::string opaque_approval;  // kHold.
  bool unknown_functions_block = true;
  RecordParameters parameters = RecordParameters::kMasked;
};

// Metadata of the system that any read may use: what psql's \d, drivers and ORMs ask.  Nothing with data or secrets in it.
bool is_open_metadata(const RelationRef& relation);
// Sampled column values (pg_stats and kin): closed to sessions with column masks.
bool holds_column_samples(const RelationRef& relation);

}  // namespace weir::decide

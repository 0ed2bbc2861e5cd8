// What one statement means to one session: the verdict of grants and fact rules, and what of its result is masked.  Made
// once per (facts, epoch of the session) and then only looked up: a repeated statement costs a comparison of pointers.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/facts.h"
#include "core/policy.h"
#include "decide/rule_table.h"
#include "decide/ruling.h"

namespace weir::decide {

class SessionState;

// How one output column is treated.  Rule indices, 0: none.
struct ColumnMask {
  uint32_t rule = 0;           // Masks it.
  uint32_t observed_rule = 0;  // Would mask it, but only observes.
  bool is_unsure = false;      // Lineage cannot tell; `rule` is then the strict rule that closes it, if any is.
  // Not the column's own value but one made from it: nothing of it is kept, not even its size.  A partial mask of
  // substr(card, 1, 8), asked for at every place, would tell the card.
  bool is_derived = false;
  friend bool operator==(const ColumnMask&, const ColumnMask&) = default;
};

struct StatementPlan {
  FactsPtr facts;                    // Null: opaque to the facts source (too large, queue full, foreign encoding).
  Ruling builtin;                    // Identity, readable, grant, and what masks forbid.
  Ruling ruling;                     // The same with the rules that match by facts.
  RuleSet matched;                   // The same rules, to judge again when a pattern matches too.
  RuleSet exempt;                    // By allow rules that match by facts.
  std::vector<std::string> reasons;  // Owns what `ruling` points to.
  const Grant* grant = nullptr;      // Admits it.
  GrantStop grant_stop{};            // Else: where the best one stopped.
  bool is_refused = false;           // Before rules: identity, opaque, grammar or grant.  Patterns add alerts only.
  bool is_grammar_error = false;
  bool is_write = false;  // It may change data: masked values in it would destroy the originals.
  std::string objects;    // What it reads or writes, "schema.name, ...", for the record and for reviewers; at most kObjectsSizeMax, then ", ...".
  static constexpr std::size_t kObjectsSizeMax = 1'000;

  std::vector<ColumnMask> outputs;  // By output column; valid if outputs_are_known.
  ColumnMask any_output;            // For a column that `outputs` does not tell of.
  bool outputs_are_known = false;
  bool touches_masked = false;  // A masked column may be in its text, parameters, results or errors.
  bool touches_masked_strictly = false;
};
using PlanPtr = std::shared_ptr<const StatementPlan>;

// Allocates; not for each command.  `facts` may be null with `why` saying why it could not be read.
PlanPtr make_plan(const SessionState& state, FactsPtr facts, std::string_view why);

// Adds the rules of `matched` to `ruling`, but for those that an allow rule of `matched` exempts from.
void add_rules(const SessionState& state, const RuleSet& matched, bool alerts_only, Ruling& ruling);

// The masks of one base column, by catalogue names.  `exempt` rules do not count.
ColumnMask mask_of_column(const SessionState& state, const RuleSet& exempt, std::string_view schema, std::string_view table,
                          std::string_view column);

}  // namespace weir::decide

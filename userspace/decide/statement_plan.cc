#include "decide/statement_plan.h"

#include <algorithm>

#include "decide/session_state.h"

namespace weir::decide {
namespace {

// One plan in the making.
class Planner {
 public:
  Planner(const SessionState& state, FactsPtr facts) : state_(state), plan_(std::make_shared<StatementPlan>()) {
    plan_->facts = std::move(facts);
    plan_->matched = RuleSet(state.snapshot().contents().rules.size() + 1);
    plan_->exempt = plan_->matched;
  }

  PlanPtr make(std::string_view why) {
    judge_readable(why);
    name_objects();
    if (!plan_->is_refused) judge_grants();
    match_rules();
    if (plan_->facts)
      plan_masks();
    else
      plan_unreadable_masks();
    plan_->ruling = plan_->builtin;
    add_rules(state_, plan_->matched, plan_->is_refused, plan_->ruling);
    return plan_;
  }

 private:
  const StatementFacts* facts() const { return plan_->facts.get(); }
  std::string_view own(std::string reason) {
    // A deque would do without this reserve; a plan has at most four reasons.
    if (plan_->reasons.capacity() == 0) plan_->reasons.reserve(8);
    return plan_->reasons.size() < 8 ? plan_->reasons.emplace_back(std::move(reason)) : std::string_view("not allowed here");
  }
  void refuse(std::string_view name, std::string_view reason) {
    plan_->is_refused = true;
    plan_->builtin.add(Verdict::Action::kBlock, 0, name, reason);
  }

  void judge_readable(std::string_view why) {
    if (state_.identity() == nullptr) return refuse("no-identity", state_.no_identity_reason());
    if (state_.target() == nullptr) return refuse("no-target", "this gateway's rules do not know this target");
    if (facts() != nullptr && facts()->is_syntax_error) {
      plan_->is_grammar_error = true;
      return refuse("syntax-error", own(facts()->why.empty() ? "syntax error" : facts()->why));
    }
    if (facts() != nullptr && !facts()->is_opaque) return;
    const std::string_view detail = facts() != nullptr ? std::string_view(facts()->why) : why;
    const std::string_view reason =
        own("this gateway cannot read the statement" + (detail.empty() ? std::string() : ": " + std::string(detail)));
    switch (state_.target()->opaque) {
      case Opaque::kBlock:
        return refuse("opaque", reason);
      case Opaque::kHold:
        return plan_->builtin.hold(0, "opaque", reason, state_.target()->opaque_approval);
      case Opaque::kAllow:
        return;
    }
  }

  void name_objects() {
    if (facts() == nullptr) return;
    std::string& objects = plan_->objects;
    for (const RelationRef& relation : facts()->relations) {
      if (!relation.is_read && !relation.is_written) continue;
      if (objects.size() + relation.schema.size() + relation.name.size() > StatementPlan::kObjectsSizeMax) {
        objects += ", ...";
        return;
      }
      if (!objects.empty()) objects += ", ";
      if (!relation.schema.empty()) objects += relation.schema + ".";
      objects += relation.name;
    }
  }

  static std::string_view rule_of(GrantStop stop) {
    if (stop == GrantStop::kFunction) return "unknown-function";
    return stop == GrantStop::kRequestId ? "request-id" : "no-grant";
  }

  void judge_grants() {
    GrantAnswer answer = state_.ask_grants(facts());
    plan_->grant = answer.grant;
    plan_->grant_stop = answer.stop;
    if (answer.grant == nullptr) return refuse(rule_of(answer.stop), own(std::move(answer.why)));
    const bool does_something = facts() == nullptr || (facts()->verbs & ~bit(Verb::kSession)) != 0;
    if (!answer.grant->approval.empty() && does_something) {
      plan_->builtin.hold(0, answer.grant->name, own("this needs approval \"" + answer.grant->approval + "\" first"), answer.grant->approval);
    }
  }

  void match_rules() {
    if (facts() == nullptr) return;
    for (const Rule* rule : state_.statement_rules()) {
      if (!rule->matches(*facts())) continue;
      plan_->matched.add(rule->index);
      if (rule->then != RuleAction::kAllow) continue;
      for (const uint32_t exempted : rule->exempts) plan_->exempt.add(exempted);
    }
  }

  // All of it could be in there.
  void plan_unreadable_masks() {
    plan_->touches_masked = !state_.column_rules().empty();
    plan_->is_write = true;
    for (const Rule* rule : state_.column_rules()) close_unsure(*rule);
  }

  void plan_masks() {
    constexpr VerbSet kChanges = static_cast<VerbSet>((Verb::kWrite | Verb::kDdl) | (Verb::kAdmin | Verb::kExec));
    plan_->is_write = (facts()->verbs & kChanges) != 0 || facts()->is_opaque;
    if (state_.column_rules().empty()) return;
    const bool tells_nothing = tells_no_data();
    for (const Rule* rule : state_.column_rules()) {
      if (plan_->exempt.has(rule->index) || tells_nothing || !may_touch(*rule)) continue;
      plan_->touches_masked = true;
      close_unsure(*rule);
      forbid(*rule);
    }
    plan_->any_output.is_unsure = plan_->touches_masked;
    if (plan_->touches_masked) plan_outputs();
  }

  // SHOW returns settings.
  bool tells_no_data() const {
    const auto has = [&](std::string_view kind) {
      return std::find(facts()->kinds.begin(), facts()->kinds.end(), kind) != facts()->kinds.end();
    };
    return facts()->statement_count == 1 && has("VariableShowStmt");
  }

  bool may_touch(const Rule& rule) const {
    if (facts()->has_unknown_function || facts()->is_opaque || names_are_unsure()) return true;
    constexpr ShapeSet kHidden = bit(Shape::kDo) | bit(Shape::kCall) | bit(Shape::kDynamicSql);
    if ((facts()->shapes & kHidden) != 0) return true;
    // FETCH, EXECUTE: rows of a statement that is not this one.
    if (facts()->has_output && !facts()->outputs_are_known && facts()->relations.empty()) return true;
    for (const RelationRef& relation : facts()->relations) {
      if (holds_column_samples(relation)) return true;
      for (const ColumnPattern& pattern : rule.columns) {
        if (pattern.may_match_table(relation)) return true;
      }
    }
    return false;
  }

  // What the statement returns and nobody can tell the origin of.
  void close_unsure(const Rule& rule) {
    if (!rule.mask.unsure_strict) return;
    if (!rule.is_observed) plan_->touches_masked_strictly = true;
    uint32_t& place = rule.is_observed ? plan_->any_output.observed_rule : plan_->any_output.rule;
    if (place == 0 || is_stricter(rule.mask.spec, state_.snapshot().rule(place).mask.spec)) place = rule.index;
    plan_->any_output.is_unsure = plan_->any_output.is_derived = true;
  }

  void guess(const Rule& rule, Guess guess, std::string_view name, std::string_view reason) {
    if (guess == Guess::kAlert) plan_->builtin.alert(rule.index);
    if (guess == Guess::kBlock) plan_->builtin.add(Verdict::Action::kBlock, rule.index, name, reason, rule.is_observed);
  }

  // A masked value need not be shown to be learnt: it can be compared, sorted by, sampled, or copied to where no mask is.
  void forbid(const Rule& rule) {
    if (plan_->is_refused) return;
    for (const RelationRef& relation : facts()->relations) {
      if (holds_column_samples(relation)) {
        guess(rule, rule.mask.in_filters, "masked-column-samples",
              own(relation.name + " holds samples of column values that are masked for you"));
      }
    }
    const bool changes = (facts()->verbs & (Verb::kWrite | Verb::kDdl)) != 0;
    for (const ColumnRef& column : facts()->columns) {
      if (column.relation >= facts()->relations.size()) continue;
      const RelationRef& relation = facts()->relations[column.relation];
      if (!is_masked_by(rule, relation, column.name)) continue;
      if (column.in_filter) {
        guess(rule, rule.mask.in_filters, "masked-column-in-filter",
              own("column " + relation.name + "." + column.name +
                  " is masked for you: it may be read, but not compared, sorted, grouped or computed with"));
      } else if (changes && relation.is_read && !relation.is_written) {
        guess(rule, rule.mask.in_filters, "masked-column-copied",
              own("column " + relation.name + "." + column.name + " is masked for you and may not be copied elsewhere"));
      }
    }
  }

  // By name where the relation is not resolved: `people.email` may be meant.
  static bool is_masked_by(const Rule& rule, const RelationRef& relation, std::string_view column) {
    return std::any_of(rule.columns.begin(), rule.columns.end(), [&](const ColumnPattern& pattern) {
      if (!pattern.matches_column(column)) return false;
      return relation.is_resolved ? pattern.matches_table(relation.schema, relation.name)
                                  : glob_matches(pattern.table, relation.name);
    });
  }

  // The session is changing the schema, or this text itself does: a name may mean something that no catalogue knows yet.
  bool names_are_unsure() const {
    return state_.schema_changed() || (facts()->statement_count > 1 && (facts()->verbs & bit(Verb::kDdl)) != 0);
  }

  void plan_outputs() {
    if (!facts()->outputs_are_known || facts()->statement_count != 1 || names_are_unsure()) return;
    plan_->outputs_are_known = true;
    for (const OutputColumn& output : facts()->outputs) {
      ColumnMask mask;
      mask.is_unsure = !output.is_sure || (facts()->has_unknown_function && !output.is_exact);
      if (mask.is_unsure) mask = plan_->any_output;
      for (const uint16_t origin : output.origins) {
        if (origin < facts()->columns.size()) add_origin(facts()->columns[origin], mask);
      }
      mask.is_derived = !output.is_exact;
      plan_->outputs.push_back(mask);
    }
  }

  void add_origin(const ColumnRef& column, ColumnMask& mask) const {
    if (column.relation >= facts()->relations.size()) return;
    const RelationRef& relation = facts()->relations[column.relation];
    for (const Rule* rule : state_.column_rules()) {
      if (plan_->exempt.has(rule->index) || !is_masked_by(*rule, relation, column.name)) continue;
      uint32_t& place = rule->is_observed ? mask.observed_rule : mask.rule;
      if (place == 0 || is_stricter(rule->mask.spec, state_.snapshot().rule(place).mask.spec)) place = rule->index;
    }
  }

  const SessionState& state_;
  std::shared_ptr<StatementPlan> plan_;
};

}  // namespace

PlanPtr make_plan(const SessionState& state, FactsPtr facts, std::string_view why) {
  return Planner(state, std::move(facts)).make(why);
}

void add_rules(const SessionState& state, const RuleSet& matched, bool alerts_only, Ruling& ruling) {
  const Snapshot& snapshot = state.snapshot();
  const auto is_exempt = [&](uint32_t index) {
    bool exempt = false;
    matched.for_each([&](uint32_t by) {
      const Rule& rule = snapshot.rule(by);
      exempt = exempt || (rule.then == RuleAction::kAllow && !rule.is_observed &&
                          std::find(rule.exempts.begin(), rule.exempts.end(), index) != rule.exempts.end());
    });
    return exempt;
  };
  matched.for_each([&](uint32_t index) {
    const Rule& rule = snapshot.rule(index);
    if ((alerts_only && rule.then != RuleAction::kAlert) || rule.then == RuleAction::kAllow || is_exempt(index)) return;
    ruling.add(rule);
  });
}

ColumnMask mask_of_column(const SessionState& state, const RuleSet& exempt, std::string_view schema, std::string_view table,
                          std::string_view column) {
  ColumnMask mask;
  for (const Rule* rule : state.column_rules()) {
    if (exempt.has(rule->index)) continue;
    const bool matches = std::any_of(rule->columns.begin(), rule->columns.end(), [&](const ColumnPattern& pattern) {
      return pattern.matches_table(schema, table) && pattern.matches_column(column);
    });
    if (!matches) continue;
    uint32_t& place = rule->is_observed ? mask.observed_rule : mask.rule;
    if (place == 0 || is_stricter(rule->mask.spec, state.snapshot().rule(place).mask.spec)) place = rule->index;
  }
  return mask;
}

}  // namespace weir::decide

// `weir explain`: the same judgement as decide()'s, told step by step.  Off the data path.
#include <algorithm>

#include "decide/scanner.h"
#include "decide/session_state.h"
#include "decide/snapshot.h"

namespace weir::decide {
namespace {

constexpr int kFactsTriesMax = 10'000;  // A source that never answers is not explained.

std::string_view action_name(RuleAction action) {
  switch (action) {
    case RuleAction::kAllow:
      return "allow";
    case RuleAction::kBlock:
      return "block";
    case RuleAction::kTerminate:
      return "terminate";
    case RuleAction::kHold:
      return "hold";
    case RuleAction::kMask:
      return "mask";
    case RuleAction::kAlert:
      return "alert";
  }
  return "block";
}

std::string describe(const Identity* identity) {
  if (identity == nullptr) return "nobody is bound";
  std::string text = identity->subject + " (" + std::string(name_of(identity->assurance)) + ")";
  for (const std::string& group : identity->groups) text += (&group == &identity->groups.front() ? ", groups " : " ") + group;
  return text;
}

std::string describe(const StatementFacts& facts) {
  if (facts.is_syntax_error) return "syntax error: " + facts.why;
  std::string text = facts.is_opaque ? "opaque: " + facts.why + "; verbs" : "verbs";
  for (VerbSet verb = 1; verb != 0; verb = static_cast<VerbSet>(verb << 1)) {
    if ((facts.verbs & verb) != 0) text += " " + std::string(name_of(static_cast<Verb>(verb)));
  }
  for (int shape = 0; shape < static_cast<int>(Shape::kCount); ++shape) {
    if ((facts.shapes & bit(static_cast<Shape>(shape))) != 0)
      text += (text.find("; facts") == std::string::npos ? "; facts " : " ") + std::string(name_of(static_cast<Shape>(shape)));
  }
  for (const RelationRef& relation : facts.relations) {
    text += (&relation == &facts.relations.front() ? "; objects " : " ") +
            (relation.schema.empty() ? "" : relation.schema + ".") + relation.name +
            (relation.is_resolved ? "" : " (not resolved)");
  }
  for (const FunctionRef& function : facts.functions) {
    if (!function.is_cleared) text += "; function " + function.name + "() is not known to only read";
  }
  return text;
}

FactsPtr facts_of(FactsSource& source, Bytes text, std::string_view database) {
  for (int tries = 0; tries < kFactsTriesMax; ++tries) {
    const FactsAnswer answer = source.facts({text, database, {}, true, 0});
    if (answer.state == FactsAnswer::State::kReady) return answer.facts;
    if (answer.state == FactsAnswer::State::kRefused) return nullptr;
    source.collect();
  }
  return nullptr;
}

std::string mask_text(const Snapshot& snapshot, const ColumnMask& mask) {
  if (mask.rule != 0) return std::string(mask.is_unsure ? "unsure, masked by " : "masked by ") + snapshot.rule(mask.rule).id;
  if (mask.observed_rule != 0) return "would be masked by " + snapshot.rule(mask.observed_rule).id + " (observe)";
  return mask.is_unsure ? "unsure: values only" : "as it is";
}

}  // namespace

Explanation Snapshot::explain(const ExplainQuery& query, FactsSource& source, const Catalogue* catalogue) const {
  SessionState state(*this, query.session);
  LoginFacts login;
  login.login = query.login;
  login.database = query.database;
  state.refresh(login, catalogue, query.wall);
  state.set_request(query.has_request_id);
  const std::unique_ptr<ScanScratch> made = make_scratch();
  Scratch& scratch = *dynamic_cast<Scratch*>(made.get());

  Explanation explanation;
  explanation.identity = describe(state.identity());
  explanation.target =
      state.target() == nullptr ? "not known" : state.target()->name + (state.target()->is_observed ? " (observe)" : "");
  const FactsPtr facts = query.statement.empty() ? nullptr : facts_of(source, query.statement, query.database);
  if (facts) explanation.facts = describe(*facts);
  for (const Grant& grant : contents_.grants) {
    const auto found = std::find_if(state.grants().begin(), state.grants().end(),
                                    [&](const SessionGrant& each) { return each.grant == &grant; });
    if (found == state.grants().end()) {
      explanation.grants.push_back({grant.name, false, "is for others"});
      continue;
    }
    const auto [stop, why] = state.ask_grant(*found, facts.get());
    explanation.grants.push_back({grant.name, stop == GrantStop::kAdmits, why});
  }

  const PlanPtr plan = query.statement.empty() ? nullptr : facts ? state.plan_for(facts) : state.unreadable_plan();
  RuleSet matched(contents_.rules.size() + 1);
  if (plan) {
    if (!match_statement(state, query.statement, scratch, matched)) explanation.facts += "; too much in it matches";
    for (const std::string& parameter : query.parameters) {
      if (!match_statement(state, as_bytes(parameter), scratch, matched)) explanation.facts += "; too much in a parameter matches";
    }
    RuleSet by_pattern = matched;
    matched = plan->matched;
    by_pattern.for_each([&](uint32_t index) {
      if (rule(index).then != RuleAction::kMask && (!plan->facts || rule(index).narrows_to(*plan->facts))) matched.add(index);
    });
  }
  for (const Rule& each : contents_.rules) {
    RuleTrace trace;
    trace.rule = each.id;
    trace.action = action_name(each.then);
    trace.observed = each.is_observed;
    trace.applies = state.applies(each.index);
    trace.matches = trace.applies && matched.has(each.index);
    matched.for_each([&](uint32_t by) {
      const Rule& allow = rule(by);
      const bool names = std::find(allow.exempts.begin(), allow.exempts.end(), each.index) != allow.exempts.end();
      if (allow.then == RuleAction::kAllow && names) trace.exempted = true;
    });
    trace.why = !trace.applies                   ? "for other targets, protocols or people"
                : trace.exempted                 ? "exempted by an allow rule"
                : trace.matches                  ? "matches"
                : each.then == RuleAction::kMask ? "masks what comes back"
                                                 : "does not match";
    explanation.rules.push_back(std::move(trace));
  }

  Ruling ruling = plan ? plan->builtin : state.login_ruling();
  if (plan) add_rules(state, matched, plan->is_refused, ruling);
  Arena arena(4096);
  const Verdict verdict = ruling.verdict(state.target() != nullptr && state.target()->is_observed, arena);
  explanation.action = name_of(verdict.action);
  explanation.rule = verdict.rule_name;
  explanation.reason = verdict.reason;
  explanation.observed = verdict.observed;
  const Grant* const admitting = plan ? plan->grant : state.login_answer().grant;
  if (admitting != nullptr) explanation.grant = admitting->name;
  if (plan && plan->touches_masked) {
    for (std::size_t i = 0; i < plan->outputs.size() && facts && i < facts->outputs.size(); ++i) {
      explanation.masks.push_back(
          (facts->outputs[i].name.empty() ? "column " + std::to_string(i + 1) : facts->outputs[i].name) + ": " +
          mask_text(*this, plan->outputs[i]));
    }
    if (!plan->outputs_are_known)
      explanation.masks.push_back("columns that the target does not trace to a table: " + mask_text(*this, plan->any_output));
  }
  return explanation;
}

}  // namespace weir::decide

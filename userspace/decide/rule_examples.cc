// `weir rules test`: runs the examples that each rule and each kind of data carries.  Off the data path.
#include <algorithm>

#include "decide/scanner.h"
#include "decide/session_state.h"
#include "decide/snapshot.h"

namespace weir::decide {
namespace {

// Every rule is asked alone, as if it applied to whoever asks.
class ExampleRunner {
 public:
  ExampleRunner(const Snapshot& snapshot, FactsSource& source, Scratch& scratch)
      : snapshot_(snapshot), source_(source), scratch_(scratch) {}

  std::vector<ExampleFailure> run() {
    const SnapshotContents& contents = snapshot_.contents();
    for (const Rule& rule : contents.rules) {
      const RuleExamples& examples = contents.rule_examples[rule.index - 1];
      const auto matches = [&](const std::string& example, std::string& why) { return rule_matches(rule, example, why); };
      check(examples, rule.id, matches);
    }
    for (std::size_t i = 0; i < contents.patterns.size(); ++i) {
      if (contents.patterns[i].kind != PatternKind::kData) continue;
      const auto matches = [&](const std::string& example, std::string&) {
        return pattern_matches(static_cast<uint32_t>(i), as_bytes(example));
      };
      check(contents.kind_examples[i], contents.patterns[i].name, matches);
    }
    return std::move(failures_);
  }

 private:
  template <class F>
  void check(const RuleExamples& examples, const std::string& name, F&& matches) {
    for (const bool should_match : {true, false}) {
      for (const std::string& example : should_match ? examples.match : examples.no_match) {
        std::string why;
        if (matches(example, why) == should_match) continue;
        if (why.empty()) why = should_match ? "it should match and does not" : "it should not match and does";
        failures_.push_back({examples.place, name, example, should_match, why});
      }
    }
  }

  bool rule_matches(const Rule& rule, const std::string& example, std::string& why) {
    const Bytes text = as_bytes(example);
    bool needs_patterns = rule.has_patterns;
    for (std::size_t i = 0; i < snapshot_.contents().patterns.size() && needs_patterns; ++i) {
      const std::vector<uint32_t>& rules = snapshot_.contents().patterns[i].rules;
      if (std::find(rules.begin(), rules.end(), rule.index) != rules.end() && pattern_matches(static_cast<uint32_t>(i), text))
        return true;
    }
    const bool needs_facts = !rule.has_patterns || rule.shapes != 0 || !rule.functions.empty() || !rule.columns.empty();
    if (!needs_facts) return false;
    const FactsAnswer answer = source_.facts({text, "postgres", {}, true, 0});
    if (answer.state != FactsAnswer::State::kReady || !answer.facts) {
      why = "its facts could not be read";
      return false;
    }
    if (answer.facts->is_syntax_error) {
      why = "it does not parse: " + answer.facts->why;
      return false;
    }
    return rule.masks_columns() ? reads_masked(rule, *answer.facts) : rule.matches(*answer.facts);
  }

  // Without a catalogue: names as they are written.
  static bool reads_masked(const Rule& rule, const StatementFacts& facts) {
    for (const ColumnPattern& pattern : rule.columns) {
      if (rule.touches(pattern, facts)) return true;
      if ((facts.shapes & bit(Shape::kCopyOut)) == 0 || !facts.columns.empty()) continue;
      const auto is_whole_table = [&](const RelationRef& relation) {
        return relation.is_read && glob_matches(pattern.table, relation.name);
      };
      if (std::any_of(facts.relations.begin(), facts.relations.end(), is_whole_table)) return true;
    }
    return false;
  }

  bool pattern_matches(uint32_t index, Bytes text) {
    const Pattern& pattern = snapshot_.contents().patterns[index];
    std::size_t failed = 0;
    Result<PatternDatabase> alone = PatternDatabase::compile(std::span(&pattern.expression, 1), false, failed);
    if (!alone || !alone->fit(scratch_)) return false;
    std::vector<PatternHit> hits;
    if (!alone->scan(text, scratch_, hits)) return false;
    return std::any_of(hits.begin(), hits.end(),
                       [&](const PatternHit& hit) { return confirm(pattern, index, text, hit.end, scratch_).has_value(); });
  }

  const Snapshot& snapshot_;
  FactsSource& source_;
  Scratch& scratch_;
  std::vector<ExampleFailure> failures_;
};

}  // namespace

std::vector<ExampleFailure> Snapshot::test_examples(FactsSource& facts) const {
  const std::unique_ptr<ScanScratch> made = make_scratch();
  return ExampleRunner(*this, facts, *dynamic_cast<Scratch*>(made.get())).run();
}

}  // namespace weir::decide

// The compiled policy: rules, grants, patterns of one configuration, and the entry points of core/policy.h.
// Immutable after policy_compiler.cc made it, but for its counters; shared by all cores.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "decide/policy_compiler.h"
#include "decide/rule_table.h"

namespace weir::decide {

class SessionState;

// Bumped only when a rule matches, so that cores rarely meet on a line.
struct RuleCounters {
  std::atomic<uint64_t> matched{0}, decided{0}, observed{0}, masked{0};
};

struct RuleExamples {
  SourcePlace place;
  std::vector<std::string> match, no_match;
};

// What policy_compiler.cc fills in.
struct SnapshotContents {
  std::vector<Rule> rules;                  // rules[i].index == i + 1.
  std::vector<RuleExamples> rule_examples;  // By rule.
  std::vector<RuleExamples> kind_examples;  // By pattern, for data kinds; empty for others.
  std::vector<Grant> grants;
  std::vector<Target> targets;
  std::vector<Pattern> patterns;
  std::vector<ProtocolScans> scans;
  std::shared_ptr<const Masker> masker;
  uint64_t generation = 0;
  std::string digest;
  std::string how_to_name_a_request;  // For who is told that a request id is missing.
  std::string how_to_sign_in;         // For who is bound to nobody.
};

class Snapshot final : public CompiledPolicy {
 public:
  explicit Snapshot(SnapshotContents contents);

  // core/policy.h
  std::unique_ptr<PolicySession> open(const SessionFacts&) const override;
  void decide(DecideContext&, const Codec&, Bytes chunk, uint64_t chunk_at, std::span<const Unit> units,
              std::span<Verdict> out) const override;
  Bytes redact(DecideContext&, const Codec&, const Unit&, Bytes wire) const override;
  Bytes redact_field(DecideContext&, const Codec&, const Unit&, Bytes wire, const Field&) const override;
  Bytes redact_text(DecideContext&, const Codec&, Bytes text) const override;
  std::unique_ptr<ScanScratch> make_scratch() const override;
  uint64_t generation() const override { return contents_.generation; }
  std::string_view digest() const override { return contents_.digest; }
  // decide/policy_compiler.h
  std::string_view rule_name(uint32_t index) const override;
  uint32_t rule_count() const override { return static_cast<uint32_t>(contents_.rules.size()); }
  std::vector<RuleCount> counts() const override;
  std::vector<PatternCost> profile(Bytes sample) const override;
  std::vector<ExampleFailure> test_examples(FactsSource& facts) const override;
  Explanation explain(const ExplainQuery&, FactsSource& facts, const Catalogue*) const override;

  [[nodiscard]] const SnapshotContents& contents() const { return contents_; }
  [[nodiscard]] const Rule& rule(uint32_t index) const { return contents_.rules[index - 1]; }
  [[nodiscard]] const Target* target(std::string_view name) const;
  [[nodiscard]] const ProtocolScans* scans(std::string_view protocol) const;
  [[nodiscard]] const Masker& masker() const { return *contents_.masker; }
  [[nodiscard]] RuleCounters& counters(uint32_t rule) const { return counters_[rule]; }
  // The caller's scratch if it is of this snapshot, else the session's own, made when first needed.
  Scratch& scratch_for(DecideContext&, SessionState&) const;

 private:
  SnapshotContents contents_;
  std::unique_ptr<RuleCounters[]> counters_;  // By rule index; 0: the gateway's own verdicts.
};

}  // namespace weir::decide

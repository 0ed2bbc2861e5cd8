// The way into decide/: makes one immutable snapshot of a configuration, and what the command line asks of it.
// Must never: judge with a snapshot that had an error in it.  compile_policy() gives all errors or a snapshot.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/config.h"
#include "core/mask.h"
#include "core/policy.h"

namespace weir::decide {

struct CompileIssue {
  SourcePlace place;
  std::string message;
};
struct CompileOptions {
  uint64_t generation = 1;                          // Differs for each snapshot of a process.
  std::string zone_folder = "/usr/share/zoneinfo";  // TZif files, for the hours of grants.
};

// One rule as counted since this snapshot was made.
struct RuleCount {
  std::string_view rule;  // Snapshot memory.
  uint64_t matched = 0;   // Times it matched a unit, whatever came of it.
  uint64_t decided = 0;   // Times it was the one named in a verdict that was carried out.
  uint64_t observed = 0;  // Times it was named, or counted, in observe mode.
  uint64_t masked = 0;    // Values it masked.
};
// What one pattern costs: its own scan over `sample`, for `weir rules profile`.
struct PatternCost {
  std::string pattern;  // "data card", "words drop everything".
  std::vector<std::string> rules;
  double ns_per_kib = 0;
  uint64_t matches = 0;
};
struct ExampleFailure {
  SourcePlace place;
  std::string rule;  // Rule or data kind.
  std::string example;
  bool should_match = false;
  std::string why;
};

struct ExplainQuery {
  SessionFacts session;
  std::string_view login, database;
  Bytes statement;  // Empty: the login alone.
  std::chrono::sys_time<std::chrono::nanoseconds> wall{};
  std::vector<std::string> parameters{};  // As text, $1 first.
  bool has_request_id = true;             // It carries one.
};
struct GrantTrace {
  std::string grant;
  bool admits = false;
  std::string why;
};
struct RuleTrace {
  std::string rule;
  bool applies = false, matches = false, observed = false, exempted = false;
  std::string action, why;
};
struct Explanation {
  std::string identity, target, facts;  // `facts`: one line for a person.
  std::vector<GrantTrace> grants;
  std::vector<RuleTrace> rules;
  std::vector<std::string> masks;  // One an output column: "email: masked by mask-people".
  std::string action, rule, reason;
  std::string grant;               // Admits it; empty: none.
  bool observed = false;
};

// The snapshot, with what control/ asks of it beside judging.
class CompiledPolicy : public Policy {
 public:
  // Index 0 is "": verdicts of the gateway itself carry their name in Verdict::rule_name.
  virtual std::string_view rule_name(uint32_t index) const = 0;
  virtual uint32_t rule_count() const = 0;
  virtual std::vector<RuleCount> counts() const = 0;
  virtual std::vector<PatternCost> profile(Bytes sample) const = 0;
  // Runs every rule's and data kind's examples.  `facts` must answer at once (make_inline_facts, or a fake).
  virtual std::vector<ExampleFailure> test_examples(FactsSource& facts) const = 0;
  virtual Explanation explain(const ExplainQuery&, FactsSource& facts, const Catalogue*) const = 0;
};

// Off the data path.  Post: on failure Error::message holds all issues, a line each, "file:line:column: what"; they are in
// `issues` too, if given.
[[nodiscard]] Result<std::shared_ptr<const CompiledPolicy>> compile_policy(const Config& config,
                                                                           std::shared_ptr<const Masker> masker,
                                                                           const CompileOptions& options = {},
                                                                           std::vector<CompileIssue>* issues = nullptr);

}  // namespace weir::decide

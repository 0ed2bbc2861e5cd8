#include "decide/snapshot.h"

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "decide/command_judge.h"
#include "decide/reply_judge.h"
#include "decide/session_state.h"

namespace weir::decide {

Snapshot::Snapshot(SnapshotContents contents)
    : contents_(std::move(contents)), counters_(std::make_unique<RuleCounters[]>(contents_.rules.size() + 1)) {}

std::unique_ptr<PolicySession> Snapshot::open(const SessionFacts& facts) const {
  return std::make_unique<SessionState>(*this, facts);
}

const Target* Snapshot::target(std::string_view name) const {
  const auto found =
      std::find_if(contents_.targets.begin(), contents_.targets.end(), [&](const Target& each) { return each.name == name; });
  return found == contents_.targets.end() ? nullptr : &*found;
}

const ProtocolScans* Snapshot::scans(std::string_view protocol) const {
  const auto found = std::find_if(contents_.scans.begin(), contents_.scans.end(),
                                  [&](const ProtocolScans& each) { return each.protocol == protocol; });
  return found == contents_.scans.end() ? nullptr : &*found;
}

std::unique_ptr<ScanScratch> Snapshot::make_scratch() const {
  auto made = std::make_unique<Scratch>();
  made->generation = generation();
  made->hits.reserve(1024);
  made->inner_hits.reserve(256);
  made->runs.reserve(64);
  made->edits.reserve(512);
  for (const ProtocolScans& scans : contents_.scans) {
    for (const ScanSet& set : scans.directions) WEIR_CHECK(set.bytes.fit(*made) && set.text.fit(*made));
  }
  for (const Pattern& pattern : contents_.patterns) WEIR_CHECK(pattern.finder.fit(*made));
  return made;
}

Scratch& Snapshot::scratch_for(DecideContext& context, SessionState& state) const {
  if (context.scratch != nullptr && context.scratch == state.checked_scratch) return *static_cast<Scratch*>(context.scratch);
  if (auto* given = dynamic_cast<Scratch*>(context.scratch); given != nullptr && given->generation == generation()) {
    state.checked_scratch = given;
    return *given;
  }
  if (!state.own_scratch) state.own_scratch.reset(dynamic_cast<Scratch*>(make_scratch().release()));
  return *state.own_scratch;
}

void Snapshot::decide(DecideContext& context, const Codec& codec, Bytes chunk, uint64_t chunk_at, std::span<const Unit> units,
                      std::span<Verdict> out) const {
  if (units.empty()) return;
  WEIR_CHECK(out.size() >= units.size());
  auto& state = static_cast<SessionState&>(context.state);
  WEIR_CHECK(&state.snapshot() == this);
  state.refresh(codec.login(), context.catalogue, context.wall);
  Scratch& scratch = scratch_for(context, state);
  scratch.work.reset();
  if (units.front().direction == Direction::kToTarget) {
    CommandJudge(*this, state, context, codec, scratch).judge(chunk, chunk_at, units, out);
  } else {
    ReplyJudge(*this, state, context, codec, scratch).judge(chunk, chunk_at, units, out);
  }
  for (const Verdict& verdict : out.first(units.size())) {
    if (verdict.rule != 0) {
      RuleCounters& count = counters(verdict.rule);
      count.matched.fetch_add(1, std::memory_order_relaxed);
      (verdict.observed ? count.observed : count.decided).fetch_add(1, std::memory_order_relaxed);
    }
    for (const uint32_t rule : verdict.alerts) counters(rule).matched.fetch_add(1, std::memory_order_relaxed);
  }
}

std::string_view Snapshot::rule_name(uint32_t index) const {
  return index == 0 || index > contents_.rules.size() ? std::string_view() : std::string_view(rule(index).id);
}

std::vector<RuleCount> Snapshot::counts() const {
  std::vector<RuleCount> made;
  for (const Rule& rule : contents_.rules) {
    const RuleCounters& count = counters(rule.index);
    made.push_back({rule.id, count.matched.load(std::memory_order_relaxed), count.decided.load(std::memory_order_relaxed),
                    count.observed.load(std::memory_order_relaxed), count.masked.load(std::memory_order_relaxed)});
  }
  return made;
}

std::vector<PatternCost> Snapshot::profile(Bytes sample) const {
  constexpr int kRounds = 8;
  std::vector<PatternCost> made;
  Scratch scratch;
  for (const Pattern& pattern : contents_.patterns) {
    std::size_t failed = 0;
    Result<PatternDatabase> alone = PatternDatabase::compile(std::span(&pattern.expression, 1), false, failed);
    if (!alone || !alone->fit(scratch)) continue;
    PatternCost cost;
    constexpr std::string_view kKinds[] = {"words", "text", "data"};
    cost.pattern = std::string(kKinds[static_cast<std::size_t>(pattern.kind)]) + " " + pattern.name;
    for (const uint32_t index : pattern.rules) cost.rules.push_back(rule(index).id);
    const auto start = std::chrono::steady_clock::now();
    bool is_whole = true;
    for (int round = 0; round < kRounds; ++round) {
      scratch.hits.clear();
      is_whole = alone->scan(sample, scratch, scratch.hits) && is_whole;
    }
    const auto elapsed = std::chrono::steady_clock::now() - start;
    cost.ns_per_kib = static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count()) / kRounds /
                      std::max(1.0, static_cast<double>(sample.size()) / 1024.0);
    cost.matches = scratch.hits.size();
    made.push_back(std::move(cost));
  }
  std::sort(made.begin(), made.end(), [](const PatternCost& a, const PatternCost& b) { return a.ns_per_kib > b.ns_per_kib; });
  return made;
}

}  // namespace weir::decide

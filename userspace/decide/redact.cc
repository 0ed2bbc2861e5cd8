// core/policy.h's redact() and redact_field(): what may stand on the record, a command's text and parameters with what masks
// cover taken out (I4).
#include <algorithm>

#include "decide/command_judge.h"
#include "decide/peel.h"
#include "decide/scanner.h"

namespace weir::decide {
namespace {

constexpr std::string_view kHidden = "****";

// One unit's redaction.
class Redactor {
 public:
  Redactor(const Snapshot& snapshot, SessionState& state, DecideContext& context, const Codec& codec, Scratch& scratch)
      : snapshot_(snapshot), state_(state), context_(context), codec_(codec), scratch_(scratch) {}

  Bytes text(const Unit& unit, Bytes wire) {
    const Bytes text = unit.text;
    if (text.empty() || unit.kind == UnitKind::kLogin) return {};
    const bool is_command = unit.kind == UnitKind::kCommand;
    const bool uses_digests = state_.target() != nullptr && state_.target()->parameters == RecordParameters::kDigest;
    const bool needs_plan = is_command && (uses_digests || !state_.column_rules().empty());
    // Passwords stand in statements whatever the rules say.
    if (needs_plan || (is_command && may_set_password(text))) {
      const SessionState::Asked* asked = state_.asked(unit.id);  // By decide(), just now.
      CommandJudge judge(snapshot_, state_, context_, codec_, scratch_);
      const PlanPtr plan = asked != nullptr ? asked->plans[0] : judge.plan_of_text(text);
      if (!plan || !plan->facts) return {};
      constexpr ShapeSet kSecrets = bit(Shape::kAlterRole) | bit(Shape::kForeignAccess) | bit(Shape::kCreateExtension);
      if (uses_digests) return with_digest(plan->facts->normalized, text);
      if (plan->touches_masked || (plan->facts->shapes & kSecrets) != 0 || plan->is_grammar_error)
        return as_bytes(context_.arena.keep(plan->facts->normalized));
    } else if (!is_command && !state_.column_rules().empty() && reply_touches_masked(unit)) {
      return {};
    }
    if (!state_.redacts_data()) return text;
    // decide() has just scanned these bytes, unless the text was decoded from others.
    const bool is_clean = unit.direction == Direction::kToTarget && unit.wire.offset >= state_.clean.offset &&
                          unit.wire.end() <= state_.clean.end();
    return without_hits(text, is_clean && is_part_of(text, wire));
  }

  // No statement, so that no lineage covers it: what data kinds find is taken out.
  Bytes lone(Bytes text) { return text.empty() || !state_.redacts_data() ? text : without_hits(text, false); }

  Bytes value(const Unit& unit, Bytes wire, const Field& field) {
    if (field.is_null || field.value.size == 0) return {};
    const Bytes value = wire.subspan(field.value.offset - unit.wire.offset, field.value.size);
    if (state_.target() != nullptr && state_.target()->parameters == RecordParameters::kDigest)
      return as_bytes(snapshot_.masker().digest(value, context_.arena));
    if (!state_.column_rules().empty()) {
      CommandJudge judge(snapshot_, state_, context_, codec_, scratch_);
      for (const uint64_t id : unit.meanings) {
        if (id == 0) continue;
        bool is_known = true;
        const PlanPtr plan = judge.plan_of_statement(id, is_known);
        if (!plan || plan->touches_masked) return as_bytes(kHidden);
      }
      if (unit.meanings[0] == 0) return as_bytes(kHidden);
    }
    return state_.redacts_data() ? without_hits(value, false) : value;
  }

 private:
  // CREATE or ALTER of roles, mappings, subscriptions: a word to look for before the facts are asked.
  static bool may_set_password(Bytes text) {
    const std::string_view view = as_text(text);
    const auto same = [](char a, char b) { return (a | 0x20) == b; };
    for (const std::string_view word :
         {std::string_view("password"), std::string_view("conninfo"), std::string_view("connection")}) {
      if (std::search(view.begin(), view.end(), word.begin(), word.end(), same) != view.end()) return true;
    }
    return false;
  }
  static bool is_part_of(Bytes text, Bytes wire) { return as_text(wire).find(as_text(text)) != std::string_view::npos; }

  bool reply_touches_masked(const Unit& unit) const {
    const SessionState::Asked* asked = state_.asked(unit.in_reply_to);
    if (asked == nullptr) return true;
    return std::any_of(asked->plans.begin(), asked->plans.end(),
                       [](const PlanPtr& plan) { return plan && plan->touches_masked; });
  }

  Bytes with_digest(const std::string& normalized, Bytes text) {
    const std::string_view digest = snapshot_.masker().digest(text, context_.arena);
    const MutableBytes out = context_.arena.allocate(normalized.size() + digest.size() + 5, 1);
    if (out.empty() || digest.empty()) return {};
    auto at = std::copy_n(as_bytes(normalized).begin(), normalized.size(), out.begin());
    at = std::copy_n(as_bytes(" -- ").begin(), 4, at);
    std::copy_n(as_bytes(digest).begin(), digest.size(), at);
    return out.first(normalized.size() + 4 + digest.size());
  }

  // Each confirmed run becomes ****, and so does a run of base64, hex or percent that hides one.
  Bytes without_hits(Bytes text, bool is_clean) {
    scratch_.runs.clear();
    if ((!is_clean && !find_hits(text)) || !find_hidden(text)) return {};
    std::vector<Scratch::Run>& runs = scratch_.runs;
    if (runs.empty()) return text;
    std::sort(runs.begin(), runs.end(), [](const Scratch::Run& a, const Scratch::Run& b) { return a.begin < b.begin; });
    const MutableBytes out = context_.arena.allocate(text.size() + runs.size() * kHidden.size(), 1);
    if (out.empty()) return {};
    std::size_t size = 0, at = 0;
    const auto put = [&](Bytes bytes) {
      std::copy(bytes.begin(), bytes.end(), out.begin() + static_cast<std::ptrdiff_t>(size));
      size += bytes.size();
    };
    for (const Scratch::Run& run : runs) {
      if (run.begin >= at) {
        put(text.subspan(at, run.begin - at));
        put(as_bytes(kHidden));
      }
      at = std::max(at, run.end);
    }
    put(text.subspan(at));
    return out.first(size);
  }

  bool find_hits(Bytes text) {
    return for_each_run(text, [&](const FoundRun& run) { scratch_.runs.push_back({run.begin, run.end, 0, true}); });
  }

  bool find_hidden(Bytes text) {
    bool is_whole = true;
    const std::size_t mark = scratch_.work.used();
    for (PeeledRun run = peel_next(text, 0, scratch_.work); !run.decoded.empty();
         run = peel_next(text, run.end, scratch_.work)) {
      const Scratch::Run hides{run.begin, run.end, 0, true};
      is_whole = for_each_run(run.decoded, [&](const FoundRun&) { scratch_.runs.push_back(hides); }) && is_whole;
    }
    scratch_.work.rewind(mark);
    return is_whole;
  }

  template <class F>
  bool for_each_run(Bytes field, F&& f) {
    const ScanSet* set = state_.scan(Direction::kToTarget);
    if (set == nullptr) return true;
    scratch_.inner_hits.clear();
    if (!set->bytes.scan(field, scratch_, scratch_.inner_hits)) return false;
    for (const PatternHit& hit : scratch_.inner_hits) {
      if (const std::optional<FoundRun> run = confirm_data(hit, field)) f(*run);
    }
    return true;
  }

  // Only data kinds that some rule of this session looks for in earnest: what is only observed stays as it is.
  std::optional<FoundRun> confirm_data(const PatternHit& hit, Bytes field) {
    const Pattern& pattern = snapshot_.contents().patterns[hit.pattern];
    const bool is_asked = pattern.kind == PatternKind::kData &&
                          std::any_of(pattern.rules.begin(), pattern.rules.end(),
                                      [&](uint32_t rule) { return state_.applies(rule) && !snapshot_.rule(rule).is_observed; });
    return is_asked ? confirm(pattern, hit.pattern, field, hit.end, scratch_) : std::nullopt;
  }

  const Snapshot& snapshot_;
  SessionState& state_;
  DecideContext& context_;
  const Codec& codec_;
  Scratch& scratch_;
};

}  // namespace

Bytes Snapshot::redact(DecideContext& context, const Codec& codec, const Unit& unit, Bytes wire) const {
  auto& state = static_cast<SessionState&>(context.state);
  state.refresh(codec.login(), context.catalogue, context.wall);
  state.set_request(!unit.request_id.empty());
  return Redactor(*this, state, context, codec, scratch_for(context, state)).text(unit, wire);
}

Bytes Snapshot::redact_text(DecideContext& context, const Codec& codec, Bytes text) const {
  auto& state = static_cast<SessionState&>(context.state);
  state.refresh(codec.login(), context.catalogue, context.wall);
  return Redactor(*this, state, context, codec, scratch_for(context, state)).lone(text);
}

Bytes Snapshot::redact_field(DecideContext& context, const Codec& codec, const Unit& unit, Bytes wire,
                             const Field& field) const {
  auto& state = static_cast<SessionState&>(context.state);
  state.refresh(codec.login(), context.catalogue, context.wall);
  state.set_request(!unit.request_id.empty());
  return Redactor(*this, state, context, codec, scratch_for(context, state)).value(unit, wire, field);
}

}  // namespace weir::decide

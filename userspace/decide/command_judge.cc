#include "decide/command_judge.h"

#include <algorithm>

#include "decide/scanner.h"

namespace weir::decide {
namespace {

// No schema has this name: what a changed search_path resolves to is the server's secret, so that names without a schema
// stay unresolved.
constexpr std::string_view kUnknownSearchPath = "\"\x01\"";
constexpr std::size_t kDataTail = 255;

bool is_function_call(std::string_view verb) { return verb == "function-call"; }

}  // namespace

void CommandJudge::judge(Bytes chunk, uint64_t chunk_at, std::span<const Unit> units, std::span<Verdict> out) {
  scan(chunk, chunk_at, units);
  for (std::size_t i = 0; i < units.size(); ++i) {
    const Unit& unit = units[i];
    if (has_matches_) state_.matched.clear();
    has_matches_ = writes_back_ = false;
    unit_hits_begin_ = next_hit_;
    while (next_hit_ < scratch_.hits.size() && scan_at_ + scratch_.hits[next_hit_].end <= unit.wire.end()) ++next_hit_;
    unit_hits_end_ = next_hit_;
    out[i] = judge_unit(unit, chunk.subspan(unit.wire.offset - chunk_at, unit.wire.size));
  }
  if (has_matches_) state_.matched.clear();
}

// One scan for all units of the chunk; what is hit is told apart by offset.
void CommandJudge::scan(Bytes chunk, uint64_t chunk_at, std::span<const Unit> units) {
  scratch_.hits.clear();
  const ScanSet* set = state_.scan(Direction::kToTarget);
  if (set == nullptr || units.empty()) return;
  const bool has_text = std::any_of(units.begin(), units.end(), [](const Unit& unit) {
    return unit.kind == UnitKind::kCommand || unit.kind == UnitKind::kData;
  });
  if (!has_text) return;
  scan_at_ = units.front().wire.offset;
  const Bytes bytes = chunk.subspan(scan_at_ - chunk_at, units.back().wire.end() - scan_at_);
  is_overrun_ = !set->bytes.scan(bytes, scratch_, scratch_.hits);
  state_.clean = scratch_.hits.empty() && !is_overrun_ ? ByteRange{scan_at_, static_cast<uint32_t>(bytes.size())} : ByteRange{};
}

Verdict CommandJudge::judge_unit(const Unit& unit, Bytes wire) {
  state_.set_request(!unit.request_id.empty());
  switch (unit.kind) {
    case UnitKind::kHandshake:
    case UnitKind::kCancel:  // The session compares its key.
    case UnitKind::kControl: {
      Verdict verdict;
      verdict.action = Verdict::Action::kAllow;
      return verdict;
    }
    case UnitKind::kLogin:
      return judge_login();
    case UnitKind::kData:
      return judge_data(unit, wire);
    case UnitKind::kCommand:
      break;
    case UnitKind::kOpaque:
      return judge_opaque("bytes that this gateway's reader does not know");
    case UnitKind::kResponse:
    case UnitKind::kRows:
    case UnitKind::kResponseEnd:
      return block("direction", "an answer cannot come from a client");
  }
  if (is_function_call(unit.verb)) return block("function-call", "the function call message is closed here: use SELECT");
  if (is_overrun_) return block("too-large", "too much in this command matches for it to be judged");
  if (unit.meanings[0] != 0 && unit.verb != "query" && unit.verb != "parse") return judge_by_id(unit, wire);
  if (unit.text.empty() && unit.verb != "query" && unit.verb != "parse")
    return judge_opaque("a statement that this gateway has not seen");
  return judge_text(unit, wire);
}

Verdict CommandJudge::judge_login() {
  Verdict verdict = finish(state_.login_ruling());
  const GrantAnswer& answer = state_.login_answer();
  if (answer.grant != nullptr) {
    verdict.grant = answer.grant->name;
    verdict.grant_number = answer.grant->number;
  } else if (!passes(verdict.action)) {
    if (answer.stop == GrantStop::kLogin) verdict.impersonation = Impersonation::kLogin;
    if (answer.stop == GrantStop::kAgent) verdict.impersonation = Impersonation::kAgent;
  }
  return verdict;
}

void CommandJudge::name_grant(const StatementPlan& plan, Verdict& verdict) {
  if (plan.grant != nullptr && verdict.grant_number == 0) {
    verdict.grant = plan.grant->name;
    verdict.grant_number = plan.grant->number;
  }
  const bool is_refused = verdict.action == Verdict::Action::kBlock || verdict.action == Verdict::Action::kTerminate;
  if (is_refused && plan.facts && (plan.facts->verbs & bit(Verb::kImpersonate)) != 0) verdict.impersonation = Impersonation::kSetRole;
}

Verdict CommandJudge::judge_opaque(std::string_view why) {
  if (state_.login_ruling().action() != Verdict::Action::kAllow) return finish(state_.login_ruling());
  return finish(make_plan(state_, nullptr, why)->ruling);
}

PlanPtr CommandJudge::plan_of_text(Bytes text) {
  const GrammarFacts grammar = codec_.grammar();
  if (!grammar.encoding_is_safe) return make_plan(state_, nullptr, "client_encoding must be UTF8, a LATIN one or SQL_ASCII");
  if (state_.identity() == nullptr || state_.target() == nullptr) return state_.unreadable_plan();
  if (!grammar.search_path_is_default) state_.note_search_path_change();
  if (state_.schema_changed() && grammar.is_settled) state_.schema_is_settled(context_.facts.catalogue_changed());
  FactsQuery query;
  query.text = text;
  query.catalogue_round = state_.catalogue_round();
  query.database = state_.database();
  query.search_path = state_.search_path_changed() ? kUnknownSearchPath : std::string_view();
  query.standard_conforming_strings = grammar.standard_conforming_strings;
  query.session = context_.session.id;
  const FactsAnswer answer = context_.facts.facts(query);
  switch (answer.state) {
    case FactsAnswer::State::kPending:
      return nullptr;
    case FactsAnswer::State::kRefused:
      return make_plan(state_, nullptr, "it is too large, or too many wait to be read");
    case FactsAnswer::State::kReady:
      break;
  }
  return state_.plan_for(answer.facts);
}

PlanPtr CommandJudge::plan_of_statement(uint64_t id, bool& is_known) {
  is_known = true;
  if (SessionState::Known* known = state_.known(id)) return known->plan;
  const Bytes text = codec_.statement(id);
  if (text.empty()) {
    is_known = false;
    return nullptr;
  }
  PlanPtr plan = plan_of_text(text);
  if (!plan) return nullptr;
  SessionState::Known& known = state_.remember(id, plan);
  if (state_.matches_commands()) {
    if (!known.matched.is_sized()) known.matched = RuleSet(snapshot_.contents().rules.size() + 1);
    known.matched.clear();
    if (!match_statement(state_, text, scratch_, known.matched)) plan = make_plan(state_, nullptr, "too much in it matches");
    known.has_matches = !known.matched.empty();
  }
  return plan;
}

Verdict CommandJudge::judge_text(const Unit& unit, Bytes wire) {
  state_.data_tail_size = 0;
  const PlanPtr plan = plan_of_text(unit.text);
  if (!plan) {
    Verdict verdict;
    verdict.action = Verdict::Action::kWait;
    return verdict;
  }
  if (state_.matches_commands()) match_text_hits(unit, wire);
  if (plan->is_write && state_.write_back_rule() != nullptr) look_for_write_back(unit.text);
  if (!state_.column_rules().empty()) state_.note_command(unit.id, plan, nullptr);
  Verdict verdict = conclude(*plan, nullptr);
  name_objects({plan.get(), nullptr}, verdict);
  explain_hold(unit, {plan.get(), nullptr}, verdict);
  if (!passes(verdict.action) && !verdict.observed) return verdict;
  note_passed(*plan);
  return verdict;
}

// What it does to the meaning of the names that follow.
void CommandJudge::note_passed(const StatementPlan& plan) {
  if (!plan.facts) return;
  constexpr ShapeSet kHiddenChanges = bit(Shape::kDo) | bit(Shape::kDropTable) | bit(Shape::kAlterTable);
  if ((plan.facts->shapes & bit(Shape::kSetSearchPath)) != 0) state_.note_search_path_change();
  if ((plan.facts->verbs & bit(Verb::kDdl)) != 0 || (plan.facts->shapes & kHiddenChanges) != 0) state_.note_schema_change();
}

Verdict CommandJudge::judge_by_id(const Unit& unit, Bytes wire) {
  std::array<PlanPtr, 2> plans;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    if (unit.meanings[i] == 0) continue;
    bool is_known = true;
    plans[i] = plan_of_statement(unit.meanings[i], is_known);
    if (!is_known) return judge_opaque("a statement that this gateway has not kept");
    if (!plans[i]) {
      Verdict verdict;
      verdict.action = Verdict::Action::kWait;
      return verdict;
    }
    const SessionState::Known* known = state_.known(unit.meanings[i]);
    if (known != nullptr && known->has_matches) {
      state_.matched.add_all(known->matched);
      has_matches_ = true;
    }
  }
  if (!plans[0]) std::swap(plans[0], plans[1]);
  if (!plans[0]) return judge_opaque("a statement that this gateway has not seen");
  const bool is_write = plans[0]->is_write || (plans[1] && plans[1]->is_write);
  if (unit.field_count != 0) match_parameters(unit, wire, is_write);
  if (!state_.column_rules().empty()) state_.note_command(unit.id, plans[0], plans[1]);
  Verdict verdict = conclude(*plans[0], plans[1].get());
  name_objects({plans[0].get(), plans[1].get()}, verdict);
  explain_hold(unit, {plans[0].get(), plans[1].get()}, verdict);
  if (!passes(verdict.action) && !verdict.observed) return verdict;
  for (const PlanPtr& plan : plans) {
    if (plan) note_passed(*plan);
  }
  return verdict;
}

// A run of messages; each has a payload, which is one field.
Verdict CommandJudge::judge_data(const Unit& unit, Bytes wire) {
  class Walk final : public Codec::FieldVisitor {
   public:
    Walk(CommandJudge& judge, const Unit& unit, Bytes wire) : judge_(judge), unit_(unit), wire_(wire) {}
    bool visit(uint32_t, const Field& field) override {
      judge_.judge_payload(wire_.subspan(field.value.offset - unit_.wire.offset, field.value.size), field.value.offset);
      return !judge_.is_overrun_;
    }

   private:
    CommandJudge& judge_;
    const Unit& unit_;
    Bytes wire_;
  };
  if (!is_overrun_ && (state_.matches_commands() || state_.write_back_rule() != nullptr)) {
    Walk walk(*this, unit, wire);
    codec_.fields(unit, wire, walk);
    has_matches_ = !state_.matched.empty();
  }
  if (is_overrun_) return block("too-large", "too much in this data matches for it to be judged");
  StatementPlan plan;  // Data has no facts of its own: its command was judged.
  plan.builtin = state_.login_ruling();
  plan.ruling = plan.builtin;
  return conclude(plan, nullptr);
}

void CommandJudge::judge_payload(Bytes payload, uint64_t at) {
  if (state_.write_back_rule() != nullptr) look_for_write_back(payload);
  if (!state_.matches_commands()) return;
  if (unit_hits_begin_ != unit_hits_end_) match_hits_in(payload, at);
  match_across_data(payload);
  if (!match_peeled(state_, Direction::kToTarget, payload, scratch_, state_.matched)) is_overrun_ = true;
  if (!snapshot_.masker().is_escaped(payload, ValueFormat::kCopyText)) return;
  const std::size_t mark = scratch_.work.used();
  const Bytes meaning = snapshot_.masker().unescape(payload, ValueFormat::kCopyText, scratch_.work);
  if (meaning.empty() || !match_field(state_, Direction::kToTarget, meaning, scratch_, state_.matched)) is_overrun_ = true;
  scratch_.work.rewind(mark);
}

// A value that two messages share: the end of the last one and the start of this one, side by side.
void CommandJudge::match_across_data(Bytes payload) {
  if (payload.empty()) return;
  std::array<std::byte, 2 * kDataTail> joined;
  const std::size_t before = state_.data_tail_size;
  const std::size_t taken = std::min<std::size_t>(payload.size(), kDataTail);
  std::copy_n(state_.data_tail.begin(), before, joined.begin());
  std::copy_n(payload.begin(), taken, joined.begin() + static_cast<std::ptrdiff_t>(before));
  if (before != 0 && !match_field(state_, Direction::kToTarget, Bytes(joined).first(before + taken), scratch_, state_.matched))
    is_overrun_ = true;
  if (payload.back() == std::byte{'\n'}) {
    state_.data_tail_size = 0;  // A row ends here, and no value reaches into the next.
  } else if (payload.size() >= kDataTail) {
    std::copy_n(payload.end() - static_cast<std::ptrdiff_t>(kDataTail), kDataTail, state_.data_tail.begin());
    state_.data_tail_size = kDataTail;
  } else {
    const std::size_t total = before + taken, keep = std::min(total, kDataTail);
    std::copy_n(joined.begin() + static_cast<std::ptrdiff_t>(total - keep), keep, state_.data_tail.begin());
    state_.data_tail_size = static_cast<uint32_t>(keep);
  }
}

// Hits of the chunk's scan that end in `field`, which starts at that offset of the stream.
void CommandJudge::match_hits_in(Bytes field, uint64_t field_at) {
  const std::vector<Pattern>& patterns = snapshot_.contents().patterns;
  for (std::size_t i = unit_hits_begin_; i < unit_hits_end_; ++i) {
    const PatternHit hit = scratch_.hits[i];
    const uint64_t end = scan_at_ + hit.end;
    if (end <= field_at || end > field_at + field.size()) continue;
    if (!confirm(patterns[hit.pattern], hit.pattern, field, static_cast<std::size_t>(end - field_at), scratch_)) continue;
    add_matches(state_, Direction::kToTarget, patterns[hit.pattern], state_.matched);
    has_matches_ = true;
  }
}

void CommandJudge::match_text_hits(const Unit& unit, Bytes wire) {
  const Bytes text = unit.text;
  if (unit_hits_begin_ != unit_hits_end_) {
    const std::size_t place = as_text(wire).find(as_text(text));
    if (place != std::string_view::npos) {
      match_hits_in(text, unit.wire.offset + place);
    } else {  // It was decoded: the chunk's scan saw other bytes.
      is_overrun_ = !match_field(state_, Direction::kToTarget, text, scratch_, state_.matched) || is_overrun_;
      has_matches_ = true;
    }
  }
  const ScanSet* set = state_.scan(Direction::kToTarget);
  if (state_.has_text_rules()) {
    scratch_.inner_hits.clear();
    is_overrun_ = !set->text.scan(text, scratch_, scratch_.inner_hits) || is_overrun_;
    for (const PatternHit& hit : scratch_.inner_hits) {
      add_matches(state_, Direction::kToTarget, snapshot_.contents().patterns[hit.pattern], state_.matched);
      has_matches_ = true;
    }
  }
  if (!match_peeled(state_, Direction::kToTarget, text, scratch_, state_.matched)) is_overrun_ = true;
  has_matches_ = has_matches_ || !state_.matched.empty();
}

void CommandJudge::match_parameters(const Unit& unit, Bytes wire, bool is_write) {
  class Walk final : public Codec::FieldVisitor {
   public:
    Walk(CommandJudge& judge, const Unit& unit, Bytes wire, bool is_write)
        : judge_(judge), unit_(unit), wire_(wire), is_write_(is_write) {}
    bool visit(uint32_t, const Field& field) override {
      if (field.is_null || field.value.size == 0) return true;
      const Bytes value = wire_.subspan(field.value.offset - unit_.wire.offset, field.value.size);
      if (judge_.state_.matches_commands()) {
        if (judge_.unit_hits_begin_ != judge_.unit_hits_end_) judge_.match_hits_in(value, field.value.offset);
        if (judge_.state_.has_text_rules()) match_text(value);
        if (!match_peeled(judge_.state_, Direction::kToTarget, value, judge_.scratch_, judge_.state_.matched))
          judge_.is_overrun_ = true;
      }
      if (is_write_ && judge_.state_.write_back_rule() != nullptr) judge_.look_for_write_back_value(as_text(value));
      return true;
    }

   private:
    void match_text(Bytes value) {
      judge_.scratch_.inner_hits.clear();
      if (!judge_.state_.scan(Direction::kToTarget)->text.scan(value, judge_.scratch_, judge_.scratch_.inner_hits))
        judge_.is_overrun_ = true;
      for (const PatternHit& hit : judge_.scratch_.inner_hits) {
        add_matches(judge_.state_, Direction::kToTarget, judge_.snapshot_.contents().patterns[hit.pattern],
                    judge_.state_.matched);
      }
    }
    CommandJudge& judge_;
    const Unit& unit_;
    Bytes wire_;
    bool is_write_;
  };
  const bool has_work = state_.matches_commands() || (is_write && state_.write_back_rule() != nullptr);
  if (!has_work) return;
  Walk walk(*this, unit, wire, is_write);
  codec_.fields(unit, wire, walk);
  has_matches_ = has_matches_ || !state_.matched.empty();
}

// Between quotes of either kind and outside of them alike: no statement has a run of stars or a mask's digits by itself.
void CommandJudge::look_for_write_back(Bytes text) {
  constexpr std::string_view kEnds = "'$\t\n,\"";
  std::string_view rest = as_text(text);
  while (!rest.empty() && !writes_back_) {
    const std::size_t end = std::min(rest.find_first_of(kEnds), rest.size());
    look_for_write_back_value(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

void CommandJudge::look_for_write_back_value(std::string_view value) {
  if (value.empty() || writes_back_) return;
  writes_back_ = snapshot_.masker().is_masked(value) || state_.has_fingerprint(value);
}

Verdict CommandJudge::conclude(const StatementPlan& plan, const StatementPlan* other) {
  if (is_overrun_) return block("too-large", "too much in this command matches for it to be judged");
  const bool is_plain = !has_matches_ && !writes_back_ && other == nullptr;
  Verdict verdict;
  if (is_plain) {
    verdict = finish(plan.ruling);
  } else {
    Ruling ruling;
    for (const StatementPlan* each : {&plan, other}) {
      if (each == nullptr) continue;
      Ruling one = each->builtin;
      RuleSet matched = RuleSet(snapshot_.contents().rules.size() + 1);
      if (!each->matched.empty()) matched.add_all(each->matched);
      state_.matched.for_each([&](uint32_t index) {
        const Rule& rule = snapshot_.rule(index);
        if (rule.then != RuleAction::kMask && (!each->facts || rule.narrows_to(*each->facts))) matched.add(index);
      });
      add_rules(state_, matched, each->is_refused, one);
      ruling.merge(one);
    }
    if (writes_back_) {
      const Rule& rule = *state_.write_back_rule();
      if (rule.mask.write_back == Guess::kAlert)
        ruling.alert(rule.index);
      else
        ruling.add(Verdict::Action::kBlock, rule.index, "write-back",
                   "this carries a masked value back: writing it would destroy the original", rule.is_observed);
    }
    verdict = finish(ruling);
  }
  name_grant(plan, verdict);
  if (other != nullptr) name_grant(*other, verdict);
  if (plan.is_grammar_error && verdict.action == Verdict::Action::kBlock) {
    verdict.grammar_error = true;
    verdict.position = plan.facts->position;
  }
  return verdict;
}

// For the record and for the reviewer: what it does, and to what.
void CommandJudge::name_objects(std::array<const StatementPlan*, 2> plans, Verdict& verdict) {
  for (const StatementPlan* plan : plans) {
    if (plan == nullptr || !plan->facts) continue;
    verdict.verbs |= plan->facts->verbs;
    if (verdict.objects.empty()) {
      verdict.objects = plan->objects;
    } else if (!plan->objects.empty()) {
      verdict.objects = context_.arena.keep(std::string(verdict.objects) + ", " + plan->objects);  // Two meanings of a name in flight.
      return;
    }
  }
  verdict.objects = context_.arena.keep(verdict.objects);  // A plan may leave its cache before the unit is settled.
}

void CommandJudge::explain_hold(const Unit& unit, std::array<const StatementPlan*, 2> plans, Verdict& verdict) {
  if (verdict.action != Verdict::Action::kHold || verdict.observed) return;
  if (unit.only_prepares) {  // The hold waits for the run, when the parameters are known too.
    verdict.action = Verdict::Action::kAllow;
    return;
  }
  for (const StatementPlan* plan : plans) {
    if (plan == nullptr || !plan->facts) continue;
    const auto& kinds = plan->facts->kinds;
    if (std::find(kinds.begin(), kinds.end(), "PrepareStmt") != kinds.end()) {
      // One approval would be for every EXECUTE to come, with parameters that nobody has seen.
      verdict.action = Verdict::Action::kBlock;
      verdict.reason = "what a reviewer must approve is not prepared by SQL: send it itself, or prepare it by the protocol";
      return;
    }
  }
}

Verdict CommandJudge::finish(const Ruling& ruling) {
  Verdict verdict = ruling.verdict(state_.target() != nullptr && state_.target()->is_observed, context_.arena);
  if (verdict.action != Verdict::Action::kAllow && !verdict.reason.empty()) {
    const std::string_view kept =
        context_.arena.keep(verdict.reason);  // A plan may leave its cache before the unit is settled.
    verdict.reason = kept.empty() ? std::string_view("not allowed here") : kept;
  }
  return verdict;
}

Verdict CommandJudge::block(std::string_view name, std::string_view reason) {
  Ruling ruling;
  ruling.add(Verdict::Action::kBlock, 0, name, reason);
  return finish(ruling);
}

}  // namespace weir::decide

#include "decide/reply_judge.h"

#include <algorithm>

#include "decide/command_judge.h"
#include "decide/field_walk.h"

namespace weir::decide {
namespace {

constexpr uint32_t kFirstUserTable = 16384;  // PostgreSQL's FirstNormalObjectId: lower ids are the system's own relations.

Verdict allow() {
  Verdict verdict;
  verdict.action = Verdict::Action::kAllow;
  return verdict;
}

uint64_t mix(uint64_t hash, uint64_t value) { return (hash ^ value) * 0x9e3779b97f4a7c15ULL + (hash >> 29); }

bool carries_values(const Unit& unit) {
  return (unit.kind == UnitKind::kRows || unit.kind == UnitKind::kResponse) && unit.field_count != 0;
}

}  // namespace

void ReplyJudge::judge(Bytes chunk, uint64_t chunk_at, std::span<const Unit> units, std::span<Verdict> out) {
  const bool has_values = std::any_of(units.begin(), units.end(), carries_values);
  if (has_values) scan(chunk, chunk_at, units);
  for (std::size_t i = 0; i < units.size(); ++i) {
    unit_hits_end_ = next_hit_;
    while (has_values && unit_hits_end_ < scratch_.hits.size() &&
           scan_at_ + scratch_.hits[unit_hits_end_].end <= units[i].wire.end())
      ++unit_hits_end_;
    out[i] = judge_unit(units[i], chunk.subspan(units[i].wire.offset - chunk_at, units[i].wire.size));
    next_hit_ = unit_hits_end_;
  }
}

void ReplyJudge::scan(Bytes chunk, uint64_t chunk_at, std::span<const Unit> units) {
  scratch_.hits.clear();
  const ScanSet* set = state_.scan(Direction::kToClient);
  if (set == nullptr) return;
  scan_at_ = units.front().wire.offset;
  is_overrun_ =
      !set->bytes.scan(chunk.subspan(scan_at_ - chunk_at, units.back().wire.end() - scan_at_), scratch_, scratch_.hits);
}

Verdict ReplyJudge::judge_unit(const Unit& unit, Bytes wire) {
  switch (unit.kind) {
    case UnitKind::kRows:
    case UnitKind::kResponse:
      return carries_values(unit) ? judge_values(unit, wire) : allow();
    case UnitKind::kOpaque: {
      if (state_.target() != nullptr && state_.target()->opaque == Opaque::kAllow) return allow();
      Ruling ruling;
      const bool holds = state_.target() != nullptr && state_.target()->opaque == Opaque::kHold;
      ruling.add(holds ? Verdict::Action::kHold : Verdict::Action::kBlock, 0, "opaque",
                 "the answer has bytes that this gateway's reader does not know");
      return ruling.verdict(state_.target() != nullptr && state_.target()->is_observed, context_.arena);
    }
    case UnitKind::kHandshake:
    case UnitKind::kLogin:
    case UnitKind::kCommand:
    case UnitKind::kData:
    case UnitKind::kControl:
    case UnitKind::kCancel:
    case UnitKind::kResponseEnd:
      break;
  }
  return allow();
}

Verdict ReplyJudge::judge_values(const Unit& unit, Bytes wire) {
  if (state_.scan(Direction::kToClient) == nullptr && state_.column_rules().empty()) return allow();
  if (is_overrun_) {
    Ruling ruling;
    ruling.add(Verdict::Action::kBlock, 0, "too-large", "too much in this answer matches for it to be masked safely");
    return conclude(ruling, false);
  }
  plans_ = {};
  any_column_ = {};
  bool masks_columns = false, hides_text = false;
  if (!state_.column_rules().empty()) {
    if (!find_plans(unit)) {
      Verdict verdict;
      verdict.action = Verdict::Action::kWait;
      return verdict;
    }
    const auto touches = [](const PlanPtr& plan) { return plan && plan->touches_masked; };
    const bool touches_masked = touches(plans_[0]) || touches(plans_[1]);
    if (unit.kind == UnitKind::kRows && touches_masked) {
      plan_columns(unit);
      masks_columns = has_column_masks();
    }
    hides_text = unit.kind == UnitKind::kResponse && touches_masked;
  }
  const bool may_hold_numbers = unit.kind == UnitKind::kRows && state_.data_mask_rule() != nullptr;
  const bool is_cut = unit.part != Part::kWhole && state_.data_mask_rule() != nullptr;
  const std::span<const Column> columns =
      masks_columns || may_hold_numbers || next_hit_ != unit_hits_end_ ? codec_.columns(unit) : std::span<const Column>{};
  const bool has_numbers = may_hold_numbers && std::any_of(columns.begin(), columns.end(), [](const Column& column) {
                             return column.format == ValueFormat::kBinary && (column.type_id == 20 || column.type_id == 1700);
                           });
  // Escaped values are looked at by meaning: their bytes may hide a match from the chunk's scan.
  const bool may_be_escaped =
      unit.kind == UnitKind::kRows && unit.verb != "row" && state_.scan(Direction::kToClient) != nullptr &&
      (as_text(wire).find('\\') != std::string_view::npos || as_text(wire).find('"') != std::string_view::npos);
  if (!masks_columns && !hides_text && !has_numbers && !is_cut && !may_be_escaped && next_hit_ == unit_hits_end_)
    return allow();
  scratch_.edits.clear();
  FieldWalk walk(*this, unit, wire, columns, masks_columns, hides_text);
  codec_.fields(unit, wire, walk);
  return conclude(walk.ruling(), walk.is_refused());
}

bool ReplyJudge::find_plans(const Unit& unit) {
  if (const SessionState::Asked* asked = state_.asked(unit.in_reply_to)) {
    plans_ = asked->plans;
    return true;
  }
  CommandJudge commands(snapshot_, state_, context_, codec_, scratch_);
  const std::array<uint64_t, 2> meanings = codec_.reply_meanings(unit);
  std::size_t found = 0;
  for (const uint64_t id : meanings) {
    if (id == 0) continue;
    bool is_known = true;
    PlanPtr plan = commands.plan_of_statement(id, is_known);
    if (!plan && is_known) return false;
    plans_[found++] = plan ? plan : state_.unreadable_plan();
  }
  if (found == 0) plans_[0] = state_.unreadable_plan();
  return true;
}

ColumnMask ReplyJudge::stricter(ColumnMask a, const ColumnMask& b) const {
  const auto choose = [&](uint32_t x, uint32_t y) {
    if (x == 0 || y == 0) return x == 0 ? y : x;
    return is_stricter(snapshot_.rule(y).mask.spec, snapshot_.rule(x).mask.spec) ? y : x;
  };
  a.rule = choose(a.rule, b.rule);
  a.observed_rule = choose(a.observed_rule, b.observed_rule);
  a.is_unsure = a.is_unsure || b.is_unsure;
  a.is_derived = a.is_derived || b.is_derived;
  return a;
}

ColumnMask ReplyJudge::by_plan(std::size_t index) const {
  ColumnMask mask;
  for (const PlanPtr& plan : plans_) {
    if (!plan || !plan->touches_masked) continue;
    mask = stricter(mask, plan->outputs_are_known && index < plan->outputs.size() ? plan->outputs[index] : plan->any_output);
  }
  return mask;
}

std::optional<ColumnMask> ReplyJudge::by_description(const Column& column) const {
  if (column.table_id == 0) return std::nullopt;
  if (column.table_id < kFirstUserTable) return ColumnMask{};
  const CatalogueRelation* relation = context_.catalogue == nullptr ? nullptr : context_.catalogue->relation(column.table_id);
  if (relation == nullptr) return std::nullopt;
  std::string_view name = "*";
  if (column.table_column != 0) {
    const auto found = std::find_if(relation->columns.begin(), relation->columns.end(),
                                    [&](const CatalogueColumn& each) { return each.number == column.table_column; });
    if (found == relation->columns.end()) return std::nullopt;  // Added since the catalogue was read.
    name = found->name;
  }
  const ColumnMask mask = mask_of_column(state_, plans_[0]->exempt, relation->schema, relation->name, name);
  if (relation->is_view && mask == ColumnMask{}) return std::nullopt;  // What is behind it, the plan knows or nobody.
  return mask;
}

ColumnMask ReplyJudge::mask_of_output(std::size_t index, const Column& column) const {
  const ColumnMask lineage = by_plan(index);
  const std::optional<ColumnMask> described = by_description(column);
  if (!described) return lineage;
  return lineage.is_unsure ? *described : stricter(lineage, *described);
}

void ReplyJudge::plan_columns(const Unit& unit) {
  const std::span<const Column> columns = codec_.columns(unit);
  uint64_t signature = mix(state_.epoch(), columns.size());
  for (const PlanPtr& plan : plans_) signature = mix(signature, reinterpret_cast<std::uintptr_t>(plan.get()));
  for (const Column& column : columns)
    signature = mix(mix(signature, column.table_id), uint64_t{column.table_column} << 32 | column.type_id);
  for (const PlanPtr& plan : plans_) {
    if (!plan || !plan->touches_masked) continue;
    any_column_ = stricter(any_column_, plan->any_output);
    // More or fewer columns than the statement was read to have: the table has changed, and nothing of it is sure.
    const bool fits = columns.empty() || plan->outputs.size() == columns.size();
    if (plan->outputs_are_known && !fits) any_column_.is_unsure = true;
    for (const ColumnMask& mask : plan->outputs) any_column_ = stricter(any_column_, mask);
  }
  SessionState::ReplyColumns& reply = state_.reply;
  // The plans are kept: a plan made later at the same address must not find the masks of an earlier one.
  if (reply.signature == signature && reply.plans == plans_ && reply.masks.size() == columns.size()) return;
  reply.signature = signature;
  reply.plans = plans_;
  reply.masks.clear();
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto misfits = [&](const PlanPtr& plan) {
      return plan && plan->outputs_are_known && plan->outputs.size() != columns.size();
    };
    if (misfits(plans_[0]) || misfits(plans_[1])) {
      const std::optional<ColumnMask> described = by_description(columns[i]);
      reply.masks.push_back(described ? *described : any_column_);
    } else {
      reply.masks.push_back(mask_of_output(i, columns[i]));
    }
  }
}

bool ReplyJudge::has_column_masks() const {
  const auto masks = [](const ColumnMask& mask) { return mask.rule != 0 || mask.observed_rule != 0; };
  return state_.reply.masks.empty() ? masks(any_column_)
                                    : std::any_of(state_.reply.masks.begin(), state_.reply.masks.end(), masks);
}

Verdict ReplyJudge::conclude(const Ruling& ruling, bool is_refused) {
  const bool target_is_observed = state_.target() != nullptr && state_.target()->is_observed;
  if (is_refused) {
    Ruling refused = ruling;
    refused.add(Verdict::Action::kBlock, 0, "unmaskable",
                "the answer has a value that must be masked and cannot be masked safely");
    return refused.verdict(target_is_observed, context_.arena);
  }
  Verdict verdict = ruling.verdict(target_is_observed, context_.arena);
  const std::vector<FieldEdit>& edits = scratch_.edits;
  if (verdict.action != Verdict::Action::kMask || edits.empty()) return verdict;  // Without edits: only observed.
  const std::span<FieldEdit> kept = context_.arena.array<FieldEdit>(edits.size());
  if (kept.empty()) {
    Ruling refused;
    refused.add(Verdict::Action::kBlock, 0, "too-large", "the answer has more values to mask than fit at once");
    return refused.verdict(target_is_observed, context_.arena);
  }
  std::copy(edits.begin(), edits.end(), kept.begin());
  verdict.edits = kept;
  return verdict;
}

}  // namespace weir::decide

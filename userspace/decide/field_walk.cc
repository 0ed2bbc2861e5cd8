#include "decide/field_walk.h"

#include <algorithm>
#include <charconv>

#include "decide/scanner.h"

namespace weir::decide {
namespace {

constexpr uint32_t kInt8 = 20, kNumeric = 1700;  // PostgreSQL type OIDs.
constexpr MaskSpec kInFull{MaskSpec::As::kFull, 0, true}, kOfDerived{MaskSpec::As::kFull, 0, false};

// A whole number in decimal, as it is written in text.  Empty: not one that could be a card or an account.
std::string_view render_number(Bytes value, uint32_t type_id, std::array<char, 64>& out) {
  if (type_id == kInt8 && value.size() == 8) {
    const auto number = static_cast<int64_t>(load_be<uint64_t>(value));
    const auto end = std::to_chars(out.data(), out.data() + out.size(), number).ptr;
    return {out.data(), static_cast<std::size_t>(end - out.data())};
  }
  // numeric: count of base-10000 digits, weight of the first, sign, scale, digits (backend/utils/adt/numeric.c, numeric_send).
  if (type_id != kNumeric || value.size() < 8) return {};
  ByteReader reader(value);
  const uint16_t count = reader.u16be();
  const auto weight = static_cast<int16_t>(reader.u16be());
  reader.take(4);
  if (weight < 0 || weight > 12 || value.size() != 8u + 2u * count) return {};
  std::size_t size = 0;
  for (int i = 0; i <= weight; ++i) {
    unsigned digit = i < count ? reader.u16be() : 0;
    if (digit > 9999) return {};
    for (int place = 3; place >= 0; --place, digit /= 10)
      out[size + static_cast<std::size_t>(place)] = static_cast<char>('0' + digit % 10);
    size += 4;
  }
  const std::string_view text(out.data(), size);
  return text.substr(std::min(text.find_first_not_of('0'), text.size()));
}

}  // namespace

bool ReplyJudge::FieldWalk::visit(uint32_t index, const Field& field) {
  if (field.is_null || field.value.size == 0) return true;
  const Bytes value = wire_.subspan(field.value.offset - unit_.wire.offset, field.value.size);
  if (masks_columns_) {
    const ColumnMask mask = mask_of(field);
    if (mask.rule != 0) {
      mask_whole(index, field, value, judge_.snapshot_.rule(mask.rule), mask.is_derived);
      return !is_refused_;
    }
    if (mask.observed_rule != 0) count_only(judge_.snapshot_.rule(mask.observed_rule));
  }
  judge_.scratch_.runs.clear();
  if (hides_text_) hide_text(field, value);
  if (judge_.state_.scan(Direction::kToClient) == nullptr) {
    mask_runs(index, field, value);
  } else if (judge_.snapshot_.masker().is_escaped(value, field.format)) {
    find_in_meaning(index, field, value);
  } else {
    find_hits(field, value);
    if (!field.is_whole && judge_.state_.data_mask_rule() != nullptr) close_cut(field, value);
    mask_runs(index, field, value);
    if (field.format == ValueFormat::kBinary && judge_.state_.data_mask_rule() != nullptr) find_in_number(index, field, value);
  }
  return !is_refused_;
}

ColumnMask ReplyJudge::FieldWalk::mask_of(const Field& field) const {
  const std::vector<ColumnMask>& masks = judge_.state_.reply.masks;
  if (field.column == kColumnUnknown) return judge_.any_column_;
  if (!masks.empty()) return field.column < masks.size() ? masks[field.column] : judge_.any_column_;
  return judge_.by_plan(field.column);  // COPY: the target describes nothing.
}

MaskSubject ReplyJudge::FieldWalk::subject_of(const Field& field, Bytes value) const {
  const uint32_t type_id = field.column < columns_.size() ? columns_[field.column].type_id : 0;
  return {value, field.format, type_id, field.is_whole, field.is_resizable};
}

// What an observed rule would have done is told and counted, not worked out.
void ReplyJudge::FieldWalk::count_only(const Rule& rule) {
  ruling_.add(Verdict::Action::kMask, rule.index, rule.id, "", true);
  judge_.snapshot_.counters(rule.index).masked.fetch_add(1, std::memory_order_relaxed);
}

void ReplyJudge::FieldWalk::mask_whole(uint32_t index, const Field& field, Bytes value, const Rule& rule, bool is_derived) {
  if (rule.is_observed) return count_only(rule);
  const MaskSpec& spec = is_derived && rule.mask.spec.as != MaskSpec::As::kNull ? kOfDerived : rule.mask.spec;
  edit(index, field, judge_.snapshot_.masker().mask(spec, subject_of(field, value), judge_.context_.arena), rule);
}

// What the run's rules want besides masking is added to the ruling.  Returns the mask to carry out, else one that observes.
const Rule* ReplyJudge::FieldWalk::rules_of_run(const FoundRun& run) {
  const Rule* mask = nullptr;
  const Pattern& pattern = judge_.snapshot_.contents().patterns[run.pattern];
  for (const uint32_t index : pattern.rules) {
    const Rule& rule = judge_.snapshot_.rule(index);
    const bool is_asked = pattern.kind == PatternKind::kData || rule.direction == Direction::kToClient;
    if (!is_asked || !judge_.state_.applies(index) || !rule.in(Direction::kToClient) || rule.then == RuleAction::kAllow)
      continue;
    const auto is_out = [&](const PlanPtr& plan) {
      return plan && (plan->exempt.has(index) || (plan->facts && !rule.narrows_to(*plan->facts)));
    };
    if (is_out(judge_.plans_[0])) continue;
    if (rule.then != RuleAction::kMask) {
      ruling_.add(rule);
    } else if (mask == nullptr || (mask->is_observed && !rule.is_observed) ||
               (mask->is_observed == rule.is_observed && is_stricter(rule.mask.spec, mask->mask.spec))) {
      mask = &rule;
    }
  }
  return mask;
}

void ReplyJudge::FieldWalk::find_hits(const Field& field, Bytes value) {
  std::vector<Scratch::Run>& runs = judge_.scratch_.runs;
  const std::vector<PatternHit>& hits = judge_.scratch_.hits;
  // Hits behind this field's start belonged to fields that were visited, or to no field.
  std::size_t& next = judge_.next_hit_;
  while (next < judge_.unit_hits_end_ && judge_.scan_at_ + hits[next].end <= field.value.offset) ++next;
  for (; next < judge_.unit_hits_end_ && judge_.scan_at_ + hits[next].end <= field.value.end(); ++next) {
    const auto end = static_cast<std::size_t>(judge_.scan_at_ + hits[next].end - field.value.offset);
    const Pattern& pattern = judge_.snapshot_.contents().patterns[hits[next].pattern];
    const std::optional<FoundRun> run = confirm(pattern, hits[next].pattern, value, end, judge_.scratch_);
    if (!run) continue;
    if (const Rule* rule = rules_of_run(*run)) runs.push_back({run->begin, run->end, rule->index, false});
  }
}

// In order and without overlap: where two runs meet, the stricter mask covers both.
void ReplyJudge::FieldWalk::mask_runs(uint32_t index, const Field& field, Bytes value) {
  std::vector<Scratch::Run>& runs = judge_.scratch_.runs;
  std::sort(runs.begin(), runs.end(), [](const Scratch::Run& a, const Scratch::Run& b) { return a.begin < b.begin; });
  for (std::size_t i = 0; i < runs.size() && !is_refused_;) {
    Scratch::Run joined = runs[i++];
    for (; i < runs.size() && runs[i].begin < joined.end; ++i) {
      joined.end = std::max(joined.end, runs[i].end);
      joined.in_full = joined.in_full || runs[i].in_full;
      const Rule& had = judge_.snapshot_.rule(joined.rule);
      const Rule& has = judge_.snapshot_.rule(runs[i].rule);
      if ((had.is_observed && !has.is_observed) ||
          (had.is_observed == has.is_observed && is_stricter(has.mask.spec, had.mask.spec)))
        joined.rule = has.index;
    }
    const Rule& rule = judge_.snapshot_.rule(joined.rule);
    if (rule.is_observed) {
      count_only(rule);
      continue;
    }
    const MaskSpec& spec = joined.in_full ? kInFull : rule.mask.spec;
    const MaskResult result =
        judge_.snapshot_.masker().mask_part(spec, subject_of(field, value), joined.begin, joined.end, judge_.context_.arena);
    edit(index, field, result, rule);
    if (result.kind == MaskResult::Kind::kNull || (result.begin == 0 && result.end == value.size()))
      break;  // The whole value is gone.
  }
}

// A cell in pieces: what lies across the cut can be seen by nobody, so that the longest match's width on both sides of it
// is taken out.
void ReplyJudge::FieldWalk::close_cut(const Field& field, Bytes value) {
  const std::size_t width = judge_.state_.scan(Direction::kToClient)->width_max;
  const std::size_t zone = std::min<std::size_t>(value.size(), width == 0 ? 0 : width - 1);
  if (zone == 0) return;
  const uint32_t rule = judge_.state_.data_mask_rule()->index;
  if (field.value.offset == unit_.wire.offset) judge_.scratch_.runs.push_back({0, zone, rule, true});
  if (field.value.end() == unit_.wire.end()) judge_.scratch_.runs.push_back({value.size() - zone, value.size(), rule, true});
}

// COPY: the value's bytes are not what it means.  One hit masks all of it: rare, and never wrong.
void ReplyJudge::FieldWalk::find_in_meaning(uint32_t index, const Field& field, Bytes value) {
  Scratch& scratch = judge_.scratch_;
  const std::size_t mark = scratch.work.used();
  const Bytes meaning = judge_.snapshot_.masker().unescape(value, field.format, scratch.work);
  scratch.inner_hits.clear();
  if (meaning.empty() && value.size() > 2) is_refused_ = true;  // Longer than the work space.
  if (!judge_.state_.scan(Direction::kToClient)->bytes.scan(meaning, scratch, scratch.inner_hits)) is_refused_ = true;
  const Rule* mask = nullptr;
  for (const PatternHit& hit : scratch.inner_hits) {
    const std::optional<FoundRun> run =
        confirm(judge_.snapshot_.contents().patterns[hit.pattern], hit.pattern, meaning, hit.end, scratch);
    if (!run) continue;
    if (const Rule* rule = rules_of_run(*run); rule != nullptr && (mask == nullptr || mask->is_observed)) mask = rule;
  }
  scratch.work.rewind(mark);
  if (mask != nullptr && !is_refused_) mask_whole(index, field, value, *mask);
}

// Binary integers: a card is not digits there.
void ReplyJudge::FieldWalk::find_in_number(uint32_t index, const Field& field, Bytes value) {
  const uint32_t type_id = field.column < columns_.size() ? columns_[field.column].type_id : 0;
  std::array<char, 64> text;
  const std::string_view number = render_number(value, type_id, text);
  if (number.empty()) return;
  Scratch& scratch = judge_.scratch_;
  scratch.inner_hits.clear();
  if (!judge_.state_.scan(Direction::kToClient)->bytes.scan(as_bytes(number), scratch, scratch.inner_hits)) is_refused_ = true;
  for (const PatternHit& hit : scratch.inner_hits) {
    const std::optional<FoundRun> run =
        confirm(judge_.snapshot_.contents().patterns[hit.pattern], hit.pattern, as_bytes(number), hit.end, scratch);
    if (!run) continue;
    if (const Rule* rule = rules_of_run(*run)) {
      mask_whole(index, field, value, *rule);
      return;
    }
  }
}

// By its context, which only the server writes: that of a COPY without a trigger is one line and names the COPY.
bool ReplyJudge::FieldWalk::comes_from_a_function() {
  if (comes_from_a_function_) return *comes_from_a_function_;
  comes_from_a_function_ = false;
  constexpr std::string_view kContext("\0W", 2);  // No string holds a NUL: this is where the field begins.
  std::string_view rest = as_text(wire_);
  const std::size_t at = rest.find(kContext);
  if (at == std::string_view::npos) return false;
  rest.remove_prefix(at + kContext.size());
  const std::string_view context = rest.substr(0, rest.find('\0'));
  comes_from_a_function_ = !context.starts_with("COPY ") || context.find('\n') != std::string_view::npos;
  return *comes_from_a_function_;
}

// An error or notice of a command that touches masked columns: what is quoted or in parentheses may be a value; a notice's
// text, where an error happened, and the text of an error that came out of a function (it has a context), may be anything.
void ReplyJudge::FieldWalk::hide_text(const Field& field, Bytes value) {
  // The column of an error's string is the letter that PostgreSQL puts before it (manual, 55.8); of a notification, its place.
  const char code = unit_.verb == "notification" && field.column == 1 ? 'W' : static_cast<char>(field.column & 0x7f);
  if (code != 'M' && code != 'D' && code != 'H' && code != 'W' && code != 'q') return;
  const std::vector<const Rule*>& rules = judge_.state_.column_rules();
  const auto enforced = std::find_if(rules.begin(), rules.end(), [](const Rule* each) { return !each->is_observed; });
  const uint32_t rule = (enforced == rules.end() ? rules.front() : *enforced)->index;
  const bool is_anything = unit_.verb == "notice" || comes_from_a_function();
  const bool is_free_text = code == 'W' || code == 'q' || is_anything;
  const std::string_view text = as_text(value);
  const auto hide = [&](std::size_t begin, std::size_t end) {
    if (begin < end) judge_.scratch_.runs.push_back({begin, end, rule, true});
  };
  if (is_free_text) return hide(0, text.size());
  for (std::size_t at = 0; at < text.size();) {
    const char open = text[at++];
    if (open != '"' && open != '(' && open != '\'') continue;
    // A value may hold the closing mark itself: the last one of the text ends it, but for lists like (a)=(b).
    const std::size_t last = open == '(' ? text.rfind(')') : text.rfind(open);
    const std::size_t between = open == '(' ? text.find(")=(", at) : std::string_view::npos;
    const std::size_t end = between != std::string_view::npos             ? between
                            : last == std::string_view::npos || last < at ? text.size()
                                                                          : last;
    if (between == std::string_view::npos) hide(at, end);  // Before )=( stand column names.
    at = between != std::string_view::npos ? between + 2 : end + 1;
  }
}

void ReplyJudge::FieldWalk::edit(uint32_t index, const Field& field, const MaskResult& result, const Rule& rule) {
  if (result.kind == MaskResult::Kind::kRefuse) {
    is_refused_ = true;
    return;
  }
  FieldEdit made;
  made.field = index;
  made.to_null = result.kind == MaskResult::Kind::kNull;
  made.within = made.to_null ? field.value
                             : ByteRange{field.value.offset + result.begin, static_cast<uint32_t>(result.end - result.begin)};
  made.with = result.with;
  if (!made.to_null && made.within.size == 0 && made.with.empty()) return;
  judge_.scratch_.edits.push_back(made);
  ruling_.add(Verdict::Action::kMask, rule.index, rule.id, "");
  judge_.snapshot_.counters(rule.index).masked.fetch_add(1, std::memory_order_relaxed);
  const bool is_whole = !made.to_null && result.begin == 0 && made.within.size == field.value.size;
  if (is_whole && judge_.state_.write_back_rule() != nullptr && !judge_.snapshot_.masker().is_masked(as_text(made.with))) {
    judge_.state_.add_fingerprint(made.with);
  }
}

}  // namespace weir::decide

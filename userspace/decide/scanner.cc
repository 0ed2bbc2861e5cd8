#include "decide/scanner.h"

#include <algorithm>

#include "decide/peel.h"

namespace weir::decide {
namespace {

constexpr int kPeelDepthMax = 2;

bool is_word(std::byte byte) {
  const auto c = std::to_integer<unsigned>(byte);
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c >= 0x80;
}
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Where `word` begins that ends at `end`; a space in it stands for any white space.
std::optional<std::size_t> word_start(std::string_view word, std::string_view field, std::size_t end) {
  std::size_t at = end;
  for (std::size_t i = word.size(); i-- > 0;) {
    if (word[i] == ' ') {
      const std::size_t before = at;
      while (at > 0 && is_space(field[at - 1])) --at;
      if (at == before) return std::nullopt;
    } else if (at == 0 || lower(field[at - 1]) != lower(word[i])) {
      return std::nullopt;
    } else {
      --at;
    }
  }
  return at;
}

std::optional<FoundRun> confirm_word(const Pattern& pattern, uint32_t index, Bytes field, std::size_t end) {
  const std::optional<std::size_t> begin = word_start(pattern.name, as_text(field), end);
  if (!begin) return std::nullopt;
  const Bytes word = as_bytes(pattern.name);
  if (is_word(word.front()) && *begin > 0 && is_word(field[*begin - 1])) return std::nullopt;
  if (is_word(word.back()) && end < field.size() && is_word(field[end])) return std::nullopt;
  return FoundRun{index, *begin, end};
}

bool match_with(const SessionState& state, Direction direction, const PatternDatabase& database, Bytes bytes, Scratch& scratch,
                RuleSet& matched) {
  scratch.inner_hits.clear();
  const bool is_whole = database.scan(bytes, scratch, scratch.inner_hits);
  const std::vector<Pattern>& patterns = state.snapshot().contents().patterns;
  for (const PatternHit& hit : scratch.inner_hits) {
    if (confirm(patterns[hit.pattern], hit.pattern, bytes, hit.end, scratch))
      add_matches(state, direction, patterns[hit.pattern], matched);
  }
  return is_whole;
}

bool match_peeled(const SessionState& state, Direction direction, Bytes text, Scratch& scratch, RuleSet& matched, int depth) {
  const ScanSet* set = state.scan(direction);
  if (set == nullptr || text.size() < kPeelRunMin) return true;
  bool is_whole = true;
  const std::size_t mark = scratch.work.used();
  for (PeeledRun run = peel_next(text, 0, scratch.work); !run.decoded.empty(); run = peel_next(text, run.end, scratch.work)) {
    is_whole = match_with(state, direction, set->bytes, run.decoded, scratch, matched) && is_whole;
    if (state.has_text_rules()) is_whole = match_with(state, direction, set->text, run.decoded, scratch, matched) && is_whole;
    if (depth + 1 < kPeelDepthMax)
      is_whole = match_peeled(state, direction, run.decoded, scratch, matched, depth + 1) && is_whole;
  }
  scratch.work.rewind(mark);
  return is_whole;
}

}  // namespace

std::optional<FoundRun> confirm(const Pattern& pattern, uint32_t index, Bytes field, std::size_t end, Scratch& scratch) {
  if (end == 0 || end > field.size()) return std::nullopt;
  switch (pattern.kind) {
    case PatternKind::kText:
      return FoundRun{index, 0, end};
    case PatternKind::kWord:
      return confirm_word(pattern, index, field, end);
    case PatternKind::kData:
      break;
  }
  const std::size_t window = end > pattern.width_max ? end - pattern.width_max : 0;
  const std::optional<std::size_t> start = pattern.finder.start_of_match_at_end(field.subspan(window, end - window), scratch);
  if (!start) return std::nullopt;  // It began before the field: bytes of the protocol were part of it.
  FoundRun run{index, window + *start, end};
  if (!pattern.validator->confirm(field, run.begin, run.end)) return std::nullopt;
  return run;
}

void add_matches(const SessionState& state, Direction direction, const Pattern& pattern, RuleSet& matched) {
  for (const uint32_t index : pattern.rules) {
    if (!state.applies(index)) continue;
    const Rule& rule = state.snapshot().rule(index);
    // Words and text are of commands unless the rule says otherwise; data is looked for both ways.
    const bool is_asked =
        direction == Direction::kToTarget || pattern.kind == PatternKind::kData || rule.direction == Direction::kToClient;
    if (rule.in(direction) && is_asked) matched.add(index);
  }
}

bool match_field(const SessionState& state, Direction direction, Bytes bytes, Scratch& scratch, RuleSet& matched) {
  const ScanSet* set = state.scan(direction);
  return set == nullptr || match_with(state, direction, set->bytes, bytes, scratch, matched);
}

bool match_peeled(const SessionState& state, Direction direction, Bytes text, Scratch& scratch, RuleSet& matched) {
  return match_peeled(state, direction, text, scratch, matched, 0);
}

bool match_statement(const SessionState& state, Bytes text, Scratch& scratch, RuleSet& matched) {
  constexpr Direction kDirection = Direction::kToTarget;
  const ScanSet* set = state.scan(kDirection);
  if (set == nullptr) return true;
  bool is_whole = match_with(state, kDirection, set->bytes, text, scratch, matched);
  if (state.has_text_rules()) is_whole = match_with(state, kDirection, set->text, text, scratch, matched) && is_whole;
  return match_peeled(state, kDirection, text, scratch, matched) && is_whole;
}

}  // namespace weir::decide

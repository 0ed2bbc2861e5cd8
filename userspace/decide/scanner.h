// From hits of patterns to rules that match: hits are told apart by offset, clipped to one field, and confirmed.
#pragma once
#include <cstdint>
#include <optional>
#include <span>

#include "decide/session_state.h"

namespace weir::decide {

// A confirmed run inside one field.
struct FoundRun {
  uint32_t pattern = 0;
  std::size_t begin = 0, end = 0;  // In the field.
};

// True if the hit, which ends at `end` in `field`, is what its pattern says: begins and ends inside the field, at word
// boundaries for words, and confirmed by the validator for data.
std::optional<FoundRun> confirm(const Pattern& pattern, uint32_t pattern_index, Bytes field, std::size_t end, Scratch& scratch);

// Scans `bytes` as one field of its own and adds the rules of `direction` that match to `matched`.  False: too many hits.
bool match_field(const SessionState& state, Direction direction, Bytes bytes, Scratch& scratch, RuleSet& matched);
// The same for a statement's text: bytes and text patterns, and what is left when base64, hex and percent are peeled.
bool match_statement(const SessionState& state, Bytes text, Scratch& scratch, RuleSet& matched);
// What encodings hide in `text`, alone.
bool match_peeled(const SessionState& state, Direction direction, Bytes text, Scratch& scratch, RuleSet& matched);
// Adds the rules of one confirmed hit.
void add_matches(const SessionState& state, Direction direction, const Pattern& pattern, RuleSet& matched);

}  // namespace weir::decide

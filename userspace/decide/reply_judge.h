// Judges what comes back: which values of rows, COPY data, errors and notices are masked, and how.  One object a call of
// decide().  Must never: let a value through that a mask covers because it could not be rewritten (I4): the unit is blocked.
#pragma once
#include <optional>
#include <span>

#include "decide/session_state.h"

namespace weir::decide {

class ReplyJudge {
 public:
  ReplyJudge(const Snapshot& snapshot, SessionState& state, DecideContext& context, const Codec& codec, Scratch& scratch)
      : snapshot_(snapshot), state_(state), context_(context), codec_(codec), scratch_(scratch) {}

  void judge(Bytes chunk, uint64_t chunk_at, std::span<const Unit> units, std::span<Verdict> out);

 private:
  class FieldWalk;
  friend class FieldWalk;

  void scan(Bytes chunk, uint64_t chunk_at, std::span<const Unit> units);
  Verdict judge_unit(const Unit& unit, Bytes wire);
  Verdict judge_values(const Unit& unit, Bytes wire);
  // Post: false: the facts of a statement are pending.
  bool find_plans(const Unit& unit);
  void plan_columns(const Unit& unit);
  [[nodiscard]] ColumnMask mask_of_output(std::size_t index, const Column& column) const;
  [[nodiscard]] ColumnMask by_plan(std::size_t index) const;
  // The server's own word on where a column comes from; nothing: it has none.
  [[nodiscard]] std::optional<ColumnMask> by_description(const Column& column) const;
  [[nodiscard]] ColumnMask stricter(ColumnMask a, const ColumnMask& b) const;
  [[nodiscard]] bool has_column_masks() const;
  Verdict conclude(const Ruling& ruling, bool is_refused);

  const Snapshot& snapshot_;
  SessionState& state_;
  DecideContext& context_;
  const Codec& codec_;
  Scratch& scratch_;

  std::array<PlanPtr, 2> plans_;
  ColumnMask any_column_;  // For columns that nothing tells of.
  uint64_t scan_at_ = 0;
  std::size_t next_hit_ = 0, unit_hits_end_ = 0;
  bool is_overrun_ = false;
};

}  // namespace weir::decide

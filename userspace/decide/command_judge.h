// Judges what goes to the target: logins, commands, COPY data.  One object a call of decide(); no memory of its own.
#pragma once
#include <array>
#include <span>

#include "decide/session_state.h"

namespace weir::decide {

class CommandJudge {
 public:
  CommandJudge(const Snapshot& snapshot, SessionState& state, DecideContext& context, const Codec& codec, Scratch& scratch)
      : snapshot_(snapshot), state_(state), context_(context), codec_(codec), scratch_(scratch) {}

  void judge(Bytes chunk, uint64_t chunk_at, std::span<const Unit> units, std::span<Verdict> out);

  // The plan of a statement text; null: its facts are pending.
  PlanPtr plan_of_text(Bytes text);
  // Of a statement id that the codec keeps; null: pending, or unknown to it (then `is_known` is false).
  PlanPtr plan_of_statement(uint64_t id, bool& is_known);

 private:
  void scan(Bytes chunk, uint64_t chunk_at, std::span<const Unit> units);
  Verdict judge_unit(const Unit& unit, Bytes wire);
  Verdict judge_login();
  Verdict judge_opaque(std::string_view why);
  Verdict judge_text(const Unit& unit, Bytes wire);
  void note_passed(const StatementPlan& plan);
  Verdict judge_by_id(const Unit& unit, Bytes wire);
  Verdict judge_data(const Unit& unit, Bytes wire);
  // Adds what patterns say to what the plan says.
  Verdict conclude(const StatementPlan& plan, const StatementPlan* other);
  void match_hits_in(Bytes field, uint64_t field_at);
  void match_text_hits(const Unit& unit, Bytes wire);
  void match_parameters(const Unit& unit, Bytes wire, bool is_write);
  void judge_payload(Bytes payload, uint64_t at);
  void match_across_data(Bytes payload);
  void look_for_write_back(Bytes text);
  void look_for_write_back_value(std::string_view value);
  void explain_hold(const Unit& unit, std::array<const StatementPlan*, 2> plans, Verdict& verdict);
  void name_objects(std::array<const StatementPlan*, 2> plans, Verdict& verdict);
  static void name_grant(const StatementPlan& plan, Verdict& verdict);
  [[nodiscard]] Verdict finish(const Ruling& ruling);
  [[nodiscard]] Verdict block(std::string_view name, std::string_view reason);

  const Snapshot& snapshot_;
  SessionState& state_;
  DecideContext& context_;
  const Codec& codec_;
  Scratch& scratch_;

  uint64_t scan_at_ = 0;      // Stream offset of the scanned bytes.
  std::size_t next_hit_ = 0;  // Of scratch_.hits: hits of earlier units are behind.
  std::size_t unit_hits_begin_ = 0, unit_hits_end_ = 0;
  bool is_overrun_ = false;   // More hits than can be told apart.
  bool has_matches_ = false;  // state_.matched has something of this unit.
  bool writes_back_ = false;
};

}  // namespace weir::decide

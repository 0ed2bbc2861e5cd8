// Walks the fields of one unit of a reply: column masks, confirmed hits, strict error texts.  Collects edits in the scratch.
#pragma once
#include "decide/reply_judge.h"
#include "decide/scanner.h"

namespace weir::decide {

class ReplyJudge::FieldWalk final : public Codec::FieldVisitor {
 public:
  FieldWalk(ReplyJudge& judge, const Unit& unit, Bytes wire, std::span<const Column> columns, bool masks_columns,
            bool hides_text)
      : judge_(judge), unit_(unit), wire_(wire), columns_(columns), masks_columns_(masks_columns), hides_text_(hides_text) {}

  bool visit(uint32_t index, const Field& field) override;

  [[nodiscard]] const Ruling& ruling() const { return ruling_; }
  [[nodiscard]] bool is_refused() const { return is_refused_; }

 private:
  [[nodiscard]] ColumnMask mask_of(const Field& field) const;
  [[nodiscard]] MaskSubject subject_of(const Field& field, Bytes value) const;
  void count_only(const Rule& rule);
  void mask_whole(uint32_t index, const Field& field, Bytes value, const Rule& rule, bool is_derived = false);
  void find_hits(const Field& field, Bytes value);
  void mask_runs(uint32_t index, const Field& field, Bytes value);
  void find_in_meaning(uint32_t index, const Field& field, Bytes value);
  void find_in_number(uint32_t index, const Field& field, Bytes value);
  void close_cut(const Field& field, Bytes value);
  [[nodiscard]] bool comes_from_a_function();
  void hide_text(const Field& field, Bytes value);
  const Rule* rules_of_run(const FoundRun& run);
  void mask_run(uint32_t index, const Field& field, Bytes value, const FoundRun& run, const Rule& rule);
  void edit(uint32_t index, const Field& field, const MaskResult& result, const Rule& rule);

  ReplyJudge& judge_;
  const Unit& unit_;
  Bytes wire_;
  std::span<const Column> columns_;
  bool masks_columns_;
  bool hides_text_;
  bool is_refused_ = false;
  std::optional<bool> comes_from_a_function_;  // Of an error: found out at its first text.
  Ruling ruling_;
};

}  // namespace weir::decide

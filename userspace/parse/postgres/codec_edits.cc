// Masks carried out on the wire: the edited values, their lengths, and the lengths of the messages around them.  All edits of
// a unit are checked before the first byte of it is settled.
#include "base/check.h"
#include "parse/postgres/codec.h"
#include "parse/postgres/messages.h"

namespace weir::postgres {

// Walks the unit's fields and its edits side by side and writes down what to replace, in stream order.
class PostgresCodec::EditPlan final : public FieldVisitor {
 public:
  EditPlan(const Unit& unit, Bytes wire, std::span<const FieldEdit> edits, std::vector<Replacement>& plan)
      : unit_(unit), wire_(wire), edits_(edits), plan_(plan), message_end_(unit.wire.offset) {
    plan_.clear();
  }
  [[nodiscard]] bool fits() const { return fits_ && next_ == edits_.size(); }

  bool visit(uint32_t index, const Field& field) override {
    if (next_ == edits_.size()) return false;
    if (edits_[next_].field > index) return true;
    fits_ = edits_[next_].field == index && edit_field(index, field);
    return fits_;
  }

 private:
  bool edit_field(uint32_t index, const Field& field) {
    const bool is_part = unit_.part != Part::kWhole;
    if (!is_part) enter_message(field.value.offset - 1);  // Its length or header: an empty value may stand at the message's end.
    // The place of the value's own length, ahead of its replacement; filled in below.
    const bool has_length = !is_part && has_length_word(field);
    const std::size_t length_at = plan_.size();
    if (has_length) plan_.push_back({{field.value.offset - 4, 4}, {}, 0, Replacement::Kind::kNothing});
    int64_t grown = 0;
    bool is_null = false;
    uint64_t last_end = field.value.offset;
    for (; next_ < edits_.size() && edits_[next_].field == index; ++next_) {
      const FieldEdit& edit = edits_[next_];
      const Bytes with = edit.to_null ? null_text(field) : edit.with;
      if (edit.within.offset < last_end || edit.within.end() > field.value.end() || is_null) return false;
      if (!field.is_resizable && (edit.to_null || with.size() != edit.within.size)) return false;
      if (edit.to_null && (edit.within != field.value || field.is_null)) return false;
      is_null = edit.to_null;
      last_end = edit.within.end();
      grown += static_cast<int64_t>(with.size()) - edit.within.size;
      plan_.push_back({edit.within, with, 0, Replacement::Kind::kBytes});
    }
    if (has_length && (grown != 0 || is_null)) {
      plan_[length_at].kind = Replacement::Kind::kWord;
      plan_[length_at].word = is_null ? 0xffffffff : static_cast<uint32_t>(field.value.size + grown);
    }
    if (!is_part) grow_message(grown);
    return true;
  }
  // What stands for NULL where no length word does.
  static Bytes null_text(const Field& field) {
    return field.format == ValueFormat::kCopyText ? as_bytes("\\N") : Bytes{};
  }
  [[nodiscard]] bool has_length_word(const Field& field) const {
    if (field.format == ValueFormat::kCopyBinary) return field.column != kColumnUnknown;
    const char type = static_cast<char>(wire_[0]);
    return unit_.direction == Direction::kToTarget ? type == front::kBind : type == back::kDataRow;
  }
  void enter_message(uint64_t offset) {
    if (offset < message_end_) return;
    uint64_t at = message_end_;
    uint32_t length = 0;
    do {
      at = message_end_;
      length = load_be<uint32_t>(wire_, static_cast<std::size_t>(at - unit_.wire.offset) + 1);
      message_end_ = at + length + 1;
    } while (offset >= message_end_ && message_end_ < unit_.wire.end());
    message_ = plan_.size();
    length_ = length;
    plan_.push_back({{at + 1, 4}, {}, 0, Replacement::Kind::kNothing});
  }
  void grow_message(int64_t grown) {
    length_ += grown;
    Replacement& header = plan_[message_];
    header.word = static_cast<uint32_t>(length_);
    header.kind = Replacement::Kind::kWord;
  }

  const Unit& unit_;
  Bytes wire_;
  std::span<const FieldEdit> edits_;
  std::vector<Replacement>& plan_;
  std::size_t next_ = 0;
  bool fits_ = true;
  uint64_t message_end_;
  std::size_t message_ = 0;
  int64_t length_ = 0;
};

bool PostgresCodec::apply_edits(const Unit& unit, Bytes wire, std::span<const FieldEdit> edits, Outbox& out) {
  EditPlan plan(unit, wire, edits, replacements_);
  fields(unit, wire, plan);
  if (!plan.fits()) return false;
  uint64_t at = unit.wire.offset;
  for (const Replacement& replacement : replacements_) {
    if (replacement.kind == Replacement::Kind::kNothing) continue;
    if (replacement.where.offset > at) out.pass({at, static_cast<uint32_t>(replacement.where.offset - at)});
    std::array<std::byte, 4> word{};
    store_be<uint32_t>(word, 0, replacement.word);
    out.replace(replacement.where, replacement.kind == Replacement::Kind::kWord ? Bytes(word) : replacement.with);
    at = replacement.where.end();
  }
  if (at < unit.wire.end()) out.pass({at, static_cast<uint32_t>(unit.wire.end() - at)});
  return true;
}

}  // namespace weir::postgres

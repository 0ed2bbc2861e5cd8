#include "session/response_head.h"

#include "session/json_text.h"

namespace weir::session {
// Edits are sorted by field: one walk over fields and edits together.
class ResponseHead::Walk final : public Codec::FieldVisitor {
 public:
  Walk(ResponseHead& head, const Unit& unit, Bytes wire, std::span<const FieldEdit> edits, uint32_t columns)
      : head_(head), unit_(unit), wire_(wire), edits_(edits), columns_(columns) {}

  bool visit(uint32_t index, const Field& field) override {
    if (columns_ != 0 && index % columns_ == 0) {
      if (index != 0) close_row();
      if (head_.rows_ >= head_.rows_max_ || head_.text_.size() >= kSizeMax) {
        head_.is_full_ = true;
        return false;
      }
      head_.text_ += head_.text_.empty() ? "[[" : ",[";
      is_open_ = true;
    } else {
      head_.text_ += ',';
    }
    cell(index, field);
    return true;
  }
  void close_row() {
    if (!is_open_) return;
    head_.text_ += ']';
    ++head_.rows_;
    is_open_ = false;
  }

 private:
  void cell(uint32_t index, const Field& field) {
    while (next_ < edits_.size() && edits_[next_].field < index) ++next_;
    const bool is_edited = next_ < edits_.size() && edits_[next_].field == index;
    if (field.is_null || (is_edited && edits_[next_].to_null)) {
      head_.text_ += "null";
      return;
    }
    head_.text_ += '"';
    uint64_t at = field.value.offset;
    for (; next_ < edits_.size() && edits_[next_].field == index; ++next_) {
      const FieldEdit& edit = edits_[next_];
      copy(at, edit.within.offset);
      head_.value(edit.with);
      at = edit.within.end();
    }
    copy(at, field.value.end());
    head_.text_ += '"';
  }
  void copy(uint64_t from, uint64_t to) {
    const uint64_t start = unit_.wire.offset;
    if (to <= from || from < start || to > start + wire_.size()) return;
    head_.value(wire_.subspan(from - start, to - from));
  }

  ResponseHead& head_;
  const Unit& unit_;
  Bytes wire_;
  std::span<const FieldEdit> edits_;
  uint32_t columns_;
  std::size_t next_ = 0;
  bool is_open_ = false;
};

void ResponseHead::value(Bytes bytes) {
  if (!append_json_escaped(text_, bytes, kSizeMax)) is_full_ = true;
}

void ResponseHead::add(const Codec& codec, const Unit& unit, Bytes wire, std::span<const FieldEdit> edits) {
  if (rows_max_ == 0 || is_full_ || unit.field_count == 0 || unit.part != Part::kWhole || unit.row_count == 0) return;
  Walk walk(*this, unit, wire, edits, unit.field_count / unit.row_count);
  codec.fields(unit, wire, walk);
  walk.close_row();
}

Bytes ResponseHead::json() {
  if (text_.empty()) return {};
  text_ += ']';
  return as_bytes(text_);
}

void ResponseHead::clear() {
  text_.clear();
  rows_ = 0;
  is_full_ = false;
}

}  // namespace weir::session

// Fields of units, read from the unit's bytes each time they are asked for: nothing is kept per row.
#include "base/check.h"
#include "parse/postgres/codec.h"
#include "parse/postgres/messages.h"

namespace weir::postgres {
namespace {

ValueFormat copy_format(CopyShape::Kind kind) {
  switch (kind) {
    case CopyShape::Kind::kCsv: return ValueFormat::kCopyCsv;
    case CopyShape::Kind::kBinary: return ValueFormat::kCopyBinary;
    case CopyShape::Kind::kNone: case CopyShape::Kind::kText: break;
  }
  return ValueFormat::kCopyText;
}

// Numbers the fields of a unit and gives them to the visitor.
struct Walk {
  Codec::FieldVisitor& visitor;
  const ColumnTables* tables = nullptr;
  uint32_t columns = 0;
  uint32_t index = 0;
  static bool visit(void* context, const Field& field) {
    Walk& walk = *static_cast<Walk*>(context);
    if (walk.tables == nullptr) return walk.visitor.visit(walk.index++, field);
    Field formatted = field;
    formatted.format = walk.tables->format(walk.columns, field.column);
    return walk.visitor.visit(walk.index++, formatted);
  }
};

bool visit_text(Walk& walk, uint32_t column, std::string_view text, const Unit& unit, Bytes wire) {
  Field field;
  field.column = column;
  field.value = {unit.wire.offset + static_cast<uint64_t>(as_bytes(text).data() - wire.data()), static_cast<uint32_t>(text.size())};
  return Walk::visit(&walk, field);
}

void walk_error(const Unit& unit, Bytes wire, Walk& walk) {
  ByteReader reader(wire);
  reader.take(kHeaderSize);
  for (;;) {
    const char code = static_cast<char>(reader.u8());
    if (code == 0 || reader.failed()) return;
    const std::string_view text = reader.c_string();
    if (is_shown(code) && !visit_text(walk, static_cast<uint32_t>(code), text, unit, wire)) return;
  }
}

void walk_bind(const Unit& unit, Bytes wire, Walk& walk) {
  ByteReader reader(wire);
  reader.take(kHeaderSize);
  reader.c_string();
  reader.c_string();
  const uint16_t format_count = reader.u16be();
  const Bytes formats = reader.take(format_count * std::size_t{2});
  const uint16_t count = reader.u16be();
  for (uint16_t i = 0; i < count && !reader.failed(); ++i) {
    const uint32_t size = reader.u32be();
    Field field;
    field.column = i;
    field.is_null = size == 0xffffffff;
    field.value = {unit.wire.offset + reader.offset(), field.is_null ? 0 : size};
    if (!field.is_null) reader.take(size);
    const uint16_t code = format_count == 0 ? uint16_t{0} : load_be<uint16_t>(formats, format_count == 1 ? 0 : i * std::size_t{2});
    field.format = code == 1 ? ValueFormat::kBinary : ValueFormat::kText;
    if (!Walk::visit(&walk, field)) return;
  }
}

// The payload of a CopyData message, or of a part of one, as one field.
Field payload_field(const Unit& unit, uint32_t offset, uint32_t size, ValueFormat format) {
  Field field;
  field.column = kColumnUnknown;
  field.value = {unit.wire.offset + offset, size};
  field.format = format;
  return field;
}

void walk_copy_part(const Unit& unit, ValueFormat format, Walk& walk) {
  const uint32_t skipped = unit.part == Part::kFirst || unit.part == Part::kWhole ? std::min(kHeaderSize, unit.wire.size) : 0;
  Field field = payload_field(unit, skipped, unit.wire.size - skipped, format);
  field.is_whole = unit.part == Part::kWhole;
  field.is_resizable = false;
  Walk::visit(&walk, field);
}

// `each` gets the body of every message of the unit and its stream offset, and says whether to go on.
template <class F>
void for_each_message(const Unit& unit, Bytes wire, F&& each) {
  for (uint32_t at = 0; wire.size() - at >= kHeaderSize;) {
    const uint32_t length = load_be<uint32_t>(wire, at + 1);
    if (!each(wire.subspan(at + kHeaderSize, length - 4), unit.wire.offset + at + kHeaderSize)) return;
    at += length + 1;
  }
}

}  // namespace

void PostgresCodec::fields(const Unit& unit, Bytes wire, FieldVisitor& visitor) const {
  Walk walk{visitor};
  if (unit.field_count == 0 || wire.empty()) return;
  const char type = static_cast<char>(wire[0]);
  if (unit.direction == Direction::kToTarget) {
    if (unit.kind == UnitKind::kData && unit.part != Part::kWhole) return walk_copy_part(unit, ValueFormat::kCopyText, walk);
    if (unit.kind == UnitKind::kData) {
      for_each_message(unit, wire, [&](Bytes body, uint64_t at) {
        return Walk::visit(&walk, payload_field(unit, static_cast<uint32_t>(at - unit.wire.offset), static_cast<uint32_t>(body.size()),
                                                ValueFormat::kCopyText));
      });
    } else if (type == front::kBind) {
      walk_bind(unit, wire, walk);
    }
    return;
  }
  if (unit.kind == UnitKind::kResponse) {
    if (type == back::kError || type == back::kNotice) return walk_error(unit, wire, walk);
    if (type != back::kNotification) return;
    ByteReader reader(wire);
    reader.take(kHeaderSize + 4);
    if (visit_text(walk, 0, reader.c_string(), unit, wire)) visit_text(walk, 1, reader.c_string(), unit, wire);
    return;
  }
  const Received* record = received(unit);
  if (unit.kind != UnitKind::kRows || record == nullptr) return;
  if (record->type == back::kDataRow) {
    walk.tables = &tables_;
    walk.columns = record->columns;
    if (record->is_part) walk_row_part(record->cells, wire, unit.wire.offset, Walk::visit, &walk);
    else for_each_message(unit, wire, [&](Bytes body, uint64_t at) { return walk_data_row(body, at, Walk::visit, &walk); });
  } else if (record->is_part) {
    walk_copy_part(unit, copy_format(record->copy.kind), walk);
  } else {
    for_each_message(unit, wire, [&](Bytes body, uint64_t at) { return walk_copy_data(record->copy, body, at, Walk::visit, &walk); });
  }
}

Field PostgresCodec::field(const Unit& unit, Bytes wire, uint32_t index) const {
  struct Find final : FieldVisitor {
    uint32_t wanted;
    Field found;
    explicit Find(uint32_t w) : wanted(w) {}
    bool visit(uint32_t at, const Field& field) override {
      if (at == wanted) found = field;
      return at != wanted;
    }
  } find(index);
  fields(unit, wire, find);
  return find.found;
}

}  // namespace weir::postgres

#include "parse/postgres/copy_rows.h"

#include <algorithm>
#include <string_view>

#include "base/bytes.h"
#include "parse/postgres/messages.h"

namespace weir::postgres {
namespace {

constexpr uint32_t kNull = 0xffffffff;
constexpr std::string_view kCopySignature{"PGCOPY\n\xff\r\n\0", 11};

Field make_field(uint32_t column, uint64_t offset, std::size_t size, ValueFormat format) {
  Field field;
  field.column = column;
  field.value = {offset, static_cast<uint32_t>(size)};
  field.format = format;
  return field;
}

// count:2, then length:4 and bytes of each cell.  Post: true if the cells fit `body` exactly.
bool walk_cells(Bytes body, uint64_t at, ValueFormat format, CellVisit visit, void* context, bool& went_on) {
  ByteReader reader(body);
  const uint16_t count = reader.u16be();
  for (uint16_t i = 0; i < count; ++i) {
    const uint32_t size = reader.u32be();
    const uint64_t offset = at + reader.offset();
    Field field = make_field(i, offset, size, format);
    if (size == kNull) {
      field.value.size = 0;
      field.is_null = true;
    } else {
      reader.take(size);
    }
    if (reader.failed()) return false;
    if (visit != nullptr && !visit(context, field)) {
      went_on = false;
      return true;
    }
  }
  return !reader.failed() && reader.at_end();
}

bool whole_as_unknown(std::string_view payload, uint64_t at, ValueFormat format, CellVisit visit, void* context) {
  if (payload.ends_with('\n')) payload.remove_suffix(1);
  if (payload.empty()) return true;
  return visit(context, make_field(kColumnUnknown, at, payload.size(), format));
}

// The end of the cell that starts at `from`: at a tab or the end.  A backslash takes the next byte with it.
std::size_t text_cell_end(std::string_view line, std::size_t from) {
  while (from < line.size() && line[from] != '\t') from += line[from] == '\\' && from + 1 < line.size() ? 2 : 1;
  return from;
}

// The end of a csv cell: at a comma outside quotes or the end.
std::size_t csv_cell_end(std::string_view line, std::size_t from) {
  bool is_quoted = false;
  while (from < line.size() && (is_quoted || line[from] != ',')) {
    if (line[from] == '"') is_quoted = !is_quoted;
    ++from;
  }
  return from;
}

// Cells of one line; also counts them.  With a null `visit` it only counts.
uint32_t walk_line(CopyShape::Kind kind, std::string_view line, uint64_t at, CellVisit visit, void* context, bool& went_on) {
  const bool is_csv = kind == CopyShape::Kind::kCsv;
  uint32_t column = 0;
  for (std::size_t from = 0;; ++column) {
    const std::size_t end = is_csv ? csv_cell_end(line, from) : text_cell_end(line, from);
    const std::string_view cell = line.substr(from, end - from);
    if (visit != nullptr && went_on) {
      const bool has_quotes = is_csv && cell.size() >= 2 && cell.front() == '"' && cell.back() == '"';
      Field field = make_field(column, at + from + (has_quotes ? 1 : 0), cell.size() - (has_quotes ? 2 : 0),
                               is_csv ? ValueFormat::kCopyCsv : ValueFormat::kCopyText);
      field.is_null = is_csv ? cell.empty() : cell == "\\N";
      if (field.is_null) field.value.size = 0;
      went_on = visit(context, field);
    }
    if (end >= line.size()) return column + 1;
    from = end + 1;
  }
}

// A line of text whose cells can be told apart: one row, as many cells as columns.
bool is_sure_line(const CopyShape& shape, std::string_view& line) {
  if (!shape.is_sure || shape.columns == 0) return false;
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (shape.kind == CopyShape::Kind::kText && line.find('\n') != std::string_view::npos) return false;
  if (line == "\\.") return false;
  bool went_on = true;
  return walk_line(shape.kind, line, 0, nullptr, nullptr, went_on) == shape.columns;
}

// The tuple in a payload of binary COPY: behind the file header if this is the first message.  Empty: header or trailer only.
Bytes binary_tuple(Bytes payload) {
  if (as_text(payload).starts_with(kCopySignature)) {
    ByteReader reader(payload);
    reader.take(kCopySignature.size() + 4);
    reader.take(reader.u32be());
    if (reader.failed()) return payload;
    payload = reader.rest();
  }
  if (payload.size() == 2 && load_be<uint16_t>(payload) == 0xffff) return {};
  return payload;
}

}  // namespace

bool check_data_row(Bytes body, uint16_t& cells) {
  if (body.size() < 2) return false;
  cells = load_be<uint16_t>(body);
  bool went_on = true;
  return walk_cells(body, 0, ValueFormat::kText, nullptr, nullptr, went_on);
}

bool walk_data_row(Bytes body, uint64_t at, CellVisit visit, void* context) {
  bool went_on = true;
  walk_cells(body, at, ValueFormat::kText, visit, context, went_on);
  return went_on;
}

bool walk_copy_data(const CopyShape& shape, Bytes payload, uint64_t at, CellVisit visit, void* context) {
  const std::string_view text = as_text(payload);
  bool went_on = true;
  if (shape.kind == CopyShape::Kind::kBinary) {
    const Bytes tuple = binary_tuple(payload);
    if (tuple.empty()) return true;
    const uint64_t tuple_at = at + static_cast<uint64_t>(tuple.data() - payload.data());
    if (tuple.size() >= 2 && load_be<uint16_t>(tuple) == shape.columns &&
        walk_cells(tuple, 0, ValueFormat::kCopyBinary, nullptr, nullptr, went_on)) {
      walk_cells(tuple, tuple_at, ValueFormat::kCopyBinary, visit, context, went_on);
      return went_on;
    }
    Field whole = make_field(kColumnUnknown, at, payload.size(), ValueFormat::kCopyBinary);
    whole.is_resizable = false;  // Lengths inside it would no longer fit.
    return visit(context, whole);
  }
  const ValueFormat format = shape.kind == CopyShape::Kind::kCsv ? ValueFormat::kCopyCsv : ValueFormat::kCopyText;
  std::string_view line = text;
  if (!is_sure_line(shape, line)) return whole_as_unknown(text, at, format, visit, context);
  walk_line(shape.kind, line, at, visit, context, went_on);
  return went_on;
}

uint32_t count_copy_cells(const CopyShape& shape, Bytes payload) {
  uint32_t count = 0;
  walk_copy_data(shape, payload, 0, [](void* context, const Field&) { ++*static_cast<uint32_t*>(context); return true; }, &count);
  return count;
}

uint32_t take_row_part(CellState& state, Bytes bytes, uint32_t left_in_message, bool& failed) {
  failed = false;
  uint32_t taken = 0;
  const auto available = [&] { return static_cast<uint32_t>(std::min<std::size_t>(bytes.size(), left_in_message)) - taken; };
  if (state.at_head) {
    if (available() < kHeaderSize + 2) return 0;
    taken = kHeaderSize + 2;
    state.at_head = false;
  }
  while (available() > 0) {
    if (state.left == 0) {
      if (left_in_message - taken < 4) { failed = true; return 0; }
      if (available() < 4) break;
      const uint32_t size = load_be<uint32_t>(bytes, taken);
      taken += 4;
      if (size == kNull || size == 0) { ++state.column; continue; }
      if (size > left_in_message - taken) { failed = true; return 0; }
      state.left = size;
    }
    const uint32_t step = std::min(state.left, available());
    taken += step;
    state.left -= step;
    if (state.left == 0) ++state.column;
  }
  return taken;
}

bool walk_row_part(CellState state, Bytes part, uint64_t at, CellVisit visit, void* context) {
  uint32_t offset = state.at_head ? kHeaderSize + 2 : 0;
  while (offset < part.size()) {
    bool is_whole = state.left == 0;
    if (state.left == 0) {
      if (part.size() - offset < 4) return true;
      const uint32_t size = load_be<uint32_t>(part, offset);
      offset += 4;
      state.left = size == kNull ? 0 : size;
      if (size == kNull) {
        Field field = make_field(state.column, at + offset, 0, ValueFormat::kText);
        field.is_null = true;
        field.is_resizable = false;
        if (!visit(context, field)) return false;
        ++state.column;
        continue;
      }
    }
    const uint32_t step = static_cast<uint32_t>(std::min<std::size_t>(state.left, part.size() - offset));
    is_whole = is_whole && step == state.left;
    Field field = make_field(state.column, at + offset, step, ValueFormat::kText);
    field.is_whole = is_whole;
    field.is_resizable = false;
    if (!visit(context, field)) return false;
    offset += step;
    state.left -= step;
    if (state.left == 0) ++state.column;
  }
  return true;
}

}  // namespace weir::postgres

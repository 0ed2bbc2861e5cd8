#include "parse/postgres/column_tables.h"

#include <algorithm>

#include "parse/postgres/messages.h"

namespace weir::postgres {

ColumnTables::ColumnTables(uint64_t bytes_max) : bytes_max_(bytes_max) {
  slots_.resize(2);
  slots_[kText].is_marked = slots_[kBinary].is_marked = true;
}

uint32_t ColumnTables::take() {
  if (free_.empty()) {
    slots_.emplace_back();
    return static_cast<uint32_t>(slots_.size() - 1);
  }
  const uint32_t index = free_.back();
  free_.pop_back();
  return index;
}

// RowDescription: count:2, then for each column name\0 table:4 attnum:2 type:4 typlen:2 typmod:4 format:2.
uint32_t ColumnTables::read(Bytes body, bool& is_malformed) {
  is_malformed = false;
  if (latest_ != 0 && std::ranges::equal(body, slots_[latest_].body)) return latest_;
  ByteReader reader(body);
  const uint16_t count = reader.u16be();
  for (uint16_t i = 0; i < count && !reader.failed(); ++i) {
    reader.c_string();
    reader.take(18);
  }
  if (reader.failed() || !reader.at_end()) {
    is_malformed = true;
    return kText;
  }
  uint64_t bytes = 0;
  for (const Slot& slot : slots_) bytes += slot.size();
  if (bytes + body.size() + count * sizeof(Column) > bytes_max_) return kText;
  const uint32_t index = take();
  Slot& slot = slots_[index];
  slot.body.assign(body.begin(), body.end());
  slot.columns.clear();
  slot.has_names = true;
  ByteReader again(slot.body);
  again.u16be();
  for (uint16_t i = 0; i < count; ++i) {
    Column column;
    column.name = again.c_string();
    column.table_id = again.u32be();
    column.table_column = again.u16be();
    column.type_id = again.u32be();
    again.take(6);
    column.format = again.u16be() == 1 ? ValueFormat::kBinary : ValueFormat::kText;
    slot.columns.push_back(column);
  }
  latest_ = index;
  return index;
}

uint32_t ColumnTables::read_formats(Bytes codes) {
  const std::size_t count = codes.size() / 2;
  const auto is_binary = [&codes](std::size_t i) { return load_be<uint16_t>(codes, i * 2) == 1; };
  std::size_t binary = 0;
  for (std::size_t i = 0; i < count; ++i) binary += is_binary(i) ? 1 : 0;
  if (binary == 0) return kText;
  if (binary == count) return kBinary;  // One code stands for all columns; several equal ones do too.
  const uint32_t index = take();
  Slot& slot = slots_[index];
  slot.body.clear();
  slot.columns.assign(std::min<std::size_t>(count, kResultColumnsMax), Column{});
  slot.has_names = false;
  for (std::size_t i = 0; i < slot.columns.size(); ++i) {
    slot.columns[i].format = is_binary(i) ? ValueFormat::kBinary : ValueFormat::kText;
  }
  return index;
}

uint32_t ColumnTables::combine(uint32_t columns, uint32_t formats) {
  if (columns == kText || formats == kText) return columns == kText ? formats : columns;
  const uint32_t index = take();
  Slot& slot = slots_[index];
  const Slot& named = slots_[columns];
  slot.body = named.body;
  slot.columns = named.columns;
  slot.has_names = true;
  for (std::size_t i = 0; i < slot.columns.size(); ++i) {
    // The name points into the other slot's body: point it into ours.
    Column& column = slot.columns[i];
    if (!column.name.empty()) {
      const std::size_t offset = static_cast<std::size_t>(column.name.data() - as_text(named.body).data());
      column.name = as_text(slot.body).substr(offset, column.name.size());
    }
    column.format = format(formats, static_cast<uint32_t>(i));
  }
  return index;
}

uint32_t ColumnTables::copy(uint16_t count, ValueFormat format) {
  const uint32_t index = take();
  Slot& slot = slots_[index];
  slot.body.clear();
  slot.columns.assign(std::min<std::size_t>(count, kResultColumnsMax), Column{});
  slot.has_names = true;
  for (Column& column : slot.columns) column.format = format;
  return index;
}

std::span<const Column> ColumnTables::columns(uint32_t index) const {
  return slots_[index].has_names ? std::span<const Column>(slots_[index].columns) : std::span<const Column>{};
}

ValueFormat ColumnTables::format(uint32_t index, uint32_t column) const {
  if (index == kText) return ValueFormat::kText;
  if (index == kBinary) return ValueFormat::kBinary;
  const Slot& slot = slots_[index];
  return column < slot.columns.size() ? slot.columns[column].format : ValueFormat::kText;
}

void ColumnTables::sweep() {
  free_.clear();
  for (uint32_t i = 2; i < slots_.size(); ++i) {
    if (!slots_[i].is_marked) {
      free_.push_back(i);
      if (slots_[i].size() > 16u << 10) slots_[i] = Slot{};
      if (latest_ == i) latest_ = 0;
    }
    slots_[i].is_marked = false;
  }
  sweep_at_ = std::max<std::size_t>(8, (slots_.size() - free_.size()) * 2);
}

}  // namespace weir::postgres

// The column tables of replies: as RowDescription gave them, as a Bind's formats change them.  Slots are reused.
// Slot 0 is "not told, text", slot 1 "not told, binary".
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/unit.h"

namespace weir::postgres {

class ColumnTables {
 public:
  static constexpr uint32_t kText = 0;
  static constexpr uint32_t kBinary = 1;

  explicit ColumnTables(uint64_t bytes_max);

  // Body of a RowDescription.  Post: the table's index, 0 if it is malformed (is_malformed) or there is no room.
  uint32_t read(Bytes body, bool& is_malformed);
  // Result formats of a Bind, two bytes each.
  uint32_t read_formats(Bytes codes);
  // `columns` with the formats of `formats`.
  uint32_t combine(uint32_t columns, uint32_t formats);
  // A COPY reply: nameless columns of one format.
  uint32_t copy(uint16_t count, ValueFormat format);

  [[nodiscard]] std::span<const Column> columns(uint32_t index) const;  // Empty: not told.
  [[nodiscard]] ValueFormat format(uint32_t index, uint32_t column) const;

  // Called with no slot free: mark what is in use, then sweep().  True if the caller should do so before the next read.
  [[nodiscard]] bool needs_sweep() const { return free_.empty() && slots_.size() >= sweep_at_; }
  void mark(uint32_t index) { slots_[index].is_marked = true; }
  void sweep();

 private:
  struct Slot {
    std::vector<std::byte> body;  // The names' storage.
    std::vector<Column> columns;
    bool has_names = false;       // False: formats only.
    bool is_marked = false;
    [[nodiscard]] uint64_t size() const { return body.capacity() + columns.capacity() * sizeof(Column); }
  };
  uint32_t take();

  const uint64_t bytes_max_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  std::size_t sweep_at_ = 8;
  uint32_t latest_ = 0;  // The last one read: most replies repeat it.
};

}  // namespace weir::postgres

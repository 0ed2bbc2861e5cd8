// Rows and their cells: DataRow, and COPY data in text, csv and binary.  Walks bytes that codec.cc has framed.
#pragma once
#include <cstdint>

#include "core/module.h"
#include "core/unit.h"

namespace weir::postgres {

// Of a COPY, from CopyOutResponse / CopyInResponse and the statement.
struct CopyShape {
  enum class Kind : uint8_t { kNone, kText, kCsv, kBinary } kind = Kind::kNone;
  uint16_t columns = 0;
  bool is_sure = false;  // Default delimiter, quote and encoding as far as the statement's words tell.
};

// Where a part of a cut row starts.
struct CellState {
  uint32_t column = 0;  // Of the next byte's cell.
  uint32_t left = 0;    // Bytes of that cell still to come; 0: at a cell's length (or at the row's head).
  bool at_head = true;  // The message's header and column count come first.
};

// Called for each cell.  False stops the walk.
using CellVisit = bool (*)(void* context, const Field&);

// Body of one DataRow (after the header).  Post: cells that fit exactly, or false.
bool check_data_row(Bytes body, uint16_t& cells);
// Walks the cells of a whole DataRow body that check_data_row() took.  `at`: stream offset of the body.
bool walk_data_row(Bytes body, uint64_t at, CellVisit, void* context);
// One CopyData payload.  Cells that cannot be told apart for sure come as one field of kColumnUnknown.
bool walk_copy_data(const CopyShape&, Bytes payload, uint64_t at, CellVisit, void* context);
uint32_t count_copy_cells(const CopyShape&, Bytes payload);

// How much of `bytes` (a row's next bytes, `left_in_message` more to come in all) can be given as a part: not the first
// bytes of a cell's length alone.  Moves `state` past them.  Post: 0 if more bytes are needed; failed: malformed.
uint32_t take_row_part(CellState& state, Bytes bytes, uint32_t left_in_message, bool& failed);
// The cells of a part that starts at `state`.
bool walk_row_part(CellState state, Bytes part, uint64_t at, CellVisit, void* context);

}  // namespace weir::postgres

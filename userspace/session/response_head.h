// The first rows of a reply, as the client sees them (masked), for the record: a JSON array of arrays of strings and nulls.
// Bounded; once it is full it says so and takes no more.  No allocation after the first replies (the text keeps its room).
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "core/module.h"
#include "core/verdict.h"

namespace weir::session {

class ResponseHead {
 public:
  static constexpr std::size_t kSizeMax = 8u << 10;

  // `rows_max` 0: nothing is kept.
  void begin(uint32_t rows_max) { rows_max_ = rows_max; clear(); }
  // The rows of one unit, with the edits that its verdict carries laid over them.  `start`: where wire begins in the stream.
  void add(const Codec& codec, const Unit& unit, Bytes wire, std::span<const FieldEdit> edits);
  [[nodiscard]] Bytes json();  // Complete; empty if no row was kept.
  void clear();

 private:
  class Walk;
  void value(Bytes bytes);
  std::string text_;
  uint32_t rows_max_ = 0, rows_ = 0;
  bool is_full_ = false;
};

}  // namespace weir::session

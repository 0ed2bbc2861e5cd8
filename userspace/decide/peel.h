// Finds runs of base64, hex or percent encoding in a text and decodes them, so that what they hide can be scanned.
// Bounded: runs shorter than kRunMin hide nothing worth a rule, output ends where the arena does, depth is the caller's.
#pragma once
#include <cstddef>

#include "base/arena.h"
#include "base/bytes.h"

namespace weir::decide {

constexpr std::size_t kPeelRunMin = 12;

struct PeeledRun {
  std::size_t begin = 0, end = 0;  // In the text.
  Bytes decoded;                   // In the arena.
};

// The next run at or after `from`.  Post: nothing more: decoded is empty.
PeeledRun peel_next(Bytes text, std::size_t from, Arena& arena);

}  // namespace weir::decide

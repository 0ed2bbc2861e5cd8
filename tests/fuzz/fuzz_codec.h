// The target that every protocol of the registry has: its codec between two hostile peers and a fickle judge.
#pragma once
#include "base/bytes.h"
#include "core/module.h"

namespace weir::fuzz {

// Input: one settings byte, then pieces of | head:1 | size:2 | bytes |.  Head: bit 0 the side that speaks, bits 1-2 how what
// comes of it is judged, bit 3 a signal instead of bytes, bit 4 the side closes.
void fuzz_codec(const ProtocolModule&, Bytes input);

}  // namespace weir::fuzz

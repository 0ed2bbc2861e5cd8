// Fuzz entry: one input as a token against a fixed key set, and as a key set.
#pragma once
#include <cstddef>
#include <cstdint>

namespace weir::identify {
int fuzz_token(const uint8_t* data, size_t size);
}  // namespace weir::identify

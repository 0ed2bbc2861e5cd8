// Fuzz entry: one input as each of the things that a provider answers.
#pragma once
#include <cstddef>
#include <cstdint>

namespace weir::identify {
int fuzz_provider(const uint8_t* data, size_t size);
}  // namespace weir::identify

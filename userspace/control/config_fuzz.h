// Fuzz entry: any bytes as a configuration file, its rule file and an override.
#pragma once
#include <cstddef>
#include <cstdint>

namespace weir::control {

// Always 0.  Aborts when a claim of the loader does not hold: a problem without a message, a usable configuration with a
// dangling name, a limit out of its range.
int fuzz_config(const uint8_t* data, std::size_t size);

}  // namespace weir::control

// How many cores the engine takes.
#pragma once
#include <algorithm>
#include <cstdint>

#include "core/config.h"

namespace weir {

// `cpus`: of this host, 0: not known.  Auto leaves one for what runs off the data path: sealing, parsing, control.  Measured on
// two CPUs (bench/README.md, weir-try-two-cores): two cores do no more than one, and cost more CPU time each transaction.
inline uint32_t core_count(const EngineConfig& engine, unsigned cpus) {
  if (!engine.cores.empty()) return static_cast<uint32_t>(engine.cores.size());
  return std::max(cpus, 2U) - 1;
}

}  // namespace weir

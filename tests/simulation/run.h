// One simulation: a seed in, what broke out.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "simulation/gateway.h"

namespace weir::simulation {

struct Report {
  std::vector<Violation> violations;
  uint64_t tickets = 0;            // Commands that were held.
  uint64_t refused_words = 0;      // Of people who may not approve them, or too late.
  uint64_t trace = 0;              // Hash over everything that anybody saw: equal for equal seeds (I10).
  uint64_t sessions = 0, statements = 0, events = 0, blocked = 0, finished = 0, compared = 0;
  std::string faults;
  [[nodiscard]] std::string text(uint64_t seed) const;   // With the command that repeats it.
};
Report run(uint64_t seed);

}  // namespace weir::simulation

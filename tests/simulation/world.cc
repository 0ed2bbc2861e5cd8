#include "simulation/world.h"

namespace weir::simulation {
namespace {
struct Named { const char* name; bool Faults::*fault; };
constexpr Named kFaults[] = {
    {"tiny-windows", &Faults::tiny_windows}, {"tiny-reads", &Faults::tiny_reads},   {"few-buffers", &Faults::few_buffers}, {"resets", &Faults::resets},
    {"half-closes", &Faults::half_closes},   {"slow-target", &Faults::slow_target}, {"refused-dials", &Faults::refused_dials}, {"disk-errors", &Faults::disk_errors},
    {"slow-disk", &Faults::slow_disk},       {"short-writes", &Faults::short_writes}, {"no-segments", &Faults::no_segments}, {"cuts", &Faults::cuts},
    {"reloads", &Faults::reloads},           {"drain", &Faults::drain},
    {"late-facts", &Faults::late_facts},     {"full-disk", &Faults::full_disk},
};
}  // namespace

Faults Faults::choose(Prng& random) {
  Faults faults;
  const uint64_t rarity = 2 + random.below(5);
  for (const Named& named : kFaults) faults.*named.fault = random.one_in(rarity);
  return faults;
}

std::string Faults::text() const {
  std::string text;
  for (const Named& named : kFaults) {
    if (this->*named.fault) text += (text.empty() ? "" : " ") + std::string(named.name);
  }
  return text.empty() ? "none" : text;
}

}  // namespace weir::simulation

// A facts source whose answers may come later, as those of the parser threads do: sessions wait in the middle of a pipeline,
// through reloads and cuts.
#pragma once
#include <functional>
#include <memory>

#include "core/facts.h"
#include "core/limits.h"
#include "tests/simulation/world.h"

namespace weir::simulation {

// `faults` outlives it.  Without the fault every answer is at hand.
std::unique_ptr<FactsSource> make_late_facts(World& world, const Faults& faults, const Limits& limits, std::function<void()> wake);

}  // namespace weir::simulation

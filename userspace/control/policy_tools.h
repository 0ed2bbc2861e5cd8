// A policy snapshot for the command line: check, rules, explain.  The same compiler that the engine uses.
#pragma once
#include <memory>
#include <vector>

#include "base/result.h"
#include "control/config_problem.h"
#include "core/config.h"
#include "core/facts.h"
#include "decide/policy_compiler.h"

namespace weir::control {

// Compiles the rules of a right configuration.  Without the mask key (not readable for who asks), a random one stands in:
// masks are of the same form then, with other hashes.
[[nodiscard]] Result<std::shared_ptr<const decide::CompiledPolicy>> compile_for_tools(const Config& config, std::vector<ConfigProblem>& problems);
// Reads statements of PostgreSQL; answers at once.
[[nodiscard]] std::unique_ptr<FactsSource> facts_for_tools(const Config& config);

}  // namespace weir::control

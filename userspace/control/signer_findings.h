// For doctor: whether what the signer holds is out of the engine's reach.
#pragma once
#include <vector>

#include "core/config.h"
#include "steer/steer.h"

namespace weir::control {

void add_signer(const Config& config, std::vector<steer::Finding>& findings);

}  // namespace weir::control

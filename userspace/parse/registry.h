// The protocols that this build reads.  Adding one: fill parse/<name>/, add a line to registry.def.
#pragma once
#include <span>
#include <string_view>

#include "core/module.h"

namespace weir {

std::span<const ProtocolModule* const> protocol_modules();
const ProtocolModule* find_protocol(std::string_view name);  // nullptr: not in this build.

}  // namespace weir

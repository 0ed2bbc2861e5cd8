// A name for what is in force: SHA-256 of one canonical text of all rules, grants, kinds of data and masks.  Two files that
// mean the same give the same digest whatever their layout; place in a file counts only by order.
#pragma once
#include <string>

#include "core/config.h"

namespace weir::decide {

std::string policy_digest(const Config& config);  // 64 hex digits.

}  // namespace weir::decide

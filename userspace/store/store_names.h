// What may be a kind, an id and a body: the same for every store.
#pragma once
#include <vector>

#include "core/store.h"

namespace weir::store {

// Errors: kInvalid.
[[nodiscard]] Result<void> check_writes(const std::vector<StoreWrite>& writes);

}  // namespace weir::store

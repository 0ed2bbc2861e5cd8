#include "store/store_names.h"

#include <algorithm>

namespace weir::store {

Result<void> check_writes(const std::vector<StoreWrite>& writes) {
  for (const StoreWrite& write : writes) {
    const bool is_kind = !write.kind.empty() && write.kind.size() <= 32 &&
                         std::ranges::all_of(write.kind, [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
    if (!is_kind) return fail(Error::Kind::kInvalid, "store: not the name of a kind");
    if (write.id.empty() || write.id.size() > 512) return fail(Error::Kind::kInvalid, "store: an id of " + write.kind + " has 1 to 512 bytes");
    if (write.body && (write.body->empty() || write.body->size() > kStoreBodyMax)) {
      return fail(Error::Kind::kInvalid, "store: an item of " + write.kind + " has " + std::to_string(write.body->size()) + " bytes, 1 to " +
                                             std::to_string(kStoreBodyMax) + " are possible");
    }
  }
  return {};
}

}  // namespace weir::store

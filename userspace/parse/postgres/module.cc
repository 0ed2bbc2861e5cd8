#include "core/module.h"

namespace weir {
extern const ProtocolModule k_postgres_module;
const ProtocolModule k_postgres_module{"postgres", 5432, false, nullptr, nullptr};
}  // namespace weir

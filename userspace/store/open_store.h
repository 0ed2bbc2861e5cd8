// The store that the configuration names.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "core/config.h"
#include "store/measured_store.h"

namespace weir::store {

// `state`: the folder of a file.  `password`: what config.password_file holds; it is kept in memory and sent to that server alone.
// `notice`: a line for people, from any thread, when a shared store goes away or comes back.
// Errors: of SqliteStore::open(), or kUnavailable: a shared store must answer at a start.
[[nodiscard]] Result<std::unique_ptr<MeasuredStore>> open_store(const StoreConfig& config, const std::string& state, const std::string& gateway, std::string password,
                                                                std::function<void(const std::string&)> notice);

}  // namespace weir::store

#include "store/open_store.h"

#include "store/postgres_store.h"
#include "store/sqlite_store.h"

namespace weir::store {

Result<std::unique_ptr<MeasuredStore>> open_store(const StoreConfig& config, const std::string& state, const std::string& gateway, std::string password,
                                                  std::function<void(const std::string&)> notice) {
  if (config.is_shared) {
    PostgresLogin login{config.host, config.database, config.user, std::move(password), config.ca_file, gateway, config.port, config.tls};
    auto opened = PostgresStore::open(std::move(login), std::move(notice));
    if (!opened) return tl::unexpected<Error>(opened.error());
    return std::make_unique<MeasuredStore>(std::move(*opened));
  }
  auto opened = SqliteStore::open(state + "/" + config.file, gateway);
  if (!opened) return tl::unexpected<Error>(opened.error());
  return std::make_unique<MeasuredStore>(std::move(*opened));
}

}  // namespace weir::store

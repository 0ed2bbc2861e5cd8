// One gateway's store: one SQLite file (WAL, synchronous=FULL: durable when a write returns), mode 0600.
// Must never: read a schema that a later version made; be shared by gateways, which are not told of one another's writes here.
#pragma once
#include <memory>
#include <string>

#include "core/store.h"

namespace weir::store {

class SqliteStore final : public Store {
 public:
  // Makes the file where there is none, and brings an older schema up to this one.
  // Errors: kCorrupt (damaged, or no file of ours), kInvalid (of a later version), kSystem.
  [[nodiscard]] static Result<std::unique_ptr<SqliteStore>> open(const std::string& file, std::string gateway);
  ~SqliteStore() override;
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;

  // Any thread, one at a time (they lock).
  Result<std::vector<StoreItem>> load(std::string_view kind) override;
  Result<std::optional<StoreItem>> find(std::string_view kind, std::string_view id) override;
  Result<void> write(const std::vector<StoreWrite>& writes) override;
  Result<uint64_t> take_numbers(std::string_view sequence, uint64_t count, uint64_t floor) override;
  // One gateway uses the file: there is nobody else to tell of.
  void watch(std::string, OnChange) override {}
  Result<void> wipe_removed() override;
  std::string name() const override;
  bool is_healthy() const override;

 private:
  struct State;
  explicit SqliteStore(std::unique_ptr<State> state);
  const std::unique_ptr<State> state_;
};

}  // namespace weir::store

// A store with counts, for the metrics.
#pragma once
#include <array>
#include <atomic>
#include <chrono>
#include <memory>

#include "core/store.h"

namespace weir::store {

struct StoreCounts {
  uint64_t reads = 0, read_failures = 0;
  uint64_t writes = 0, write_failures = 0;  // Number takings are writes.
  uint64_t conflicts = 0;                   // Writes that another gateway's write came before; no failures.
  uint64_t changes = 0;                     // Of other gateways, told by watch().
  uint64_t nanoseconds = 0;                 // Of all reads and writes.
  uint64_t nanoseconds_max = 0;             // The slowest since the last counts().
};

class MeasuredStore final : public Store {
 public:
  explicit MeasuredStore(std::unique_ptr<Store> store) : store_(std::move(store)) {}

  Result<std::vector<StoreItem>> load(std::string_view kind) override;
  Result<std::optional<StoreItem>> find(std::string_view kind, std::string_view id) override;
  Result<void> write(const std::vector<StoreWrite>& writes) override;
  Result<uint64_t> take_numbers(std::string_view sequence, uint64_t count, uint64_t floor) override;
  void watch(std::string kind, OnChange on_change) override;
  Result<void> wipe_removed() override { return store_->wipe_removed(); }
  std::string name() const override { return store_->name(); }
  bool is_healthy() const override { return store_->is_healthy(); }
  [[nodiscard]] StoreCounts counts() const;

 private:
  template <class Work>
  auto measured(std::atomic<uint64_t>& calls, std::atomic<uint64_t>& failures, Work work);

  std::atomic<uint64_t> reads_{0}, read_failures_{0}, writes_{0}, write_failures_{0}, conflicts_{0}, changes_{0}, nanoseconds_{0};
  mutable std::atomic<uint64_t> nanoseconds_max_{0};
  const std::unique_ptr<Store> store_;  // Last: its thread tells changes_ until it has ended.
};

}  // namespace weir::store

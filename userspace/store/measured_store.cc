#include "store/measured_store.h"

namespace weir::store {

template <class Work>
auto MeasuredStore::measured(std::atomic<uint64_t>& calls, std::atomic<uint64_t>& failures, Work work) {
  const auto before = std::chrono::steady_clock::now();
  auto result = work();
  const auto took = static_cast<uint64_t>((std::chrono::steady_clock::now() - before) / std::chrono::nanoseconds(1));
  ++calls;
  nanoseconds_ += took;
  uint64_t most = nanoseconds_max_;
  while (took > most && !nanoseconds_max_.compare_exchange_weak(most, took)) {
  }
  if (result) return result;
  if (result.error().kind == Error::Kind::kDenied) ++conflicts_;
  else ++failures;
  return result;
}

Result<std::vector<StoreItem>> MeasuredStore::load(std::string_view kind) {
  return measured(reads_, read_failures_, [&] { return store_->load(kind); });
}

Result<std::optional<StoreItem>> MeasuredStore::find(std::string_view kind, std::string_view id) {
  return measured(reads_, read_failures_, [&] { return store_->find(kind, id); });
}

Result<void> MeasuredStore::write(const std::vector<StoreWrite>& writes) {
  return measured(writes_, write_failures_, [&] { return store_->write(writes); });
}

Result<uint64_t> MeasuredStore::take_numbers(std::string_view sequence, uint64_t count, uint64_t floor) {
  return measured(writes_, write_failures_, [&] { return store_->take_numbers(sequence, count, floor); });
}

void MeasuredStore::watch(std::string kind, OnChange on_change) {
  store_->watch(std::move(kind), [this, told = std::move(on_change)](const StoreItem& item) {
    ++changes_;
    told(item);
  });
}

StoreCounts MeasuredStore::counts() const {
  return {reads_, read_failures_, writes_, write_failures_, conflicts_, changes_, nanoseconds_, nanoseconds_max_.exchange(0)};
}

}  // namespace weir::store

// A store that forgets: for tests, and for what the real ones are held to.  Several gateways may share one.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "core/store.h"

namespace weir::store {

// What gateways share.  `refuse_writes`: each write fails with kUnavailable.
struct SharedMemory {
  std::mutex mutex;
  std::map<std::pair<std::string, std::string>, StoreItem> items;
  std::map<std::string, uint64_t, std::less<>> numbers;  // The next of each sequence.
  struct Watcher {
    const void* owner;
    std::string kind;
    Store::OnChange on_change;
  };
  std::vector<Watcher> watchers;
  bool refuse_writes = false;
};

class MemoryStore final : public Store {
 public:
  explicit MemoryStore(std::string gateway = "gw", std::shared_ptr<SharedMemory> shared = std::make_shared<SharedMemory>())
      : gateway_(std::move(gateway)), shared_(std::move(shared)) {}
  ~MemoryStore() override;
  MemoryStore(const MemoryStore&) = delete;
  MemoryStore& operator=(const MemoryStore&) = delete;

  Result<std::vector<StoreItem>> load(std::string_view kind) override;
  Result<std::optional<StoreItem>> find(std::string_view kind, std::string_view id) override;
  // Tells the other gateways' watchers before it returns, on the caller's thread, without a lock held.
  Result<void> write(const std::vector<StoreWrite>& writes) override;
  Result<uint64_t> take_numbers(std::string_view sequence, uint64_t count, uint64_t floor) override;
  void watch(std::string kind, OnChange on_change) override;
  std::string name() const override { return "memory"; }
  bool is_healthy() const override { return !shared_->refuse_writes; }

 private:
  const std::string gateway_;
  const std::shared_ptr<SharedMemory> shared_;
};

}  // namespace weir::store

#include "store/memory_store.h"

#include <algorithm>

#include "store/store_names.h"

namespace weir::store {

MemoryStore::~MemoryStore() {
  const std::lock_guard lock(shared_->mutex);
  std::erase_if(shared_->watchers, [this](const SharedMemory::Watcher& watcher) { return watcher.owner == this; });
}

Result<std::vector<StoreItem>> MemoryStore::load(std::string_view kind) {
  const std::lock_guard lock(shared_->mutex);
  std::vector<StoreItem> found;
  for (const auto& [key, item] : shared_->items) {
    if (key.first == kind) found.push_back(item);
  }
  return found;
}

Result<std::optional<StoreItem>> MemoryStore::find(std::string_view kind, std::string_view id) {
  const std::lock_guard lock(shared_->mutex);
  const auto found = shared_->items.find({std::string(kind), std::string(id)});
  if (found == shared_->items.end()) return std::optional<StoreItem>();
  return std::optional<StoreItem>(found->second);
}

Result<void> MemoryStore::write(const std::vector<StoreWrite>& writes) {
  if (auto checked = check_writes(writes); !checked) return checked;
  std::vector<std::pair<OnChange, StoreItem>> told;
  {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->refuse_writes) return fail(Error::Kind::kUnavailable, "the store takes no writes");
    for (const StoreWrite& write : writes) {
      const auto found = shared_->items.find({write.kind, write.id});
      if ((found == shared_->items.end() ? 0 : found->second.version) != write.expected) {
        return fail(Error::Kind::kDenied, write.kind + " " + write.id + " was changed meanwhile");
      }
    }
    for (const StoreWrite& write : writes) {
      const StoreItem item{write.kind, write.id, write.expected + (write.body ? 1 : 0), gateway_, write.body.value_or("")};
      if (write.body) shared_->items[{write.kind, write.id}] = item;
      else shared_->items.erase({write.kind, write.id});
      for (const SharedMemory::Watcher& watcher : shared_->watchers) {
        if (watcher.owner != this && watcher.kind == write.kind) told.emplace_back(watcher.on_change, item);
      }
    }
  }
  for (const auto& [on_change, item] : told) on_change(item);
  return {};
}

Result<uint64_t> MemoryStore::take_numbers(std::string_view sequence, uint64_t count, uint64_t floor) {
  const std::lock_guard lock(shared_->mutex);
  if (shared_->refuse_writes) return fail(Error::Kind::kUnavailable, "the store takes no writes");
  uint64_t& next = shared_->numbers.try_emplace(std::string(sequence), 1).first->second;
  const uint64_t first = std::max(next, floor + 1);
  next = first + count;
  return first;
}

void MemoryStore::watch(std::string kind, OnChange on_change) {
  const std::lock_guard lock(shared_->mutex);
  shared_->watchers.push_back({this, std::move(kind), std::move(on_change)});
}

}  // namespace weir::store

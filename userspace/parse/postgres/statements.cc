#include "parse/postgres/statements.h"

#include <algorithm>

#include "base/check.h"

namespace weir::postgres {
namespace {
constexpr std::size_t kSweepEvery = 32;            // Texts added between two sweeps.
constexpr uint64_t kSweepBytes = 256u << 10;       // Bytes added between two sweeps.
constexpr std::size_t kSlotCapacityKept = 4u << 10;  // A freed slot keeps this much for its next text.
}  // namespace

const StatementStore::Slot* StatementStore::find(uint64_t id) const {
  const auto at = std::lower_bound(live_.begin(), live_.end(), id, [](const Entry& e, uint64_t wanted) { return e.id < wanted; });
  return at != live_.end() && at->id == id ? &slots_[at->slot] : nullptr;
}

bool StatementStore::needs_sweep(std::size_t more) const {
  return live_.size() >= live_after_sweep_ + kSweepEvery || bytes_ + more > bytes_after_sweep_ + kSweepBytes;
}

uint64_t StatementStore::keep(Bytes text, Traits traits) {
  if (bytes_ + text.size() > bytes_max_) return 0;
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  slot.text.assign(text.begin(), text.end());
  slot.traits = traits;
  slot.columns = 0;
  slot.is_marked = false;
  bytes_ += text.size();
  live_.push_back({next_id_, index});
  return next_id_++;
}

void StatementStore::take_back(uint64_t id) {
  if (id == 0) return;
  WEIR_CHECK(!live_.empty() && live_.back().id == id);
  bytes_ -= slots_[live_.back().slot].text.size();
  free_.push_back(live_.back().slot);
  live_.pop_back();
  next_id_ = id;
}

Bytes StatementStore::text(uint64_t id) const {
  const Slot* slot = find(id);
  return slot == nullptr ? Bytes{} : Bytes(slot->text);
}

Traits StatementStore::traits(uint64_t id) const {
  const Slot* slot = find(id);
  return slot == nullptr ? static_cast<Traits>(~0) : slot->traits;
}

uint32_t StatementStore::columns(uint64_t id) const {
  const Slot* slot = find(id);
  return slot == nullptr ? 0 : slot->columns;
}

void StatementStore::set_columns(uint64_t id, uint32_t columns) {
  if (Slot* slot = find(id)) slot->columns = columns;
}

void StatementStore::mark(uint64_t id) {
  if (Slot* slot = find(id)) slot->is_marked = true;
}

void StatementStore::sweep() {
  std::size_t kept = 0;
  for (const Entry& entry : live_) {
    Slot& slot = slots_[entry.slot];
    if (slot.is_marked) {
      slot.is_marked = false;
      live_[kept++] = entry;
      continue;
    }
    bytes_ -= slot.text.size();
    if (slot.text.capacity() > kSlotCapacityKept) std::vector<std::byte>().swap(slot.text);
    free_.push_back(entry.slot);
  }
  live_.resize(kept);
  live_after_sweep_ = kept;
  bytes_after_sweep_ = bytes_;
}

}  // namespace weir::postgres

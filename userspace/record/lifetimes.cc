#include "record/lifetimes.h"

#include <algorithm>

namespace weir::record {

void Lifetimes::add(const SealEntry& entry, uint64_t index) {
  if (entry.is_last) ended_.push_back({entry.session, index, entry.sealed_ns});
  else earlier_[entry.session].push_back(index);
}

void Lifetimes::add(const OtherLeaf& leaf) {
  if (leaf.kind == kRetentionKind) policies_ = leaf.object.value("policies", nlohmann::json());
  if (const auto expiring = expiring_from(leaf)) {
    for (const uint64_t session : expiring->sessions) expiring_.try_emplace(session, Announced{expiring->policy, expiring->keep_s});
  }
  const std::optional<Tombstone> tombstone = tombstone_from(leaf);
  if (!tombstone || is_gone(tombstone->session) || expiring_.erase(tombstone->session) == 0) return;
  if (tombstone->session >= gone_.size()) gone_.resize(tombstone->session + 1);
  gone_[tombstone->session] = true;
  ++gone_count_;
}

std::vector<uint64_t> Lifetimes::seals_of(const Ended& ended) const {
  const auto found = earlier_.find(ended.session);
  std::vector<uint64_t> all = found == earlier_.end() ? std::vector<uint64_t>{} : found->second;
  all.push_back(ended.index);
  return all;
}

void Lifetimes::compact() {
  if (gone_count_ == 0) return;
  for (const Ended& each : ended_) {
    if (is_gone(each.session)) earlier_.erase(each.session);
  }
  std::erase_if(ended_, [&](const Ended& each) { return is_gone(each.session); });
  gone_count_ = 0;
}

}  // namespace weir::record

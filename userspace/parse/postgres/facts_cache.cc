#include "parse/postgres/facts_cache.h"

#include <bit>

#include "base/check.h"

namespace weir::postgres {

namespace {
constexpr std::size_t kEntryOverhead = 160;  // The entry itself and its share of the buckets.
}

FactsCache::FactsCache(uint32_t entries_max, std::size_t bytes_max)
    : entries_max_(entries_max), bytes_max_(bytes_max), buckets_(std::bit_ceil(std::size_t{entries_max} + 1), kNone) {
  entries_.reserve(entries_max);
}

uint32_t FactsCache::index_of(Kind kind, FactsContext context, uint64_t hash, std::string_view bytes) const {
  for (uint32_t index = buckets_[bucket_of(hash)]; index != kNone; index = entries_[index].next_in_bucket) {
    const Entry& entry = entries_[index];
    if (entry.hash == hash && entry.context == context && entry.kind == kind && entry.bytes == bytes) return index;
  }
  return kNone;
}

FactsCache::Found FactsCache::find(Kind kind, FactsContext context, uint64_t hash, std::string_view bytes) {
  const uint32_t index = index_of(kind, context, hash, bytes);
  if (index == kNone) return {};
  touch(index);
  return {true, entries_[index].facts};
}

void FactsCache::put(Kind kind, FactsContext context, uint64_t hash, std::string_view bytes, FactsPtr facts, std::size_t facts_bytes) {
  const uint32_t old = index_of(kind, context, hash, bytes);
  if (old != kNone) remove(old);
  uint32_t index = kNone;
  if (free_.empty()) {
    index = static_cast<uint32_t>(entries_.size());
    entries_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Entry& entry = entries_[index];
  entry.hash = hash;
  entry.bytes.assign(bytes);
  entry.facts = std::move(facts);
  entry.size = bytes.size() + facts_bytes + kEntryOverhead;
  entry.context = context;
  entry.kind = kind;
  uint32_t& bucket = buckets_[bucket_of(hash)];
  entry.next_in_bucket = bucket;
  bucket = index;
  link_newest(index);
  ++used_;
  bytes_ += entry.size;
}

void FactsCache::trim() {
  while (used_ > entries_max_ || (bytes_ > bytes_max_ && used_ > 0)) {
    remove(oldest_);
    ++evicted_;
  }
}

void FactsCache::clear() {
  while (used_ > 0) remove(oldest_);
}

void FactsCache::remove(uint32_t index) {
  Entry& entry = entries_[index];
  uint32_t* link = &buckets_[bucket_of(entry.hash)];
  while (*link != index) {
    WEIR_CHECK(*link != kNone);
    link = &entries_[*link].next_in_bucket;
  }
  *link = entry.next_in_bucket;
  unlink(index);
  --used_;
  bytes_ -= entry.size;
  entry.facts.reset();
  std::string().swap(entry.bytes);
  entry.next_in_bucket = kNone;
  free_.push_back(index);
}

void FactsCache::touch(uint32_t index) {
  if (index == newest_) return;
  unlink(index);
  link_newest(index);
}

void FactsCache::unlink(uint32_t index) {
  Entry& entry = entries_[index];
  (entry.newer == kNone ? newest_ : entries_[entry.newer].older) = entry.older;
  (entry.older == kNone ? oldest_ : entries_[entry.older].newer) = entry.newer;
  entry.newer = entry.older = kNone;
}

void FactsCache::link_newest(uint32_t index) {
  Entry& entry = entries_[index];
  entry.older = newest_;
  if (newest_ != kNone) entries_[newest_].newer = index;
  newest_ = index;
  if (oldest_ == kNone) oldest_ = index;
}

}  // namespace weir::postgres

// Facts by statement text: one core's, for one target.  Found by hash, confirmed by comparing text.
// Two kinds of entry:  by key    the text with its constants out (sql_key): facts that no constant shows in
//                      by text   the whole text: all others.  The key's entry then says "look for the text".
// Must never allocate in find().  Evicts only in trim(), between turns, so that pointers given out hold for a turn.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/facts.h"

namespace weir::postgres {

// What a statement's meaning depends on besides its text.  Small numbers, given by the owner of the cache.
using FactsContext = uint32_t;

class FactsCache {
 public:
  FactsCache(uint32_t entries_max, std::size_t bytes_max);

  enum class Kind : uint8_t { kByKey, kByText };
  struct Found {
    bool is_there = false;
    FactsPtr facts;   // Null with is_there: constants matter, look for the text.
  };
  // Post: the entry, if there, is the most recently used.
  Found find(Kind kind, FactsContext context, uint64_t hash, std::string_view bytes);
  // Replaces an entry of that name.  May go beyond the bounds until trim().
  void put(Kind kind, FactsContext context, uint64_t hash, std::string_view bytes, FactsPtr facts, std::size_t facts_bytes);
  // Drops the least recently used until both bounds hold.
  void trim();
  void clear();

  [[nodiscard]] uint64_t entries() const { return used_; }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }
  [[nodiscard]] uint64_t evicted() const { return evicted_; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Entry {
    uint64_t hash = 0;
    std::string bytes;
    FactsPtr facts;
    std::size_t size = 0;
    uint32_t next_in_bucket = kNone;
    uint32_t newer = kNone, older = kNone;
    FactsContext context = 0;
    Kind kind = Kind::kByKey;
  };
  uint32_t index_of(Kind kind, FactsContext context, uint64_t hash, std::string_view bytes) const;
  [[nodiscard]] std::size_t bucket_of(uint64_t hash) const { return hash & (buckets_.size() - 1); }
  void touch(uint32_t index);
  void unlink(uint32_t index);
  void link_newest(uint32_t index);
  void remove(uint32_t index);

  const uint32_t entries_max_;
  const std::size_t bytes_max_;
  std::vector<uint32_t> buckets_;   // Power of two.
  std::vector<Entry> entries_;
  std::vector<uint32_t> free_;
  uint32_t newest_ = kNone, oldest_ = kNone;
  uint64_t used_ = 0, bytes_ = 0, evicted_ = 0;
};

}  // namespace weir::postgres

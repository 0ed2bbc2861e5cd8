// What the codec keeps of a session's statements: their texts, the names that stand for them, and the portals made of them.
// A name's meaning changes only when the target says so (ParseComplete, BindComplete): until then both meanings count.
// Must never grow without bound: texts are limited by bytes, names by prepared_per_session_max.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "parse/postgres/codec_scan.h"

namespace weir::postgres {

using Meanings = std::array<uint64_t, 2>;

// Texts by id.  Ids rise by one with each text, so that they do not depend on when others are given up.
// Freeing is by sweep: the owner says which ids are in use when the store asks (needs_sweep()).
class StatementStore {
 public:
  explicit StatementStore(uint64_t bytes_max) : bytes_max_(bytes_max) {}

  // Post: the new id, or 0 if the store is full even after a sweep: the statement is then opaque.
  uint64_t keep(Bytes text, Traits traits);
  void take_back(uint64_t id);  // The latest: it was not used after all.
  [[nodiscard]] Bytes text(uint64_t id) const;  // Empty: unknown.
  [[nodiscard]] Traits traits(uint64_t id) const;
  [[nodiscard]] uint32_t columns(uint64_t id) const;       // Index of the described column table, 0: never described.
  void set_columns(uint64_t id, uint32_t columns);

  [[nodiscard]] bool needs_sweep(std::size_t more) const;
  void mark(uint64_t id);  // In use.
  void sweep();            // Gives up what was not marked since the last sweep, and clears the marks.
  template <class F>
  void for_each(F&& f) const { for (const Entry& entry : live_) f(entry.id, slots_[entry.slot].columns); }
  [[nodiscard]] std::size_t count() const { return live_.size(); }

 private:
  struct Slot { std::vector<std::byte> text; uint32_t columns = 0; Traits traits = 0; bool is_marked = false; };
  struct Entry { uint64_t id; uint32_t slot; };  // live_ is sorted by id.
  const Slot* find(uint64_t id) const;
  Slot* find(uint64_t id) { return const_cast<Slot*>(static_cast<const StatementStore*>(this)->find(id)); }

  const uint64_t bytes_max_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  std::vector<Entry> live_;
  uint64_t next_id_ = 1;
  uint64_t bytes_ = 0;
  std::size_t live_after_sweep_ = 0;
  uint64_t bytes_after_sweep_ = 0;
};

// What a Bind made: which statement, how its result is encoded.
struct PortalMeaning {
  Meanings meanings{};
  uint64_t bind_unit = 0;
  uint32_t formats = 0;  // Index of a column table that holds formats only.
  uint32_t columns = 0;  // Index of the described column table, 0: not described as a portal.
};

// Names in flight.  T is what a name means.
template <class T>
class NameTable {
 public:
  struct Entry {
    T current{};
    T latest{};                  // Sent, not answered (has_latest), or failed in a segment that still goes on (is_dead).
    uint64_t latest_unit = 0;
    uint64_t latest_segment = 0;
    uint32_t pending = 0;        // Sent and not answered, `latest` among them.
    bool has_current = false;
    bool has_latest = false;
    bool is_dead = false;
    // In its own segment a name means what was sent last: if that fails, what uses it is skipped.
    [[nodiscard]] bool is_of_segment(uint64_t segment) const { return (has_latest || is_dead) && latest_segment == segment; }
    [[nodiscard]] bool keeps_latest() const { return has_latest || is_dead; }
  };
  Entry* find(std::string_view name) {
    if (name.empty()) return &unnamed_;
    const auto found = named_.find(name);
    return found == named_.end() ? nullptr : &found->second;
  }
  Entry& make(std::string_view name) {
    if (Entry* entry = find(name)) return *entry;
    return named_.emplace(std::string(name), Entry{}).first->second;  // Allocates once a name.
  }
  void send(std::string_view name, const T& meaning, uint64_t unit, uint64_t segment) {
    Entry& entry = make(name);
    entry.latest = meaning;
    entry.latest_unit = unit;
    entry.latest_segment = segment;
    entry.has_latest = true;
    entry.is_dead = false;
    ++entry.pending;
  }
  // The target took it.
  void confirm(std::string_view name, const T& meaning, uint64_t unit) {
    Entry& entry = make(name);
    entry.current = meaning;
    entry.has_current = true;
    answered(entry, unit);
  }
  // Refused, skipped, or an error: the name means what it meant.
  void fail(std::string_view name, uint64_t unit) {
    Entry* entry = find(name);
    if (entry == nullptr) return;
    const bool was_latest = entry->has_latest && entry->latest_unit == unit;
    answered(*entry, unit);
    entry->is_dead = was_latest;
    has_dead_ = has_dead_ || was_latest;
  }
  // The segment is over: what failed in it means nothing any more.
  void forget_dead() {
    if (!has_dead_) return;
    has_dead_ = false;
    unnamed_.is_dead = false;
    for (auto at = named_.begin(); at != named_.end();) {
      at->second.is_dead = false;
      at = at->second.pending == 0 && !at->second.has_current ? named_.erase(at) : std::next(at);
    }
  }
  void set(std::string_view name, const T& meaning) {
    Entry& entry = make(name);
    entry.current = meaning;
    entry.has_current = true;
  }
  // The target dropped it.
  void close(std::string_view name) {
    Entry* entry = find(name);
    if (entry == nullptr) return;
    entry->has_current = false;
    entry->current = {};
    if (!name.empty() && entry->pending == 0) erase(name);
  }
  // All settled meanings go; what is in flight stays.
  void close_all(bool unnamed_too) {
    if (unnamed_too) close("");
    for (auto at = named_.begin(); at != named_.end();) {
      at->second.has_current = false;
      at->second.current = {};
      at = at->second.pending == 0 ? named_.erase(at) : std::next(at);
    }
  }
  // Named ones mean something, but not known what.
  void forget_all() {
    for (auto& [name, entry] : named_) entry.current = {};
  }
  [[nodiscard]] std::size_t named_count() const { return named_.size(); }
  template <class F>
  void for_each(F&& f) {
    f(unnamed_);
    for (auto& [name, entry] : named_) f(entry);
  }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  static void answered(Entry& entry, uint64_t unit) {
    if (entry.pending > 0) --entry.pending;
    if (entry.latest_unit == unit) entry.has_latest = entry.is_dead = false;
  }
  void erase(std::string_view name) { named_.erase(named_.find(name)); }

  bool has_dead_ = false;
  Entry unnamed_;
  std::unordered_map<std::string, Entry, Hash, std::equal_to<>> named_;
};

}  // namespace weir::postgres

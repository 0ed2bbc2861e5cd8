// By what a request id can be looked for, and what a manifest says of the ids in its archive.  Pure.
//
// A manifest keeps no id in clear: 64 bits of the SHA-256 of each key, so that a search need not read the archives that cannot
// have it.  Whoever holds an id can look for it; nobody reads one out of a manifest.  A collision costs one archive's reading.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::record {

// The id itself; of a traceparent the trace id too (32 hex digits: all spans of one trace); of a sqlcommenter comment each of
// its key='value' pairs.
std::vector<std::string_view> request_keys(std::string_view id);
// True: `wanted` is one of them.
bool matches_request(std::string_view id, std::string_view wanted);
uint64_t request_hash(std::string_view key);

// The hashes of one archive, sorted, each once.
class RequestSet {
 public:
  static constexpr std::size_t kHashesMax = 1'000;   // Above it: is_cut(), and who searches has to read the archive.
  static constexpr std::size_t kPairsMax = 16;       // Of one comment; further ones are found by the whole id alone.

  void add(std::string_view id);
  void add_hash(uint64_t hash);                      // As read back.
  void cut();
  void merge(const RequestSet& other);
  [[nodiscard]] bool may_have(uint64_t hash) const;
  [[nodiscard]] bool is_cut() const { return is_cut_; }
  [[nodiscard]] const std::vector<uint64_t>& hashes() const { return hashes_; }
  friend bool operator==(const RequestSet& a, const RequestSet& b) { return a.is_cut_ == b.is_cut_ && a.hashes_ == b.hashes_; }

 private:
  std::vector<uint64_t> hashes_;
  std::string last_;                                 // Most commands of a session carry what the one before carried.
  bool is_cut_ = false;
};

}  // namespace weir::record

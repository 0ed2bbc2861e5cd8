// Seals by their place in the evidence log.  Remembers one bundle: neighbours cost one reading.
#pragma once
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "record/evidence_log.h"
#include "record/log_leaf.h"

namespace weir::record {

class SealsByIndex {
 public:
  explicit SealsByIndex(std::string log) : log_(std::move(log)) {}
  // Pre: the checkpoint covers the index.  kCorrupt: no seal stands there.
  Result<SealEntry> at(uint64_t index) {
    const uint64_t bundle = index / kTileWidth;
    const auto place = static_cast<unsigned>(index % kTileWidth);
    if (bundle_ != bundle || place >= entries_.size()) {
      if (Result<void> done = load(bundle, place + 1); !done) return tl::unexpected(done.error());
    }
    std::optional<SealEntry> seal = seal_from_leaf(entries_[place]);
    if (!seal) return fail(Error::Kind::kCorrupt, log_ + ": entry " + std::to_string(index) + " is no seal");
    return std::move(*seal);
  }

 private:
  // As much of it as the checkpoint covers now.
  Result<void> load(uint64_t bundle, unsigned least) {
    const Result<LogHead> head = read_head(log_);
    if (!head) return tl::unexpected(head.error());
    const unsigned width = std::max(least, tile_width(head->checkpoint.size, 0, bundle));
    const Result<std::string> bytes = read_bundle(log_, bundle, width);
    if (!bytes) return tl::unexpected(bytes.error());
    const Result<std::vector<Bytes>> entries = split_bundle(as_bytes(*bytes), width);
    if (!entries) return tl::unexpected(entries.error());
    entries_.clear();
    for (const Bytes entry : *entries) entries_.emplace_back(as_text(entry));
    bundle_ = bundle;
    return {};
  }

  const std::string log_;
  std::optional<uint64_t> bundle_;
  std::vector<std::string> entries_;
};

}  // namespace weir::record

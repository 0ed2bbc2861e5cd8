// Leaves of the evidence log about the end of records: what is about to be destroyed by policy, and what is gone.
//
// `expiring` stands in the log, signed, before anything is destroyed; `tombstone` after all of it is.  So whoever looks in the
// middle, or after a crash there, finds an explanation that nobody can write without the log's key.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "record/log_leaf.h"

namespace weir::record {

inline constexpr std::string_view kExpiringKind = "expiring", kTombstoneKind = "tombstone", kRetentionKind = "retention";

// Of one seal: its archive and the wraps of its key are no more.
struct Tombstone {
  uint64_t seal = 0, session = 0;
  uint32_t part = 1;
  Digest digest{};            // Of the manifest, as the seal's leaf has it.
  std::string policy;         // By which it was due, and how long that keeps.
  uint64_t keep_s = 0;
};
nlohmann::json to_object(const Tombstone&);
std::optional<Tombstone> tombstone_from(const OtherLeaf&);

// What is about to go, by one policy.
struct Expiring {
  std::string policy;
  uint64_t keep_s = 0;
  std::vector<uint64_t> sessions;
};
nlohmann::json to_object(const Expiring&);
std::optional<Expiring> expiring_from(const OtherLeaf&);

}  // namespace weir::record

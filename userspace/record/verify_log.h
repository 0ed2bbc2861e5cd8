// Checks the evidence log, for verify(): the checkpoint's signature, every entry under its root, every tile against the
// entries, and what the leaves say of clocks, heartbeats and gaps.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "record/evidence_log.h"
#include "record/log_leaf.h"
#include "record/tombstone.h"
#include "record/verify.h"

namespace weir::record {

struct ListedSeal { SealEntry entry; uint64_t index = 0; };      // Index of its leaf.

struct ListedExpiring { Expiring what; uint64_t index = 0; int64_t at_ns = 0; };
struct ListedTombstone { Tombstone what; uint64_t index = 0; int64_t at_ns = 0; };
struct ListedPolicies { nlohmann::json policies; uint64_t index = 0; };   // Name -> seconds.

struct CheckedLog {
  bool has_checkpoint = false;       // Signed with a key that was given.
  bool is_missing = false;           // No checkpoint there.
  bool has_all_entries = false;      // As many as the checkpoint says could be read.
  Checkpoint checkpoint;             // As it stands, signed or not.
  std::vector<Digest> leaves;        // Their hashes; shorter than the checkpoint says where bundles are missing.
  std::vector<int64_t> newest_ns;    // The latest time that stands in the entries up to that one.
  std::vector<std::string> witnesses;  // Verifier keys that the newest start names.
  std::vector<ListedSeal> seals;
  std::vector<ActEntry> acts;
  std::vector<ListedExpiring> expiring;
  std::vector<ListedTombstone> tombstones;
  std::vector<ListedPolicies> policies;
  std::vector<LogGap> gaps;
  std::string gateway;               // Of the newest start.
  std::string vkey;                  // Of the key that signed the checkpoint, as C2SP writes it.
  uint64_t session_max = 0, heartbeats = 0;
  std::vector<Finding> findings;
};
// An Error: the log is of an earlier format, or cannot be read for other reasons than what stands in it.
Result<CheckedLog> check_log(const VerifyOptions&);

// Whether a checkpoint is of the same tree: root of the first `size` leaves.  nullopt: the log is shorter.
std::optional<Digest> root_at(const CheckedLog&, uint64_t size);
// The same for several sizes, in one pass.  Those that are longer than the log are left out.
std::map<uint64_t, Digest> roots_at(const CheckedLog&, const std::set<uint64_t>& sizes);
// A note that any of the keys signed, as a log of the name that its first line gives.
bool is_signed_by_any(const Note&, const std::string& origin, const std::vector<VerifyingKey>& keys);

// Calls work(0) to work(count - 1) from several threads; `done` after each, from one at a time.
void in_parallel(std::size_t count, uint32_t threads, const std::function<void(std::size_t)>& work, const std::function<void(uint64_t done, uint64_t total)>& done = {});

}  // namespace weir::record

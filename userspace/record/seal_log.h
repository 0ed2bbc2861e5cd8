// Seals, as the evidence log names them: one leaf a seal, in order.  What recovery, the sealer and readers need of it.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "record/evidence_log.h"
#include "record/log_leaf.h"

namespace weir::record {

class Lifetimes;

// What the log says of sessions.
struct ListedSessions {
  Lifetimes* lifetimes = nullptr;                  // Told of what add_leaf() reads, if it is given.
  std::vector<bool> ended;                         // By session number.
  std::map<uint64_t, SealEntry> open_parts;        // Sealed in part only: the newest part.
  std::map<uint64_t, uint64_t> acts;               // The highest sequence with an act leaf, of sessions that have not ended.
  std::optional<SealEntry> last;
  uint64_t session_max = 0;                        // Sealed, or seen opened.
  uint64_t heartbeats = 0;
  std::string last_kind;                           // Of the newest leaf, and its time.
  int64_t last_at_ns = 0;
  void add(const SealEntry&);
  void add(const ActEntry&);
  void add_leaf(std::string_view leaf, uint64_t index = 0);  // Of any kind; of one that it does not know, nothing but its time.
  [[nodiscard]] bool has_ended(uint64_t session) const { return session < ended.size() && ended[session]; }
  // The event stands in a listed seal.
  [[nodiscard]] bool has(uint64_t session, uint64_t sequence) const;
};

// kCorrupt: archives stand in `archive` and no checkpoint in `log`, which the first of them had: it was taken away.
Result<void> check_log_is_there(const std::string& archive, const std::string& log);

// Streams the seals that the checkpoint covers; none if there is no log.  kCorrupt: checkpoint or bundles cannot be read.
// Neither the signature nor the tree is looked at.
Result<void> read_seals(const std::string& log, const std::function<void(const SealEntry&)>&);

}  // namespace weir::record

// Destroys what the policy no longer keeps, a whole session at a time, in the sealer's thread:
//
//   `expiring` in the log, signed -> wrapped keys written over and removed, their folders synced -> archives removed, their folders
//   synced -> what else has content of it (tickets, alerts, indexes) forgets it -> `tombstone` in the log, signed
//
// Every step can be done again; what a crash left between two is finished by the next start, since the log names it.
// Must never: touch a session that is live, held, or sealed in part; go on while nobody knows what is held.
#pragma once
#include <functional>
#include <map>
#include <vector>

#include "record/lifetimes.h"
#include "record/retention_desk.h"
#include "record/seal_at.h"
#include "record/seal_writer.h"

namespace weir::record {

class Expirer {
 public:
  static constexpr std::size_t kBatch = 64;                    // Sessions destroyed in one step,
  static constexpr std::size_t kPartsPerBatch = 256;           // as long as they are about so many archives.
  static constexpr std::size_t kLooksPerStep = 256;            // Manifests read in one step.
  static constexpr std::chrono::seconds kLookEvery{60};

  // All outlive it.  `last_at_ns`: of the log's last entry, before this run; 0: there is none.
  Expirer(const std::string& state, Files& files, SealWriter& seals, Lifetimes& lifetimes, RetentionDesk& desk, int64_t last_at_ns)
      : archive_(state + "/archive"), keys_(state + "/keys"), by_index_(state + "/log"), files_(files), seals_(seals), lifetimes_(lifetimes), desk_(desk), seen_ns_(last_at_ns) {}

  // Pre: nothing that was sealed waits for commit().  `oldest_in_journal_ns`: the oldest event that a segment holds.
  // An error leaves all as it was: call again later.
  using Commit = std::function<Result<void>()>;
  Result<void> step(Nanoseconds now, int64_t oldest_in_journal_ns, const Commit& commit);
  // Something is due, and a segment that others hold back may have it.
  [[nodiscard]] bool waits_for_journal() const { return waits_for_journal_; }

 private:
  struct Doomed { Lifetimes::Ended ended; std::vector<SealEntry> seals; Lifetimes::Announced by; };
  enum class Fate : uint8_t { kDue, kNotYet, kHeld, kWaits, kUnreadable };

  Result<void> carry_on(Nanoseconds now, int64_t oldest_in_journal_ns, const Commit& commit);
  Result<void> say_policies(Nanoseconds now, const RetentionConfig&, const Commit&);
  bool is_clock_doubted(int64_t now_ns, bool is_asked);
  void start_over();
  Result<void> resume();
  void choose(Nanoseconds now, int64_t oldest_in_journal_ns);
  Fate judge(const Lifetimes::Ended&, Nanoseconds now, int64_t oldest_in_journal_ns, Doomed&, int64_t& again_ns);
  bool is_out_of_journal(const SessionTraits&, Nanoseconds now, int64_t oldest_in_journal_ns);
  Result<std::vector<SealEntry>> seals_of(const Lifetimes::Ended&);
  Result<void> announce(Nanoseconds now, const Commit&);
  Result<void> destroy();
  Result<void> bury(Nanoseconds now, const Commit&);
  void tell(const Result<void>& outcome);

  const std::string archive_, keys_;
  SealsByIndex by_index_;
  Files& files_;
  SealWriter& seals_;
  Lifetimes& lifetimes_;
  RetentionDesk& desk_;
  bool has_begun_ = false, waits_for_journal_ = false;
  uint64_t generation_ = 0;                                    // Of what was decided by.
  std::size_t next_ = 0;                                       // Of lifetimes_.ended(): the first that was not looked at.
  struct Later { Lifetimes::Ended ended; Fate fate; };
  std::multimap<int64_t, Later> later_;                        // Looked at; when to do so again.
  std::map<Fate, uint64_t> fates_;                             // Of later_.
  std::vector<Hold> holds_;
  RetentionConfig config_;
  int64_t next_look_ns_ = 0;
  int64_t seen_ns_;                                            // The time of the step before.
  int64_t doubted_until_ns_ = 0;
  std::string doubt_;                                          // Why nothing goes just now.
  int64_t tidy_asked_ns_ = 0, tidied_ns_ = 0;                  // What is older than that is in no core's memory.
  std::vector<Doomed> batch_;                                  // Announced, or about to be.
  bool is_announced_ = false, is_destroyed_ = false, is_buried_ = false;
  ExpiryCounts counts_;
};

}  // namespace weir::record

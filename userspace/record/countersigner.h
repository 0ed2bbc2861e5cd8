// Asks others to sign the log: each witness for a cosignature of the newest checkpoint, a time stamp authority for a stamp now
// and then.  Reads the log's files and writes log/witnessed/ and log/timestamps/; nothing waits for it, and what it cannot get
// is told and asked for again.
//
//   log/checkpoint -> consistency proof out of tiles -> witness -> cosignature, checked -> log/witnessed/<size>
//                  -> request over its text          -> authority -> stamp, checked    -> log/timestamps/<size>.tsr
//
// Must never: keep a signature that does not hold, or ask for one over a log that is not the one that was signed before.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "record/countersigned.h"
#include "record/evidence_log.h"
#include "record/files.h"
#include "record/http_post.h"
#include "record/leaf_queue.h"
#include "record/witness.h"

namespace weir::record {

struct WitnessSetup { std::string url; NoteVerifier key; };
struct StampSetup { std::string url, ca_file; std::chrono::seconds every{3'600}; };   // No URL: none are asked for.
struct CountersignerOptions {
  std::string log;                              // The folder log/.
  std::chrono::seconds every{10};               // A new checkpoint is shown to witnesses this often.
  std::vector<WitnessSetup> witnesses;
  StampSetup stamps;
};

// How it stands with one witness, or with the authority.
struct CountersignState {
  enum class Health : uint8_t {
    kNew,          // Not asked yet.
    kGood,
    kAway,
    kRefused,
    kWrong,
    kContradicts,
  };
  std::string name;              // Of the witness's key; "timestamps".
  Health health = Health::kNew;
  std::string problem;           // Of the last attempt; empty: there is none.
  uint64_t size = 0;             // Entries under its newest signature; 0: it has none.
  uint64_t at_s = 0;             // The time that it stated then.
  std::map<std::string, uint64_t> answers;   // By status: "200", "409", ..., "5xx", "other", "none"; "wrong": it did not hold.
};
std::string_view name_of(CountersignState::Health);
// Something that a person should look at, other than a peer that is away.
constexpr bool is_alarming(CountersignState::Health health) { return health > CountersignState::Health::kAway; }

// What a countersigner knows of one of those that it asks.
struct CountersignPeer {
  CountersignState state;
  std::chrono::nanoseconds next{0};            // When it is asked again, monotonic.
  uint64_t failures = 0;                       // In a row.
  Digest root{};                               // Of the tree of state.size.
  CountersignState::Health told = CountersignState::Health::kNew;   // By the newest leaf.
  std::optional<std::chrono::nanoseconds> told_at;
};

class Countersigner {
 public:
  using Clock = std::chrono::nanoseconds;       // Monotonic.
  Countersigner(CountersignerOptions options, HttpPost post, Files& files, LeafQueue* leaves);
  // Reads what was kept.  An Error: the folders cannot be read.
  Result<void> open();
  // Asks whom it is time to ask.  Blocks as long as they take.
  void step(Clock now);
  [[nodiscard]] std::vector<CountersignState> states() const;   // From any thread.
  void stop() { is_stopping_ = true; }                          // step() asks nobody more.

 private:
  using Peer = CountersignPeer;
  void ask_witness(const WitnessSetup&, Peer&, const LogHead&, Clock now);
  WitnessAnswer ask_from(const WitnessSetup&, Peer&, const LogHead&, const Note& note, uint64_t old_size, std::chrono::seconds& retry_after);
  Result<std::vector<Digest>> proof_from(const Peer&, uint64_t old_size, const Checkpoint&) const;
  Result<void> keep(const LogHead&, const Note& note, const NoteSignature&, const std::string& witness);
  void ask_authority(const LogHead&, Clock now);
  Result<void> keep_stamp(const LogHead&, const std::string& answer);
  void settle(Peer&, CountersignState::Health, std::string problem, Clock now, std::chrono::seconds retry_after, std::chrono::seconds every);
  void tell(Peer&, Clock now, uint64_t log_size);

  const CountersignerOptions options_;
  const HttpPost post_;
  Files& files_;
  LeafQueue* const leaves_;
  mutable std::mutex mutex_;                    // Over the peers' states.
  std::vector<Peer> witnesses_;
  std::optional<Peer> authority_;
  std::atomic<bool> is_stopping_{false};
};

// A thread that steps it.
class CountersignerThread {
 public:
  explicit CountersignerThread(std::unique_ptr<Countersigner>);
  ~CountersignerThread();                       // Stops; an answer that is being waited for ends by `post`'s own stop, or its timeout.
  [[nodiscard]] std::vector<CountersignState> states() const;

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

}  // namespace weir::record

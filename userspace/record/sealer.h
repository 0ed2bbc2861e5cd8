// Turns finished sessions into signed archives (I12).  Off the hot cores: reads the journal behind the writers, up to what
// is durable, splits it by session, and seals.
//
// A session's events are gathered in memory and spill to `archive/.open/` when a chunk is full or memory is short.  A seal
// is: manifest and signature behind the chunks, sync, its wrapped keys in keys/ and synced, rename to archive/YYYY/MM/DD/<session>.weir, sync folder, a leaf of
// the evidence log, its new signed checkpoint.  Nothing in archive/.open is trusted after a start: the journal still has it, since a
// segment is recycled only when everything in it is in listed seals.
// Must never: seal what is not durable in the journal, write a seal number twice, or add content of its own to events.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "record/files.h"
#include "record/journal_cipher.h"
#include "record/key_wrap.h"
#include "record/keys.h"
#include "record/leaf_queue.h"
#include "record/log_signer.h"
#include "record/pending.h"
#include "record/retention_desk.h"

namespace weir::record {

struct SealerOptions {
  std::string state;
  std::string gateway;
  std::chrono::milliseconds after_close{1'000};
  std::chrono::seconds every{3'600};            // Sessions that live longer are sealed in parts.
  uint32_t chunk_size = 1u << 20;
  uint64_t memory_max = 64u << 20;              // Of all gathered events.  Hit: the fullest sessions spill.
  uint32_t segments_behind_max = 8;             // Per core.  Hit: sessions in the oldest segment are sealed in parts.
  uint32_t batch_max = 256;                     // Seals made durable together.
  KeyRing keys{};                               // Nobody to wrap for: archives are not encrypted.
  std::shared_ptr<const JournalKeys> journal_keys{};   // Of the journals; null: they are in clear.
  std::string origin{};                         // Of the evidence log; empty: made of the gateway's name.
  std::vector<std::string> unlisted{};          // RecoveryReport::unlisted.
  nlohmann::json start{};                       // What the log's `start` says of this run.
  // What a heartbeat says: kernel counters, clock.  Called by the thread that steps the sealer.  Empty: there are none.
  std::function<nlohmann::json()> heartbeat{};
  std::chrono::seconds heartbeat_every{60};
  LeafQueue* leaves = nullptr;                  // What others have to say in the log; outlives the sealer.
  RetentionDesk* retention = nullptr;           // What is kept, and what goes; outlives the sealer.  Null: nothing expires.
  std::function<std::vector<std::string>(const std::string& rule)> tags_of{};   // Of a rule; called by the thread that steps the sealer.
};

// Where a live core's journal stands.  `pending` outlives the sealer.
struct SealerCore { uint32_t core = 0; Bytes pending; };

struct SealerCounts {
  uint64_t seals = 0, parts = 0, events = 0, bytes = 0, recycled = 0, errors = 0;
  uint64_t open_sessions = 0, gathered_bytes = 0, segments_behind = 0;
};

class Sealer {
 public:
  using Recycle = std::function<void(uint64_t segment_id)>;
  // Pre: recover() has run.  `cores` are the live writers; journals of cores that are gone are read to their end.
  static Result<std::unique_ptr<Sealer>> open(SealerOptions, LogKey, Files&, std::vector<SealerCore> cores, Recycle);
  virtual ~Sealer() = default;

  // Reads what is new, seals what is due.  An error leaves all as it was: call again later (disk full, for instance).
  virtual Result<void> step(std::chrono::sys_time<std::chrono::nanoseconds> now) = 0;
  // At shutdown, after the writers are idle: seals every session that has ended, without waiting for after_close.
  virtual Result<void> finish(std::chrono::sys_time<std::chrono::nanoseconds> now) = 0;
  // The gateway ends, and says so in the log.  Pre: finish().
  virtual Result<void> stop(std::chrono::sys_time<std::chrono::nanoseconds> now) = 0;
  [[nodiscard]] virtual SealerCounts counts() const = 0;
};

// A thread that steps a sealer, niced; errors are counted, told to `on_error`, and tried again.
class SealerThread {
 public:
  SealerThread(std::unique_ptr<Sealer>, std::chrono::milliseconds poll, std::function<void(const Error&)> on_error);
  ~SealerThread();                              // Stops; does not finish().
  // Stops the thread, then seals what has ended, and says in the log that the gateway ends.
  Result<void> finish();
  [[nodiscard]] SealerCounts counts() const;

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

}  // namespace weir::record

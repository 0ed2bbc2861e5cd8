// What the engine does before it admits anybody: takes the state folder, reads what the journals of the last run hold,
// closes sessions that nobody closed, and says from where numbers go on.  Idempotent: a kill in the middle and another
// recovery end the same.
//
//   1 lock   2 read the evidence log; find seals that were renamed but not listed   3 read every core's journal
//   4 per core one further segment, durable: what only pending memory held, then for each session without an end: `fate
//     unknown` for each command without fate, a note, `closed`   5 pending memory emptied
// After that all events are in segments, every session has an end, and the sealer does the rest as on any other day.
#pragma once
#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/event.h"
#include "record/files.h"
#include "record/journal_cipher.h"

namespace weir::record {

struct RecoveryOptions {
  std::string state;                        // Holds journal/ archive/ log/; made if absent.
  std::string gateway;
  std::string public_key_file;              // Of the signing key; empty: seals that were not listed yet are made again.
  // What the kernel counted for a session that the engine did not close, by Direction; nullopt: not known.
  std::function<std::optional<std::array<uint64_t, 2>>(uint64_t session)> kernel_bytes{};
  const JournalKeys* keys = nullptr;        // Of the journals, where they are encrypted.
  std::chrono::sys_time<std::chrono::nanoseconds> now{};
};

struct CoreNumbers { uint32_t core = 0; uint64_t next_group = 1, next_segment = 1; };
struct RecoveryReport {
  uint64_t next_session = 1;                // Numbers are never used again.
  std::vector<CoreNumbers> cores;           // Cores not named start at 1.
  [[nodiscard]] CoreNumbers numbers(uint32_t core) const;

  uint64_t events = 0;                      // Read from the journals.
  uint64_t from_pending = 0;                // Of these, groups that only pending memory held.
  uint64_t interrupted = 0;                 // Sessions closed here.
  uint64_t unknown_commands = 0;            // Commands whose fate nobody knows.
  uint64_t torn_bytes = 0;                  // Cut off the tails: written in part, never reported durable.
  uint64_t seals_finished = 0;
  std::vector<std::string> unlisted;        // Their archives, below archive/: for the sealer, which lists them (SealerOptions).
  std::vector<std::string> notes;           // For a person and the log: each tail cut, each session interrupted.
  std::vector<std::string> damage;          // Not explained by a crash: a finding.
};

// Keeps `state/journal/lock` for as long as it lives: one engine a state folder.
class StateLock {
 public:
  // Waits for `patience`: an engine that was killed lets go when the last of its threads has ended.
  static Result<StateLock> take(const std::string& state, std::chrono::milliseconds patience = std::chrono::seconds(3));

 private:
  explicit StateLock(FileHandle file) : file_(std::move(file)) {}
  FileHandle file_;
};

// Pre: the caller holds the lock.  kDenied, kNotFound: a journal is encrypted, and its key is not held; nothing was changed.
Result<RecoveryReport> recover(const RecoveryOptions&);

}  // namespace weir::record

// Checks a record with the files and a public key alone (I12).
//
// Found: a change, a swap, a cut, a removal or an addition inside what the evidence log's checkpoint covers.
// Not found by this alone: a folder put back as it was at an earlier time (with its own checkpoint), and a rewrite of
// everything by whoever holds the signing key.  Those need an earlier checkpoint that the auditor kept
// (VerifyOptions::known_head), a witness's cosignature (witnesses) or a time stamp (stamp_ca); the report says which it had.
#pragma once
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "record/keys.h"
#include "record/reader.h"
#include "record/signed_note.h"

namespace weir::record {

struct VerifyOptions {
  RecordPlace place;
  std::vector<VerifyingKey> keys;            // Any of them may have signed.
  uint32_t threads = 0;                      // 0: as many as there are processors.
  std::string known_head;                    // Text of a checkpoint (log/checkpoint) that the auditor kept; empty: none.
  std::vector<NoteVerifier> witnesses;       // Whose cosignatures are asked for.
  std::string stamp_ca;                      // File of the CA of time stamps; empty: stamps are not checked.
  std::function<void(uint64_t done, uint64_t total)> progress;   // Archives; from one thread at a time.
};

struct Finding {
  enum class Severity : uint8_t {
    kBroken,     // The record is not what was sealed.
    kAttention,  // It is what was sealed, and what was sealed needs an explanation: bytes unaccounted for, clock set back.
    kNote,       // Worth knowing: interrupted sessions, a torn tail, what could not be checked.
  };
  Severity severity = Severity::kBroken;
  std::string code;        // "archive-missing", "chunk-changed", ...: README lists all.
  std::string where;       // File or session.
  std::string message;
};

std::string_view name_of(Finding::Severity);   // "broken", "attention", "note"

// While nothing was recorded, since no gateway ran.
struct LogGap { std::string from, until, why; };   // why: "stopped" or "killed".

// How far somebody else vouches for the log: the newest signature that holds.
struct Vouched {
  std::string name;        // Of the witness's key; the stamp's file.
  uint64_t size = 0;       // Log entries under it.  0: there is none that holds.
  uint64_t count = 0;      // Of its signatures that hold.
  std::string at;          // The time that it stated.
};

// What was destroyed by policy, as tombstones in the log say.
struct ExpiredByPolicy {
  uint64_t sessions = 0, archives = 0;
  std::string first, last;        // When.
  uint64_t first_seal = 0, last_seal = 0;
  struct Policy { std::string name; uint64_t keep_s = 0, sessions = 0; };
  std::vector<Policy> policies;
  uint64_t in_progress = 0;       // Sessions announced, and not gone yet.
};

struct VerifyReport {
  uint64_t archives = 0, sessions = 0, events = 0, bytes = 0, live_sessions = 0;
  uint64_t shut = 0;              // Encrypted archives whose proof was checked, and whose content was not: no key was given.
  uint64_t first_seal = 0, last_seal = 0;
  bool has_head = false;          // A signed checkpoint.  False: nothing says that the newest seals are all there.
  bool has_known_head = false;
  std::string gateway;            // As the newest start of the log names it.
  std::string origin, root;       // Of the evidence log, its root in base 64; empty: there is none.
  std::string vkey;               // The key that signed its checkpoint, for other tools (c2sp.org/signed-note).
  uint64_t log_entries = 0, heartbeats = 0;
  std::vector<LogGap> gaps;
  std::vector<Vouched> witnesses; // Those that were asked for.
  Vouched stamps;
  ExpiredByPolicy expired;
  std::vector<Finding> findings;  // Worst first.
  // 0: verified.  1: broken.  3: verified, with findings that need attention.  (2 is for usage and unreadable input.)
  [[nodiscard]] int exit_code() const;
  // Of what was asked for, something that holds is there.
  [[nodiscard]] bool has_witness() const {
    return std::any_of(witnesses.begin(), witnesses.end(), [](const Vouched& witness) { return witness.size != 0; });
  }
  [[nodiscard]] bool has_stamp() const { return stamps.size != 0; }
};

// An Error: could not be checked at all (no such folder, no key).
Result<VerifyReport> verify(const VerifyOptions&);

}  // namespace weir::record

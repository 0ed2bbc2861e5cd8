// The chain of seals as it grows: numbers, links, and the evidence log that names them, and what else stands in it.  Archives
// are whole and synced, and their wrapped keys in their place, before they are placed, placed before the log names them; every step can be repeated after an error.
#pragma once
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "record/archive.h"
#include "record/evidence_log.h"
#include "record/key_wrap.h"
#include "record/keys.h"
#include "record/lifetimes.h"
#include "record/log_signer.h"
#include "record/seal_log.h"

namespace weir::record {

class SealWriter {
 public:
  using Time = std::chrono::sys_time<std::chrono::nanoseconds>;
  // `origin` of the log; empty: made of the gateway's name.
  SealWriter(std::string state, std::string gateway, std::string origin, LogKey key, KeyRing keys, Files& files);
  SealWriter(const SealWriter&) = delete;
  SealWriter& operator=(const SealWriter&) = delete;

  // Empties archive/.open, reads the log.  `unlisted`: archives that stand in their place and go on where the log ends, in
  // order (RecoveryReport); each that does and fits our key is listed with the next commit().  Errors: as EvidenceLog::open.
  Result<void> start(const std::vector<std::string>& unlisted);
  [[nodiscard]] const ListedSessions& listed() const { return listed_; }
  [[nodiscard]] Lifetimes& lifetimes() { return lifetimes_; }
  [[nodiscard]] std::string open_path(uint64_t session, uint32_t part) const;
  [[nodiscard]] const std::string& archive() const { return archive_; }

  void saw_session(uint64_t session);
  // An act is named once, however often its journal is read.
  void saw_act(const ActEntry&);
  // Any other leaf.
  void add(std::string_view kind, Time now, nlohmann::json object);
  // Gives the archive its number and link, wraps its key for all, and finishes it.  Listed with the next commit().
  Result<void> make(ArchiveBuilder&, Manifest&, Time now);
  // Places and lists what was made, and what was added.  Post: the seals that make() made (for the caller to forget their
  // events).
  Result<std::vector<SealEntry>> commit(Time now);
  [[nodiscard]] bool is_commit_due() const { return !made_.empty() || has_news_ || log_.has_pending(); }

 private:
  struct Made {
    SealEntry entry;
    std::string open_path, path;
    std::string keys{};                // Of the keys file; empty: not encrypted, or in its place.
    bool is_renamed = false, is_added = false, is_adopted = false;
    uint64_t index = 0;                // Of its leaf, once it is added.
  };
  Result<void> adopt(const std::string& name);
  Result<void> place_keys();
  Result<void> place_files();

  const std::string state_, archive_, log_folder_, gateway_;
  const LogKey key_;
  const KeyRing ring_;
  Files& files_;
  EvidenceLog log_;
  Lifetimes lifetimes_;
  ListedSessions listed_;
  std::vector<Made> made_;             // In seal order; files exist, the log does not name them yet.
  uint64_t seals_ = 0;                 // Listed.
  Digest newest_{};                    // Of the newest seal made.
  uint64_t sessions_seen_ = 0;
  bool has_news_ = false;              // A session was seen that the log does not know.
};

}  // namespace weir::record

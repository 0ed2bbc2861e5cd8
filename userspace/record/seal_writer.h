// The chain of seals as it grows: numbers, links, the list, the head.  Files are whole and synced before they are placed,
// placed before they are listed, listed before the head speaks of them; every step can be repeated after an error.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "record/archive.h"
#include "record/keys.h"
#include "record/seal_log.h"

namespace weir::record {

class SealWriter {
 public:
  using Time = std::chrono::sys_time<std::chrono::nanoseconds>;
  SealWriter(std::string state, std::string gateway, SigningKey key, Files& files);

  // Empties archive/.open, reads list and head.  kCorrupt: the list ends in half a line, so recovery has not run.
  Result<void> start();
  [[nodiscard]] const ListedSessions& listed() const { return listed_; }
  [[nodiscard]] std::string open_path(uint64_t session, uint32_t part) const;
  [[nodiscard]] const std::string& archive() const { return archive_; }

  void saw_session(uint64_t session);
  // Gives the archive its number and link, and finishes it.  Listed with the next commit().
  Result<void> make(ArchiveBuilder&, Manifest&, Time now);
  // Places and lists what was made.  Post: the sessions' seals (for the caller to forget their events).
  Result<std::vector<SealEntry>> commit();
  // Pre: nothing is made that is not listed.
  Result<void> write_head(Time now);
  [[nodiscard]] bool is_head_due() const { return is_head_due_ && made_.empty(); }

 private:
  struct Made {
    SealEntry entry;
    std::string open_path, path;
    bool is_renamed = false;
  };
  Result<void> place_files();
  Result<void> append_lines();

  const std::string archive_, log_, gateway_;
  const SigningKey key_;
  Files& files_;
  ListedSessions listed_;
  std::vector<Made> made_;             // In seal order; files exist, the list does not name them yet.
  uint64_t seals_ = 0;                 // Listed.
  uint64_t list_size_ = 0;
  Digest newest_{};                    // Of the newest seal made.
  uint64_t sessions_seen_ = 0;
  bool is_head_due_ = true;            // What it states has changed since it was written; a start writes one.
};

}  // namespace weir::record

// Between those who say what is kept (the control thread: configuration, legal holds) and the sealer's thread, which destroys what is
// over.  A hold that was acknowledged is never passed by: setting one and deciding what goes exclude each other.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "record/retention.h"

namespace weir::record {

struct ExpiryCounts {
  uint64_t expired = 0;            // Sessions, of this run.
  uint64_t failures = 0;           // Steps that failed, and are done again.
  uint64_t held = 0;               // Due, and not destroyed, since a hold covers them.
  uint64_t unreadable = 0;         // Due or not: nobody knows, since an archive cannot be read.
  uint64_t waiting = 0;            // Due; something of them is still in the journal or waits for a reviewer.
  uint64_t announced = 0;          // Being destroyed.
  uint64_t kept = 0;               // Ended sessions of the record.
  int64_t next_ns = 0;             // When the next one is due, as far as that is known; 0: there is none.
  uint64_t looks = 0;              // Times that all was gone through.
  std::string problem;             // Why nothing expires, or the last failure; empty: all is well.
};

class RetentionDesk {
 public:
  // Whatever else has content of sessions: tickets, alerts, indexes.  Erases it; durable when it returns.
  using Forget = std::function<Result<void>(const std::vector<uint64_t>& sessions)>;
  struct Surroundings {
    std::vector<Forget> forget;                        // In order, before the tombstones.
    std::function<bool(uint64_t session)> is_in_use;   // A ticket of it waits: not now.
    std::function<void()> tidy_journal;                // Content of ended sessions out of journal segments and memory, soon.
    std::function<bool()> is_journal_tidy;             // What was asked last is done.
    // A clock that goes on by more than this between two steps, or between the log's last entry and the first step, may be wrong, and
    // would make all of the record due: nothing more is announced for a day, or until look_now().  0: it is believed.
    std::chrono::nanoseconds leap_max{0};
  };

  // `files` outlives it.
  RetentionDesk(const std::string& state, RetentionConfig config, Files& files) : config_(std::move(config)), book_(state), files_(files) {}

  // The calls below: any thread.
  void set_config(RetentionConfig);
  // Nothing expires before.
  void set_surroundings(Surroundings);
  // Nothing expires any more.  Post: nothing of the surroundings is called.
  void close();
  // Of people and of the configuration.  Errors: HoldBook::read().
  [[nodiscard]] Result<std::vector<Hold>> holds();
  // Errors: those of HoldBook; the file cannot be read.
  Result<Hold> add_hold(Hold);
  Result<Hold> remove_hold(std::string_view id);
  // All is looked at with the next step, whatever the time.
  void look_now();
  [[nodiscard]] ExpiryCounts counts() const;
  [[nodiscard]] RetentionConfig config() const;

 private:
  friend class Expirer;
  Result<void> open_book();                           // Pre: gate_ is held.

  std::mutex gate_;                                   // Guards all but what has a mutex of its own.
  mutable std::mutex mutex_;                          // For a moment: config_, counts_.
  RetentionConfig config_;
  ExpiryCounts counts_;
  HoldBook book_;
  Files& files_;
  std::optional<Surroundings> around_;
  bool is_read_ = false;                              // book_ is what stands on disk.
  bool may_create_ = false;                           // There never was a file.
  uint64_t generation_ = 1;                           // One more with each change of what decides.
  bool is_look_due_ = false;
};

}  // namespace weir::record

// The spool: notices that sinks have not taken yet, in memory and in the store, each with the sinks that wait for it.
// At least once: a notice leaves when all its sinks have it; what a crash forgets is at most that one had it already, so it comes
// again under the same id.  Each sink gets its own in the order of time.
// Bounded: over `spool_max` the oldest that is no alert leaves, then the oldest alert; both are counted.
// Must never: forget a notice that flush() has written, other than by its age or that bound; call a store with a lock held that
// deliveries need.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/prng.h"
#include "core/config.h"
#include "core/notice.h"
#include "core/store.h"

namespace weir::notify {

inline constexpr std::string_view kNoticeKind = "notice";
inline constexpr std::chrono::milliseconds kBackoffFirst{1'000}, kBackoffMost{300'000};

// How long after so many failures in a row: twice as long each time, at most kBackoffMost, less up to a half by chance, so that
// many gateways do not come back at once.  Pre: failures > 0.
[[nodiscard]] std::chrono::milliseconds backoff(uint32_t failures, uint64_t random);

struct SinkCounts {
  uint64_t queued = 0;   // Now.
  uint64_t sent = 0;
  uint64_t failed = 0;   // Attempts.
  uint64_t dropped = 0;  // Given up: too old, refused for good, or no room.
};
struct SinkState {
  std::string name;
  SinkCounts counts;
  std::optional<std::chrono::sys_time<std::chrono::milliseconds>> oldest;  // Of what is queued.
  uint32_t failures = 0;  // In a row.
  std::string error;      // Of the last attempt; empty: it went well, or there was none.
};

class Outbox {
 public:
  using Steady = std::chrono::steady_clock;
  using Wall = std::chrono::sys_time<std::chrono::milliseconds>;
  struct Options {
    std::string gateway;
    uint64_t seed = 1;          // Of the jitter.
    std::function<Steady::time_point()> steady = [] { return Steady::now(); };
    std::function<Wall()> wall = [] { return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()); };
  };
  // Takes up what this gateway's last run left.  Errors: the store's.
  [[nodiscard]] static Result<std::unique_ptr<Outbox>> open(Store& store, Options options);

  // Who gets what from here on.  What waits for a sink that is gone is dropped.
  void set_config(const NotifyConfig& config);

  // For each sink that wants it.  Post: its id; empty: nobody wants it.
  std::string add(Notice notice);
  // For one sink, whatever it wants: a test.
  std::string add_for(const std::string& sink, Notice notice);

  // The next one for a sink, if its turn has come.
  [[nodiscard]] std::optional<Notice> next(const std::string& sink);
  // When next() may have one; nullopt: nothing waits.
  [[nodiscard]] std::optional<Steady::time_point> next_at(const std::string& sink) const;
  void delivered(const std::string& sink, const std::string& id);
  // `is_for_good`: the sink will never take it; given up after kRefusalsMax attempts.
  void failed(const std::string& sink, const std::string& id, std::string error, bool is_for_good);
  // At once again, for all sinks: the configuration has changed.
  void forget_backoff();

  // Writes what has changed.  One thread.  Errors: the store's: nothing is lost, it is written next time.
  Result<void> flush();

  // Of sessions that the record does not keep any more: what still waits goes out without the statement.  Errors: as flush().
  Result<void> forget(const std::vector<uint64_t>& sessions);

  [[nodiscard]] bool is_waiting(const std::string& sink, const std::string& id) const;
  [[nodiscard]] std::vector<SinkState> states() const;
  [[nodiscard]] uint64_t dropped() const;       // By the bound alone, each notice once.
  [[nodiscard]] std::size_t size() const;

  static constexpr uint32_t kRefusalsMax = 3;

 private:
  struct Entry {
    Notice notice;
    std::set<std::string> sinks;  // That wait for it.
    uint64_t version = 0;         // In the store; 0: not there.
  };
  struct Queue {
    SinkConfig config;
    std::set<std::string> ids;    // Waiting, by time.
    SinkCounts counts;
    uint32_t failures = 0, refusals = 0;
    Steady::time_point not_before{};
    std::string error;
  };
  Outbox(Store& store, Options options) : store_(store), options_(std::move(options)), random_(options_.seed) {}
  // Pre, all of them: mutex_ is held.
  std::string put(Notice notice, std::set<std::string> sinks);
  std::string make_id();
  void leave(const std::string& sink, const std::string& id);  // It has it, or will not get it.
  void drop_for(Queue& queue, const std::string& sink, const std::string& id);
  void bound();

  Store& store_;
  const Options options_;
  std::mutex writer_;             // flush(); taken before mutex_.
  mutable std::mutex mutex_;
  Prng random_;
  int64_t last_id_us_ = 0;
  uint32_t spool_max_ = 10'000;
  uint64_t dropped_ = 0;
  std::map<std::string, Entry> entries_;          // By id.
  std::set<std::string> dirty_;                   // Ids to write or, if they are not in entries_, to remove ...
  std::map<std::string, uint64_t> removed_;       // ... at this version.
  std::map<std::string, Queue> queues_;           // By sink.
};

}  // namespace weir::notify

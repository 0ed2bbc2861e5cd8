// Alerts: what somebody should look at, open until a person closes it as benign, as an incident or as a duplicate.
// The same again (event, rule, subject, target) within `repeat` is the same alert with a higher count, so that what fires a
// thousand times a second is one line; after that, or once it is closed, it is a new one.
// Must never: count a person's word that could not be written down, or change one that was.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "core/notice.h"
#include "core/store.h"

namespace weir::notify {

inline constexpr std::string_view kAlertKind = "alert";

struct Alert {
  uint64_t number = 0;            // Unique over gateways and restarts.
  NoticeEvent event = NoticeEvent::kAlert;
  NoticeSeverity severity = NoticeSeverity::kMedium;
  std::string gateway, rule, subject, target, text, statement;
  uint64_t session = 0, unit = 0; // Of the first time.
  uint64_t count = 1;
  std::chrono::sys_seconds first{}, last{};
  // Closed: by whom, as what ("benign", "incident", "duplicate"), why.
  std::string outcome, closed_by, reason;
  std::chrono::sys_seconds closed{};
  [[nodiscard]] bool is_open() const { return outcome.empty(); }
};

struct AlertCounters {
  uint64_t open = 0;              // Now.
  uint64_t opened = 0, repeated = 0, closed = 0;
  uint64_t unkept = 0;            // No room: told of, but not in the book.
};

class AlertBook {
 public:
  struct Options {
    std::string gateway;
    std::chrono::seconds repeat{600};
    uint32_t open_max = 5'000;    // Hit: told of, counted, not kept.
    uint32_t kept_max = 2'000;    // Closed ones; the oldest leave, the record has them.
    std::chrono::seconds kept_for{90 * 24 * 3600};
  };
  // Errors: the store's; kCorrupt.
  [[nodiscard]] static Result<std::unique_ptr<AlertBook>> open(Store& store, Options options, std::chrono::sys_seconds now);
  ~AlertBook();
  void set_repeat(std::chrono::seconds repeat);

  struct Raised {
    uint64_t number = 0;          // 0: there was no room.
    bool is_new = true;
  };
  // One thread.
  Raised raise(const Notice& notice, std::chrono::sys_seconds now);

  // `as`: "benign", "incident" or "duplicate".  Errors: kNotFound; kInvalid; kDenied: it is closed; the store's: it is as it was.
  [[nodiscard]] Result<Alert> close(uint64_t number, std::string_view as, std::string_view reason, std::string_view by, std::chrono::sys_seconds now);

  [[nodiscard]] std::vector<Alert> list(bool only_open) const;  // The newest first.
  [[nodiscard]] std::optional<Alert> find(uint64_t number) const;
  [[nodiscard]] AlertCounters counters() const;
  // Writes what was raised since, and takes away what is too old.  Errors: the store's: written next time.
  Result<void> flush(std::chrono::sys_seconds now);

  // Of sessions of this gateway's that the record does not keep any more: closed ones go, of open ones the statement.  Errors: as flush().
  Result<void> forget(const std::vector<uint64_t>& sessions, std::chrono::sys_seconds now);

  static constexpr std::size_t kReasonMax = 1'000;

 private:
  struct Entry {
    Alert alert;
    uint64_t version = 0;         // In the store; 0: not there yet.
  };
  using Key = std::tuple<NoticeEvent, std::string, std::string, std::string>;
  static Key key_of(const Alert& alert) { return {alert.event, alert.rule, alert.subject, alert.target}; }
  struct Watch {  // Outlives the book, as the store's thread may.
    std::mutex mutex;
    AlertBook* book = nullptr;
  };
  AlertBook(Store& store, Options options) : store_(store), options_(std::move(options)) {}
  void on_change(const StoreItem& item);
  // Pre, these: mutex_ is held.
  void index(const Alert& alert);
  bool repeat(const Notice& notice, std::chrono::sys_seconds now, uint64_t& number);
  uint64_t number_without_store(std::chrono::sys_seconds now);
  void prune(std::chrono::sys_seconds now);

  Store& store_;
  const Options options_;
  std::mutex writer_;             // Who writes to the store; taken before mutex_.
  mutable std::mutex mutex_;
  std::chrono::seconds repeat_{};
  std::map<uint64_t, Entry> alerts_;
  std::map<Key, uint64_t> open_;  // The newest of this gateway.
  std::set<uint64_t> dirty_;
  std::map<uint64_t, uint64_t> removed_;  // Pruned, at that version.
  uint64_t made_up_ = 0;
  AlertCounters counters_;
  const std::shared_ptr<Watch> watch_ = std::make_shared<Watch>();
};

}  // namespace weir::notify

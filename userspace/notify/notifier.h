// Carries notices from the cores and the control thread to the alert book and the sinks: one thread that collects and writes
// the store, and one a sink.
// Must never: make a core or a sink wait for another one, or let a notice that could not be kept go unsaid.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/config.h"
#include "core/store.h"
#include "kernel/fd.h"
#include "notify/alert_book.h"
#include "notify/drop_meter.h"
#include "notify/outbox.h"
#include "notify/sink.h"

namespace weir::notify {

// What the configuration in force says; made by who reads the secrets.
struct NotifierSetup {
  NotifyConfig config;
  std::map<std::string, Secrets> secrets;                   // By sink.
  struct Rule { NoticeSeverity severity = NoticeSeverity::kMedium; std::string why; };
  std::map<std::string, Rule, std::less<>> rules;           // By id.
};

class Notifier {
 public:
  struct Options {
    std::string gateway;
    uint32_t core_count = 1;
    std::function<void(bool is_error, std::string text)> log; // Any thread.
    std::function<void()> on_turn;                          // On the collecting thread, once a second and when wake() was called.
    std::function<std::unique_ptr<Sink>(const SinkConfig&, Secrets, const std::atomic<bool>&)> make;  // Empty: make_sink().
  };
  // Errors: the store's.
  [[nodiscard]] static Result<std::unique_ptr<Notifier>> start(Store& store, Options options, NotifierSetup setup);
  ~Notifier();                        // stop()
  // What waits stays in the store.  Pre: no core pushes any more.
  void stop();

  [[nodiscard]] NoticeQueue* queue(uint32_t core) { return queues_[core].get(); }
  // Any thread but the cores'.
  void tell(Notice notice);
  void wake();
  void dropped(std::string_view reason, std::string_view source, std::string_view destination);
  // At a reload.  Ends what is on its way to a sink, which is sent again.
  void set(NotifierSetup setup);

  struct TestResult { std::string sink, id; };
  // A test notice for `sink`; empty: for all.  Post: what was queued; is_waiting() says whether it is on its way.
  [[nodiscard]] std::vector<TestResult> test(const std::string& sink);

  // What alerts and notices say of sessions that the record does not keep any more.  Errors: the store's.
  Result<void> forget(const std::vector<uint64_t>& sessions, std::chrono::sys_seconds now) {
    if (auto done = alerts_->forget(sessions, now); !done) return done;
    return outbox_->forget(sessions);
  }

  [[nodiscard]] AlertBook& alerts() { return *alerts_; }
  [[nodiscard]] const Outbox& outbox() const { return *outbox_; }
  [[nodiscard]] std::vector<SinkState> states() const { return outbox_->states(); }
  struct Counts {
    uint64_t lost = 0;                // Did not fit on their way here.
    uint64_t dropped = 0;             // Did not fit into the spool.
    uint64_t store_failures = 0;
    bool is_stored = true;            // The last write went well.
  };
  [[nodiscard]] Counts counts() const;

  static constexpr std::size_t kToldMax = 4'096;

 private:
  struct Worker {
    SinkConfig config;
    std::unique_ptr<Sink> sink;
    std::atomic<bool> stop{false};
    std::thread thread;
  };
  Notifier(Store& store, Options options);
  void collect();                     // The collecting thread.
  void take(Notice notice);
  [[nodiscard]] Notice notice_of(const CoreNotice& seed) const;
  void say_losses();
  void keep();
  void serve(Worker& worker);         // A sink's thread.
  void start_workers(std::map<std::string, Secrets> secrets);
  void stop_workers();

  Store& store_;
  const Options options_;
  kernel::Fd wake_;                   // An eventfd.
  std::vector<std::unique_ptr<NoticeQueue>> queues_;
  std::unique_ptr<AlertBook> alerts_;
  std::unique_ptr<Outbox> outbox_;
  DropMeter drops_;
  mutable std::mutex mutex_;          // Of what follows.
  std::condition_variable changed_;   // A sink may have something to do.
  uint64_t changes_ = 0;              // Rises with what changed_ tells of.
  std::vector<Notice> told_;
  uint64_t told_lost_ = 0;
  std::map<std::string, NotifierSetup::Rule, std::less<>> rules_;
  std::mutex setup_;                  // One set() or stop() at a time.
  std::vector<std::unique_ptr<Worker>> workers_;  // Under setup_.
  NotifyConfig config_;               // Under setup_.
  uint64_t lost_said_ = 0, dropped_said_ = 0;  // The collector's.
  bool was_stored_ = true;            // The collector's.
  std::atomic<uint64_t> store_failures_{0};
  std::atomic<bool> is_stored_{true}, is_stopping_{false};
  std::thread thread_;
};

}  // namespace weir::notify

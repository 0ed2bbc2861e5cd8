// One core's thread and what it owns: ring, journal, loop.
#pragma once
#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <thread>

#include "accept/admission.h"
#include "accept/listeners.h"
#include "core/metrics.h"
#include "io/uring_io.h"
#include "record/journal.h"
#include "record/pending.h"
#include "session/core_loop.h"

namespace weir::session {

class EngineCore {
 public:
  struct Parts {
    uint32_t index = 0;
    int cpu = -1;                             // Pinned to it; -1: not pinned.
    RuntimePtr runtime;
    record::JournalOptions journal;
    record::SegmentSupply* supply = nullptr;
    MutableBytes pending;
    Steering* steering = nullptr;
    CoreCounters* counters = nullptr;
    Directory* directory = nullptr;
    accept::Admission* admission = nullptr;
    std::vector<int> listeners;
    std::function<IdentityPtr(const Address&, std::chrono::sys_seconds)> identity_of;
    TicketDesk* tickets = nullptr;
    std::function<std::string(const Address&, std::chrono::sys_seconds)> ended_binding;
    GrantUses* grant_uses = nullptr;
    NoticeQueue* notices = nullptr;
    CredentialDesk* credentials = nullptr;
  };
  // Starts the thread and waits until its ring and loop stand.
  [[nodiscard]] static Result<std::unique_ptr<EngineCore>> start(Parts parts);
  ~EngineCore();                              // Pre: drained, or never listened.

  void listen();                              // From here on it takes flows.
  void post(Request request, uint64_t argument = 0);
  [[nodiscard]] uint64_t tidied() const;       // CoreLoop::tidied().  Pre: not joined.
  void hand_over(RuntimePtr runtime);
  [[nodiscard]] std::future<bool> hand_over_act(Act act);
  void join();                                // Returns once the loop is drained.

 private:
  EngineCore() = default;
  void run(Parts parts, std::promise<Result<void>>& started);

  std::thread thread_;
  std::promise<void> go_;                     // Fulfilled by listen().
  std::atomic<bool> is_released_{false};
  io::UringIo* io_ = nullptr;                 // The thread's; valid until join().
  CoreLoop* loop_ = nullptr;
};

}  // namespace weir::session

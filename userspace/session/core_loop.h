// One core: one ring, one journal, its sessions.  turn() is the whole of its life: take completions, step sessions, let the
// journal write, submit.  The same class runs in production and in simulation.
#pragma once
#include <atomic>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "record/journal.h"
#include "session/act_log.h"
#include "session/cancel_sender.h"
#include "session/services.h"
#include "session/session.h"

namespace weir::session {

// Who an operation belongs to; the high bits of OpToken::owner.
enum class Owner : uint8_t { kListener, kSession, kJournal, kLoop, kCancel };
constexpr OpToken owner_token(Owner owner, OpKind kind) { return {0, 0, kind, static_cast<uint8_t>(static_cast<uint8_t>(owner) << 1)}; }

// What other threads ask of a core, by Io::post().
enum class Request : uint8_t { kWakeFacts, kRuntime, kWakeSession, kCutSession, kCutBinding, kDrain, kAct, kTidyJournal };
constexpr uint64_t encode(Request request, uint64_t argument = 0) { return static_cast<uint64_t>(request) << 56 | (argument & 0x00ffffffffffffffULL); }

class CoreLoop {
 public:
  struct Parts {
    Io& io;
    record::JournalWriter& journal;
    Steering& steering;
    CoreCounters& counters;
    Directory& directory;
    accept::Admission& admission;
    RuntimePtr runtime;
    uint32_t core = 0;
    std::function<IdentityPtr(const Address&, std::chrono::sys_seconds)> identity_of;
    TicketDesk* tickets = nullptr;
    std::function<std::string(const Address&, std::chrono::sys_seconds)> ended_binding{};
    GrantUses* grant_uses = nullptr;
    NoticeQueue* notices = nullptr;
    CredentialDesk* credentials = nullptr;
  };
  explicit CoreLoop(Parts parts);
  ~CoreLoop();
  CoreLoop(const CoreLoop&) = delete;
  CoreLoop& operator=(const CoreLoop&) = delete;

  // Starts taking flows from these transparent listeners.
  void listen(std::span<const int> listeners);
  // Waits for at least one completion, and deals with all that came.
  void turn();

  // From any thread: the next runtime, taken at Request::kRuntime.
  void hand_over(RuntimePtr runtime);
  // From any thread: an act for the record.  True once it is on disk, false if the record does not take it.
  [[nodiscard]] std::future<bool> hand_over_act(Act act);

  // A drain was asked for, every session has ended, and the journal is on disk.
  [[nodiscard]] bool is_drained() const { return is_draining_ && live_ == 0 && journal_.is_idle() && cancels_.is_idle(); }
  [[nodiscard]] uint32_t live() const { return live_; }
  // From any thread: the argument of the last Request::kTidyJournal that was carried out.
  [[nodiscard]] uint64_t tidied() const { return tidied_.load(); }
  [[nodiscard]] std::string describe() const;   // A line a live session.
  [[nodiscard]] uint64_t blocks_in_use() const { return blocks_.in_use(); }

 private:
  struct Slot {
    std::unique_ptr<Session> session;
    uint16_t generation = 0;
    bool is_waiting = false;   // In waiting_.
  };
  void dispatch(Completion& completion);
  void on_accepted(const Completion& completion);
  void on_posted(uint64_t value);
  void on_journal();
  void on_tick();
  void take_acts();
  void after(uint32_t slot);
  void wake_facts();
  void add_facts();
  void arm_tick();
  template <class Visit>
  void each_session(Visit visit);

  Io& io_;
  record::JournalWriter& journal_;
  Arena scratch_;
  forward::BlockPool blocks_;
  CancelSender cancels_;
  Services services_;
  std::vector<std::unique_ptr<FactsSource>> facts_;   // By TargetRuntime::facts_index; old ones stay for old sessions.
  std::vector<int> listeners_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_, waiting_, starved_, woken_;
  std::unordered_map<uint64_t, uint32_t> slot_of_;   // Session id -> slot.
  uint32_t live_ = 0;
  bool is_draining_ = false, has_sent_ = false;
  std::atomic<uint64_t> tidied_{0};
  std::mutex handover_mutex_;
  RuntimePtr handover_;
  std::vector<std::pair<Act, std::promise<bool>>> handed_acts_;  // Under handover_mutex_.
  ActLog acts_;
  GrantUseCounter grant_uses_;
};

}  // namespace weir::session

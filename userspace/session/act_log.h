// Acts of people on the gateway, and what they looked at, on the record (DESIGN: every admin and viewing act is evidence).
// They stand in a session of the gateway's own: opened with the first act, closed at the drain, sealed as any other.
// One core has it; other threads hand acts over by CoreLoop::hand_over_act().
// Must never: take an act for recorded that is not on disk.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "core/event.h"
#include "session/directory.h"

namespace weir::session {

struct Act {
  std::string name;          // "revoke", "replay", ...
  std::string text;          // JSON {by, object, outcome}.
  std::string reason;
  bool is_done = true;       // False: it was refused.
  Impersonation impersonation = Impersonation::kNone;  // It was an attempt to pass for somebody else: an alert stands behind it.
};

class ActLog {
 public:
  using Wall = std::function<std::chrono::sys_time<std::chrono::nanoseconds>()>;
  ActLog(Recorder& recorder, Wall wall, Directory& directory, std::string gateway)
      : recorder_(recorder), wall_(std::move(wall)), directory_(directory), gateway_(std::move(gateway)) {}

  // `done` becomes true once the act is on disk, false if the record does not take it.
  void write(const Act& act, std::promise<bool> done);
  void on_journal();         // Whoever waited for what is on disk now is told.
  void close();              // No act is taken from here on.

 private:
  struct Waiter { uint64_t group; std::promise<bool> done; };
  bool open();
  bool put(RecordEvent event, uint64_t& group);

  Recorder& recorder_;
  const Wall wall_;
  Directory& directory_;
  const std::string gateway_;
  uint64_t id_ = 0, sequence_ = 0;
  bool is_closed_ = false;
  std::vector<Waiter> waiters_;
};

}  // namespace weir::session

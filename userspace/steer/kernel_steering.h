// The engine's hand in the kernel's maps: listeners, flows, cuts.  Any thread; calls are one or two system calls each, but
// cut*() and sweep(), which walk.
// Must never: lose a cut that another thread makes while a session id is written (writers hold one lock; the kernel itself
// writes nothing of an entry that exists but `reopened`).
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "core/config.h"
#include "core/steering.h"
#include "core/unit.h"
#include "kernel/fd.h"
#include "steer/steer.h"

namespace weir::steer {

// The listeners of one core (accept/ opens them); -1: none for that family.
struct CoreListeners { int v4 = -1, v6 = -1; };

// What the kernel counted on one leg's socket at its end, kept for when the engine dies before it could ask (DESIGN 9).
struct LegBytes {
  uint64_t received = 0;        // Payload bytes, as tcp_sock counts them (a FIN counts one).
  uint64_t acknowledged = 0;    // Payload bytes of ours that the peer acknowledged.
  uint64_t ended_ns = 0;        // CLOCK_BOOTTIME.
};

class KernelSteering final : public Steering {
 public:
  // Pre: up().  Errors: kNotFound (not up; the message says so), kDenied, kInvalid (other programs than this binary's).
  // Opens what it needs: privileges may be dropped afterwards, but for CAP_NET_ADMIN and CAP_BPF (cuts).
  [[nodiscard]] static Result<std::unique_ptr<KernelSteering>> open(const Config&);

  // Puts one pair of listeners a core into the kernel's table and takes over: flows of an engine before this one go.
  // From here on new flows come in.  When the process ends, the kernel takes its listeners out by itself.
  [[nodiscard]] Result<void> set_listeners(std::span<const CoreListeners> cores);
  // No new flow (its SYN gets the target's closed_answer); flows that live go on.  For a drain.
  void clear_listeners();

  std::optional<FlowEntry> flow(const FlowKey&) override;
  bool set_session(const FlowKey&, uint64_t session) override;
  bool adopt(const FlowKey&, uint64_t session, uint64_t binding, std::chrono::sys_seconds until) override;
  void forget(const FlowKey&, uint64_t session) override;
  void cut(const FlowKey&) override;
  void set_upstream(const FlowKey&, uint64_t session, const Endpoint& source) override;
  [[nodiscard]] uint32_t upstream_mark() const override;

  [[nodiscard]] uint32_t client_leg_mark() const { return client_leg_mark_; }  // SO_MARK for the listeners.
  // Cuts every flow of a binding, or of a session.  Post: how many.
  uint32_t cut_binding(uint64_t binding);
  uint32_t cut_session(uint64_t session);
  // Entries that never became a session and whose socket is gone (a handshake that nobody finished).  Call each minute.
  uint32_t sweep();
  // nullopt: the kernel has no count (sock_ops needs a cgroup v2; status() shows whether it is attached).
  [[nodiscard]] std::optional<LegBytes> leg_bytes(const FlowKey&, Side) const;
  // Of the sessions that the engine before this one left: bytes that its sockets received, to_target and to_client, where the
  // kernel counted both.  Pre: before set_listeners(), which forgets those flows.
  [[nodiscard]] std::unordered_map<uint64_t, std::array<uint64_t, 2>> bytes_left_behind() const;

  struct Counters { uint64_t steered = 0, sent = 0, passed = 0, dropped = 0; };
  [[nodiscard]] Counters counters() const;
  [[nodiscard]] std::vector<ReasonCount> dropped() const;               // Every reason, zeros too; empty: cannot be read.
  // "guard 6f1c0e5d2b8a9f04": the programs that it was opened over.  That they stay attached is SteerWatch's to see.
  [[nodiscard]] const std::vector<std::string>& program_tags() const { return program_tags_; }

 private:
  struct Maps { kernel::Fd flows, listeners, settings, counts, legs; };
  KernelSteering(Maps maps, uint32_t upstream_mark, uint32_t client_leg_mark, std::vector<std::string> program_tags);
  [[nodiscard]] Result<void> set_listener_count(uint32_t count);
  void cut_locked(const FlowKey&);
  template <class Predicate>
  uint32_t cut_where(Predicate matches);
  void forget_alias(const FlowKey&, uint64_t session);

  Maps maps_;
  const uint32_t upstream_mark_, client_leg_mark_;
  const std::vector<std::string> program_tags_;
  std::mutex writer_;
  std::unordered_map<uint64_t, Endpoint> aliases_;  // By session: flows whose target leg has another source.  Seldom.
};

}  // namespace weir::steer

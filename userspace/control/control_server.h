// The engine's control thread: the Unix socket for the command line, /metrics, and whatever else wants to be looked at now
// and then (the steering watch, drop notices, timers).  One poll loop; nothing here is on the data path.
// Must never: serve anybody but root and the engine's user, log what a request holds (tokens), or wait for a slow peer.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "control/control_handler.h"
#include "core/address.h"

namespace weir::control {

class ControlServer {
 public:
  struct Options {
    std::string socket;                               // Absolute; made with mode 0600.
    std::optional<Endpoint> metrics;
    std::chrono::milliseconds request_timeout{5'000}; // From connect to the whole request, and again for the answer.
    std::size_t connections_max = 32;                 // Hit: the oldest is closed.
  };

  // Opens and listens.  Errors: kUnavailable (another engine answers on that socket, or the metrics address is taken), kSystem.
  [[nodiscard]] static Result<std::unique_ptr<ControlServer>> open(const Options& options, ControlHandler& handler);
  ~ControlServer();                                   // stop()

  // Before start().  `ready` is called on the control thread while `fd` is readable; `call` about every `period`.
  void watch(int fd, std::function<void()> ready);
  void every(std::chrono::milliseconds period, std::function<void()> call);

  void start();                                       // Begins the thread.
  void stop();                                        // Ends and joins it; takes the socket file away.  Safe to call twice.
  // One round of the loop, for tests and for who brings a thread of its own.  Waits at most `wait`.
  void turn(std::chrono::milliseconds wait);

  [[nodiscard]] uint16_t metrics_port() const { return metrics_port_; }  // For port 0.
  [[nodiscard]] uint64_t refused() const { return refused_; }            // Peers that were not let in, requests too large or late.

 private:
  using Clock = std::chrono::steady_clock;
  struct Connection;
  struct Watch { int fd; std::function<void()> ready; };
  struct Timer { std::chrono::milliseconds period; std::function<void()> call; Clock::time_point next; };

  ControlServer(const Options& options, ControlHandler& handler);
  Result<void> listen_unix();
  Result<void> listen_metrics();
  void accept_from(int listener, bool is_http);
  void serve(Connection& connection, short events);
  void read(Connection& connection);
  void answer(Connection& connection);
  void run_timers(Clock::time_point now);

  const Options options_;
  ControlHandler& handler_;
  int unix_ = -1, http_ = -1, wake_ = -1;
  uint16_t metrics_port_ = 0;
  uint64_t refused_ = 0;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Watch> watches_;
  std::vector<Timer> timers_;
  std::atomic<bool> is_stopping_{false};
  std::thread thread_;
};

}  // namespace weir::control

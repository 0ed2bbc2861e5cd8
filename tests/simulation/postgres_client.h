// A client with a script: steps of messages, each with what it waits for before the next one.  Keeps what it was told.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "simulation/net.h"

namespace weir::simulation {

struct Step {
  std::string bytes;
  uint32_t ready = 1;           // ReadyForQuery messages that answer it.
  bool is_copy_in = false;      // Sends a line and CopyDone once it is asked to.
  bool is_pipelined = false;    // The next step goes out without waiting for this one.
};

// A random script of `count` steps.  `blocked`: some say "forbidden".  Names are unique over one run: `next_name`.
std::vector<Step> make_script(Prng& random, uint32_t count, bool blocked, uint64_t& next_name);

class PostgresClient : public std::enable_shared_from_this<PostgresClient> {
 public:
  // `password`: what it answers with when it is asked; nothing: it says no more.
  PostgresClient(World& world, Net& net, const Faults& faults, SocketPtr socket, std::vector<Step> script, std::optional<std::string> password = "plainly-fake-password");
  void start();

  // What it was told, one entry a message: "D12" (row of 12 bytes), "E42501", "ZT", "CSELECT 3", ...
  [[nodiscard]] const std::vector<std::string>& told() const { return told_; }
  [[nodiscard]] const std::string& received() const { return received_; }
  [[nodiscard]] bool is_done() const { return is_done_; }           // The whole script was answered.
  [[nodiscard]] bool is_over() const { return is_over_; }           // Its socket is closed.
  [[nodiscard]] const std::string& violation() const { return violation_; }

 private:
  void on_change();
  bool take_message();
  void proceed();
  void send(const std::string& bytes);
  void flush();
  void end(bool reset);

  World& world_;
  Net& net_;
  const Faults& faults_;
  SocketPtr socket_;
  std::vector<Step> script_;
  const std::optional<std::string> password_;
  std::size_t next_ = 0;
  uint32_t awaited_ = 1;        // ReadyForQuery that are due; 1: the login's.
  bool is_done_ = false, is_over_ = false, may_copy_ = false;
  std::string in_, out_, received_, violation_;
  std::vector<std::string> told_;
};

}  // namespace weir::simulation

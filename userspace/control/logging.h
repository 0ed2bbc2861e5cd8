// Logs of the engine: to stderr, as text or JSON, written by a thread of their own.  Off the data path only.
// Must never: let a peer's bytes end a line or reach a terminal as control characters; wait for a slow stderr (the oldest
// line is dropped and counted).
#pragma once
#include <spdlog/logger.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/config.h"
#include "core/escape.h"

namespace weir::control {

using weir::escape_bytes;
// One log line as a JSON object: {"at":"2027-01-02T03:04:05.678Z","level":"info","message":"..."}
std::string json_line(std::string_view at, std::string_view level, std::string_view message);

class Logging {
 public:
  // Lines go to `fd` (stderr).
  explicit Logging(const LogConfig& config, int fd = 2);
  ~Logging();
  [[nodiscard]] spdlog::logger& log() { return *logger_; }
  [[nodiscard]] std::shared_ptr<spdlog::logger> shared() const { return logger_; }
  void set_level(const std::string& level);        // As in `log.level`; for a reload.
  [[nodiscard]] uint64_t dropped() const;          // Lines that did not fit into the queue.

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace weir::control

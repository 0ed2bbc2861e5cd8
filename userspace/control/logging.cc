#include "control/logging.h"

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <mutex>
#include <nlohmann/json.hpp>

namespace weir::control {
namespace {

constexpr std::size_t kQueueLines = 8192;

std::string time_text(spdlog::log_clock::time_point at) {
  const auto since = at.time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(since - seconds).count();
  const time_t clock = seconds.count();
  tm parts{};
  gmtime_r(&clock, &parts);
  char text[48];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                parts.tm_sec, static_cast<int>(ms));
  return text;
}

// One write() a line: lines of several processes on one stderr do not mix.
class FdSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  FdSink(int fd, bool json) : fd_(fd), json_(json) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const std::string_view payload(message.payload.data(), message.payload.size());
    const auto level = spdlog::level::to_string_view(message.level);
    const std::string_view level_name(level.data(), level.size());
    std::string line = json_ ? json_line(time_text(message.time), level_name, payload)
                             : time_text(message.time) + " " + std::string(level_name) + " " + escape_bytes(payload);
    line += '\n';
    std::string_view left = line;
    while (!left.empty()) {
      const ssize_t size = write(fd_, left.data(), left.size());
      if (size <= 0) return;  // Nobody reads; there is no other place to say so.
      left.remove_prefix(static_cast<std::size_t>(size));
    }
  }
  void flush_() override {}

  int fd_;
  bool json_;
};

}  // namespace

std::string json_line(std::string_view at, std::string_view level, std::string_view message) {
  const nlohmann::ordered_json line = {{"at", at}, {"level", level}, {"message", escape_bytes(message)}};
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

struct Logging::State {
  std::shared_ptr<spdlog::details::thread_pool> pool = std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1);
};

Logging::Logging(const LogConfig& config, int fd) : state_(std::make_unique<State>()) {
  auto sink = std::make_shared<FdSink>(fd, config.json);
  logger_ = std::make_shared<spdlog::async_logger>("weir", std::move(sink), state_->pool, spdlog::async_overflow_policy::overrun_oldest);
  set_level(config.level);
}

Logging::~Logging() = default;  // The pool's end writes what is queued.

void Logging::set_level(const std::string& level) {
  logger_->set_level(level == "warning" ? spdlog::level::warn : level == "error" ? spdlog::level::err : spdlog::level::from_str(level));
}

uint64_t Logging::dropped() const { return state_->pool->overrun_counter(); }

}  // namespace weir::control

// Says when the kernel side drops more than usual, by reason: once a burst, not once a packet.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "core/notice.h"

namespace weir::notify {

class DropMeter {
 public:
  using Steady = std::chrono::steady_clock;
  void set(uint32_t count, std::chrono::seconds within);
  // A packet was dropped.  Post: a notice with the `count`th of one reason within `within`, and then no other of that reason
  // until `within` is over.  Any thread.
  std::optional<Notice> add(std::string_view reason, std::string_view source, std::string_view destination, Steady::time_point now);

  static constexpr std::size_t kReasonsMax = 64;  // The kernel side has fewer.

 private:
  struct Window {
    Steady::time_point since{};
    uint64_t count = 0;
  };
  std::mutex mutex_;
  uint32_t count_ = 50;
  std::chrono::seconds within_{10};
  std::map<std::string, Window, std::less<>> windows_;  // By reason.
};

}  // namespace weir::notify

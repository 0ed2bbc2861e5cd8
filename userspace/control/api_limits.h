// How often one source, or one identity, may ask: a token bucket each.
// Must never: grow with the number of addresses that a client can use, nor let one flood forget another's count.
#pragma once
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "core/address.h"

namespace weir::control {

class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kBucketsMax = 4096;   // Hit: the one that was quiet longest is forgotten.

  RateLimit(uint32_t per_second, uint32_t burst) : per_second_(per_second), burst_(burst) {}
  // Any thread.  Takes one; or how long to wait until there is one.
  [[nodiscard]] std::optional<std::chrono::seconds> take(const std::string& who, Clock::time_point now);

 private:
  struct Bucket { double left = 0; Clock::time_point at{}; };
  const double per_second_, burst_;
  std::mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_;
};

// What a source is counted by: an IPv4 address, or the /64 of an IPv6 one, since a host has all of it.
std::string source_of(const Address& address);

}  // namespace weir::control

#include "control/api_limits.h"

#include <algorithm>
#include <cmath>

namespace weir::control {

std::optional<std::chrono::seconds> RateLimit::take(const std::string& who, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  auto found = buckets_.find(who);
  if (found == buckets_.end()) {
    if (buckets_.size() >= kBucketsMax) {
      buckets_.erase(std::min_element(buckets_.begin(), buckets_.end(), [](const auto& a, const auto& b) { return a.second.at < b.second.at; }));
    }
    found = buckets_.emplace(who, Bucket{burst_, now}).first;
  }
  Bucket& bucket = found->second;
  const double passed = std::max(0.0, std::chrono::duration<double>(now - bucket.at).count());
  bucket.left = std::min(burst_, bucket.left + passed * per_second_);
  bucket.at = std::max(bucket.at, now);
  if (bucket.left < 1) return std::chrono::seconds(std::max(1, static_cast<int>(std::ceil((1 - bucket.left) / per_second_))));
  bucket.left -= 1;
  return std::nullopt;
}

std::string source_of(const Address& address) {
  if (address.is_v4()) return address.text();
  Address network = address;
  std::fill(network.bytes.begin() + 8, network.bytes.end(), uint8_t{0});
  return network.text() + "/64";
}

}  // namespace weir::control

// Leaves that another thread wants in the log; the sealer takes them with its next step.
#pragma once
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace weir::record {

class LeafQueue {
 public:
  struct Leaf { std::string kind; nlohmann::json object; };
  // Beyond kMax the oldest is given up: they say how something stands, and the newest says it best.
  void add(Leaf leaf) {
    const std::lock_guard lock(mutex_);
    if (leaves_.size() >= kMax) leaves_.erase(leaves_.begin());
    leaves_.push_back(std::move(leaf));
  }
  std::vector<Leaf> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(leaves_, {});
  }

 private:
  static constexpr std::size_t kMax = 256;
  std::mutex mutex_;
  std::vector<Leaf> leaves_;
};

}  // namespace weir::record

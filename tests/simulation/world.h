// One clock, one queue of things to happen, one random source: all of a simulation.  Same seed, same trace (I10).
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <queue>
#include <string>
#include <vector>

#include "base/prng.h"

namespace weir::simulation {

class World {
 public:
  explicit World(uint64_t seed) : seed_(seed), random_(seed) {}
  [[nodiscard]] uint64_t seed() const { return seed_; }

  [[nodiscard]] std::chrono::nanoseconds now() const { return now_; }
  [[nodiscard]] Prng& random() { return random_; }
  // Calls `what` after `delay`; those of one moment happen in the order in which they were asked for.
  void after(std::chrono::nanoseconds delay, std::function<void()> what) { queue_.push({now_ + delay, order_++, std::move(what)}); }
  // Lets the next thing happen.  False: nothing is left to happen.
  bool step() {
    if (queue_.empty()) return false;
    Event event = queue_.top();
    queue_.pop();
    now_ = event.at;
    event.what();
    return true;
  }
  // A delay between a microsecond and `max`, mostly short.
  std::chrono::nanoseconds delay(std::chrono::nanoseconds max) {
    const uint64_t scale = random_.below(4);
    const auto bound = static_cast<uint64_t>(max.count()) >> (scale * 3);
    return std::chrono::nanoseconds(1'000 + random_.below(bound + 1));
  }

 private:
  struct Event {
    std::chrono::nanoseconds at;
    uint64_t order;
    std::function<void()> what;
    bool operator<(const Event& other) const { return at != other.at ? at > other.at : order > other.order; }
  };
  std::chrono::nanoseconds now_{1'000'000'000};
  uint64_t order_ = 0;
  const uint64_t seed_;
  Prng random_;
  std::priority_queue<Event> queue_;
};

// What may go wrong in one run; chosen from its seed (swarm: each run has some of them, never all).
struct Faults {
  bool tiny_windows = false;       // Peers take a few bytes at a time.
  bool tiny_reads = false;         // The engine's reads are cut to a few bytes.
  bool few_buffers = false;        // The provided-buffer ring runs dry.
  bool resets = false;             // Peers reset at any moment.
  bool half_closes = false;        // Clients send FIN while answers are due.
  bool slow_target = false;
  bool refused_dials = false;
  bool disk_errors = false;        // A journal write fails.
  bool slow_disk = false;
  bool short_writes = false;       // The disk takes a part.
  bool no_segments = false;        // The supply runs dry.
  bool full_disk = false;          // For a while there is no room for new work.
  bool cuts = false;               // Somebody revokes.
  bool reloads = false;            // Another snapshot in mid-flight.
  bool drain = false;
  bool late_facts = false;         // Statements are read elsewhere, and the answer takes its time.
  static Faults choose(Prng& random);
  [[nodiscard]] std::string text() const;
};

}  // namespace weir::simulation

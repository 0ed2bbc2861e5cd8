// Keeps the kernel side whole while the engine runs: rules, routes, sysctls, the nft table, links and attachments are
// watched (netlink, and once a second by looking, since the loss of an attachment has no message), put back, and their loss
// told.  A new interface gets the egress guard.
// One thread: the engine's control thread polls fd() and calls handle().
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "core/config.h"

namespace weir::steer {

struct Loss {
  std::string piece;                    // "rule from all fwmark 0x57450000/0xffff0000 lookup 5745 priority 100"
  bool is_restored = false;
  bool is_new = false;                  // No loss: an interface appeared, and has its guard now.
  std::string detail;                   // Why not, or what was found.
};

class SteerWatch {
 public:
  using Callback = std::function<void(const Loss&)>;
  // Pre: up().  Holds the pinned links open: they live on when a pin is taken away.
  [[nodiscard]] static Result<std::unique_ptr<SteerWatch>> open(const Config&, Callback);
  ~SteerWatch();

  [[nodiscard]] int fd() const;
  void handle();                        // Drains what is there, checks every piece once, puts back and calls back.

 private:
  struct State;
  explicit SteerWatch(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::steer

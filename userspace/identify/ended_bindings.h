// Whose bindings have ended by their time, for a while: so that who comes from such an address is told that they must sign in
// again, and that they came stands out in the record.  In memory alone: a restart forgets.
// Must never: admit anybody.
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/address.h"
#include "identify/bindings.h"

namespace weir::identify {

struct EndedBinding {
  uint64_t id = 0;
  Prefix where;
  std::string subject;
  std::chrono::sys_seconds at{};
};

// Any thread.
class EndedBindings {
 public:
  static constexpr std::size_t kKeptMax = 1'024;                        // Hit: the oldest is forgotten.
  static constexpr std::chrono::seconds kKeptFor{24 * 3600};

  void note(const std::vector<Binding>& ended);
  // The newest that held that address.  Pre: nobody is bound there now.
  [[nodiscard]] std::optional<EndedBinding> find(const Address& address, std::chrono::sys_seconds now) const;

 private:
  mutable std::mutex mutex_;
  std::deque<EndedBinding> kept_;  // Oldest first.
};

}  // namespace weir::identify

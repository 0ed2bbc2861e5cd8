// Delivers cancel requests to targets on short connections of our own: connect, send, close.  Bounded; what does not fit is
// counted and dropped (the cut itself has already happened).
#pragma once
#include <array>
#include <cstdint>

#include "core/io.h"
#include "core/metrics.h"

namespace weir::session {

class CancelSender {
 public:
  static constexpr uint32_t kSlots = 64;
  static constexpr uint32_t kRequestSizeMax = 256;

  CancelSender(Io& io, CoreCounters& counters, uint8_t owner) : io_(io), counters_(counters), owner_(owner) {}

  void deliver(const Endpoint& target, uint32_t mark, Bytes request);
  void on_completion(const Completion& completion);
  [[nodiscard]] bool is_idle() const { return busy_ == 0; }

 private:
  struct Slot {
    bool is_busy = false;
    int fd = -1;
    std::array<std::byte, kRequestSizeMax> request{};
    Bytes piece;
  };
  [[nodiscard]] OpToken token(uint32_t slot, OpKind kind) const { return {slot, 0, kind, static_cast<uint8_t>(owner_ << 1)}; }

  Io& io_;
  CoreCounters& counters_;
  const uint8_t owner_;
  std::array<Slot, kSlots> slots_{};
  uint32_t busy_ = 0;
};

}  // namespace weir::session

// Bindings in the kernel: address or prefix -> binding id with its end.  Ids come from the caller (identify/ never reuses
// one); expiry is checked by the kernel itself, on a clock that setting the time does not move.
// Must never: give an address to two bindings, or leave a flow of an old binding to a new one (flows hold the id).
#pragma once
#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "core/address.h"
#include "core/config.h"
#include "core/link.h"
#include "kernel/fd.h"

namespace weir::steer {

struct KernelBinding {
  uint64_t id = 0;                         // Not 0.
  Prefix where;                            // One address, or a static binding's prefix.  The longest prefix counts.
  std::chrono::sys_seconds until{};        // Epoch: no end.
  LinkKey link;                            // An interface that is not there fits no packet.
};

// That moment on the programs' clock, from how long it is until then.  Post: not 0.
[[nodiscard]] uint64_t boot_end_ns(std::chrono::sys_seconds until);

class KernelBindings {
 public:
  // Pre: up().  Errors as KernelSteering::open.
  [[nodiscard]] static Result<KernelBindings> open(const Config&);

  // Errors: kUnavailable when the map is full (then the source stays unbound), kInvalid for id 0 or an end in the past.
  // A prefix that is already bound gets the new id: flows of the old one are dropped by the kernel from then on; call
  // KernelSteering::cut_binding(old) to end their sockets as well.
  [[nodiscard]] Result<void> put(const KernelBinding&);
  // Post: true if that binding was there.  One look, however many there are: revoking is not to wait for a walk.
  [[nodiscard]] bool remove(const Prefix& where, uint64_t id);
  [[nodiscard]] Result<std::vector<KernelBinding>> list() const;
  // Makes the kernel's set equal to `all`: at start-up and on a reload.  Post: the ids that were taken out.
  [[nodiscard]] Result<std::vector<uint64_t>> replace(std::span<const KernelBinding> all);

 private:
  KernelBindings(kernel::Fd addresses, kernel::Fd networks) : addresses_(std::move(addresses)), networks_(std::move(networks)) {}
  kernel::Fd addresses_, networks_;
};

}  // namespace weir::steer

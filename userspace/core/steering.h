// What the engine asks of the kernel side (steer/), so that session/ and control/ need not know bpf/.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "core/address.h"

namespace weir {

struct FlowKey { Endpoint client, target; };
struct FlowEntry { uint64_t binding = 0, session = 0; bool cut = false; };

class Steering {
 public:
  virtual ~Steering() = default;
  // The binding that the kernel saw when the flow's first packet came; nullopt: not steered by us (refuse the socket).
  virtual std::optional<FlowEntry> flow(const FlowKey&) = 0;
  virtual bool set_session(const FlowKey&, uint64_t session) = 0;  // False: the flow is gone or was cut.
  // Who the session is was proven on its own wire, or is yet to be (then `binding` is 0 and `until` when that is due): from
  // here on the flow lives by that, not by the binding that its address has.  `until` epoch: no end of its own.
  // False: the flow is gone or was cut.
  virtual bool adopt(const FlowKey& flow, uint64_t session, uint64_t /*binding*/, std::chrono::sys_seconds /*until*/) { return set_session(flow, session); }
  // The session ended: its entry may go, unless the client has come back from the same port meanwhile.
  virtual void forget(const FlowKey&, uint64_t session) = 0;
  virtual void cut(const FlowKey&) = 0;                             // Both directions, both sides, at once.
  virtual uint32_t upstream_mark() const = 0;                       // SO_MARK that the egress guard lets out.
  // The target leg does not have the client's address and port (source: gateway, or the port was in use): cuts and byte
  // counts then find that leg by its own source.
  virtual void set_upstream(const FlowKey&, uint64_t session, const Endpoint& source) { static_cast<void>(session), static_cast<void>(source); }
};

}  // namespace weir

// One side of a session: its socket, its TLS layer if any, what waits to be sent, and which operations are under way.
#pragma once
#include <cstdint>

#include "core/transport.h"
#include "forward/out_queue.h"

namespace weir::session {

struct Leg {
  explicit Leg(forward::BlockPool& blocks) : out(blocks), wire(blocks) {}

  int fd = -1;
  TransportPtr tls;              // Null: plain.
  forward::OutQueue out;         // Plaintext to send; on a plain leg it is what is sent.
  forward::OutQueue wire;        // Ciphertext to send, with tls.
  bool is_connected = false;
  bool wants_tls = false;        // Once `out` is drained, TLS starts (what came before was plain).
  bool is_receiving = false;     // A multishot receive is armed.
  bool is_cancelling = false;    // ... and was asked to end (back-pressure or close).
  bool is_sending = false;
  bool is_send_cancelled = false;
  bool is_starved = false;       // The buffer ring was empty: armed again when buffers are back.
  bool fin_seen = false;         // The peer sends no more.
  bool close_notified = false;   // Its TLS said close_notify.
  bool is_shut = false;          // We send no more.
  bool is_closing = false;       // Its close is under way.
  uint64_t wire_received = 0;    // Bytes taken from the socket.
  bool ready_told = false;       // The codec knows that its TLS is ready.

  [[nodiscard]] uint64_t queued() const { return out.size() + wire.size(); }
  [[nodiscard]] bool is_drained() const { return out.empty() && wire.empty() && !is_sending; }
};

}  // namespace weir::session

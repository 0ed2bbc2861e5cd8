// One leg below the codec: wire bytes <-> ordered plaintext.  Sans-IO.  A plain leg has none: the session passes its
// leases on without a copy.  (One object a leg rather than one for both: the legs share no state but the certificate.)
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"

namespace weir {

class TransportSink {
 public:
  virtual ~TransportSink() = default;
  virtual void plain(Bytes) = 0;  // Decrypted bytes, in order.  Borrowed for the call.
  virtual void wire(Bytes) = 0;   // Bytes to send on this leg's socket, in order.  Borrowed for the call.
};

class Transport {
 public:
  enum class State : uint8_t { kHandshake, kReady, kPeerClosed /* close_notify seen */, kFault };
  struct Account { uint64_t wire_in = 0, wire_out = 0, plain_in = 0, plain_out = 0; };  // I11

  virtual ~Transport() = default;
  virtual void start(TransportSink&) = 0;                    // A client leg waits; a target leg says hello.
  virtual void receive(Bytes wire, TransportSink&) = 0;      // Takes it all; plaintext of whole records comes out at once.
  // Pre: state() is kReady or kPeerClosed.  Takes all of it; one record per 16 KiB or per call.
  virtual void send(std::span<const Bytes> plain, TransportSink&) = 0;
  virtual void close(TransportSink&) = 0;                    // close_notify
  virtual State state() const = 0;
  virtual std::string fault() const = 0;                     // For kFault: the reason, for a person.
  virtual Account account() const = 0;
  virtual Bytes peer_certificate_hash() const = 0;           // tls-server-end-point, RFC 5929; empty if none.
  virtual std::string describe() const = 0;                  // "TLSv1.3 TLS_AES_128_GCM_SHA256, verified orders-db.lab.example"
};
using TransportPtr = std::unique_ptr<Transport>;

}  // namespace weir

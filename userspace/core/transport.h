// One leg below the codec: wire bytes <-> ordered plaintext.  Sans-IO.  A plain leg has none: the session passes its
// leases on without a copy.  (One object a leg rather than one for both: the legs share no state but the certificate.)
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace weir {

// What a verified peer certificate says.  Names as they stand in it, at most 64 of a kind; one with a NUL or other bytes that
// do not print is `has_odd_names` and left out.
struct PeerCertificate {
  std::vector<std::string> uris, emails, dns_names;  // Subject alternative names.
  std::string common_name;                           // The only one; empty if there are several.
  std::string serial, fingerprint, issuer;           // Hex; SHA-256, hex; for a person.
  std::chrono::sys_seconds expires{};
  bool is_ca = false;                                // Basic constraints.
  bool has_key_usage = false, may_sign = false;      // Key usage: digitalSignature.
  bool may_certify = false;                          // keyCertSign or cRLSign.
  bool has_odd_names = false;
};

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
  // Client leg: the certificate that the client showed and that its CA has signed; null: none.  Pre: kReady.
  [[nodiscard]] virtual const PeerCertificate* peer_certificate() const { return nullptr; }
  // kFault, because the certificate that the peer showed does not hold.
  [[nodiscard]] virtual bool has_refused_certificate() const { return false; }
  // A login is over: what is decrypted from here on need not be overwritten once it was given on.
  virtual void end_secret() {}
  virtual std::string describe() const = 0;                  // "TLSv1.3 TLS_AES_128_GCM_SHA256, verified orders-db.lab.example"
};
using TransportPtr = std::unique_ptr<Transport>;

}  // namespace weir

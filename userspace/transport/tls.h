// TLS for one leg: wire bytes <-> plaintext, over OpenSSL with a BIO of our own that reads straight from the caller's span
// and writes straight into the sink.  TLS 1.2 and 1.3; no renegotiation, no early data, no tickets, no resumption: each
// session proves itself anew, and its keys die with it.
// Must never: assert on what a peer sends, pass on a byte after a fault, or keep a span after the call it came with.
//
//   receive(wire) -> [span BIO] -> OpenSSL record buffer -> decrypted in place -> 16 KiB on the stack -> sink.plain()
//   send(spans)   -> (gathered on the stack when there are several) -> OpenSSL record buffer -> sink.wire()
#pragma once
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "core/address.h"
#include "core/config.h"
#include "core/transport.h"
#include "transport/openssl_ptr.h"

namespace weir::transport {

enum class TlsRole : uint8_t { kServer /* client leg */, kClient /* target leg */ };

// What all transports of one leg of one target are made from.  Immutable; made by TlsContexts.
struct TlsLeg {
  TlsRole role = TlsRole::kServer;
  SslContextPtr context;
  BioMethodPtr io_method;
  std::string target;   // Name, for messages.
  std::string minimum;  // "1.2"
  // kServer.
  bool is_own_pair = false;          // The target's own certificate and key; else a minted leaf.
  std::vector<std::byte> leaf_hash;  // tls-server-end-point of what we show.
  // Clients may show a certificate of `trust` (ask_for_certificates()), or must.
  bool asks_certificate = false, needs_certificate = false;
  bool overwrites_plaintext = false;  // A login may bring a token: what was decrypted is overwritten once it was given on.
  // kClient.
  VerifyMode verify = VerifyMode::kVerifyFull;
  std::vector<std::string> expected_names;  // Empty with verify-full: the address that was dialled.
  std::string trust;                        // "keys/target-ca.crt" or "the system's CA certificates", for messages.
};

class TlsTransport final : public Transport {
 public:
  // `dialled`: the target's address, for a target leg that has no name to expect.  Errors: kSystem (out of memory).
  // Allocates OpenSSL's state for one session.
  [[nodiscard]] static Result<TransportPtr> make(std::shared_ptr<const TlsLeg> leg, const Address& dialled);
  ~TlsTransport() override;
  TlsTransport(const TlsTransport&) = delete;
  TlsTransport& operator=(const TlsTransport&) = delete;

  // The sink may call send() and close() from within plain(), and nothing of this transport from within wire().  It must
  // not destroy the transport in either.
  void start(TransportSink&) override;
  // After kPeerClosed and kFault what comes is counted and dropped.
  void receive(Bytes wire, TransportSink&) override;
  // In kHandshake and kFault nothing is sent and nothing counted: a fault may come between the caller's look and its call.
  void send(std::span<const Bytes> plain, TransportSink&) override;
  void close(TransportSink&) override;
  [[nodiscard]] State state() const override { return state_; }
  [[nodiscard]] std::string fault() const override { return fault_; }
  [[nodiscard]] Account account() const override { return account_; }
  [[nodiscard]] Bytes peer_certificate_hash() const override { return Bytes(peer_hash_).first(peer_hash_size_); }
  [[nodiscard]] std::string describe() const override;
  void end_secret() override;
  [[nodiscard]] const PeerCertificate* peer_certificate() const override { return peer_certificate_.get(); }
  [[nodiscard]] bool has_refused_certificate() const override { return state_ == State::kFault && (!refused_certificate_.empty() || lacks_certificate_); }

 private:
  friend struct TlsCallbacks;
  TlsTransport(std::shared_ptr<const TlsLeg> leg, SslPtr ssl);

  class Turn;  // Lends the caller's span and sink to the BIO for one call.
  void handshake();
  void read_records();
  void write_record(Bytes plain);
  void on_ready();
  void become_faulty();

  std::shared_ptr<const TlsLeg> leg_;
  SslPtr ssl_;
  Bytes incoming_;                 // What the BIO has not read yet of receive()'s span.
  TransportSink* sink_ = nullptr;  // Only within a call.
  State state_ = State::kHandshake;
  bool is_close_sent_ = false;
  uint8_t peer_hash_size_ = 0;
  std::array<std::byte, 64> peer_hash_{};
  Account account_;
  std::string fault_;
  std::unique_ptr<PeerCertificate> peer_certificate_;
  bool overwrites_plaintext_ = false;
  bool lacks_certificate_ = false;   // It had to show one, and did not.
  std::string refused_certificate_;  // Who the certificate that failed is for, and why; set by the verify callback.
};

// SSL_CTX settings that both roles share.  `minimum`: "1.2" or "1.3".  Errors: kInvalid for another minimum.
[[nodiscard]] Result<SslContextPtr> make_tls_context(TlsRole role, const std::string& minimum);
[[nodiscard]] BioMethodPtr make_tls_io_method();

}  // namespace weir::transport

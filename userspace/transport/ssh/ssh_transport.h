// SSH for one leg (RFC 4253): wire bytes <-> messages of the layers above, sans-IO.  Towards a client we are the server, towards
// a target the client; the legs negotiate, rekey and fail apart.
// Must never: give out a message before the keys are proved, send one in the clear, let a peer that is strict be spoken to in
// another order than it demands (Terrapin, CVE-2023-48795), take another host key at a rekey than at the first exchange,
// assert on what a peer sends, or go on after a fault.
//
//   start(version)   our version line and KEXINIT.  Before it the peer's version is read, and nothing else looked at: a gateway
//                    shows each side the other's version string, so it has to learn one before it can say the other.
//   receive(wire)    -> version(), host_key(), keys_exchanged(), message()  and  wire()
//   send(message)    -> wire(), at once; or queued while keys are exchanged (then only 1-4, 7 and 20-49 may go out)
//   tick()           rekeys by time
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "transport/ssh/certificate.h"
#include "transport/ssh/key_exchange.h"
#include "transport/ssh/negotiation.h"
#include "transport/ssh/packet.h"

namespace weir::ssh {

struct RudePeer;  // Of the tests.

// Message numbers of the transport (RFC 4250 section 4.1.2); what lies between 50 and 127, and 5 and 6, is the caller's.
namespace number {
inline constexpr uint8_t kDisconnect = 1, kIgnore = 2, kUnimplemented = 3, kDebug = 4, kServiceRequest = 5, kServiceAccept = 6, kExtInfo = 7, kKexInit = 20,
                         kNewKeys = 21, kKexAsk = 30, kKexReply = 31, kPing = 192, kPong = 193;
}  // namespace number

enum class Disconnect : uint32_t {  // RFC 4250 section 4.2.2
  kProtocolError = 2, kKeyExchangeFailed = 3, kMacError = 5, kServiceNotAvailable = 7, kVersionNotSupported = 8, kHostKeyNotVerifiable = 9, kConnectionLost = 10,
  kByApplication = 11, kTooManyConnections = 12, kNoMoreAuthMethods = 14
};

// A host key that a client leg shows, alone or with its certificate.
struct HostKey {
  PrivateKey key;
  Buffer certificate;  // Empty: none.
};

struct RekeyLimits {
  uint64_t bytes = uint64_t{1} << 30;    // Each way.  RFC 4344 section 3.2; chacha's limit in OpenSSH is the same.
  uint64_t packets = uint64_t{1} << 31;  // Each way.  RFC 4344 section 3.1.
  std::chrono::nanoseconds time = std::chrono::hours(1);
};

// What all transports of one leg of one target are made from.  Immutable, shared by cores.
struct SshLeg {
  SshRole role = SshRole::kServer;
  SshPreferences preferences;      // kClient: host_keys says which types are asked for, the pinned ones first.
  std::vector<HostKey> host_keys;  // kServer, at least one.
  RekeyLimits rekey;
};

// What a target showed (role kClient).  Its signature over the exchange holds; whether it is the right key is the caller's to say.
struct HostKeyShown {
  const SignatureAlgorithm& algorithm;
  const PublicKey& key;
  const Certificate* certificate;  // Signed by its CA; to be judged with check_certificate().  Null: a plain key.
};

class SshSink {
 public:
  virtual ~SshSink() = default;
  virtual void wire(Bytes) = 0;     // To this leg's socket, in order.  Borrowed for the call.
  virtual void message(Bytes) = 0;  // 5, 6, 50 to 127: number first.  Borrowed for the call.
  virtual void version(std::string_view peer) = 0;  // Without CR LF.  Printable ASCII, "SSH-2.0-..." or "SSH-1.99-...".
  // kClient, at the first exchange: accept_host_key() or refuse_host_key(), at once or later.
  virtual void host_key(const HostKeyShown&) = 0;
  virtual void keys_exchanged(bool is_first) = 0;  // From now on algorithms() is what counts.
};

class SshTransport {
 public:
  // kReady: the first exchange is over; it stays so while later ones run.
  enum class State : uint8_t { kVersion, kFirstExchange, kReady, kPeerClosed /* DISCONNECT seen */, kClosed /* by us */, kFault };
  struct Account { uint64_t wire_in = 0, wire_out = 0, messages_in = 0, messages_out = 0; };
  using Time = std::chrono::nanoseconds;  // Io::now()

  SshTransport(std::shared_ptr<const SshLeg>, RandomSource&);
  ~SshTransport();
  SshTransport(const SshTransport&) = delete;
  SshTransport& operator=(const SshTransport&) = delete;

  // The sink may call any of these from version(), host_key(), keys_exchanged() and message(), none from wire(), and must not
  // destroy the transport.
  //
  // Once.  `version`: without CR LF.  False: it is none that could be sent (then nothing has happened).
  [[nodiscard]] bool start(std::string_view version, Time now, SshSink&);
  void receive(Bytes wire, Time now, SshSink&);
  // One message, given in parts; number first: 5, 6 or 50 to 127.  Pre: kReady; otherwise (a fault may come between
  // look and call) nothing is sent.  Of no bytes, or more than kPayloadSizeMax: a fault.
  void send(std::span<const Bytes> parts, Time now, SshSink&);
  void send(Bytes message, Time now, SshSink& sink) { send({&message, 1}, now, sink); }
  // Answers a message that the layer above does not know (RFC 4253 section 11.4).  Only from within message().
  void send_unimplemented(SshSink&);
  void accept_host_key(Time now, SshSink&);
  void refuse_host_key(std::string_view reason, SshSink&);
  void tick(Time now, SshSink&);
  void rekey(Time now, SshSink&);  // Starts an exchange if none is running.  Pre: kReady.
  void disconnect(Disconnect reason, std::string_view text, SshSink&);
  // A login is over: what is decrypted need not be overwritten any more, EXT_INFO has no place left, keys are renewed by need.
  void set_authenticated();

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] const std::string& fault() const { return fault_; }  // kFault, kPeerClosed: why; printable.
  [[nodiscard]] bool is_strict() const { return is_strict_; }
  [[nodiscard]] bool is_exchanging() const;
  [[nodiscard]] std::size_t queued_size() const { return queued_.size(); }  // Back-pressure: do not send more than a window beyond it.
  [[nodiscard]] Bytes session_id() const { return session_id_; }
  [[nodiscard]] const SshAlgorithms& algorithms() const { return algorithms_; }
  [[nodiscard]] std::string_view peer_version() const { return peer_version_; }
  [[nodiscard]] std::string_view own_version() const { return own_version_; }
  // The blob that stood in the first exchange, ours or the peer's: a key or a certificate.  Empty before.
  [[nodiscard]] Bytes host_key_blob() const { return host_key_blob_; }
  // What EXT_INFO said (RFC 8308): names, empty if it said none.
  [[nodiscard]] std::string_view peer_signature_algorithms() const { return peer_signatures_; }
  [[nodiscard]] bool peer_has_hostbound() const { return peer_has_hostbound_; }
  [[nodiscard]] uint32_t exchanges() const { return exchanges_; }  // That are over, the first included.
  [[nodiscard]] const Account& account() const { return account_; }
  [[nodiscard]] std::string describe() const;  // "curve25519-sha256, ssh-ed25519, chacha20-poly1305@openssh.com, strict"

 private:
  friend RudePeer;  // Says what has no place.
  struct Exchange;
  enum class Allowed : uint8_t { kGoOn, kDropped, kFaulted };

  // ssh_transport.cc
  void read_version(Bytes& wire, SshSink&);
  void on_version_line(SshSink&);
  void read_packets(Bytes wire, Time now, SshSink&);
  void on_packet(Bytes payload, Time now, SshSink&);
  Allowed check_order(uint8_t number, SshSink&);
  void on_disconnect(Bytes payload);
  void on_ext_info(Bytes payload, SshSink&);
  void on_ping(Bytes payload, Time now, SshSink&);
  void seal(std::span<const Bytes> parts, SshSink&);
  void seal(Bytes payload, SshSink& sink) { seal({&payload, 1}, sink); }
  void send_or_queue(std::span<const Bytes> parts, SshSink&);
  void flush_queue(SshSink&);
  void rekey_by_need(Time now, SshSink&);
  void become_faulty(Disconnect, std::string reason, SshSink&);
  void send_disconnect(Disconnect, std::string_view text, SshSink&);
  [[nodiscard]] bool is_live() const { return state_ <= State::kReady; }
  // ssh_exchange.cc
  void begin_exchange(SshSink&);
  void on_kex_init(Bytes payload, SshSink&);
  void on_kex_ask(Bytes payload, Time now, SshSink&);
  void on_kex_reply(Bytes payload, Time now, SshSink&);
  void on_new_keys(Bytes payload, Time now, SshSink&);
  bool read_shown_key(Bytes blob, SshSink&);
  bool make_keys(const Secret& shared, Bytes host_key, Bytes client_public, Bytes server_public, Buffer& hash, SshSink&);
  void send_new_keys(Time now, SshSink&);
  void finish_exchange(Time now, SshSink&);
  void send_ext_info(SshSink&);
  std::string own_host_key_names() const;

  std::shared_ptr<const SshLeg> leg_;
  RandomSource& random_;
  State state_ = State::kVersion;
  bool is_started_ = false, is_strict_ = false, is_authenticated_ = false, peer_has_hostbound_ = false, peer_takes_ext_info_ = false;
  uint8_t ext_infos_ = 0;
  uint32_t exchanges_ = 0;
  uint32_t version_lines_ = 0;
  Time exchanged_at_{};
  std::string line_, own_version_, peer_version_, fault_, peer_signatures_;
  Buffer early_;  // What came after the peer's version, before start().
  Buffer queued_;  // | size 4 | message | ...: what waits for new keys.
  Buffer session_id_, host_key_blob_;
  SshAlgorithms algorithms_;
  std::unique_ptr<Exchange> exchange_;
  PacketSealer sealer_;
  PacketOpener opener_;
  Account account_;
};

}  // namespace weir::ssh

#include "transport/ssh/ssh_transport.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "base/check.h"
#include "transport/certificate.h"
#include "transport/ssh/ssh_exchange.h"

namespace weir::ssh {
namespace {

using transport::printable;

// RFC 4253 section 4.2: 255 bytes with CR LF.  What a server may say before it: as much as OpenSSH's client reads.
constexpr std::size_t kVersionSizeMax = 253, kLineSizeMax = 8192;
constexpr uint32_t kVersionLinesMax = 1024;
// What a peer may send after its version before we have said ours.  A KEXINIT and a guess fit many times.
constexpr std::size_t kEarlySizeMax = 64 << 10;
// Hit: the leg ends.  Callers hold back long before (queued_size()).
constexpr std::size_t kQueuedSizeMax = 8 << 20;
constexpr uint8_t kExtInfosMax = 4;
// No key lasts longer than sequence numbers do (RFC 4344 section 3.1).
constexpr uint64_t kPacketsMax = (uint64_t{1} << 32) - 16;

bool is_version(std::string_view line) {
  if (!line.starts_with("SSH-2.0-") && !line.starts_with("SSH-1.99-")) return false;
  return line.size() <= kVersionSizeMax && std::all_of(line.begin(), line.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}
bool is_upper(uint8_t number) { return number == number::kServiceRequest || number == number::kServiceAccept || (number >= 50 && number <= 127); }

}  // namespace

SshTransport::SshTransport(std::shared_ptr<const SshLeg> leg, RandomSource& random) : leg_(std::move(leg)), random_(random), sealer_(random) {
  WEIR_CHECK(leg_->role == SshRole::kClient || !leg_->host_keys.empty());
}

SshTransport::~SshTransport() {
  if (!queued_.empty()) OPENSSL_cleanse(queued_.data(), queued_.size());
}

bool SshTransport::is_exchanging() const { return exchange_ != nullptr; }

bool SshTransport::start(std::string_view version, Time now, SshSink& sink) {
  WEIR_CHECK(!is_started_);
  if (!is_version(version)) return false;
  if (!is_live()) return true;
  is_started_ = true;
  own_version_ = version;
  const std::string line = own_version_ + "\r\n";
  account_.wire_out += line.size();
  sink.wire(as_bytes(line));
  begin_exchange(sink);
  const Buffer early = std::move(early_);
  early_ = {};
  if (!early.empty()) read_packets(early, now, sink);
  return true;
}

void SshTransport::receive(Bytes wire, Time now, SshSink& sink) {
  account_.wire_in += wire.size();
  while (!wire.empty() && is_live() && peer_version_.empty()) read_version(wire, sink);
  if (wire.empty() || !is_live()) return;
  if (is_started_) return read_packets(wire, now, sink);
  if (early_.size() + wire.size() > kEarlySizeMax) return become_faulty(Disconnect::kProtocolError, "the peer sent too much before it had our version", sink);
  early_.insert(early_.end(), wire.begin(), wire.end());
}

void SshTransport::read_version(Bytes& wire, SshSink& sink) {
  const std::string_view text = as_text(wire);
  const std::size_t end = text.find('\n');
  const std::string_view part = text.substr(0, end);
  // A line that will be the version is short; others are a server's, before it.
  if (line_.size() + part.size() > kLineSizeMax) return become_faulty(Disconnect::kProtocolError, "the peer's version is too long a line", sink);
  line_ += part;
  wire = wire.subspan(end == std::string_view::npos ? text.size() : end + 1);
  if (end == std::string_view::npos) return;
  if (line_.ends_with('\r')) line_.pop_back();
  on_version_line(sink);
}

void SshTransport::on_version_line(SshSink& sink) {
  if (!line_.starts_with("SSH-")) {
    // RFC 4253 section 4.2: a server may say other lines first, a client may not.
    if (leg_->role == SshRole::kServer) return become_faulty(Disconnect::kProtocolError, "the client does not speak SSH", sink);
    if (++version_lines_ > kVersionLinesMax) return become_faulty(Disconnect::kProtocolError, "the target says no SSH version", sink);
    line_.clear();
    return;
  }
  if (!is_version(line_)) return become_faulty(Disconnect::kVersionNotSupported, "the peer's version is not of SSH 2.0: " + printable(line_), sink);
  peer_version_ = std::move(line_);
  line_ = {};
  if (state_ == State::kVersion) state_ = State::kFirstExchange;
  sink.version(peer_version_);
}

void SshTransport::read_packets(Bytes wire, Time now, SshSink& sink) {
  using Status = PacketOpener::Status;
  while (!wire.empty() && is_live()) {
    Bytes payload;
    switch (opener_.next(wire, payload)) {
      case Status::kMore: return;
      case Status::kPacket: on_packet(payload, now, sink); break;
      case Status::kLength: return become_faulty(Disconnect::kProtocolError, "a packet's length is out of bounds (or it was changed on its way)", sink);
      case Status::kForged: return become_faulty(Disconnect::kMacError, "a packet was changed on its way, or is forged", sink);
      case Status::kPadding: return become_faulty(Disconnect::kProtocolError, "a packet's padding is wrong", sink);
    }
  }
  if (is_live()) rekey_by_need(now, sink);
}

// What may come now.  In a first exchange that is strict nothing but the exchange itself; in any, after the peer's KEXINIT,
// nothing of the layers above (RFC 4253 section 7.1).
SshTransport::Allowed SshTransport::check_order(uint8_t number, SshSink& sink) {
  const bool is_first = exchanges_ == 0;
  const bool is_between = exchange_ && !exchange_->peer_init.empty() && !exchange_->is_received;
  const bool is_kex = number >= number::kKexInit && number <= 49;
  if (is_first && is_strict_ && is_between && !is_kex && number != number::kDisconnect) {
    become_faulty(Disconnect::kProtocolError, "strict key exchange: message " + std::to_string(number) + " has no place in it", sink);
    return Allowed::kFaulted;
  }
  const bool is_plain = number == number::kDisconnect || number == number::kIgnore || number == number::kUnimplemented || number == number::kDebug;
  // EXT_INFO too: in the clear anybody on the way could have said it.
  const bool is_unkeyed = is_first && !(exchange_ && exchange_->is_received);
  // At a rekey RFC 4253, section 7.1 forbids it too, yet PuTTY's plink sends what it has left when it ends, a channel's close in the middle
  // of one.  It came under keys that hold, so it is taken, as OpenSSH does.
  if (is_unkeyed && !is_kex && !is_plain) {
    become_faulty(Disconnect::kProtocolError, "message " + std::to_string(number) + " in the middle of a key exchange", sink);
    return Allowed::kFaulted;
  }
  if (is_kex && number != number::kKexInit && exchange_ && exchange_->drops_next) {
    exchange_->drops_next = false;
    return Allowed::kDropped;
  }
  return Allowed::kGoOn;
}

void SshTransport::on_packet(Bytes payload, Time now, SshSink& sink) {
  if (opener_.counts().packets > kPacketsMax) return become_faulty(Disconnect::kProtocolError, "the peer did not renew its keys in time", sink);
  const auto number = std::to_integer<uint8_t>(payload[0]);
  if (check_order(number, sink) != Allowed::kGoOn) return;
  switch (number) {
    case number::kDisconnect: return on_disconnect(payload);
    case number::kIgnore:
    case number::kDebug:
    case number::kUnimplemented:
    case number::kPong: return;
    case number::kExtInfo: return on_ext_info(payload, sink);
    case number::kPing: return on_ping(payload, now, sink);
    case number::kKexInit: return on_kex_init(payload, sink);
    case number::kNewKeys: return on_new_keys(payload, now, sink);
    case number::kKexAsk:
      if (leg_->role == SshRole::kServer) return on_kex_ask(payload, now, sink);
      break;
    case number::kKexReply:
      if (leg_->role == SshRole::kClient) return on_kex_reply(payload, now, sink);
      break;
    default: break;
  }
  if (number >= 30 && number <= 49) return become_faulty(Disconnect::kProtocolError, "message " + std::to_string(number) + " is of no key exchange that was agreed on", sink);
  if (!is_upper(number)) return send_unimplemented(sink);
  // The target sent it on keys that nobody has vouched for yet.
  if (state_ != State::kReady) return become_faulty(Disconnect::kProtocolError, "message " + std::to_string(number) + " before the host key was judged", sink);
  ++account_.messages_in;
  sink.message(payload);
}

void SshTransport::on_disconnect(Bytes payload) {
  WireReader reader(payload.subspan(1));
  const uint32_t reason = reader.u32();
  const std::string_view text = reader.text();
  fault_ = "the peer disconnected, reason " + std::to_string(reason) + ": " + printable(reader.failed() ? std::string_view{} : text);
  state_ = State::kPeerClosed;
}

void SshTransport::on_ext_info(Bytes payload, SshSink& sink) {
  if (is_authenticated_ || ++ext_infos_ > kExtInfosMax) return become_faulty(Disconnect::kProtocolError, "EXT_INFO out of its place", sink);
  WireReader reader(payload.subspan(1));
  const uint32_t count = reader.u32();
  for (uint32_t i = 0; i < count && !reader.failed(); ++i) {
    const std::string_view name = reader.text(), value = reader.text();
    if (reader.failed()) break;
    if (name == "server-sig-algs" && is_name_list(value)) peer_signatures_ = value;
    if (name == "publickey-hostbound@openssh.com") peer_has_hostbound_ = value == "0";
  }
  if (!reader.done()) return become_faulty(Disconnect::kProtocolError, "EXT_INFO cannot be read", sink);
}

// OpenSSH PROTOCOL section 1.9: the same string comes back.  It is of this leg, not of who is behind us.
void SshTransport::on_ping(Bytes payload, Time, SshSink& sink) {
  if (exchanges_ == 0) return become_faulty(Disconnect::kProtocolError, "a ping in the middle of a key exchange", sink);
  const std::byte pong{number::kPong};
  const Bytes parts[] = {{&pong, 1}, payload.subspan(1)};
  send_or_queue(parts, sink);
}

void SshTransport::send(std::span<const Bytes> parts, Time now, SshSink& sink) {
  if (state_ != State::kReady) return;
  std::size_t size = 0;
  for (const Bytes part : parts) size += part.size();
  // A message that was edited may have grown: nothing to end the gateway for.
  if (size == 0 || size > kPayloadSizeMax) return become_faulty(Disconnect::kByApplication, "a message to send is empty or too large", sink);
  ++account_.messages_out;
  send_or_queue(parts, sink);
  if (is_live()) rekey_by_need(now, sink);
}

void SshTransport::send_unimplemented(SshSink& sink) {
  if (!is_live()) return;
  Buffer out;
  WireWriter(out).u8(number::kUnimplemented).u32(opener_.sequence() - 1);
  seal(out, sink);
}

void SshTransport::seal(std::span<const Bytes> parts, SshSink& sink) {
  const Bytes packet = sealer_.counts().packets < kPacketsMax ? sealer_.seal(parts) : Bytes{};
  if (packet.empty()) {
    state_ = State::kFault;  // There is nothing left that could be said.
    fault_ = "a packet could not be sealed";
    return;
  }
  account_.wire_out += packet.size();
  sink.wire(packet);
}

void SshTransport::send_or_queue(std::span<const Bytes> parts, SshSink& sink) {
  if (!exchange_ || exchange_->own_init.empty() || exchange_->is_sent) return seal(parts, sink);
  std::size_t size = 0;
  for (const Bytes part : parts) size += part.size();
  if (queued_.size() + 4 + size > kQueuedSizeMax) return become_faulty(Disconnect::kProtocolError, "a key exchange takes too long: more waits for it than there is room for", sink);
  WireWriter out(queued_);
  out.u32(static_cast<uint32_t>(size));
  for (const Bytes part : parts) out.raw(part);
}

void SshTransport::flush_queue(SshSink& sink) {
  Buffer queued = std::move(queued_);
  queued_ = {};
  WireReader reader(queued);
  while (!reader.at_end() && is_live()) seal(reader.string(), sink);
  if (!queued.empty()) OPENSSL_cleanse(queued.data(), queued.size());
}

void SshTransport::rekey_by_need(Time now, SshSink& sink) {
  if (exchange_ || state_ != State::kReady || !is_authenticated_) return;
  const RekeyLimits& limits = leg_->rekey;
  const uint64_t bytes = std::max(sealer_.counts().bytes, opener_.counts().bytes), packets = std::max(sealer_.counts().packets, opener_.counts().packets);
  if (bytes >= limits.bytes || packets >= limits.packets || now - exchanged_at_ >= limits.time) begin_exchange(sink);
}

void SshTransport::tick(Time now, SshSink& sink) { rekey_by_need(now, sink); }

void SshTransport::rekey(Time, SshSink& sink) {
  if (!exchange_ && state_ == State::kReady) begin_exchange(sink);
}

void SshTransport::set_authenticated() {
  is_authenticated_ = true;
  opener_.set_wiping(false);
}

void SshTransport::send_disconnect(Disconnect reason, std::string_view text, SshSink& sink) {
  if (!is_started_) return;
  Buffer out;
  WireWriter(out).u8(number::kDisconnect).u32(static_cast<uint32_t>(reason)).string(text).string("");
  seal(out, sink);
}

void SshTransport::disconnect(Disconnect reason, std::string_view text, SshSink& sink) {
  if (!is_live()) return;
  send_disconnect(reason, text, sink);
  if (is_live()) state_ = State::kClosed;
}

void SshTransport::become_faulty(Disconnect code, std::string reason, SshSink& sink) {
  if (!is_live()) return;
  send_disconnect(code, reason, sink);
  state_ = State::kFault;
  fault_ = std::move(reason);
}

std::string SshTransport::describe() const {
  std::string text = algorithms_.kex + ", " + algorithms_.host_key + ", " + algorithms_.cipher_in;
  if (!algorithms_.mac_in.empty()) text += " " + algorithms_.mac_in;
  if (algorithms_.cipher_out != algorithms_.cipher_in || algorithms_.mac_out != algorithms_.mac_in) text += " in, " + algorithms_.cipher_out + " " + algorithms_.mac_out + " out";
  return text + (is_strict_ ? ", strict" : ", not strict");
}

}  // namespace weir::ssh

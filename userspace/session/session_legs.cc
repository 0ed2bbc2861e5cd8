// Bytes in and out of the two sockets: receives, sends, TLS, back-pressure, half-close.
#include <algorithm>

#include "base/check.h"
#include "session/outbox.h"
#include "session/session.h"

namespace weir::session {

// Where a leg's TLS puts what it made of bytes.
class Session::Sink final : public TransportSink {
 public:
  Sink(Session& session, Side side) : session_(session), side_(side) {}
  void plain(Bytes bytes) override {
    Stream& s = session_.stream(side_ == Side::kClient ? Direction::kToTarget : Direction::kToClient);
    s.buffer.append_copy(bytes);
    s.window.on_received(bytes.size());
  }
  void wire(Bytes bytes) override { session_.leg(side_).wire.own(bytes, 0); }

 private:
  Session& session_;
  Side side_;
};

namespace {
constexpr Direction from(Side side) { return side == Side::kClient ? Direction::kToTarget : Direction::kToClient; }
}  // namespace

OpToken Session::token(OpKind kind, Side side) const {
  return {slot_, generation_, kind, static_cast<uint8_t>(owner_ << 1 | static_cast<uint8_t>(side))};
}

Bytes Session::peer_certificate_hash(Side side) const {
  const TransportPtr& tls = legs_[index_of(side)].tls;
  return tls ? tls->peer_certificate_hash() : Bytes{};
}

void Session::arm_receive(Side side) {
  Leg& l = leg(side);
  if (l.is_receiving || l.fin_seen || l.is_closing || l.fd < 0) return;
  services_.io.receive(l.fd, token(OpKind::kReceive, side));
  l.is_receiving = true;
  l.is_cancelling = l.is_starved = false;
  ++operations_;
}

void Session::on_received(Side side, Completion& completion) {
  Leg& l = leg(side);
  if (!completion.more) {
    l.is_receiving = l.is_cancelling = false;
    --operations_;
  }
  if (state_ == State::kDone) return;
  const Direction direction = from(side);
  Stream& s = stream(direction);
  if (completion.result > 0) {
    last_activity_ = services_.io.now();
    const auto size = static_cast<uint64_t>(completion.result);
    l.wire_received += size;
    services_.counters.add(side == Side::kClient ? Metric::kBytesFromClient : Metric::kBytesFromTarget, size);
    if (state_ == State::kClosing) return;  // Read but never judged: it goes no further, and the account says so.
    if (!s.buffer.has_room_for(size)) {
      close(EndReason::kSystemFailed, true);
    } else if (l.tls) {
      Sink sink(*this, side);
      l.tls->receive(completion.buffer.bytes(), sink);
      if (l.tls->state() == Transport::State::kFault) {
        services_.counters.add(side == Side::kClient ? Metric::kTlsFaultClient : Metric::kTlsFaultTarget);
        record_note("TLS fault on the " + std::string(side == Side::kClient ? "client" : "target") + " leg: " + l.tls->fault());
        if (side == Side::kTarget) {
          refuse(EndReason::kTlsFault, "08006", "the gateway could not secure the connection to the target: " + l.tls->fault());
        } else {
          close(EndReason::kTlsFault, false);
          if (l.tls->has_refused_certificate() && needs_proof()) refuse_proof(CredentialResult::kCertificate, l.tls->fault());
        }
      } else {
        // The first plaintext may come with the last of the handshake: the codec is told before it is parsed.
        tell_ready(side);
        if (l.tls->state() == Transport::State::kPeerClosed) s.is_eof = true;
      }
    } else {
      s.window.on_received(size);
      s.buffer.append(std::move(completion.buffer));
    }
  } else if (completion.result == 0) {
    on_end_of_stream(side);
  } else if (completion.result == -ENOBUFS) {
    l.is_starved = true;
  } else if (completion.result != -ECANCELED) {
    // ECONNRESET, ETIMEDOUT, EPIPE, ...: the peer is gone; the other one is told in the same way.
    if (completion.result != -ECONNRESET && completion.result != -ETIMEDOUT && completion.result != -EPIPE) {
      services_.counters.add(Metric::kSystemErrors);
    }
    close(side == Side::kClient ? EndReason::kClientReset : EndReason::kTargetReset, true);
  }
}

void Session::on_end_of_stream(Side side) {
  leg(side).fin_seen = true;
  stream(from(side)).is_eof = true;
  if (side == Side::kClient && leg(Side::kTarget).fd < 0 && state_ != State::kClosing) close(EndReason::kClientClosed, false);
}

void Session::start_tls(Side side) {
  Leg& l = leg(side);
  Stream& s = stream(from(side));
  if (s.buffer.received() != s.window.parsed()) {
    // What came with the request was sent before anything was secured: it is not the TLS hello's (CVE-2021-23214, -23222).
    return on_violation("bytes were sent after the request for TLS and before its answer");
  }
  l.wants_tls = false;
  flush(side);
  if (!l.out.empty() || l.is_sending) {
    l.wants_tls = true;  // The answer in clear goes first; flush() comes back here.
    return;
  }
  l.tls = side == Side::kClient ? target_->client_leg() : target_->target_leg(flow_.target.address);
  s.is_upgrading = false;
  if (!l.tls) return close(EndReason::kSystemFailed, true);
  Sink sink(*this, side);
  l.tls->start(sink);
}

void Session::tell_ready(Side side) {
  Leg& l = leg(side);
  if (l.ready_told || l.tls->state() == Transport::State::kHandshake) return;
  l.ready_told = true;
  services_.counters.add(Metric::kTlsHandshakes);
  record_note("TLS on the " + std::string(side == Side::kClient ? "client" : "target") + " leg: " + l.tls->describe());
  if (side == Side::kClient) take_certificate();
  SessionOutbox outbox(*this, from(side), {});
  codec_->signal({Signal::Kind::kSideReady, side, 0, 0, {}, {}}, outbox);
}

// Everything in `out` becomes ciphertext in `wire`.
void Session::encrypt(Side side) {
  Leg& l = leg(side);
  Sink sink(*this, side);
  const Transport::State tls = l.tls->state();
  if (tls == Transport::State::kHandshake || tls == Transport::State::kFault) return;
  tell_ready(side);
  Stream& s = stream(side == Side::kClient ? Direction::kToClient : Direction::kToTarget);
  while (!l.out.empty()) {
    const std::span<const Bytes> pieces = l.out.gather();
    const uint64_t size = l.out.gathered_size();
    if (!pieces.empty()) l.tls->send(pieces, sink);
    const uint64_t release = l.out.on_sent();
    s.window.on_sent(size);
    if (release > s.window.released()) {
      s.window.on_released(release);
      s.buffer.release(release);
    }
  }
}

void Session::flush(Side side) {
  Leg& l = leg(side);
  if (l.fd < 0 || !l.is_connected || l.is_closing || state_ == State::kDone) return;
  if (l.tls) encrypt(side);
  forward::OutQueue& queue = l.tls ? l.wire : l.out;
  while (!l.is_sending && !queue.empty()) {
    const std::span<const Bytes> pieces = queue.gather();
    if (pieces.empty()) {  // Only marks: what they release was dropped.
      on_sent(side, 0);
      continue;
    }
    services_.io.send(l.fd, pieces, token(OpKind::kSend, side));
    l.is_sending = true;
    ++operations_;
  }
  if (l.wants_tls && l.out.empty() && !l.is_sending) start_tls(side);
}

// `result` 0: nothing had to go over the wire.
void Session::on_sent(Side side, int32_t result) {
  Leg& l = leg(side);
  if (l.is_sending) {
    l.is_sending = false;
    --operations_;
  }
  if (state_ == State::kDone) return;
  forward::OutQueue& queue = l.tls ? l.wire : l.out;  // TLS starts only once `out` is drained.
  const uint64_t size = queue.gathered_size();
  if (result < 0 || static_cast<uint64_t>(result) != size) {
    queue.clear();       // Nothing more goes out here.
    l.out.clear();
    l.is_shut = true;
    close(side == Side::kClient ? EndReason::kClientReset : EndReason::kTargetReset, true);
    return;
  }
  last_activity_ = services_.io.now();
  services_.counters.add(side == Side::kClient ? Metric::kBytesToClient : Metric::kBytesToTarget, size);
  const bool is_plain = &queue == &l.out;
  const uint64_t release = queue.on_sent();
  if (!is_plain) return;
  Stream& s = stream(side == Side::kClient ? Direction::kToClient : Direction::kToTarget);
  s.window.on_sent(size);
  if (release > s.window.released()) {
    s.window.on_released(release);
    s.buffer.release(release);
  }
}

// Back-pressure: a side is read only while there is room for what it says and the other side takes it.
void Session::update_receives() {
  if (state_ == State::kDone || state_ == State::kIdle || is_ending_) return;
  const Limits& limits = opened_with_->config.engine.limits;
  for (const Side side : {Side::kClient, Side::kTarget}) {
    Leg& l = leg(side);
    if (l.fd < 0 || !l.is_connected || l.fin_seen) continue;
    Stream& s = stream(from(side));
    const Leg& other = leg(side == Side::kClient ? Side::kTarget : Side::kClient);
    // What waits unparsed is bounded, but a command that is still arriving must become whole.
    const uint64_t waiting_max = std::max<uint64_t>(s.need, uint64_t{limits.leases_per_direction_max} * limits.receive_buffer_size);
    const bool is_full = s.buffer.lease_count() >= limits.leases_per_direction_max || s.buffer.received() - s.window.parsed() >= waiting_max || !s.buffer.has_room_for(limits.receive_buffer_size) ||
                         other.queued() > limits.queued_output_max;
    if (is_full && l.is_receiving && !l.is_cancelling) {
      services_.counters.add(Metric::kBackPressure);
      services_.io.cancel(token(OpKind::kReceive, side));
      l.is_cancelling = true;
      ++operations_;  // The cancel's own completion.
    } else if (!is_full && !l.is_receiving && !l.is_starved) {
      arm_receive(side);
    }
  }
}

// The source has said its last byte and all of it was dealt with: the sink is told (FIN), the other direction goes on.
void Session::half_close(Direction direction) {
  Stream& s = stream(direction);
  if (!s.is_finished || s.is_half_closed || !s.units.empty()) return;
  s.is_half_closed = shut(sink_of(direction));
}

// Post: true once the side was told that we send no more.
bool Session::shut(Side side) {
  Leg& l = leg(side);
  if (l.is_shut || l.fd < 0 || l.is_closing) return true;
  if (!l.is_drained()) return false;
  if (l.tls && !l.close_notified) {
    l.close_notified = true;
    Sink out(*this, side);
    l.tls->close(out);
    flush(side);
    if (!l.is_drained()) return false;
  }
  l.is_shut = true;
  services_.io.shutdown(l.fd, token(OpKind::kShutdown, side));
  ++operations_;
  return true;
}

// I11: what the kernel's sockets counted, read before they are closed.
void Session::take_account() {
  for (const Direction direction : {Direction::kToTarget, Direction::kToClient}) {
    Leg& l = leg(source_of(direction));
    Stream& s = stream(direction);
    ByteAccount& account = s.account;
    const uint64_t settled = account.handshake + account.parsed + account.opaque + account.refused;
    WEIR_CHECK(settled == s.window.settled());
    account.refused += s.window.received() - s.window.settled();  // Read, never settled.
    if (l.tls) {
      const Transport::Account tls = l.tls->account();
      account.handshake += tls.wire_in - tls.plain_in;
      }
    account.kernel = l.wire_received;
    // Bytes that came while the session was closing were read and went nowhere.
    const uint64_t known = account.handshake + account.parsed + account.opaque + account.refused;
    if (l.wire_received > known) account.refused += l.wire_received - known;
    if (l.fd >= 0 && !is_cut_) {  // A cut destroyed the socket, and what it held unread with it.
      const SocketAccount socket = services_.io.account(l.fd, l.fin_seen);
      const uint64_t counted = socket.received - socket.unread;
      // After a reset "end of stream" does not mean that a FIN came: one byte more may be one.
      const bool is_fin = socket.may_hold_fin && counted == l.wire_received + 1;
      account.kernel = socket.is_known && !is_fin ? counted : l.wire_received;
    }
    if (!account.balances()) {
      services_.counters.add(Metric::kAccountMismatch);
      record_note("byte account of the " + std::string(source_of(direction) == Side::kClient ? "client" : "target") + " leg: the kernel counted " +
                  std::to_string(account.kernel) + " bytes, " + std::to_string(l.wire_received) + " were read (end of stream " + (l.fin_seen ? "seen" : "not seen") + ")");
    }
  }
}

}  // namespace weir::session

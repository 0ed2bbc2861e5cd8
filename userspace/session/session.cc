// The life of a session: admission, dialling, timeouts, the end.  What happens to its bytes is in session_step.cc and
// session_legs.cc, what is recorded in session_record.cc.
#include "session/session.h"

#include <array>
#include <cstring>

#include "base/check.h"
#include "session/outbox.h"

namespace weir::session {
namespace {

constexpr std::chrono::seconds kLinger{2};        // How long a told client may take to close its side.
constexpr std::chrono::seconds kRefuseWithin{5};  // How long a refused client may take to ask so that it can be told.

}  // namespace

std::string_view name_of(EndReason reason) {
  switch (reason) {
    case EndReason::kNone: return "none";
    case EndReason::kClientClosed: return "client closed";
    case EndReason::kTargetClosed: return "target closed";
    case EndReason::kClientReset: return "client reset";
    case EndReason::kTargetReset: return "target reset";
    case EndReason::kRefused: return "refused";
    case EndReason::kUnbound: return "no identity";
    case EndReason::kTargetUnreachable: return "target unreachable";
    case EndReason::kConnectTimeout: return "connect timeout";
    case EndReason::kHandshakeTimeout: return "handshake timeout";
    case EndReason::kIdleTimeout: return "idle timeout";
    case EndReason::kDrained: return "drained";
    case EndReason::kCut: return "cut";
    case EndReason::kViolation: return "protocol violation";
    case EndReason::kTlsFault: return "tls fault";
    case EndReason::kTerminated: return "terminated by rule";
    case EndReason::kRecordFailed: return "record failed";
    case EndReason::kCapacity: return "no capacity";
    case EndReason::kSystemFailed: return "system failure";
  }
  return "none";
}

Session::Session(Services& services, uint32_t slot, uint16_t generation, uint8_t owner)
    : services_(services),
      slot_(slot),
      generation_(generation),
      owner_(owner),
      legs_{Leg(services.blocks), Leg(services.blocks)},
      streams_{Stream(services.blocks), Stream(services.blocks)} {}

Session::~Session() {
  WEIR_CHECK(operations_ == 0);
  arena_.detach();
}

std::string Session::describe() const {
  static constexpr const char* kStates[] = {"idle", "dialling", "live", "closing", "done"};
  std::string text = "session " + std::to_string(id_) + " " + kStates[static_cast<int>(state_)] + ", end " + std::string(name_of(end_)) + ", operations " + std::to_string(operations_);
  if (codec_) text += codec_->wants_close() ? ", codec wants close" : codec_->is_idle() ? ", codec idle" : ", codec busy";
  for (const Side side : {Side::kClient, Side::kTarget}) {
    const Leg& l = legs_[index_of(side)];
    const Stream& s = streams_[side == Side::kClient ? 0 : 1];
    text += side == Side::kClient ? "; from client:" : "; from target:";
    text += " received " + std::to_string(s.window.received()) + " parsed " + std::to_string(s.window.parsed()) + " settled " + std::to_string(s.window.settled()) + " released " + std::to_string(s.window.released()) + " leases " + std::to_string(s.buffer.lease_count()) + " units " +
            std::to_string(s.next) + "/" + std::to_string(s.judged) + "/" + std::to_string(s.units.size()) + " queued " + std::to_string(l.queued());
    for (const auto& [is_set, name] : {std::pair{l.is_receiving, "receiving"}, {l.is_cancelling, "cancelling"}, {l.is_sending, "sending"}, {l.is_starved, "starved"}, {l.fin_seen, "fin"}, {l.is_shut, "shut"},
                                       {s.is_fenced, "fenced"}, {s.is_eof, "eof"}, {s.is_finished, "finished"}, {s.waits_for_group != 0, "waits-for-disk"}}) {
      if (is_set) text += std::string(" ") + name;
    }
  }
  return text;
}

void Session::start(int client_socket) {
  leg(Side::kClient).fd = client_socket;
  leg(Side::kClient).is_connected = true;
  open(client_socket);
  check_end();
}

void Session::identify_flow() {
  const auto now = std::chrono::floor<std::chrono::seconds>(services_.io.wall());
  const auto entry = services_.steering.flow(flow_);
  if (!entry || entry->cut) return;
  IdentityPtr identity = services_.identity_of(flow_.client.address, now);
  // The kernel noted the binding at the flow's first packet.  Another one by now is somebody else: they start anew.  None, where
  // the address has one: the packets came from another interface, VLAN or MAC than it is tied to.
  if (identity && entry->binding != identity->binding_id) identity = nullptr;
  facts_.identity = std::move(identity);
}

void Session::open(int client_socket) {
  const FlowEndpoints ends = services_.io.endpoints(client_socket);
  flow_ = {ends.peer, ends.local};
  opened_with_ = judged_by_ = services_.runtime;
  target_ = opened_with_->find(ends.local);
  opened_at_ = last_activity_ = services_.io.now();
  if (target_ == nullptr) {
    services_.counters.add(Metric::kRefusedNotTarget);
    return close(EndReason::kRefused, true);
  }
  if (!services_.steering.flow(flow_)) {
    services_.counters.add(Metric::kRefusedNotSteered);
    return close(EndReason::kRefused, true);
  }
  if (!services_.recorder.is_accepting() && target_->config.on_record_failure == OnFailure::kClosed) {
    services_.counters.add(Metric::kRefusedRecord);
    return close(EndReason::kRecordFailed, true);
  }
  identify_flow();
  id_ = services_.directory.take_number();
  facts_.id = id_;
  facts_.client = flow_.client.address.text();
  facts_.target = target_->config.name;
  facts_.protocol = target_->module->name;
  environment_ = std::make_unique<CodecEnvironment>(CodecEnvironment{arena_, target_->facts, *this, services_.io.random(), opened_with_->config.engine.limits});
  codec_ = target_->module->make_codec(*environment_);
  policy_ = judged_by_->policy->open(facts_);
  state_ = State::kLive;
  const bool is_on_wire = target_->config.admit != Admit::kAddress;
  const bool has_flow = !is_on_wire || await_proof();
  services_.counters.add(Metric::kSessionsOpened);
  services_.counters.add(Metric::kSessionsOpen);
  is_entered_ = true;
  auto admission = services_.admission.admit(admission_, is_on_wire && !floor_);
  if (admission == accept::Admission::Answer::kAdmitted && facts_.identity) admission = services_.admission.identify(admission_, facts_.identity->subject);
  services_.directory.enter({id_, services_.core, target_->config.name, facts_.identity, flow_.client, flow_.target,
                             services_.io.wall().time_since_epoch().count()});
  if (!record_opened()) return close(EndReason::kRecordFailed, true);
  if (!has_flow) return close(EndReason::kCut, true);
  arm_receive(Side::kClient);
  if (!facts_.identity && !is_on_wire) {
    services_.counters.add(Metric::kRefusedUnbound);
    const std::string ended = services_.ended_binding ? services_.ended_binding(flow_.client.address, wall_seconds()) : std::string();
    if (!ended.empty()) record_impersonation({}, Impersonation::kExpiredBinding, Verdict::Action::kBlock, false, ended);
    return refuse(EndReason::kUnbound, "28000", "no identity is bound to " + flow_.client.address.text() + ": " + how_to_sign_in(opened_with_->config.identity));
  }
  if (!target_->is_admitting) {
    services_.counters.add(Metric::kRefusedCapability);
    return refuse(EndReason::kRefused, "0A000", target_->capability);
  }
  if (admission != accept::Admission::Answer::kAdmitted) return refuse_admission(admission);
  if (is_on_wire) return;  // Dialled once it is known who asks.
  if (!services_.steering.set_session(flow_, id_)) return close(EndReason::kCut, true);
  dial();
}

void Session::refuse_admission(accept::Admission::Answer answer) {
  switch (answer) {
    case accept::Admission::Answer::kAdmitted: return;
    case accept::Admission::Answer::kFull:
      services_.counters.add(Metric::kRefusedCapacity);
      return refuse(EndReason::kCapacity, "53300", "the gateway has no room for another session");
    case accept::Admission::Answer::kIdentityFull:
      services_.counters.add(Metric::kRefusedIdentityCapacity);
      return refuse(EndReason::kCapacity, "53300", "too many sessions of this identity");
    case accept::Admission::Answer::kClosed:
      services_.counters.add(Metric::kRefusedShutdown);
      return refuse(EndReason::kDrained, "57P03", "the gateway is being stopped");
  }
}

void Session::dial() {
  DialPlan plan;
  plan.target = flow_.target;
  plan.mark = services_.steering.upstream_mark();
  plan.is_transparent = target_->config.source == SourceMode::kClient;
  if (plan.is_transparent) plan.source = flow_.client;
  services_.io.connect(plan, token(OpKind::kConnect, Side::kTarget));
  ++operations_;
  is_dialling_ = true;
  dialled_at_ = services_.io.now();
  state_ = State::kDialling;
}

void Session::on_connected(int32_t result) {
  --operations_;
  is_dialling_ = false;
  Leg& target = leg(Side::kTarget);
  if (result >= 0) {
    target.fd = result;
    target.is_connected = true;
  }
  if (state_ != State::kDialling) return;  // Closing: the socket is closed with the rest.
  state_ = State::kLive;
  if (result < 0) {
    services_.counters.add(Metric::kRefusedTargetDown);
    const std::string text = "the target " + target_->config.name + " cannot be reached: " + std::strerror(-result);
    record_note(text);
    return refuse(EndReason::kTargetUnreachable, "08001", text);
  }
  const FlowEndpoints ends = services_.io.endpoints(target.fd);
  if (target_->config.source == SourceMode::kClient && ends.local != flow_.client) {
    services_.counters.add(Metric::kPortsChanged);
    record_note("the client's port was taken at the gateway: dialled from " + ends.local.text());
  }
  if (ends.local != flow_.client) services_.steering.set_upstream(flow_, id_, ends.local);
  SessionOutbox outbox(*this, Direction::kToTarget, {});
  codec_->signal({Signal::Kind::kTargetConnected, Side::kTarget, 0, 0, {}, {}}, outbox);
  arm_receive(Side::kTarget);
}

void Session::cancel_dial() {
  if (!is_dialling_ || is_dial_cancelled_) return;
  is_dial_cancelled_ = true;
  services_.io.cancel(token(OpKind::kConnect, Side::kTarget));
  ++operations_;
}

// The client is told in its protocol's words as soon as the codec can speak; then the session closes.
void Session::refuse(EndReason reason, std::string_view code, std::string_view text) {
  if (state_ == State::kClosing || state_ == State::kDone || end_ != EndReason::kNone) return;
  end_ = reason;
  refused_at_ = services_.io.now();
  SessionOutbox outbox(*this, Direction::kToTarget, {});
  codec_->signal({Signal::Kind::kRefuse, Side::kClient, 0, 0, text, code}, outbox);
}

void Session::close(EndReason reason, bool reset) {
  if (state_ == State::kDone) return;
  if (end_ == EndReason::kNone || (reset && !end_with_reset_ && state_ != State::kClosing)) end_ = end_ == EndReason::kNone ? reason : end_;
  end_with_reset_ = end_with_reset_ || reset;
  if (state_ == State::kClosing) return;
  state_ = State::kClosing;
  closing_until_ = services_.io.now() + kLinger;
}

void Session::cut(std::string_view why) {
  if (state_ == State::kDone || is_cut_) return;
  is_cut_ = true;
  services_.counters.add(Metric::kCuts);
  services_.steering.cut(flow_);
  if (codec_) {
    record_note(std::string("cut: ").append(why));
    cancel_at_target();
  }
  end_ = EndReason::kCut;
  close(EndReason::kCut, true);
  check_end();
}

void Session::cancel_at_target() {
  std::array<std::byte, 256> request{};
  const uint32_t size = codec_->cancel_request(request);
  if (size > 0 && leg(Side::kTarget).is_connected) services_.deliver_cancel(flow_.target, Bytes(request).first(size));
}

void Session::drain() {
  if (is_draining_ || state_ == State::kDone) return;
  is_draining_ = true;
  drain_until_ = services_.io.now() + opened_with_->config.engine.limits.drain_timeout;
  check_end();
}

void Session::wake() {
  step();
  check_end();
}

void Session::feed() {
  for (Leg& l : legs_) l.is_starved = false;
  wake();
}

void Session::on_completion(Completion& completion) {
  const Side side = completion.token.side();
  switch (completion.token.kind) {
    case OpKind::kReceive: on_received(side, completion); break;
    case OpKind::kSend: on_sent(side, completion.result); break;
    case OpKind::kConnect: on_connected(completion.result); break;
    case OpKind::kShutdown:
    case OpKind::kCancel: --operations_; break;
    case OpKind::kClose:
      --operations_;
      leg(side).fd = -1;
      break;
    case OpKind::kAccept:
    case OpKind::kTimer:
    case OpKind::kWrite:
    case OpKind::kSync:
    case OpKind::kMessage: WEIR_CHECK(false && "not a session's operation"); break;
  }
  step();
  check_end();
}

void Session::on_tick() {
  if (state_ == State::kDone || state_ == State::kIdle) return;
  const auto now = services_.io.now();
  const Limits& limits = opened_with_->config.engine.limits;
  if (hold_) last_activity_ = now;  // Who waits for a reviewer is not idle.
  if (end_ != EndReason::kNone && state_ != State::kClosing) {
    if (now - refused_at_ > kRefuseWithin) close(end_, true);
  } else if (state_ == State::kDialling && now - dialled_at_ > limits.connect_timeout) {
    services_.counters.add(Metric::kTimeoutConnect);
    cancel_dial();
    state_ = State::kLive;
    refuse(EndReason::kConnectTimeout, "08001", "the target " + target_->config.name + " did not answer in time");
  } else if (state_ == State::kLive && codec_ && !codec_->login().is_complete && now - opened_at_ > limits.handshake_timeout) {
    services_.counters.add(Metric::kTimeoutHandshake);
    note_late_proof();
    refuse(EndReason::kHandshakeTimeout, "57P05", "the login took too long");
  } else if (proof_ends_ != std::chrono::sys_seconds{} && state_ != State::kClosing && wall_seconds() >= proof_ends_) {
    if (state_ == State::kDialling) {
      cancel_dial();
      state_ = State::kLive;
    }
    end_of_proof();
  } else if (state_ == State::kLive && now - last_activity_ > limits.idle_timeout) {
    services_.counters.add(Metric::kTimeoutIdle);
    refuse(EndReason::kIdleTimeout, "57P05", "the session was idle for too long");
  } else if (is_draining_ && state_ == State::kLive && now > drain_until_) {
    services_.counters.add(Metric::kTimeoutDrain);
    refuse(EndReason::kDrained, "57P01", "the gateway is being stopped");
  }
  feed();
}

void Session::check_end() {
  if (state_ == State::kLive || state_ == State::kDialling) {
    half_close(Direction::kToTarget);
    half_close(Direction::kToClient);
    const bool is_told = leg(Side::kClient).is_drained() && (leg(Side::kTarget).fd < 0 || leg(Side::kTarget).is_drained());
    if (streams_[0].is_half_closed && streams_[1].is_half_closed) {
      close(EndReason::kClientClosed, false);
    } else if (codec_->wants_close() && is_told) {
      close(is_terminating_ ? EndReason::kTerminated : EndReason::kClientClosed, false);
    } else if (is_draining_ && end_ == EndReason::kNone && codec_->is_idle() && streams_[0].units.empty()) {
      refuse(EndReason::kDrained, "57P01", "the gateway is being stopped");
      flush(Side::kClient);
    } else if (hold_ && streams_[1].is_half_closed) {
      close(EndReason::kTargetClosed, false);  // There is nothing left that an approval could let pass.
    } else if (streams_[1].is_eof && streams_[1].is_finished && streams_[1].is_half_closed && leg(Side::kClient).fin_seen) {
      close(EndReason::kTargetClosed, false);
    }
  }
  if (state_ == State::kClosing) finish_close();
}

// Says goodbye (unless reset), lets reads end so that the account is whole, puts the end on the record, closes.
void Session::finish_close() {
  const bool is_late = services_.io.now() > closing_until_;
  Leg& client = leg(Side::kClient);
  Leg& target = leg(Side::kTarget);
  if (!end_with_reset_ && !is_late) {
    flush(Side::kClient);
    flush(Side::kTarget);
    if (!shut(Side::kClient) || (target.fd >= 0 && target.is_connected && !shut(Side::kTarget))) return;
    if (!client.fin_seen) return;  // Closing now could turn our last words into a reset.
  }
  if (!close_legs()) return;
  state_ = State::kDone;
}

// Post: true once nothing but the closes themselves is under way.
bool Session::close_legs() {
  is_ending_ = true;  // Nothing is received any more.
  cancel_dial();
  bool is_quiet = !is_dialling_;
  for (const Side side : {Side::kClient, Side::kTarget}) {
    Leg& l = leg(side);
    if (l.is_receiving && !l.is_cancelling) {
      services_.io.cancel(token(OpKind::kReceive, side));
      l.is_cancelling = true;
      ++operations_;
    }
    if (l.is_sending && !l.is_send_cancelled) {
      services_.io.cancel(token(OpKind::kSend, side));
      l.is_send_cancelled = true;
      ++operations_;
    }
    is_quiet = is_quiet && !l.is_receiving && !l.is_sending;
  }
  if (!is_quiet) return false;
  if (proof_ == Proof::kAsked) {
    services_.credentials->forget(id_);
    proof_ = Proof::kRefused;
  }
  if (codec_ && !close_recorded_) {
    take_account();
    drop_hold();
    close_recorded_ = true;
    record_closed();
  }
  for (const Side side : {Side::kClient, Side::kTarget}) {
    Leg& l = leg(side);
    if (l.fd < 0 || l.is_closing) continue;
    l.is_closing = true;
    services_.io.close(l.fd, end_with_reset_, token(OpKind::kClose, side));
    ++operations_;
  }
  if (is_entered_) {
    is_entered_ = false;
    services_.counters.subtract(Metric::kSessionsOpen);
    services_.counters.add(Metric::kSessionsClosed);
    services_.directory.leave(id_);
    admission_.give_back();
    services_.steering.forget(flow_, id_);
  }
  return true;
}

}  // namespace weir::session

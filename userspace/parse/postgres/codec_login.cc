// From the first byte to the first ReadyForQuery: SSLRequest and its kin, the login, authentication relayed as it is.
// What the gateway says itself in an exchange (inject) is in codec_inject.cc.
#include <openssl/crypto.h>

#include <algorithm>

#include "parse/postgres/codec.h"
#include "parse/postgres/codec_step.h"
#include "parse/postgres/messages.h"

namespace weir::postgres {
namespace {

constexpr char kSslUnit = 's', kGssUnit = 'g', kLoginUnit = 'l', kCancelUnit = 'k', kStartupUnit = 't';  // Sent::object, with type 0.

constexpr const char* kBindingTrap =
    "SCRAM channel binding cannot be relayed through a certificate that is not the target's own: give this target its own certificate "
    "and key on the client leg, or use login: inject";

}  // namespace

Step PostgresCodec::parse_startup(ParseCall& call) {
  for (;;) {
    const Bytes rest = call.rest();
    if (rest.empty()) return call.need(8);
    if (rest[0] == std::byte{0x16} && !has_answered_ssl_ && !sides_.is_tls(Side::kClient)) {
      client_hears_ = false;
      return malformed(call, "direct TLS is not spoken here: connect with sslnegotiation=postgres", sqlstate::kFeatureNotSupported);
    }
    if (rest.size() < 8) return call.need(8 - rest.size());
    const uint32_t size = load_be<uint32_t>(rest);
    if (size < 8 || size > kStartupSizeMax) return malformed(call, "invalid length of startup packet", sqlstate::kProtocolViolation);
    if (rest.size() < size) return call.need(size - rest.size());
    const Bytes packet = rest.first(size);
    const uint32_t code = load_be<uint32_t>(rest, 4);
    const bool is_tls = sides_.is_tls(Side::kClient);
    scratch_sent_ = Sent{};
    if (code == kSslRequestCode && size == 8 && !has_answered_ssl_ && !is_tls) {
      Unit unit = make_unit(call, Direction::kToTarget, UnitKind::kHandshake, "ssl-request", size);
      scratch_sent_.object = kSslUnit;
      const Step step = emit_command(call, unit);
      if (!has_gone_on(step)) return step;
      has_answered_ssl_ = true;
      if (target_.tls_to_client == LegTls::kNone) continue;
      client_phase_ = ClientPhase::kHello;
      Step upgrade = call.stop(Outcome::kUpgrade);
      upgrade.upgraded = Side::kClient;
      return upgrade;
    }
    if (code == kGssEncRequestCode && size == 8 && !has_answered_gss_ && !is_tls) {
      Unit unit = make_unit(call, Direction::kToTarget, UnitKind::kHandshake, "gss-request", size);
      scratch_sent_.object = kGssUnit;
      const Step step = emit_command(call, unit);
      if (!has_gone_on(step)) return step;
      has_answered_gss_ = true;
      continue;
    }
    return parse_startup_message(call, size, packet);
  }
}

Step PostgresCodec::parse_startup_message(ParseCall& call, uint32_t size, Bytes packet) {
  if (load_be<uint32_t>(packet, 4) == kCancelRequestCode) {
    if (size < 16 || size > 8 + kCancelKeyMax) return malformed(call, "invalid length of cancel request", sqlstate::kProtocolViolation);
    Unit unit = make_unit(call, Direction::kToTarget, UnitKind::kCancel, "cancel", size);
    scratch_sent_.object = kCancelUnit;
    const Step step = emit_command(call, unit);
    if (!has_gone_on(step)) return step;
    const Bytes key = packet.subspan(8);
    cancel_key_.assign(key.begin(), key.end());
    client_phase_ = ClientPhase::kNothing;
    return call.rest().empty() ? call.need(1) : malformed(call, "bytes after a CancelRequest", sqlstate::kProtocolViolation);
  }
  startup_ = Startup{};
  const StartupProblem problem = read_startup(packet, startup_);
  if (problem.why != nullptr) return malformed(call, problem.why, problem.code);
  if (target_.tls_to_client == LegTls::kRequire && !sides_.is_tls(Side::kClient)) {
    return malformed(call, "this target is reached over TLS only: connect with sslmode=require or stronger", sqlstate::kInvalidAuthorization);
  }
  // Who asks to be let in is judged when it is known who it is: by the message that brings the token.
  const bool is_login = sides_.client_proof() != ClientProof::kToken;
  Unit unit = make_unit(call, Direction::kToTarget, is_login ? UnitKind::kLogin : UnitKind::kHandshake, is_login ? "login" : "startup", size);
  unit.text = as_bytes(startup_.user);
  scratch_sent_.object = is_login ? kLoginUnit : kStartupUnit;
  const Step step = emit_command(call, unit);
  if (!has_gone_on(step)) return step;
  standard_conforming_strings_ = startup_.standard_conforming_strings;
  login_unit_ = unit.id;
  client_phase_ = ClientPhase::kWaiting;
  return call.rest().empty() ? call.need(1) : call.stop(Outcome::kFence);
}

// PasswordMessage, SASLInitialResponse, SASLResponse: one type byte for all.
Step PostgresCodec::parse_auth_answer(ParseCall& call) {
  const Bytes rest = call.rest();
  if (rest.empty()) return call.need(kHeaderSize);
  if (static_cast<char>(rest[0]) != front::kPassword) {
    return malformed(call, "an authentication message was expected", sqlstate::kProtocolViolation);
  }
  Step step;
  char type = 0;
  uint32_t size = 0;
  if (!frame(call, type, size, step)) return step;
  if (size > kAuthMessageMax) return malformed(call, "invalid message length", sqlstate::kProtocolViolation);
  if (rest.size() < size) return call.need(size - rest.size());
  if (sides_.client_proof() == ClientProof::kToken) return parse_token(call, size);
  Unit unit = make_unit(call, Direction::kToTarget, UnitKind::kHandshake, "password", size);
  scratch_sent_ = Sent{};
  scratch_sent_.type = front::kPassword;
  step = emit_command(call, unit);
  if (!has_gone_on(step)) return step;
  client_phase_ = ClientPhase::kWaiting;
  return call.rest().empty() ? call.need(1) : call.stop(Outcome::kFence);
}

// The token in the place of a password: 'p' length:4 token\0.  It is the login: only now there is somebody to judge.
Step PostgresCodec::parse_token(ParseCall& call, uint32_t size) {
  ByteReader reader(call.rest().subspan(kHeaderSize, size - kHeaderSize));
  const std::string_view token = reader.c_string();
  if (reader.failed() || !reader.at_end()) return malformed(call, "invalid password packet", sqlstate::kProtocolViolation);
  Unit unit = make_unit(call, Direction::kToTarget, UnitKind::kLogin, "login", size);
  unit.text = as_bytes(startup_.user);
  scratch_sent_ = Sent{};
  scratch_sent_.object = kLoginUnit;
  const Step step = emit_command(call, unit);
  if (!has_gone_on(step)) return step;
  credential_ = token;
  login_unit_ = unit.id;
  client_phase_ = ClientPhase::kWaiting;
  return call.rest().empty() ? call.need(1) : call.stop(Outcome::kFence);
}

// The one byte that answers our SSLRequest.
Step PostgresCodec::parse_target_answer(ParseCall& call) {
  const Bytes rest = call.rest();
  if (rest.empty()) return call.need(1);
  const char answer = static_cast<char>(rest[0]);
  if (answer == 'N') return malformed(call, "the target offers no TLS, and its configuration asks for it", sqlstate::kCannotConnect);
  if (answer != 'S') return malformed(call, "the target's answer to SSLRequest is no answer", sqlstate::kProtocolViolation);
  Unit unit = make_unit(call, Direction::kToClient, UnitKind::kHandshake, "ssl-answer", 1);
  Received record;
  record.type = 0;
  const Step step = emit_reply(call, unit, record);
  if (!has_gone_on(step)) return step;
  target_phase_ = TargetPhase::kHello;
  Step upgrade = call.stop(Outcome::kUpgrade);
  upgrade.upgraded = Side::kTarget;
  return upgrade;
}

// nullptr: fine.
const char* PostgresCodec::check_login_message(char type, Bytes body) const {
  ByteReader reader(body);
  switch (type) {
    case back::kAuthentication:
      return body.size() >= 4 ? nullptr : "the target's authentication message is malformed";
    case back::kParameterStatus:
      reader.c_string();
      reader.c_string();
      return !reader.failed() && reader.at_end() ? nullptr : "the target's ParameterStatus is malformed";
    case back::kBackendKeyData:
      return body.size() >= 8 && body.size() <= kCancelKeyMax ? nullptr : "the target's BackendKeyData is malformed";
    case back::kReadyForQuery:
      return body.size() == 1 && is_login_accepted_ ? nullptr : "the target's ReadyForQuery is out of turn";
    case back::kError: case back::kNotice: {
      ErrorFields fields;
      return read_error(body, fields) ? nullptr : "the target's error is malformed";
    }
    case back::kNegotiateVersion: return body.size() >= 8 ? nullptr : "the target's NegotiateProtocolVersion is malformed";
    default: return "the target sent a message that has no place in a login";
  }
}

Step PostgresCodec::parse_target_login(ParseCall& call) {
  for (;;) {
    Step step;
    char type = 0;
    uint32_t size = 0;
    if (call.rest().empty()) return call.need(kHeaderSize);
    if (!frame(call, type, size, step)) return step;
    if (size > kAuthMessageMax) return malformed(call, "the target sent no PostgreSQL login message", sqlstate::kProtocolViolation);
    if (call.rest().size() < size) return call.need(size - call.rest().size());
    const Bytes body = call.rest().subspan(kHeaderSize, size - kHeaderSize);
    if (const char* why = check_login_message(type, body)) return malformed(call, why, sqlstate::kProtocolViolation);
    Received record;
    record.type = type;
    UnitKind kind = UnitKind::kHandshake;
    std::string_view verb = "authentication";
    ErrorFields fields;
    if (type == back::kError || type == back::kNotice) {
      read_error(body, fields);
      kind = UnitKind::kResponse;
      verb = type == back::kError ? "error" : "notice";
      if (type == back::kError) std::copy_n(fields.code.begin(), std::min<std::size_t>(5, fields.code.size()), record.sqlstate.begin());
    } else if (type == back::kReadyForQuery) {
      kind = UnitKind::kResponseEnd;
      verb = "ready";
      record.status = static_cast<char>(body[0]);
    } else if (type == back::kParameterStatus) {
      kind = UnitKind::kControl;
      verb = "parameter-status";
    } else if (type == back::kBackendKeyData) {
      verb = "backend-key";
    }
    Unit unit = make_unit(call, Direction::kToClient, kind, verb, size);
    unit.in_reply_to = login_unit_;
    unit.text = arena_.keep(as_bytes(fields.message));
    unit.field_count = fields.shown;
    step = emit_reply(call, unit, record);
    if (!has_gone_on(step)) return step;
    if (type == back::kParameterStatus) read_parameter_status(body);
    if (type == back::kBackendKeyData) cancel_key_.assign(body.begin(), body.end());
    if (type == back::kAuthentication && load_be<uint32_t>(body) == auth_code::kOk) is_login_accepted_ = true;
    if (type != back::kReadyForQuery) continue;
    target_phase_ = TargetPhase::kReplies;
    return parse_replies(call);  // The target may speak on (a notice): the same call goes on.
  }
}

void PostgresCodec::read_parameter_status(Bytes body) {
  ByteReader reader(body);
  const std::string_view name = reader.c_string();
  const std::string_view value = reader.c_string();
  if (name == "standard_conforming_strings") standard_conforming_strings_ = value == "on";
  if (name == "client_encoding") encoding_is_safe_ = is_safe_encoding(value);
  // As SET changed it, or the server cut it: what stands in pg_stat_activity from here on.
  if (name == "application_name") startup_.application_name = value.substr(0, kNameMax);
}

// to_target units before the first command.
Settlement PostgresCodec::settle_login(const Unit& unit, Bytes wire, const Sent& sent, const Verdict& verdict, Outbox& out) {
  const bool passes_here = passes(verdict.action) || verdict.observed;
  const bool is_token = sent.object == kLoginUnit && sides_.client_proof() == ClientProof::kToken;
  if (is_token) {  // It was looked at, whatever came of it.
    OPENSSL_cleanse(credential_.data(), credential_.size());
    credential_.clear();
  }
  if (!passes_here) {
    out.drop(unit.wire);
    if (sent.object == kCancelUnit) wants_close_ = is_closed_ = true;  // The protocol has no answer to a CancelRequest.
    else fail_session(out, sqlstate::kInvalidAuthorization, verdict.reason.empty() ? "this login is not allowed" : verdict.reason,
                      verdict.rule_name);
    return {true, Fate::kRefusedHere};
  }
  if (sent.type == front::kPassword) {
    if (target_.inject) {
      out.drop(unit.wire);
      answer_client_auth(wire, out);
    } else {
      out.pass(unit.wire);
    }
    return {true, Fate::kPassed};
  }
  switch (sent.object) {
    case kSslUnit:
      out.drop(unit.wire);
      out.inject(Side::kClient, as_bytes(target_.tls_to_client == LegTls::kNone ? "N" : "S"));
      return {true, Fate::kRefusedHere};
    case kGssUnit:
      out.drop(unit.wire);
      out.inject(Side::kClient, as_bytes("N"));
      return {true, Fate::kRefusedHere};
    case kStartupUnit:
      out.drop(unit.wire);
      can_speak_ = true;
      if (has_pending_refusal_) speak_refusal(out);
      else ask_for_token(out);
      return {true, Fate::kEdited};
    case kCancelUnit:
      if (target_phase_ != TargetPhase::kSilent) return {};
      out.pass(unit.wire);
      return {true, Fate::kPassed};
    default:
      return settle_login_unit(unit, out);
  }
}

Settlement PostgresCodec::settle_login_unit(const Unit& unit, Outbox& out) {
  can_speak_ = true;
  if (has_pending_refusal_) {
    out.drop(unit.wire);
    speak_refusal(out);
    return {true, Fate::kRefusedHere};
  }
  if (target_.inject) {
    if (sides_.client_proof() != ClientProof::kOwnLogin) return settle_proven_login(unit, out);
    out.drop(unit.wire);
    begin_client_auth(out);
    return {true, Fate::kEdited};
  }
  if (target_phase_ != TargetPhase::kSilent) return {};  // The target leg is not up yet.
  out.pass(unit.wire);
  target_phase_ = TargetPhase::kLogin;
  return {true, Fate::kAwaitingTarget};
}

// to_client units before the first ReadyForQuery was settled.
Fate PostgresCodec::settle_target_login(const Unit& unit, Bytes wire, const Received& record, const Verdict& verdict, Outbox& out) {
  if (record.type == 0) {  // The answer to our SSLRequest.
    out.drop(unit.wire);
    return Fate::kPassed;
  }
  if (record.type == back::kAuthentication) return settle_auth_request(unit, wire, out);
  Fate fate = Fate::kPassed;
  if (!(verdict.observed || passes(verdict.action)) || !carry_out(unit, wire, verdict, out, fate)) {
    out.drop(unit.wire);
    fail_session(out, sqlstate::kInsufficientPrivilege, verdict.reason, verdict.rule_name);
    return Fate::kRefusedHere;
  }
  if (record.type == back::kReadyForQuery) {
    client_phase_ = ClientPhase::kCommands;
    is_login_complete_ = true;  // Not before: now the cancel key is known, if there is one.
    status_ = record.status;
  }
  return fate;
}

Fate PostgresCodec::settle_auth_request(const Unit& unit, Bytes wire, Outbox& out) {
  const Bytes body = wire.subspan(kHeaderSize);
  if (target_.inject) return answer_target_auth(unit, body, out);
  switch (load_be<uint32_t>(body)) {
    case auth_code::kOk: case auth_code::kSaslFinal:
      out.pass(unit.wire);
      return Fate::kPassed;
    case auth_code::kCleartext: case auth_code::kMd5: case auth_code::kSaslContinue:
      out.pass(unit.wire);
      client_phase_ = ClientPhase::kAnswer;
      return Fate::kPassed;
    case auth_code::kSasl:
      return relay_sasl_request(unit, body.subspan(4), out);
    default:
      out.drop(unit.wire);
      fail_session(out, sqlstate::kFeatureNotSupported,
                   "the target asks for an authentication method that is not relayed (password, md5 and SASL are)");
      return Fate::kRefusedHere;
  }
}

// The mechanism list.  libpq's flag for channel binding is under the client's proof: it cannot be repaired on the way.
//   both legs TLS, certificate not the target's own: with PLUS in the list the client's binding fails at the target; without
//   it libpq says "could, but was not offered", and a target that did offer it takes that for an attack.  Refused, with why.
//   client leg plain, target leg TLS: a client without TLS cannot bind, and says so; PLUS only confuses it.  Taken out.
Fate PostgresCodec::relay_sasl_request(const Unit& unit, Bytes list, Outbox& out) {
  const bool client_tls = sides_.is_tls(Side::kClient);
  bool has_plus = false;
  scratch_.clear();
  scratch_.begin(back::kAuthentication);
  scratch_.u32(auth_code::kSasl);
  ByteReader reader(list);
  for (std::string_view name = reader.c_string(); !name.empty(); name = reader.c_string()) {
    if (name == kScramPlus) has_plus = true;
    else scratch_.c_string(name);
  }
  scratch_.u8(0);
  scratch_.end();
  if (has_plus && client_tls && !target_.client_binding_is_own_pair) {
    out.drop(unit.wire);
    fail_session(out, sqlstate::kInvalidAuthorization, kBindingTrap);
    return Fate::kRefusedHere;
  }
  client_phase_ = ClientPhase::kAnswer;
  if (has_plus && !client_tls) {
    out.replace(unit.wire, scratch_.bytes());
    return Fate::kEdited;
  }
  out.pass(unit.wire);
  return Fate::kPassed;
}

}  // namespace weir::postgres

// `login: inject`: the client proves itself to the gateway, then the gateway logs in at the target with the stored secret.
// The target's AuthenticationOk goes to the client as it is, and all that follows.
#include <algorithm>

#include "parse/postgres/codec.h"
#include "parse/postgres/messages.h"

namespace weir::postgres {

void PostgresCodec::begin_client_auth(Outbox& out) {
  const auto found = std::ranges::find(target_.logins, startup_.user, &LoginSecret::client_login);
  secret_ = found == target_.logins.end() ? nullptr : &*found;
  target_login_ = secret_ == nullptr ? startup_.user : secret_->target_login;
  scratch_.clear();
  if (startup_.minor != 0 || startup_.protocol_option_count != 0) write_negotiate(scratch_, startup_);
  const bool can_bind = sides_.is_tls(Side::kClient);
  client_auth_.begin(secret_, can_bind ? Bytes(target_.client_leaf_hash) : Bytes{}, random_, scratch_);
  out.inject(Side::kClient, scratch_.bytes());
  client_phase_ = ClientPhase::kAnswer;
}

void PostgresCodec::answer_client_auth(Bytes wire, Outbox& out) {
  scratch_.clear();
  switch (client_auth_.answer(wire.subspan(kHeaderSize), scratch_)) {
    case ClientAuth::Result::kMore:
      out.inject(Side::kClient, scratch_.bytes());
      client_phase_ = ClientPhase::kAnswer;
      return;
    case ClientAuth::Result::kProven:
      out.inject(Side::kClient, scratch_.bytes());
      client_is_proven_ = true;
      begin_target_login(out);
      return;
    case ClientAuth::Result::kWrong:
      fail_session(out, sqlstate::kInvalidPassword, "password authentication failed for user \"" + startup_.user + "\"");
      return;
    case ClientAuth::Result::kMalformed:
      fail_session(out, sqlstate::kProtocolViolation, client_auth_.why());
      return;
  }
}

// Once the client has proven itself and the target leg is up, whichever comes last.
void PostgresCodec::begin_target_login(Outbox& out) {
  if (!client_is_proven_ || target_phase_ != TargetPhase::kSilent || is_closed_) return;
  const bool is_tls = sides_.is_tls(Side::kTarget);
  target_auth_.begin(secret_, is_tls, is_tls ? sides_.peer_certificate_hash(Side::kTarget) : Bytes{}, &random_);
  scratch_.clear();
  write_startup(scratch_, startup_, target_login_);
  out.inject(Side::kTarget, scratch_.bytes());
  target_phase_ = TargetPhase::kLogin;
}

Fate PostgresCodec::answer_target_auth(const Unit& unit, Bytes body, Outbox& out) {
  scratch_.clear();
  switch (target_auth_.answer(body, scratch_)) {
    case TargetAuth::Result::kAnswered:
      out.drop(unit.wire);
      out.inject(Side::kTarget, scratch_.bytes());
      scratch_.wipe();
      return Fate::kPassed;
    case TargetAuth::Result::kNothing:
      out.drop(unit.wire);
      return Fate::kPassed;
    case TargetAuth::Result::kAccepted:
      out.pass(unit.wire);
      return Fate::kPassed;
    case TargetAuth::Result::kRefused:
      out.drop(unit.wire);
      fail_session(out, sqlstate::kInvalidAuthorization, target_auth_.why());
      return Fate::kRefusedHere;
  }
  return Fate::kRefusedHere;
}

}  // namespace weir::postgres

// `login: inject`: the client proves itself to the gateway, then the gateway logs in at the target with the stored secret.
// The target's AuthenticationOk goes to the client as it is, and all that follows.
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <optional>

#include "parse/postgres/codec.h"
#include "parse/postgres/messages.h"

namespace weir::postgres {

void PostgresCodec::find_secret() {
  const auto found = std::ranges::find(target_.logins, startup_.user, &LoginSecret::client_login);
  secret_ = found == target_.logins.end() ? nullptr : &*found;
  target_login_ = secret_ == nullptr ? startup_.user : secret_->target_login;
}

// The client proves who it is by a token: there is no exchange that would keep one from us, nor need there be.
void PostgresCodec::ask_for_token(Outbox& out) {
  find_secret();
  scratch_.clear();
  if (startup_.minor != 0 || startup_.protocol_option_count != 0) write_negotiate(scratch_, startup_);
  scratch_.begin(back::kAuthentication);
  scratch_.u32(auth_code::kCleartext);
  scratch_.end();
  out.inject(Side::kClient, scratch_.bytes());
  client_phase_ = ClientPhase::kAnswer;
}

bool PostgresCodec::is_login_password() const {
  if (secret_ == nullptr || secret_->client_password.empty()) return false;
  // Of digests: neither content nor length tells how far it was right.
  const auto digest = [](std::string_view text) {
    std::array<unsigned char, 32> sum{};
    unsigned int size = 0;
    return EVP_Digest(text.data(), text.size(), sum.data(), &size, EVP_sha256(), nullptr) == 1 ? std::optional(sum) : std::nullopt;
  };
  auto given = digest(credential_), wanted = digest(secret_->client_password);
  const bool is_same = given && wanted && CRYPTO_memcmp(given->data(), wanted->data(), given->size()) == 0;
  if (given) OPENSSL_cleanse(given->data(), given->size());
  if (wanted) OPENSSL_cleanse(wanted->data(), wanted->size());
  return is_same;
}

// The session has verified who the client is, by token or by certificate, and policy lets that one log in so.
Settlement PostgresCodec::settle_proven_login(const Unit& unit, Outbox& out) {
  out.drop(unit.wire);
  find_secret();
  if (secret_ == nullptr) {
    fail_session(out, sqlstate::kInvalidAuthorization, "this gateway has no login \"" + startup_.user + "\" at this target");
    return {true, Fate::kRefusedHere};
  }
  if (sides_.client_proof() == ClientProof::kDone && (startup_.minor != 0 || startup_.protocol_option_count != 0)) {
    scratch_.clear();
    write_negotiate(scratch_, startup_);
    out.inject(Side::kClient, scratch_.bytes());
  }
  client_is_proven_ = true;
  begin_target_login(out);
  return {true, Fate::kEdited};
}

void PostgresCodec::begin_client_auth(Outbox& out) {
  find_secret();
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

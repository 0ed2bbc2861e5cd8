// Who the session is, where that is proven on its own wire (admit: credential, either): a token in the place of the password,
// or a client certificate.  The login waits until the desk has looked at it; the target is not dialled before.
// Must never: let a login be judged under the identity of its address where a credential was asked for and shown, or put a
// byte of a credential on the record.
#include "core/credential.h"
#include "identify/wire_credentials.h"
#include "session/session.h"

namespace weir::session {
namespace {

using std::chrono::sys_seconds;

// The kernel ends a flow that much after we should have, and said why.
constexpr std::chrono::seconds kKernelGrace{7};

constexpr Metric metric_of(CredentialResult result) {
  switch (result) {
    case CredentialResult::kAccepted: return Metric::kWireAccepted;
    case CredentialResult::kNone: return Metric::kWireNone;
    case CredentialResult::kToken: return Metric::kWireToken;
    case CredentialResult::kElsewhere: return Metric::kWireElsewhere;
    case CredentialResult::kRevoked: return Metric::kWireRevoked;
    case CredentialResult::kNoKeys: return Metric::kWireNoKeys;
    case CredentialResult::kCertificate: return Metric::kWireCertificate;
    case CredentialResult::kBusy: return Metric::kWireBusy;
    case CredentialResult::kPassword: return Metric::kWirePassword;
    case CredentialResult::kLate: return Metric::kWireLate;
    case CredentialResult::kEnded: return Metric::kWireEnded;
  }
  return Metric::kWireToken;
}

}  // namespace

// At the opening.  Post: false: the flow is gone.
bool Session::await_proof() {
  const Admit admit = target_->config.admit;
  floor_ = admit == Admit::kEither ? std::move(facts_.identity) : nullptr;
  facts_.identity = nullptr;
  proof_ = Proof::kAwaited;
  if (target_->config.wire_token != WireToken::kNone) stream(Direction::kToTarget).buffer.set_secret_until(UINT64_MAX);
  const auto due = std::chrono::ceil<std::chrono::seconds>(services_.io.wall() + opened_with_->config.engine.limits.handshake_timeout) + kKernelGrace;
  return services_.steering.adopt(flow_, id_, floor_ ? floor_->binding_id : 0, due);
}

ClientProof Session::client_proof() const {
  if (proof_ == Proof::kByAddress) return ClientProof::kOwnLogin;
  if (has_certificate_) return ClientProof::kDone;
  const WireToken token = target_->config.wire_token;
  return token == WireToken::kPlain || (token == WireToken::kTls && is_tls(Side::kClient)) ? ClientProof::kToken : ClientProof::kOwnLogin;
}

// TLS with the client is up; what it showed was signed by who may sign.
void Session::take_certificate() {
  const PeerCertificate* certificate = leg(Side::kClient).tls->peer_certificate();
  if (proof_ != Proof::kAwaited || certificate == nullptr) return;
  has_certificate_ = true;
  proof_ = Proof::kAsked;
  if (services_.credentials == nullptr || !services_.credentials->ask_certificate(id_, flow_.client.address, *certificate)) {
    refuse_proof(CredentialResult::kBusy, "too many credentials wait to be checked: try again");
  }
}

// Before a login is judged.  Post: accepted or refused, or the desk was asked and the login waits.
void Session::settle_proof() {
  if (proof_ == Proof::kAwaited) return begin_proof();
  CredentialAnswer answer;
  if (proof_ != Proof::kAsked || !services_.credentials->take(id_, answer)) return;
  if (answer.result == CredentialResult::kAccepted) accept_proof(std::move(answer.identity));
  else refuse_proof(answer.result, answer.text);
}

// The login that ends at `end` was looked at: what comes after it is no secret of that kind.
void Session::end_secret(uint64_t end) {
  stream(Direction::kToTarget).buffer.set_secret_until(end);
  if (Transport* const tls = leg(Side::kClient).tls.get(); tls != nullptr) tls->end_secret();
}

void Session::begin_proof() {
  const std::string who = flow_.client.address.text();
  if (client_proof() == ClientProof::kOwnLogin) {
    if (floor_) return accept_floor();
    const bool takes_tokens = target_->config.wire_token == WireToken::kTls;
    return refuse_proof(CredentialResult::kNone, takes_tokens ? "this target wants your token as the password, over TLS: connect with sslmode=require or stronger"
                                                              : "this target wants a client certificate: connect with sslmode=require or stronger, sslcert and sslkey");
  }
  const std::string_view shown = as_text(codec_->credential());
  // What is meant to be a token counts as one, also where it does not hold: a bad one must not fall back on the address.
  if (floor_ && !shown.empty() && !identify::looks_like_token(shown)) {
    if (codec_->is_login_password()) return accept_floor();
    return refuse_proof(CredentialResult::kPassword, "this is neither a token nor the password of this login");
  }
  if (shown.empty()) return refuse_proof(CredentialResult::kNone, "no identity is bound to " + who + " and none was shown: give your token as the password");
  proof_ = Proof::kAsked;
  if (services_.credentials == nullptr || !services_.credentials->ask_token(id_, flow_.client.address, std::string(shown))) {
    refuse_proof(CredentialResult::kBusy, "too many credentials wait to be checked: try again");
  }
}

// The address's own identity, if it is still the one that the kernel saw.
void Session::accept_floor() {
  IdentityPtr now = services_.identity_of(flow_.client.address, wall_seconds());
  if (!now || now->binding_id != floor_->binding_id) {
    return refuse_proof(CredentialResult::kRevoked, "the binding of " + flow_.client.address.text() + " has ended: sign in again (weir bind)");
  }
  accept_proof(std::move(now));
}

void Session::accept_proof(IdentityPtr identity) {
  const auto admission = services_.admission.identify(admission_, identity->subject);
  if (admission != accept::Admission::Answer::kAdmitted) {
    services_.counters.add(Metric::kRefusedIdentityCapacity);
    return refuse_proof(CredentialResult::kBusy, "too many sessions of this identity");
  }
  services_.directory.identify(id_, identity);
  // From here on who revokes finds this session; who did so before now took the credential out of force.
  if (identity->is_on_wire && !services_.credentials->is_in_force(*identity)) {
    return refuse_proof(CredentialResult::kRevoked, "this credential was revoked; sign in again");
  }
  const sys_seconds ends = identity->is_on_wire ? identity->expires : sys_seconds{};
  const sys_seconds kernel_end = ends == sys_seconds{} ? ends : ends + kKernelGrace;
  facts_.identity = std::move(identity);
  proof_ = Proof::kAccepted;
  proof_ends_ = ends;
  if (facts_.identity->is_on_wire) services_.counters.add(Metric::kWireAccepted);
  if (!services_.steering.adopt(flow_, id_, facts_.identity->is_on_wire ? 0 : facts_.identity->binding_id, kernel_end)) return close(EndReason::kCut, true);
  policy_ = judged_by_->policy->open(facts_);
  if (!record_identified()) return close(EndReason::kRecordFailed, true);
  dial();
}

// The login is refused with these words when it comes (it may be there already).
void Session::refuse_proof(CredentialResult result, std::string text) {
  proof_ = Proof::kRefused;
  proof_text_ = std::move(text);
  services_.counters.add(metric_of(result));
  services_.counters.add(Metric::kRefusedIdentity);
  record_wire_refusal(result, proof_text_);
  if (result == CredentialResult::kElsewhere) record_impersonation({}, Impersonation::kTokenReplay, Verdict::Action::kBlock, false, proof_text_);
  if (end_ == EndReason::kNone) end_ = EndReason::kUnbound;
  refused_at_ = services_.io.now();
}

// What policy cannot say of a login: it does not know yet whose it is, or it is nobody's.
void Session::rule_on_login(Verdict& verdict) const {
  if (proof_ == Proof::kByAddress || proof_ == Proof::kAccepted) return;
  verdict = Verdict{};
  verdict.action = proof_ == Proof::kRefused ? Verdict::Action::kBlock : Verdict::Action::kWait;
  if (proof_ != Proof::kRefused) return;
  verdict.rule_name = kWireCredentialRule;
  verdict.reason = proof_text_;
}

// No proof in time: counted and on the record; on_tick() ends the session.
void Session::note_late_proof() {
  if (proof_ != Proof::kAwaited && proof_ != Proof::kAsked) return;
  if (proof_ == Proof::kAsked) services_.credentials->forget(id_);
  proof_ = Proof::kRefused;
  proof_text_ = "no proof of identity came in time";
  services_.counters.add(Metric::kWireLate);
  services_.counters.add(Metric::kRefusedIdentity);
  record_wire_refusal(CredentialResult::kLate, proof_text_);
}

// The credential that the session began with has ended: so does the session, with words, and with it what runs at the target.
void Session::end_of_proof() {
  services_.counters.add(Metric::kCuts);
  services_.counters.add(Metric::kWireEnded);
  record_note("cut: the credential that this session began with has ended");
  cancel_at_target();
  refuse(EndReason::kCut, "57P01", "the credential that this session began with has ended: sign in again");
}

void Session::record_wire_refusal(CredentialResult result, std::string_view text) {
  record_alert({}, Verdict::Action::kBlock, kWireCredentialRule, name_of(result), text, false);
  tell_alert({}, name_of(result), kWireCredentialRule);
}

// Somebody who proved who they are asks for a login that is not theirs.
void Session::alert_foreign_login(const Unit& unit, const Verdict& verdict) {
  if (proof_ != Proof::kAccepted || unit.kind != UnitKind::kLogin || verdict.action != Verdict::Action::kBlock) return;
  record_alert(unit, verdict.action, verdict.rule_name, verdict.reason, {}, false);
  tell_alert(unit, unit.verb, verdict.rule_name);
}

}  // namespace weir::session

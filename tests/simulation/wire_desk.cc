#include "simulation/wire_desk.h"

namespace weir::simulation {
namespace {

// What the token says of itself is what the desk finds out.
CredentialAnswer look_at(std::string_view token, uint64_t id, std::chrono::sys_seconds now) {
  const auto says = [token](std::string_view word) { return token.find(word) != std::string_view::npos; };
  if (token.find(kTokenMark) == std::string_view::npos) return {CredentialResult::kToken, nullptr, "it is no token"};
  if (says("expired")) return {CredentialResult::kToken, nullptr, "it has expired"};
  if (says("replayed")) return {CredentialResult::kElsewhere, nullptr, "it was used from another address"};
  if (!says("valid") && !says("ending")) return {CredentialResult::kToken, nullptr, "its signature is not that of anybody"};
  auto identity = std::make_shared<Identity>();
  identity->binding_id = id;
  identity->subject = "svc:simulated";
  identity->assurance = Assurance::kCredential;
  identity->is_on_wire = true;
  identity->expires = now + (says("ending") ? std::chrono::seconds(1) : std::chrono::seconds(100'000));
  return {CredentialResult::kAccepted, std::move(identity), {}};
}

}  // namespace

bool WireDesk::ask_token(uint64_t session, const Address&, std::string token) {
  if (world_.random().one_in(20)) return false;  // Too many wait.
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::hours(24 * 365 * 50) + world_.now()));
  answers_[session] = {look_at(token, next_id_++, now), false};
  world_.after(world_.delay(std::chrono::milliseconds(500)), [this, session] {
    const auto found = answers_.find(session);
    if (found == answers_.end()) return;  // It went away meanwhile.
    found->second.is_there = true;
    wake_(session);
  });
  return true;
}

bool WireDesk::take(uint64_t session, CredentialAnswer& answer) {
  const auto found = answers_.find(session);
  if (found == answers_.end() || !found->second.is_there) return false;
  answer = std::move(found->second.answer);
  answers_.erase(found);
  return true;
}

void WireDesk::forget(uint64_t session) { answers_.erase(session); }

}  // namespace weir::simulation

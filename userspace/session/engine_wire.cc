// Credentials on the wire, as the engine keeps them: the desk that sessions ask, and who is cut when one is revoked.
#include "core/time_text.h"
#include "session/engine_state.h"

namespace weir::session {

void Engine::open_desk() {
  identify::CredentialThread::Parts parts{
      .tokens = [this] { const std::lock_guard lock(auth_mutex_); return tokens_; },
      .certificates = [this] { const std::lock_guard lock(auth_mutex_); return certificates_; },
      .known = *wire_,
      .wake = [this](uint64_t session) {
        if (const auto live = directory_->find(session)) cores_[live->core]->post(Request::kWakeSession, session);
      },
      .now = wall_seconds,
  };
  desk_ = std::make_unique<identify::CredentialThread>(std::move(parts));
}

// In the kernel flow by flow: its address is not what such a session lives by.  The cores are told before that: a session
// whose sockets are gone when it hears of it would not cancel what runs at the target.  Post: how many flows.
uint32_t Engine::cut_wire(const std::vector<identify::WireCredential>& ended) {
  if (ended.empty()) return 0;
  uint32_t flows = 0;
  const std::vector<LiveSession> live = directory_->list();
  for (const identify::WireCredential& credential : ended) {
    const uint64_t id = credential.identity->binding_id;
    if (id == 0) continue;  // Not seen here: it has no session.
    for (const auto& core : cores_) core->post(Request::kCutBinding, id);
    for (const LiveSession& session : live) {
      if (!session.identity || !session.identity->is_on_wire || session.identity->binding_id != id) continue;
      steering_->cut({session.client, session.server});
      ++flows;
    }
  }
  return flows;
}

nlohmann::json Engine::describe_wire(const identify::WireCredential& credential) {
  const Identity& identity = *credential.identity;
  nlohmann::json about = {{"id", identity.binding_id}, {"subject", identity.subject}, {"address", credential.from.text()}, {"static", false},
                          {"assurance", weir::name_of(identity.assurance)}, {"issuer", identity.issuer}, {"until", utc_text(identity.expires)},
                          {"reason", ""}, {"groups", identity.groups}, {"refused", 0}, {"last_refused", ""}, {"on_wire", true}};
  if (!identity.token_id.empty()) about["token_id"] = identity.token_id;
  if (!identity.certificate_fingerprint.empty()) about["certificate"] = {{"serial", identity.certificate_serial}, {"fingerprint", identity.certificate_fingerprint}};
  return about;
}

}  // namespace weir::session

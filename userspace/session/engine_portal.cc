// The engine as the portal sees it, and what a portal means for everybody else's tokens.
#include "control/logging.h"
#include "control/portal_settings.h"
#include "core/time_text.h"
#include "session/engine_state.h"

namespace weir::session {

using nlohmann::json;

std::shared_ptr<identify::TokenVerifier> Engine::verifier() {
  const std::lock_guard lock(auth_mutex_);
  return tokens_;
}

std::optional<control::PortalHost::Holder> Engine::holder_of(const Address& address) {
  const auto now = wall_seconds();
  const IdentityPtr identity = bindings_->find(address, now);
  if (!identity) return std::nullopt;
  Holder holder;
  holder.binding = identity->binding_id;
  holder.is_static = identity->issuer.empty();
  holder.until = identity->expires;
  for (const identify::Binding& binding : bindings_->list(now)) {
    if (binding.identity->binding_id != holder.binding) continue;
    holder.refused_attempts = binding.refused_attempts;
    holder.last_refused = binding.last_refused_subject;
  }
  return holder;
}

Result<identify::VerifiedToken> Engine::verify_token(std::string_view token) { return verifier()->verify(token, wall_seconds()); }

Result<identify::VerifiedToken> Engine::verify_id_token(std::string_view token, std::string_view client_id, std::string_view nonce) {
  return verifier()->verify_id_token(token, client_id, nonce, wall_seconds());
}

void Engine::tell(std::string_view text) { logging_->log().warn("{}", control::escape_bytes(text)); }

// Where people bind by the portal alone, a token that was only shown may be of a device code that its person entered for somebody
// else: whose it is says nothing about who is at the address.
Result<void> Engine::may_bind(const identify::VerifiedToken& token, const control::ControlPeer& peer) const {
  const IdentityConfig& identity = config().identity;
  if (peer.is_portal || token.assurance == Assurance::kWorkload || !control::is_by_portal_alone(identity, token.issuer)) return {};
  return fail(Error::Kind::kDenied, "people of " + token.issuer + " bind no address by a token that is shown here: " + how_to_sign_in(identity) + ", with a browser at that address");
}

// No more than whether, so that it can be asked again and again.
Result<json> Engine::bound(const json& arguments) {
  const auto found = arguments.find("address");
  const auto address = Address::parse(found != arguments.end() && found->is_string() ? found->get<std::string>() : std::string());
  if (!address) return tl::unexpected<Error>(address.error());
  const IdentityPtr identity = bindings_->find(*address, wall_seconds());
  if (!identity) return json{{"bound", false}};
  return json{{"bound", true}, {"id", identity->binding_id}, {"until", identity->expires == std::chrono::sys_seconds{} ? "" : utc_text(identity->expires)}};
}

json Engine::portal_status() const {
  const control::Portal::State state = portal_->state();
  const auto settings = control::portal_settings(config());
  return {{"page", settings ? settings->page : ""}, {"issuer", settings ? settings->issuer.name : ""}, {"pending", state.pending}, {"may_sign_out", state.bound}};
}

}  // namespace weir::session

// Who is behind a flow, and how strongly that is known.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

enum class Assurance : uint8_t { kNone, kStatic, kNetwork, kCredential, kWorkload };
std::string_view name_of(Assurance assurance);

// Immutable; shared by the sessions that it admitted.
struct Identity {
  uint64_t binding_id = 0;          // Never reused, persisted.
  std::string subject;
  std::vector<std::string> groups;
  std::string issuer;               // Empty for static bindings.
  std::string token_id;             // jti.
  std::string email;
  std::vector<std::string> acting_for;  // The delegation chain (RFC 8693 `act`), outermost first.
  Assurance assurance = Assurance::kNone;
  std::chrono::sys_seconds expires{};   // Unix time; 0: never.
  std::string reason;               // Static bindings: why it exists.
  // Proven by the session's own credential: a token as password, or a client certificate.  Else by its address.
  bool is_on_wire = false;
  std::string certificate_serial, certificate_fingerprint;  // Hex; SHA-256 of the client certificate.  Empty: it was a token.
};
// Not a person by themselves: a workload, or somebody who acts for another by delegation.
inline bool is_agent(const Identity& identity) { return identity.assurance == Assurance::kWorkload || !identity.acting_for.empty(); }
using IdentityPtr = std::shared_ptr<const Identity>;

}  // namespace weir

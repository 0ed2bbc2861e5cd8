// Proof of identity on the wire, as a session sees it: it hands over what the client showed, goes on with other things, and is
// woken when the answer is there.  Signatures, key sets and files are dealt with on the desk's own thread.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "core/address.h"
#include "core/identity.h"
#include "core/transport.h"

namespace weir {

// X(enumerator, "name"): what became of a credential; the name is the label of the metric and the reason on the record.
#define WEIR_CREDENTIAL_RESULTS(X)                                                               \
  X(kAccepted, "accepted")                                                                       \
  X(kNone, "none")               /* The client showed nothing, or may not show it on this leg. */ \
  X(kToken, "token")             /* It is no token, or one that does not hold. */                 \
  X(kElsewhere, "replayed")      /* It was used from another address. */                          \
  X(kRevoked, "revoked")                                                                         \
  X(kNoKeys, "no-keys")          /* It cannot be checked now. */                                  \
  X(kCertificate, "certificate") /* It does not hold, or names nobody here. */                    \
  X(kBusy, "busy")               /* Too many wait to be checked, or too many are known. */        \
  X(kPassword, "password")       /* Of a bound address: not the login's password. */              \
  X(kLate, "late")               /* Nothing in time. */                                           \
  X(kEnded, "ended")             /* Accepted once, and over now. */
enum class CredentialResult : uint8_t {
#define X(enumerator, name) enumerator,
  WEIR_CREDENTIAL_RESULTS(X)
#undef X
};
[[nodiscard]] std::string_view name_of(CredentialResult result);
// What refuses such a login, and the rule of its alert.
inline constexpr std::string_view kWireCredentialRule = "wire-credential";

struct CredentialAnswer {
  CredentialResult result = CredentialResult::kBusy;
  IdentityPtr identity;  // kAccepted alone.
  std::string text;      // Else: for the client.  Holds no part of a token but names that were verified.
};

// Shared by all cores; any thread.
class CredentialDesk {
 public:
  virtual ~CredentialDesk() = default;
  // A token, or a certificate that TLS has verified, shown from `from`.  The token is wiped once it was looked at.
  // Post: the session is woken once its answer is there.  False: too many wait; nothing will come.
  [[nodiscard]] virtual bool ask_token(uint64_t session, const Address& from, std::string token) = 0;
  [[nodiscard]] virtual bool ask_certificate(uint64_t session, const Address& from, const PeerCertificate& certificate) = 0;
  // True: the answer is in `answer`, and is given once.
  [[nodiscard]] virtual bool take(uint64_t session, CredentialAnswer& answer) = 0;
  // The session ended without its answer.
  virtual void forget(uint64_t session) = 0;
  // False: it was revoked since it was accepted.  Asked once the session can be found by who revokes.
  [[nodiscard]] virtual bool is_in_force(const Identity& identity) = 0;
};

}  // namespace weir

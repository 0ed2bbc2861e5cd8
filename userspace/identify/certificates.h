// Whom a client certificate names: a SPIFFE ID (X.509-SVID, sections 2 to 5), or a name by the configuration's mapping.  Pure.
// TLS has verified signatures, validity, purpose and revocation before; the rest is checked here.
// Must never: take a name of a certificate that has two of a kind, or one that may sign others.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/config.h"
#include "core/identity.h"
#include "core/transport.h"

namespace weir::identify {

// A SPIFFE ID in its parts.
struct SpiffeId {
  std::string trust_domain;
  std::string path;  // With its first slash; never empty.
};
// Errors: kInvalid, with what is wrong (SPIFFE-ID, section 2): scheme, trust domain, segments, characters, length.
[[nodiscard]] Result<SpiffeId> parse_spiffe_id(std::string_view uri);
[[nodiscard]] bool is_trust_domain(std::string_view name);

// Post: no binding id yet; expires is the certificate's end, assurance kWorkload for a SPIFFE ID and kCredential else.
// Errors: kDenied, in words that repeat only what the CA signed, made printable.
[[nodiscard]] Result<Identity> identity_of(const PeerCertificate& certificate, const CertificatesConfig& config);

// Unique for this certificate; what a revocation of it remembers.
[[nodiscard]] std::string key_of(const PeerCertificate& certificate);

}  // namespace weir::identify

// A client certificate that TLS has verified, as the identity stage wants it; and what a client leg that asks for one trusts.
// Must never: leave out a name that would make the certificate ambiguous.
#pragma once
#include <chrono>
#include <string>

#include "base/result.h"
#include "core/transport.h"
#include "transport/openssl_ptr.h"

namespace weir::transport {

// `expires`: the earliest end of the certificates in `chain` (which may be null) and of `certificate`.
[[nodiscard]] PeerCertificate describe_peer(X509* certificate, const STACK_OF(X509) * chain);

// Makes a server's context ask for a client certificate, trusting what stands in `ca_file` alone: signature, validity, purpose
// clientAuth and, with a CRL file, revocation of the certificate itself.  Errors: the files', kInvalid.
[[nodiscard]] Result<void> ask_for_certificates(SSL_CTX* context, const std::string& ca_file, const std::string& crl_file);

}  // namespace weir::transport

// Why a TLS leg failed, for the person who has to mend it.  Pure.
// Must never: repeat a peer's bytes unescaped.
#pragma once
#include <string>

#include "transport/tls.h"

namespace weir::transport {

// Of a certificate that the target showed and that did not verify: a sentence with the fix in it.
// `certificate`: the one that failed, may be null.  `code`: X509_V_ERR_*.
[[nodiscard]] std::string explain_certificate(const TlsLeg&, const X509* certificate, int code, const std::string& expected);
// Of any other failure.  `code`: the first error of OpenSSL's queue, 0 if it is empty.  `is_ready`: the handshake was over.
[[nodiscard]] std::string explain_fault(const TlsLeg&, unsigned long code, bool is_ready);

}  // namespace weir::transport

// Certificates as Weir uses them: read, named for a person, hashed for channel binding.
// Must never: put a peer's raw bytes into a message.
#pragma once
#include <array>
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "core/time_text.h"
#include "transport/openssl_ptr.h"

namespace weir::transport {

// All certificates of a PEM file, in order; never empty.  Errors: the file's, kInvalid.
[[nodiscard]] Result<std::vector<X509Ptr>> read_certificates(const std::string& path);
// The private key of a PEM file that others cannot read.  Errors: the file's, kInvalid (also: it wants a passphrase).
[[nodiscard]] Result<PkeyPtr> read_private_key(const std::string& path);

// tls-server-end-point (RFC 5929 section 4.1): the hash of the certificate's own signature, MD5 and SHA-1 raised to SHA-256.
// Post: the bytes written to `out`; 0 where the RFC defines none (Ed25519, Ed448).
std::size_t endpoint_hash(const X509* certificate, std::array<std::byte, 64>& out);

// "orders-db.lab.example, 198.18.2.2 and 3 more": the names it is valid for, else its common name.  Printable and bounded.
[[nodiscard]] std::string names_of(const X509* certificate);
[[nodiscard]] std::string subject_of(const X509* certificate);  // "CN=Weir CA, O=Example", printable and bounded.
[[nodiscard]] std::string issuer_of(const X509* certificate);
[[nodiscard]] std::string fingerprint_of(const X509* certificate);  // SHA-256, hex with colons.
[[nodiscard]] std::chrono::sys_seconds not_before_of(const X509* certificate);
[[nodiscard]] std::chrono::sys_seconds not_after_of(const X509* certificate);

// What a peer sent, fit for a message: printable ASCII as it is, the rest as \xNN, at most `size_max` and "..." then.
[[nodiscard]] std::string printable(std::string_view text, std::size_t size_max = 120);

// Adds an extension in OpenSSL's configuration syntax ("critical,CA:TRUE,pathlen:0").  False: OpenSSL refused.
[[nodiscard]] bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value);
// A random positive serial number of 127 bits, and both ends of the validity.
[[nodiscard]] bool set_serial_and_validity(X509* certificate, std::chrono::sys_seconds from, std::chrono::sys_seconds until);

}  // namespace weir::transport

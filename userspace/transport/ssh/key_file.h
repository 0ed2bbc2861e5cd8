// Keys as they stand in files: OpenSSH's own form of private keys (PROTOCOL.key), PEM and PKCS #8, and one-line public keys.
// Must never: put what a file holds into an error, or use a private key that others could read (read_secret_file() refuses it).
#pragma once
#include <string>
#include <vector>

#include "transport/ssh/certificate.h"

namespace weir::ssh {

// The text of a private key file.  `name`: for messages.  Errors: kInvalid: of no form that is known, damaged, of a type that
// is not accepted, or encrypted (a passphrase cannot be given yet; the message has the command that takes it off).
[[nodiscard]] Result<PrivateKey> parse_private_key(std::string_view text, const std::string& name);
// Errors: read_secret_file()'s, parse_private_key()'s.
[[nodiscard]] Result<PrivateKey> read_private_key_file(const std::string& path);

// "ssh-ed25519 AAAA... comment": the key's blob, which may be a certificate's.  Errors: kInvalid.
[[nodiscard]] Result<Buffer> parse_public_line(std::string_view line);
// The line, with its newline.
[[nodiscard]] std::string public_line(Bytes blob, std::string_view comment);

}  // namespace weir::ssh

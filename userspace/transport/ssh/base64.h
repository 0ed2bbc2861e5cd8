// Base 64 as SSH's key files and fingerprints have it.
#pragma once
#include <optional>
#include <string>

#include "transport/secret_file.h"
#include "transport/ssh/wire.h"

namespace weir::ssh {

std::string to_base64(Bytes);
// White space is passed over.  nullopt: anything else that does not belong there, or a length that cannot be.
std::optional<transport::SecretString> from_base64(std::string_view);

}  // namespace weir::ssh

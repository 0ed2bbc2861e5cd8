// base64url without padding (RFC 4648 section 5, RFC 7515 section 2), strictly: one text for one value.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace weir::identify {

// nullopt: a character outside the alphabet (also padding and white space), a length that no value has, or bits set after
// the end, which would give one value several texts.
[[nodiscard]] std::optional<std::vector<std::byte>> decode_base64url(std::string_view text);
[[nodiscard]] std::string encode_base64url(Bytes bytes);

}  // namespace weir::identify

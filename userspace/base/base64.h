// Base 64 of RFC 4648 section 4, with padding, strictly: what does not come out the same when it is written again is refused.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace weir {

std::string base64(Bytes);
// nullopt: not canonical (a foreign character, missing padding, bits behind the end).
std::optional<std::vector<std::byte>> from_base64(std::string_view);

}  // namespace weir

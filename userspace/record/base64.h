// Base 64 of RFC 4648 section 4, with padding, strictly: what does not come out the same when it is written again is refused.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "record/keys.h"

namespace weir::record {

std::string base64(Bytes);
// nullopt: not canonical (a foreign character, missing padding, bits behind the end).
std::optional<std::vector<std::byte>> from_base64(std::string_view);
std::optional<Digest> digest_from_base64(std::string_view);   // Exactly 32 bytes.
// Decimal without leading zeros, as sizes and indices stand in checkpoints and proofs.
std::optional<uint64_t> plain_decimal(std::string_view);

}  // namespace weir::record

// How hashes and numbers stand in checkpoints and proofs.
#pragma once
#include <optional>
#include <string_view>

#include "base/base64.h"
#include "record/keys.h"

namespace weir::record {

std::optional<Digest> digest_from_base64(std::string_view);   // Exactly 32 bytes.
// Decimal without leading zeros.
std::optional<uint64_t> plain_decimal(std::string_view);

}  // namespace weir::record

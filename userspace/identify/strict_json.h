// JSON as tokens and key sets need it: an object, no name twice in one object (readers that take the first and readers that
// take the last would see different claims), bounded depth.
#pragma once
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

namespace weir::identify {

inline constexpr int kJsonDepthMax = 16;

// Post: is_object().  Errors: kInvalid, without a part of the text.
[[nodiscard]] Result<nlohmann::json> parse_strict_json(std::string_view text);

}  // namespace weir::identify

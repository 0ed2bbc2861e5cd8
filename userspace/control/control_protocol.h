// One line of JSON each way.  Request: {"verb": "status", "arguments": {...}}.  Answer: {"result": ...}, or
// {"error": {"kind": "not-found", "message": "..."}}.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::control {

inline constexpr std::size_t kControlRequestMax = 256u << 10;   // A token is 16 KiB at most.
inline constexpr std::size_t kControlAnswerMax = 64u << 20;     // 10,000 live sessions are about 6 MiB.

std::string_view name_of(Error::Kind kind);

struct ControlRequest {
  std::string verb;
  nlohmann::json arguments;
};
std::string encode_request(const ControlRequest& request);                 // With its newline.
Result<ControlRequest> decode_request(std::string_view line);              // Errors: kInvalid.
std::string encode_answer(const Result<nlohmann::json>& answer);           // With its newline.
Result<nlohmann::json> decode_answer(std::string_view line);               // The answer's own error, or kCorrupt.

}  // namespace weir::control

// The command line's side of the control socket.
#pragma once
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"

namespace weir::control {

// One request, one answer.  Errors: kUnavailable (no engine serves the socket, or no
// answer in time), kDenied (not root, nor the engine's user), kCorrupt, and whatever the engine answers.
[[nodiscard]] Result<nlohmann::json> ask_engine(const std::string& socket, const std::string& verb, const nlohmann::json& arguments,
                                                std::chrono::milliseconds timeout = std::chrono::milliseconds(30'000));
// True: somebody listens there.
[[nodiscard]] bool is_answering(const std::string& socket);

}  // namespace weir::control

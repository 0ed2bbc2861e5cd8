// What a verb says when what it asked for waits for a second person.
#pragma once
#include <nlohmann/json.hpp>

#include "control/verbs.h"

namespace weir::control {

// True: `answer` is of a change that waits; it was printed, and `code` is the exit code.
[[nodiscard]] bool is_pending_change(VerbCall& call, const nlohmann::json& answer, int& code);

}  // namespace weir::control

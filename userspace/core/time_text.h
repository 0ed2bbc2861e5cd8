// Times as people read them.
#pragma once
#include <chrono>
#include <string>

namespace weir {

// RFC 3339 in UTC, whole seconds: "2026-11-27T16:14:15Z".
[[nodiscard]] std::string utc_text(std::chrono::sys_seconds at);

}  // namespace weir

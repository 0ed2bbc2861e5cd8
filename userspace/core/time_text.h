// Times as people read them.
#pragma once
#include <chrono>
#include <string>

namespace weir {

// RFC 3339 in UTC, whole seconds: "2026-11-27T16:14:15Z".
[[nodiscard]] std::string utc_text(std::chrono::sys_seconds at);
// The same; empty for 0, which stands for "not yet" and "never".
[[nodiscard]] inline std::string utc_text_if_set(std::chrono::sys_seconds at) { return at == std::chrono::sys_seconds{} ? std::string() : utc_text(at); }

}  // namespace weir

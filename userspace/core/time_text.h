// Times as people read them.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

// RFC 3339 in UTC, whole seconds: "2026-11-27T16:14:15Z".
[[nodiscard]] std::string utc_text(std::chrono::sys_seconds at);
// The same; empty for 0, which stands for "not yet" and "never".
[[nodiscard]] inline std::string utc_text_if_set(std::chrono::sys_seconds at) { return at == std::chrono::sys_seconds{} ? std::string() : utc_text(at); }

// Nanoseconds since 1970 of a time as records have it: "2026-11-27T16:14:15.123456789Z", with up to nine digits of a fraction or none.
// nullopt: it is none, or lies outside 1970..2200.
[[nodiscard]] std::optional<int64_t> parse_utc_ns(std::string_view text);

}  // namespace weir

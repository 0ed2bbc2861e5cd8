// The texts of values: durations, sizes, times, hours, marks.  Pure; each failure is one sentence with an example in it.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "core/config.h"

namespace weir::control {

// "2ms" "5s" "10m" "8h" "90d"; a unit is needed.  `with_years` adds "7y" (365 days each), for retention.
Result<std::chrono::microseconds> parse_duration(std::string_view text, bool with_years = false);
// "512B" "64KiB" "1MiB" "2GiB" "1TiB"; a unit is needed.
Result<uint64_t> parse_size(std::string_view text);
// RFC 3339 with a zone: "2027-12-31T00:00:00Z", "2027-12-31T08:00:00+02:00".  Fractions are refused.
Result<std::chrono::sys_seconds> parse_time(std::string_view text);
// A time, or how long ago: "2027-01-02T00:00:00Z", "8h".
Result<std::chrono::sys_seconds> parse_moment(const std::string& text);
// "Mon-Fri 08:00-18:00", "Sat 10:00-14:00", "Mon-Fri", "08:00-18:00".  "Fri-Mon" becomes two spans.
Result<std::vector<HoursConfig::Span>> parse_hours(std::string_view text);
// "0x57450000/0xffff0000": value and mask.
Result<std::pair<uint32_t, uint32_t>> parse_mark(std::string_view text);
// "127.0.0.1:9464", "[::1]:9464".
Result<Endpoint> parse_endpoint(std::string_view text);
// Whole decimal numbers, no sign, no unit.
Result<uint64_t> parse_number(std::string_view text);

// The shortest text that parses back: "8h", "1500ms"; "64KiB"; "2027-12-31T00:00:00Z".
std::string text_of(std::chrono::microseconds duration);
std::string size_text(uint64_t size);
std::string text_of(std::chrono::sys_seconds time);

// Printable ASCII names that are safe in paths, labels and messages: letters, digits, '.', '_', '-'; 1 to 64.
bool is_plain_name(std::string_view text);
// UTF-8 without control characters: subjects, reasons, messages.
bool is_printable(std::string_view text);

}  // namespace weir::control

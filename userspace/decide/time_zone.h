// One IANA time zone, read from its TZif file (RFC 9636) when a snapshot is made.  The C library's tzset() is one setting
// for the whole process, and this compiler's <chrono> has no zones.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace weir::decide {

class TimeZone {
 public:
  TimeZone() = default;  // UTC.
  // `name` as in the configuration: never a path of its own (no "..", no leading "/").
  static Result<TimeZone> load(const std::string& folder, std::string_view name);
  static Result<TimeZone> parse(Bytes tzif);

  // Seconds that local time is ahead of UTC at that moment.
  [[nodiscard]] int32_t offset_at(int64_t unix_seconds) const noexcept;

 private:
  // POSIX TZ rule of the footer, for what comes after the last transition: "CET-1CEST,M3.5.0,M10.5.0/3".
  struct Change {
    uint8_t month = 0, week = 0, weekday = 0;
    int32_t seconds = 7200;
  };
  struct Footer {
    bool has_summer = false;
    int32_t winter = 0, summer = 0;
    Change to_summer, to_winter;
  };
  static bool parse_footer(std::string_view text, Footer& out);
  [[nodiscard]] int32_t footer_offset(int64_t unix_seconds) const noexcept;

  std::vector<int64_t> transitions_;
  std::vector<int32_t> offsets_;  // After each transition.
  int32_t first_offset_ = 0;
  Footer footer_;
};

}  // namespace weir::decide

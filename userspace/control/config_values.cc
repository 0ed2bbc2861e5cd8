#include "control/config_values.h"

#include "core/time_text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <limits>

namespace weir::control {
namespace {

using std::chrono::microseconds;

struct Unit {
  std::string_view name;
  uint64_t factor;
};
constexpr std::array<Unit, 6> kDurationUnits = {{{"d", 86'400'000'000}, {"h", 3'600'000'000}, {"m", 60'000'000}, {"s", 1'000'000},
                                                 {"ms", 1'000}, {"us", 1}}};
constexpr uint64_t kYear = 365 * kDurationUnits[0].factor;
constexpr std::array<Unit, 5> kSizeUnits = {{{"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}, {"B", 1}}};
constexpr std::array<std::string_view, 7> kDays = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

tl::unexpected<Error> wrong(std::string_view text, std::string_view what) {
  return fail(Error::Kind::kInvalid, "\"" + std::string(text) + "\" " + std::string(what));
}

struct Split {
  uint64_t number = 0;
  std::string_view unit;
  bool is_number = false;
};
Split split(std::string_view text) {
  Split result;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result.number);
  result.is_number = error == std::errc{};
  result.unit = text.substr(static_cast<std::size_t>(end - text.data()));
  return result;
}

// Digits of exactly `width` at `at`, or -1.
int digits(std::string_view text, std::size_t at, std::size_t width) {
  if (at + width > text.size()) return -1;
  int value = 0;
  for (std::size_t i = at; i < at + width; ++i) {
    if (std::isdigit(static_cast<unsigned char>(text[i])) == 0) return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

// "HH:MM" to minutes; 24:00 is the end of the day.  -1: not that.
int minute_of_day(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return -1;
  const int hour = digits(text, 0, 2), minute = digits(text, 3, 2);
  if (hour < 0 || minute < 0 || minute > 59 || hour > 24 || (hour == 24 && minute != 0)) return -1;
  return hour * 60 + minute;
}
int day_of(std::string_view text) {
  const auto found = std::find(kDays.begin(), kDays.end(), text);
  return found == kDays.end() ? -1 : static_cast<int>(found - kDays.begin());
}

}  // namespace

Result<microseconds> parse_duration(std::string_view text, bool with_years) {
  const Split parts = split(text);
  const char* const example = with_years ? "is not a duration: write one like 30d or 7y" : "is not a duration: write one like 250ms, 5s, 10m, 8h, 90d";
  if (!parts.is_number) return wrong(text, example);
  if (parts.unit.empty() && parts.number != 0) return wrong(text, "has no unit: write ms, s, m, h or d behind it");
  uint64_t factor = 0;
  for (const Unit& unit : kDurationUnits) {
    if (unit.name == parts.unit) factor = unit.factor;
  }
  if (with_years && parts.unit == "y") factor = kYear;
  if (parts.number == 0 && parts.unit.empty()) factor = 1;
  if (factor == 0) return wrong(text, example);
  constexpr uint64_t kMost = 1000 * kYear;
  if (parts.number > kMost / factor) return wrong(text, "is longer than a thousand years");
  return microseconds(static_cast<int64_t>(parts.number * factor));
}

Result<uint64_t> parse_size(std::string_view text) {
  const Split parts = split(text);
  if (!parts.is_number) return wrong(text, "is not a size: write one like 64KiB, 1MiB, 2GiB");
  if (parts.unit.empty()) return wrong(text, "has no unit: write B, KiB, MiB or GiB behind it");
  for (const Unit& unit : kSizeUnits) {
    if (unit.name != parts.unit) continue;
    if (parts.number > std::numeric_limits<uint64_t>::max() / unit.factor) return wrong(text, "is too large a size");
    return parts.number * unit.factor;
  }
  return wrong(text, "is not a size: the units are B, KiB, MiB, GiB, TiB");
}

Result<std::chrono::sys_seconds> parse_time(std::string_view text) {
  using namespace std::chrono;
  const char* const example = "is not a time: write RFC 3339 with a zone, like 2027-12-31T00:00:00Z";
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't' && text[10] != ' ') ||
      text[13] != ':' || text[16] != ':') {
    return wrong(text, example);
  }
  const int years = digits(text, 0, 4), months = digits(text, 5, 2), days_ = digits(text, 8, 2);
  const int hour = digits(text, 11, 2), minute = digits(text, 14, 2), second = digits(text, 17, 2);
  if (years < 0 || months < 0 || days_ < 0 || hour < 0 || minute < 0 || second < 0) return wrong(text, example);
  const year_month_day date{year{years}, month{static_cast<unsigned>(months)}, day{static_cast<unsigned>(days_)}};
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) return wrong(text, "names no day or hour that exists");
  const std::string_view zone = text.substr(19);
  seconds offset{0};
  if (zone != "Z" && zone != "z") {
    const int zone_hours = digits(zone, 1, 2), zone_minutes = digits(zone, 4, 2);
    if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':' || zone_hours < 0 || zone_hours > 14 ||
        zone_minutes < 0 || zone_minutes > 59) {
      return wrong(text, "needs a zone at its end: Z or +02:00, and whole seconds");
    }
    offset = hours{zone_hours} + minutes{zone_minutes};
    if (zone[0] == '-') offset = -offset;
  }
  return sys_days{date} + hours{hour} + minutes{minute} + seconds{second} - offset;
}

Result<std::chrono::sys_seconds> parse_moment(const std::string& text) {
  if (const auto time = parse_time(text)) return *time;
  const auto ago = parse_duration(text);
  if (!ago) return fail(Error::Kind::kInvalid, "\"" + text + "\" is neither a time like 2027-01-02T00:00:00Z nor how long ago, like 8h");
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now() - *ago);
}

Result<std::vector<HoursConfig::Span>> parse_hours(std::string_view text) {
  const char* const example = "is not a span of hours: write one like \"Mon-Fri 08:00-18:00\"";
  std::string_view days = text, times;
  if (const std::size_t space = text.find(' '); space != std::string_view::npos) {
    days = text.substr(0, space);
    times = text.substr(space + 1);
  } else if (text.find(':') != std::string_view::npos) {
    days = "Mon-Sun";
    times = text;
  }
  HoursConfig::Span span;
  if (!times.empty()) {
    const int from = times.size() == 11 && times[5] == '-' ? minute_of_day(times.substr(0, 5)) : -1;
    const int to = from < 0 ? -1 : minute_of_day(times.substr(6));
    if (from < 0 || to < 0) return wrong(text, example);
    if (from >= to) return wrong(text, "ends before it begins: write two spans, up to 24:00 and from 00:00");
    span.from_minute = static_cast<uint16_t>(from);
    span.to_minute = static_cast<uint16_t>(to);
  } else if (days.size() != text.size()) {
    return wrong(text, example);
  }
  const std::size_t dash = days.find('-');
  const int first = day_of(days.substr(0, dash)), last = dash == std::string_view::npos ? first : day_of(days.substr(dash + 1));
  if (first < 0 || last < 0) return wrong(text, std::string(example) + "; days are Mon Tue Wed Thu Fri Sat Sun");
  const auto with_days = [&](int from, int to) {
    HoursConfig::Span made = span;
    made.first_day = static_cast<uint8_t>(from);
    made.last_day = static_cast<uint8_t>(to);
    return made;
  };
  if (first <= last) return std::vector{with_days(first, last)};
  return std::vector{with_days(first, 6), with_days(0, last)};
}

Result<std::pair<uint32_t, uint32_t>> parse_mark(std::string_view text) {
  const auto hex = [](std::string_view part, uint32_t& value) {
    if (!part.starts_with("0x") || part.size() > 10) return false;
    const auto [end, error] = std::from_chars(part.data() + 2, part.data() + part.size(), value, 16);
    return error == std::errc{} && end == part.data() + part.size();
  };
  const std::size_t slash = text.find('/');
  uint32_t value = 0, mask = 0;
  if (slash == std::string_view::npos || !hex(text.substr(0, slash), value) || !hex(text.substr(slash + 1), mask)) {
    return wrong(text, "is not a mark: write value and mask like 0x57450000/0xffff0000");
  }
  if (mask == 0 || value == 0) return wrong(text, "marks nothing: value and mask must not be 0");
  if ((value & ~mask) != 0) return wrong(text, "has bits outside its mask");
  return std::pair{value, mask};
}

Result<Endpoint> parse_endpoint(std::string_view text) {
  const char* const example = "is not an address with a port: write 127.0.0.1:9464 or [::1]:9464";
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return wrong(text, example);
  std::string_view host = text.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return wrong(text, example);
  }
  const auto port = parse_number(text.substr(colon + 1));
  const auto address = Address::parse(host);
  if (!port || *port == 0 || *port > 65535 || !address) return wrong(text, example);
  return Endpoint{*address, static_cast<uint16_t>(*port)};
}

Result<uint64_t> parse_number(std::string_view text) {
  const Split parts = split(text);
  if (!parts.is_number || !parts.unit.empty()) return wrong(text, "is not a whole number");
  return parts.number;
}

std::string text_of(microseconds duration) {
  const auto count = static_cast<uint64_t>(duration.count());
  if (count == 0) return "0s";
  for (const Unit& unit : kDurationUnits) {
    if (count % unit.factor == 0) return std::to_string(count / unit.factor) + std::string(unit.name);
  }
  return std::to_string(count) + "us";
}

std::string size_text(uint64_t size) {
  if (size == 0) return "0B";
  for (const Unit& unit : kSizeUnits) {
    if (size % unit.factor == 0) return std::to_string(size / unit.factor) + std::string(unit.name);
  }
  return std::to_string(size) + "B";
}

std::string text_of(std::chrono::sys_seconds time) { return utc_text(time); }

bool is_plain_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && text.front() != '.' && text.front() != '-' &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return (c < 0x80 && std::isalnum(c) != 0) || c == '.' || c == '_' || c == '-';
         });
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
}

}  // namespace weir::control

#include "decide/time_zone.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <fstream>
#include <iterator>

namespace weir::decide {
namespace {

constexpr std::size_t kFileSizeMax = 1u << 20;

struct Header {
  uint8_t version = 0;
  uint32_t is_ut = 0, is_standard = 0, leap = 0, times = 0, types = 0, characters = 0;
  // Bytes of the data block that follows, RFC 9636 3.2.
  [[nodiscard]] std::size_t data_size(std::size_t time_size) const {
    return times * time_size + times + types * 6 + characters + leap * (time_size + 4) + is_standard + is_ut;
  }
};

bool read_header(ByteReader& reader, Header& out) {
  if (as_text(reader.take(4)) != "TZif") return false;
  out.version = reader.u8();
  reader.take(15);
  out.is_ut = reader.u32be();
  out.is_standard = reader.u32be();
  out.leap = reader.u32be();
  out.times = reader.u32be();
  out.types = reader.u32be();
  out.characters = reader.u32be();
  return !reader.failed() && out.types > 0 && out.types < 256 && out.times < 65536 && out.leap < 65536 &&
         out.characters < 65536;
}

// "<+03>-3" or "CET-1": a name, then an offset, of which POSIX counts west as positive.
bool skip_name(std::string_view& text) {
  std::size_t end = 0;
  if (!text.empty() && text[0] == '<') {
    end = text.find('>');
    if (end == std::string_view::npos) return false;
    ++end;
  } else {
    while (end < text.size() && std::isalpha(static_cast<unsigned char>(text[end])) != 0) ++end;
  }
  text.remove_prefix(end);
  return end > 0;
}
bool read_number(std::string_view& text, int32_t& out) {
  std::size_t digits = 0;
  out = 0;
  while (digits < text.size() && digits < 4 && text[digits] >= '0' && text[digits] <= '9')
    out = out * 10 + (text[digits++] - '0');
  text.remove_prefix(digits);
  return digits > 0;
}
bool take(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}
bool read_time(std::string_view& text, int32_t& seconds) {
  const bool is_negative = take(text, '-');
  if (!is_negative) take(text, '+');
  int32_t hours = 0, minutes = 0, rest = 0;
  if (!read_number(text, hours)) return false;
  if (take(text, ':') && !read_number(text, minutes)) return false;
  if (take(text, ':') && !read_number(text, rest)) return false;
  seconds = hours * 3600 + minutes * 60 + rest;
  if (is_negative) seconds = -seconds;
  return true;
}

// The moment, in local seconds since 1970, of "weekday `weekday` of week `week` (5: the last) of `month`".
int64_t local_moment(int year, uint8_t month, uint8_t week, uint8_t weekday, int32_t seconds) {
  namespace c = std::chrono;
  const c::year_month when = c::year(year) / c::month(month);
  const c::weekday day(weekday);
  const c::sys_days days = week >= 5 ? c::sys_days(when / day[c::last]) : c::sys_days(when / day[week]);
  return c::duration_cast<c::seconds>(days.time_since_epoch()).count() + seconds;
}

}  // namespace

Result<TimeZone> TimeZone::load(const std::string& folder, std::string_view name) {
  if (name == "UTC") return TimeZone();
  const bool is_safe =
      !name.empty() && name[0] != '/' && name.find("..") == std::string_view::npos &&
      std::all_of(name.begin(), name.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '/' || c == '_' || c == '-' || c == '+';
      });
  if (!is_safe)
    return fail(Error::Kind::kInvalid, "\"" + std::string(name) + "\" is not a time zone; write it as in Europe/Berlin");
  std::ifstream file(folder + "/" + std::string(name), std::ios::binary);
  std::string content;
  if (file) content.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  if (content.empty() || content.size() > kFileSizeMax) {
    return fail(Error::Kind::kNotFound, "time zone \"" + std::string(name) + "\" is not in " + folder + " (package tzdata)");
  }
  Result<TimeZone> zone = parse(as_bytes(content));
  if (!zone) return fail(Error::Kind::kCorrupt, folder + "/" + std::string(name) + ": " + zone.error().message);
  return zone;
}

Result<TimeZone> TimeZone::parse(Bytes tzif) {
  ByteReader reader(tzif);
  Header header;
  const auto corrupt = [] { return fail(Error::Kind::kCorrupt, "not a TZif file of version 2 or later"); };
  if (!read_header(reader, header) || header.version < '2') return corrupt();
  reader.take(header.data_size(4));
  if (!read_header(reader, header)) return corrupt();
  TimeZone zone;
  for (uint32_t i = 0; i < header.times; ++i) zone.transitions_.push_back(static_cast<int64_t>(reader.u64be()));
  const Bytes indices = reader.take(header.times);
  std::vector<int32_t> type_offsets;
  for (uint32_t i = 0; i < header.types; ++i) {
    type_offsets.push_back(static_cast<int32_t>(reader.u32be()));
    reader.take(2);
  }
  reader.take(header.characters + header.leap * 12 + header.is_standard + header.is_ut);
  const std::string_view footer = as_text(reader.rest());
  if (reader.failed() || !std::is_sorted(zone.transitions_.begin(), zone.transitions_.end())) return corrupt();
  for (const std::byte index : indices) {
    const auto type = std::to_integer<std::size_t>(index);
    if (type >= type_offsets.size()) return corrupt();
    zone.offsets_.push_back(type_offsets[type]);
  }
  zone.first_offset_ = type_offsets[0];
  zone.footer_.winter = zone.offsets_.empty() ? type_offsets[0] : zone.offsets_.back();
  if (footer.size() > 2 && !parse_footer(footer.substr(1, footer.size() - 2), zone.footer_)) return corrupt();
  return zone;
}

bool TimeZone::parse_footer(std::string_view text, Footer& out) {
  int32_t west = 0;
  if (!skip_name(text) || !read_time(text, west)) return false;
  out.winter = -west;
  if (text.empty()) return true;
  out.has_summer = true;
  if (!skip_name(text)) return false;
  out.summer = out.winter + 3600;
  if (!text.empty() && text[0] != ',') {
    if (!read_time(text, west)) return false;
    out.summer = -west;
  }
  for (Change* change : {&out.to_summer, &out.to_winter}) {
    int32_t month = 0, week = 0, weekday = 0;
    const bool is_read = take(text, ',') && take(text, 'M') && read_number(text, month) && take(text, '.') &&
                         read_number(text, week) && take(text, '.') && read_number(text, weekday);
    if (!is_read || month < 1 || month > 12 || week < 1 || week > 5 || weekday > 6) return false;
    *change = {static_cast<uint8_t>(month), static_cast<uint8_t>(week), static_cast<uint8_t>(weekday), 7200};
    if (take(text, '/') && !read_time(text, change->seconds)) return false;
  }
  return text.empty();
}

int32_t TimeZone::offset_at(int64_t unix_seconds) const noexcept {
  if (transitions_.empty() || unix_seconds < transitions_.front())
    return transitions_.empty() ? footer_offset(unix_seconds) : first_offset_;
  if (unix_seconds >= transitions_.back()) return footer_offset(unix_seconds);
  const auto next = std::upper_bound(transitions_.begin(), transitions_.end(), unix_seconds);
  return offsets_[static_cast<std::size_t>(next - transitions_.begin()) - 1];
}

int32_t TimeZone::footer_offset(int64_t unix_seconds) const noexcept {
  namespace c = std::chrono;
  if (!footer_.has_summer) return footer_.winter;
  const c::sys_seconds local{c::seconds(unix_seconds + footer_.winter)};
  const int year = static_cast<int>(c::year_month_day(c::floor<c::days>(local)).year());
  const Change& up = footer_.to_summer;
  const Change& down = footer_.to_winter;
  const int64_t begin = local_moment(year, up.month, up.week, up.weekday, up.seconds) - footer_.winter;
  const int64_t end = local_moment(year, down.month, down.week, down.weekday, down.seconds) - footer_.summer;
  const bool is_summer =
      begin < end ? unix_seconds >= begin && unix_seconds < end : unix_seconds >= begin || unix_seconds < end;
  return is_summer ? footer_.summer : footer_.winter;
}

}  // namespace weir::decide

#include "notify/syslog_text.h"

#include <algorithm>
#include <cstdio>

#include "notify/notice_json.h"

namespace weir::notify {
namespace {

constexpr int kFacility = 13;                  // "log audit" (RFC 5424 section 6.2.1).
constexpr std::string_view kElement = "weir@32473";  // 32473: IANA's number for examples; there is none of our own.
constexpr std::size_t kValueMax = 256;

int priority_of(NoticeSeverity severity) {
  int level = 6;
  switch (severity) {
    case NoticeSeverity::kInfo: level = 6; break;
    case NoticeSeverity::kLow: level = 5; break;
    case NoticeSeverity::kMedium: level = 4; break;
    case NoticeSeverity::kHigh: level = 3; break;
    case NoticeSeverity::kCritical: level = 2; break;
    case NoticeSeverity::kCount: break;
  }
  return kFacility * 8 + level;
}

// Whole UTF-8 sequences, everything else as '?'; control characters too.
std::string clean(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const std::size_t size = byte < 0x80 ? 1 : byte >= 0xf0 && byte <= 0xf4 ? 4 : byte >= 0xe0 && byte < 0xf0 ? 3 : byte >= 0xc2 && byte < 0xe0 ? 2 : 0;
    bool is_whole = size != 0 && at + size <= text.size();
    for (std::size_t i = 1; is_whole && i < size; ++i) is_whole = (static_cast<unsigned char>(text[at + i]) & 0xc0) == 0x80;
    if (is_whole && size >= 3) {  // Overlong, surrogates, beyond Unicode.
      const auto second = static_cast<unsigned char>(text[at + 1]);
      is_whole = !(byte == 0xe0 && second < 0xa0) && !(byte == 0xed && second > 0x9f) && !(byte == 0xf0 && second < 0x90) && !(byte == 0xf4 && second > 0x8f);
    }
    if (is_whole && size == 2 && byte == 0xc2 && static_cast<unsigned char>(text[at + 1]) < 0xa0) is_whole = false;  // C1 controls.
    if (!is_whole) {
      out += '?';
      ++at;
      continue;
    }
    if (size == 1 && (byte < 0x20 || byte == 0x7f)) out += byte == '\n' || byte == '\t' || byte == '\r' ? ' ' : '?';
    else out.append(text.substr(at, size));
    at += size;
  }
  return out;
}

// At most `size_max` bytes, no sequence cut in two.
std::string_view cut(std::string_view text, std::size_t size_max) {
  if (text.size() <= size_max) return text;
  std::size_t end = size_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

// HOSTNAME, MSGID: printable ASCII without space, "-" if nothing is left.
std::string header_field(std::string_view text, std::size_t size_max) {
  std::string out;
  for (const char c : text.substr(0, size_max)) out += c > ' ' && c < 0x7f ? c : '_';
  return out.empty() ? "-" : out;
}

std::string structured(const Notice& notice, std::size_t value_max) {
  std::string data = "[" + std::string(kElement);
  const auto add = [&](const char* name, std::string_view value) {
    if (!value.empty()) data += " " + std::string(name) + "=\"" + param_value(value, value_max) + "\"";
  };
  const auto number = [&](const char* name, uint64_t value) {
    if (value != 0) add(name, std::to_string(value));
  };
  add("id", notice.id);
  add("severity", name_of(notice.severity));
  add("gateway", notice.gateway);
  add("subject", notice.subject);
  add("target", notice.target);
  add("rule", notice.rule);
  add("state", notice.state);
  number("session", notice.session);
  number("unit", notice.unit);
  number("ticket", notice.ticket);
  number("alert", notice.alert);
  return data + "]";
}

// Values are cut until all of it fits behind a head.
std::string fitting(const Notice& notice, std::size_t head_size, std::size_t size_max) {
  std::string data = structured(notice, kValueMax);
  for (std::size_t value_max = kValueMax / 2; head_size + data.size() + 1 > size_max && value_max >= 8; value_max /= 2) data = structured(notice, value_max);
  return data;
}

std::string with_text(std::string head, const Notice& notice, std::size_t size_max) {
  std::string text = clean(notice.text);
  if (!notice.statement.empty()) text += ": " + clean(notice.statement);
  // MSG-UTF8 begins with a BOM (section 6.4); what is ASCII needs none.
  const bool is_ascii = std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (!is_ascii) head += "\xef\xbb\xbf";
  return head.append(cut(text, size_max > head.size() ? size_max - head.size() : 0));
}

}  // namespace

std::string param_value(std::string_view text, std::size_t size_max) {
  const std::string whole = clean(text);
  std::string out;
  for (const char c : cut(whole, size_max)) {
    if (c == '"' || c == '\\' || c == ']') out += '\\';
    out += c;
  }
  return out;
}

std::string syslog_message(const Notice& notice, int pid, std::size_t size_max) {
  const std::string head = "<" + std::to_string(priority_of(notice.severity)) + ">1 " + milliseconds_text(notice.at) + " " +
                           header_field(notice.gateway, 64) + " weir " + std::to_string(pid) + " " + header_field(name_of(notice.event), 32) + " ";
  return with_text(head + fitting(notice, head.size(), size_max) + " ", notice, size_max);
}

std::string local_message(const Notice& notice, int pid, std::size_t size_max) {
  const std::string head = "<" + std::to_string(priority_of(notice.severity)) + ">weir[" + std::to_string(pid) + "]: " + std::string(name_of(notice.event)) + " ";
  return with_text(head + fitting(notice, head.size(), size_max) + " ", notice, size_max);
}

std::string octet_counted(std::string_view message) { return std::to_string(message.size()) + " " + std::string(message); }

}  // namespace weir::notify

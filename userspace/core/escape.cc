#include "core/escape.h"

#include <algorithm>

namespace weir {
namespace {

// Length of the whole UTF-8 sequence at the start of `text`, 0 if there is none (overlong forms, surrogates, beyond U+10FFFF).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) || (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) return 0;
  if (first == 0xc2 && byte(1) < 0xa0) return 0;  // C1 controls: a terminal may obey them.
  return length;
}

// U+2028 and U+202A..202E and kin reorder or break a line on a terminal.
bool is_line_trick(std::string_view sequence) {
  return sequence.size() == 3 && sequence[0] == '\xe2' && ((sequence[1] == '\x80' && static_cast<unsigned char>(sequence[2]) >= 0xa8 && static_cast<unsigned char>(sequence[2]) <= 0xae) ||
                                                           (sequence[1] == '\x81' && static_cast<unsigned char>(sequence[2]) >= 0xa6 && static_cast<unsigned char>(sequence[2]) <= 0xa9));
}

}  // namespace

std::string escape_bytes(std::string_view text, std::string_view kept) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string escaped;
  escaped.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const std::size_t length = c < 0x80 ? 1 : utf8_length(text.substr(i));
    const std::string_view sequence = text.substr(i, std::max<std::size_t>(length, 1));
    i += sequence.size();
    if ((length == 1 && c >= 0x20 && c != 0x7f) || (c < 0x20 && kept.find(text[i - 1]) != std::string_view::npos)) {
      escaped += text[i - 1];
    } else if (length > 1 && !is_line_trick(sequence)) {
      escaped += sequence;
    } else if (c == '\n' || c == '\t' || c == '\r') {
      escaped += c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r";
    } else {
      for (const char byte : sequence) {
        escaped += "\\x";
        escaped += kDigits[static_cast<unsigned char>(byte) >> 4];
        escaped += kDigits[static_cast<unsigned char>(byte) & 15];
      }
    }
  }
  return escaped;
}

std::string escape_json(std::string json) {
  // Where there is none of their first bytes, which is nearly always, nothing is copied.
  if (json.find_first_of("\x7f\xc2\xe2") == std::string::npos) return json;
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string escaped;
  const auto add = [&](unsigned code) {
    escaped += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) escaped += kDigits[code >> shift & 15];
  };
  for (std::size_t i = 0; i < json.size(); ++i) {
    const auto byte = [&](std::size_t at) { return at < json.size() ? static_cast<unsigned char>(json[at]) : 0U; };
    if (byte(i) == 0x7f) {
      add(0x7f);
    } else if (byte(i) == 0xc2 && byte(i + 1) >= 0x80 && byte(i + 1) < 0xa0) {
      add(byte(++i));
    } else if (is_line_trick(std::string_view(json).substr(i, 3))) {
      add(0x2000 | (byte(i + 1) & 0x3f) << 6 | (byte(i + 2) & 0x3f));
      i += 2;
    } else {
      escaped += json[i];
    }
  }
  return escaped;
}

}  // namespace weir

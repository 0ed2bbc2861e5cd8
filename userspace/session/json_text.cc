#include "session/json_text.h"

namespace weir::session {
namespace {
constexpr char kHex[] = "0123456789abcdef";

// Size of the well-formed UTF-8 sequence at `text` (Unicode 3.9, table 3-7), 0 if it is none.
std::size_t utf8_sequence(std::string_view text) {
  const auto at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned first = at(0);
  const auto is_tail = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xbf) { return at(i) >= low && at(i) <= high; };
  if (first >= 0xc2 && first <= 0xdf) return is_tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    return is_tail(1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf) && is_tail(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    return is_tail(1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf) && is_tail(2) && is_tail(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

bool append_json_escaped(std::string& text, Bytes value, std::size_t size_max) {
  const std::string_view bytes = as_text(value);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (text.size() >= size_max) {
      text += "\\u2026";
      return false;
    }
    const char c = bytes[i];
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (byte >= 0x20 && byte < 0x7f) {
      text += c;
    } else if (const std::size_t size = utf8_sequence(bytes.substr(i)); size > 0) {
      text += bytes.substr(i, size);
      i += size - 1;
    } else {
      text += "\\u00";
      text += kHex[byte >> 4];
      text += kHex[byte & 15];
    }
  }
  return true;
}

}  // namespace weir::session

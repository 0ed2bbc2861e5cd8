#include "mask/copy_escape.h"

#include <algorithm>

namespace weir::mask {
namespace {

constexpr std::byte kBackslash{'\\'};
constexpr std::byte kQuote{'"'};

int hex_digit(std::byte byte) {
  const char c = static_cast<char>(byte);
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
bool is_octal(std::byte byte) { return byte >= std::byte{'0'} && byte <= std::byte{'7'}; }

// One escape that starts behind a backslash at `at`; moves `at` past it.
std::byte read_escape(Bytes value, std::size_t& at) {
  const std::byte first = value[at++];
  switch (static_cast<char>(first)) {
    case 'b':
      return std::byte{'\b'};
    case 'f':
      return std::byte{'\f'};
    case 'n':
      return std::byte{'\n'};
    case 'r':
      return std::byte{'\r'};
    case 't':
      return std::byte{'\t'};
    case 'v':
      return std::byte{'\v'};
    case 'x': {
      if (at >= value.size() || hex_digit(value[at]) < 0) return first;
      int read = hex_digit(value[at++]);
      if (at < value.size() && hex_digit(value[at]) >= 0) read = read * 16 + hex_digit(value[at++]);
      return static_cast<std::byte>(read);
    }
    default:
      break;
  }
  if (!is_octal(first)) return first;  // Any other character stands for itself.
  int read = std::to_integer<int>(first) - '0';
  for (int digits = 1; digits < 3 && at < value.size() && is_octal(value[at]); ++digits) {
    read = read * 8 + std::to_integer<int>(value[at++]) - '0';
  }
  return static_cast<std::byte>(read & 0xff);
}

std::size_t unescape_text(Bytes value, MutableBytes out) {
  std::size_t size = 0;
  for (std::size_t at = 0; at < value.size();) {
    const std::byte byte = value[at++];
    out[size++] = byte == kBackslash && at < value.size() ? read_escape(value, at) : byte;
  }
  return size;
}

// A quote inside a quoted part is doubled; parts outside quotes stand as they are.
std::size_t unescape_csv(Bytes value, MutableBytes out) {
  std::size_t size = 0;
  bool in_quotes = false;
  for (std::size_t at = 0; at < value.size(); ++at) {
    if (value[at] != kQuote) {
      out[size++] = value[at];
    } else if (in_quotes && at + 1 < value.size() && value[at + 1] == kQuote) {
      out[size++] = kQuote;
      ++at;
    } else {
      in_quotes = !in_quotes;
    }
  }
  return size;
}

char text_escape_of(std::byte byte) {
  switch (static_cast<char>(byte)) {
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    case '\v':
      return 'v';
    case '\\':
      return '\\';
    default:
      return 0;
  }
}

}  // namespace

bool is_escaped(Bytes value, ValueFormat format) {
  if (format == ValueFormat::kCopyText) return std::find(value.begin(), value.end(), kBackslash) != value.end();
  if (format == ValueFormat::kCopyCsv) return std::find(value.begin(), value.end(), kQuote) != value.end();
  return false;
}

std::size_t unescape(Bytes value, ValueFormat format, MutableBytes out) {
  if (format == ValueFormat::kCopyText) return unescape_text(value, out);
  if (format == ValueFormat::kCopyCsv) return unescape_csv(value, out);
  std::copy(value.begin(), value.end(), out.begin());
  return value.size();
}

std::size_t escape(Bytes meaning, ValueFormat format, MutableBytes out) {
  std::size_t size = 0;
  const auto put = [&](std::byte byte) { out[size++] = byte; };
  if (format == ValueFormat::kCopyText) {
    for (const std::byte byte : meaning) {
      const char letter = text_escape_of(byte);
      if (letter != 0) put(kBackslash);
      put(letter != 0 ? static_cast<std::byte>(letter) : byte);
    }
  } else if (format == ValueFormat::kCopyCsv) {
    put(kQuote);
    for (const std::byte byte : meaning) {
      if (byte == kQuote) put(kQuote);
      put(byte);
    }
    put(kQuote);
  } else {
    std::copy(meaning.begin(), meaning.end(), out.begin());
    size = meaning.size();
  }
  return size;
}

}  // namespace weir::mask

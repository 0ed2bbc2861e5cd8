#include "parse/postgres/sql_lexer.h"

#include <array>
#include <cstring>

namespace weir::postgres {

namespace {

enum CharacterClass : uint8_t { kSpace = 1, kWordStart = 2, kWordRest = 4, kDigit = 8, kOperatorCharacter = 16, kSelf = 32 };

constexpr std::array<uint8_t, 256> make_classes() {
  std::array<uint8_t, 256> classes{};
  const auto mark = [&classes](const char* characters, uint8_t bits) {
    for (const char* c = characters; *c != 0; ++c) classes[static_cast<unsigned char>(*c)] |= bits;
  };
  mark(" \t\n\r\f", kSpace);
  mark("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_", kWordStart | kWordRest);
  mark("0123456789", kDigit | kWordRest);
  mark("$", kWordRest);
  mark("~!@#^&|`?+-*/%<>=", kOperatorCharacter);
  mark(",()[].;:+-*/%^<>=", kSelf);
  for (unsigned c = 0x80; c < 0x100; ++c) classes[c] |= kWordStart | kWordRest;
  return classes;
}
constexpr std::array<uint8_t, 256> kClasses = make_classes();

bool is(unsigned char c, uint8_t bits) { return (kClasses[c] & bits) != 0; }
bool is_newline(unsigned char c) { return c == '\n' || c == '\r'; }
constexpr uint32_t kOperatorSizeMax = 63;  // NAMEDATALEN - 1

}  // namespace

SqlToken SqlLexer::fail(const char* why) {
  error_ = why;
  position_ = static_cast<uint32_t>(text_.size());
  return {position_, position_, SqlTokenKind::kEnd};
}

SqlToken SqlLexer::finish(uint32_t start, uint32_t end, SqlTokenKind kind) {
  position_ = end;
  return {start, end, kind};
}

bool SqlLexer::skip_space() {
  const uint32_t size = static_cast<uint32_t>(text_.size());
  while (position_ < size) {
    const unsigned char c = at(position_);
    if (is(c, kSpace)) {
      ++position_;
    } else if (c == '-' && at(position_ + 1) == '-') {
      while (position_ < size && !is_newline(at(position_))) ++position_;
    } else if (c == '/' && at(position_ + 1) == '*') {
      position_ += 2;
      for (uint32_t depth = 1; depth != 0;) {  // Comments nest.
        if (position_ >= size) return false;
        if (at(position_) == '*' && at(position_ + 1) == '/') {
          --depth;
          position_ += 2;
        } else if (at(position_) == '/' && at(position_ + 1) == '*') {
          ++depth;
          position_ += 2;
        } else {
          ++position_;
        }
      }
    } else {
      break;
    }
  }
  return true;
}

SqlToken SqlLexer::next() {
  if (error_ != nullptr) return {position_, position_, SqlTokenKind::kEnd};
  if (!skip_space()) return fail("unterminated /* comment");
  const uint32_t start = position_;
  if (start >= text_.size()) return {start, start, SqlTokenKind::kEnd};
  const unsigned char c = at(start);
  if (is(c, kWordStart)) {
    const unsigned char second = at(start + 1);
    if (second == '\'') {
      switch (c) {
        case 'b': case 'B': return quoted(start, start + 2, SqlTokenKind::kBitString);
        case 'x': case 'X': return quoted(start, start + 2, SqlTokenKind::kHexString);
        case 'e': case 'E': return quoted(start, start + 2, SqlTokenKind::kEscapeString);
        case 'n': case 'N': return finish(start, start + 1, SqlTokenKind::kNational);
        default: break;
      }
    }
    if ((c == 'u' || c == 'U') && second == '&') {
      if (at(start + 2) == '\'') return quoted(start, start + 3, SqlTokenKind::kUnicodeString);
      if (at(start + 2) == '"') return quoted_identifier(start, start + 3, SqlTokenKind::kUnicodeIdentifier);
    }
    uint32_t end = start + 1;
    while (is(at(end), kWordRest)) ++end;
    return finish(start, end, SqlTokenKind::kWord);
  }
  if (is(c, kDigit) || (c == '.' && is(at(start + 1), kDigit))) return number(start);
  if (c == '\'') return quoted(start, start + 1, SqlTokenKind::kString);
  if (c == '"') return quoted_identifier(start, start + 1, SqlTokenKind::kQuotedIdentifier);
  if (c == '$') return dollar(start);
  if (is(c, kOperatorCharacter)) return operators(start);
  const unsigned char second = at(start + 1);
  if ((c == ':' && (second == ':' || second == '=')) || (c == '.' && second == '.')) {
    return finish(start, start + 2, SqlTokenKind::kOperator);
  }
  return finish(start, start + 1, SqlTokenKind::kCharacter);
}

// scan.l's quotecontinue: white space with a newline in it, then a quote.  The server lets -- comments stand in there as well;
// libpg_query does not (its scanner hands comments on), sees two literals and a syntax error.  We follow libpg_query.
uint32_t SqlLexer::continuation(uint32_t position) const {
  bool has_newline = false;
  for (; is(at(position), kSpace); ++position) has_newline |= is_newline(at(position));
  return has_newline && at(position) == '\'' ? position + 1 : 0;
}

// Pre: `position` is behind the opening quote.
SqlToken SqlLexer::quoted(uint32_t start, uint32_t position, SqlTokenKind kind) {
  const uint32_t size = static_cast<uint32_t>(text_.size());
  const bool is_plain = kind == SqlTokenKind::kString;
  const bool escapes = kind == SqlTokenKind::kEscapeString || (is_plain && !standard_conforming_strings_);
  while (position < size) {
    const unsigned char c = at(position);
    if (c == '\'') {
      if (at(position + 1) == '\'' && (kind != SqlTokenKind::kBitString && kind != SqlTokenKind::kHexString)) {
        position += 2;
        continue;
      }
      const uint32_t next_part = continuation(position + 1);
      if (next_part == 0) return finish(start, position + 1, kind);
      position = next_part;
    } else if (c == '\\') {
      has_plain_backslash_ |= is_plain;
      position += escapes ? 2 : 1;
    } else {
      ++position;
    }
  }
  return fail("unterminated quoted string");
}

SqlToken SqlLexer::quoted_identifier(uint32_t start, uint32_t position, SqlTokenKind kind) {
  const uint32_t first = position;
  for (; position < text_.size(); ++position) {
    if (at(position) != '"') continue;
    if (at(position + 1) == '"') {
      ++position;
      continue;
    }
    if (position == first) return fail("zero-length delimited identifier");
    return finish(start, position + 1, kind);
  }
  return fail("unterminated quoted identifier");
}

SqlToken SqlLexer::dollar(uint32_t start) {
  uint32_t end = start + 1;
  if (is(at(end), kDigit)) {
    while (is(at(end), kDigit)) ++end;
    if (is(at(end), kWordStart)) return fail("trailing junk after parameter");
    return finish(start, end, SqlTokenKind::kParameter);
  }
  if (is(at(end), kWordStart)) {
    while (is(at(end), kWordStart | kDigit)) ++end;
  }
  if (at(end) != '$') return finish(start, start + 1, SqlTokenKind::kCharacter);
  const std::string_view delimiter = text_.substr(start, end + 1 - start);
  const std::size_t close = text_.find(delimiter, end + 1);
  if (close == std::string_view::npos) return fail("unterminated dollar-quoted string");
  return finish(start, static_cast<uint32_t>(close + delimiter.size()), SqlTokenKind::kDollarString);
}

SqlToken SqlLexer::number(uint32_t start) {
  uint32_t end = start;
  bool is_integer = true;
  while (is(at(end), kDigit)) ++end;
  if (at(end) == '.' && !(at(end + 1) == '.' && end != start)) {  // "1..10" is 1 and two dots.
    is_integer = false;
    ++end;
    while (is(at(end), kDigit)) ++end;
  }
  if (at(end) == 'e' || at(end) == 'E') {
    uint32_t exponent = end + 1;
    if (at(exponent) == '+' || at(exponent) == '-') ++exponent;
    if (!is(at(exponent), kDigit)) return fail("trailing junk after numeric literal");
    while (is(at(exponent), kDigit)) ++exponent;
    end = exponent;
    is_integer = false;
  }
  if (is(at(end), kWordStart)) return fail("trailing junk after numeric literal");
  if (is_integer) {
    uint64_t value = 0;
    for (uint32_t i = start; i < end && value <= INT32_MAX; ++i) value = value * 10 + (at(i) - '0');
    if (value > INT32_MAX) is_integer = false;
  }
  return finish(start, end, is_integer ? SqlTokenKind::kInteger : SqlTokenKind::kFloat);
}

// The longest run of operator characters, cut before a comment, and without trailing + and - unless it holds a character
// that no standard operator has.
SqlToken SqlLexer::operators(uint32_t start) {
  uint32_t end = start;
  while (is(at(end), kOperatorCharacter)) {
    const unsigned char c = at(end);
    const unsigned char second = at(end + 1);
    if (end != start && ((c == '-' && second == '-') || (c == '/' && second == '*'))) break;
    ++end;
  }
  if (end - start > 1 && (at(end - 1) == '+' || at(end - 1) == '-')) {
    bool keeps_sign = false;
    for (uint32_t i = start; i + 1 < end && !keeps_sign; ++i) keeps_sign = std::strchr("~!@#^&|`?%", at(i)) != nullptr;
    if (!keeps_sign) {
      while (end - start > 1 && (at(end - 1) == '+' || at(end - 1) == '-')) --end;
    }
  }
  if (end - start > kOperatorSizeMax) return fail("operator too long");
  return finish(start, end, end - start == 1 && is(at(start), kSelf) ? SqlTokenKind::kCharacter : SqlTokenKind::kOperator);
}

bool is_valid_utf8(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = p + text.size();
  const auto follows = [&](int count) {
    if (end - p <= count) return false;
    for (int i = 1; i <= count; ++i) {
      if ((p[i] & 0xc0) != 0x80) return false;
    }
    return true;
  };
  while (p < end) {
    if (end - p >= 8) {
      uint64_t word;
      std::memcpy(&word, p, sizeof word);
      if ((word & 0x8080808080808080ULL) == 0) {
        p += 8;
        continue;
      }
    }
    const unsigned char c = *p;
    if (c < 0x80) {
      p += 1;
    } else if (c >= 0xc2 && c <= 0xdf) {
      if (!follows(1)) return false;
      p += 2;
    } else if (c >= 0xe0 && c <= 0xef) {
      if (!follows(2) || (c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f)) return false;
      p += 3;
    } else if (c >= 0xf0 && c <= 0xf4) {
      if (!follows(3) || (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f)) return false;
      p += 4;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace weir::postgres

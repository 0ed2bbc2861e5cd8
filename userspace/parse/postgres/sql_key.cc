// What is made of the tokens: cache keys, text for logs, and the survey before a parse.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "parse/postgres/sql_lexer.h"

namespace weir::postgres {

namespace {

// wyhash's mixer: a 64 by 64 multiply folded.
uint64_t mix(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}
constexpr uint64_t kFirst = 0xa0761d6478bd642fULL, kSecond = 0xe7037ed1a0b428dbULL;

constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool equals_word(std::string_view text, const SqlToken& token, std::string_view lower) {
  if (token.kind != SqlTokenKind::kWord || token.end - token.start != lower.size()) return false;
  for (std::size_t i = 0; i < lower.size(); ++i) {
    if (to_lower(text[token.start + i]) != lower[i]) return false;
  }
  return true;
}

// 0x01 to 0x08: no other token of a shareable key is a control character.
char mark_of(SqlTokenKind kind) {
  return static_cast<char>(1 + static_cast<int>(kind) - static_cast<int>(SqlTokenKind::kInteger));
}
static_assert(static_cast<int>(SqlTokenKind::kDollarString) - static_cast<int>(SqlTokenKind::kInteger) == 7);

// Finds the integers that follow BY, or a comma of the list behind it.  Told every token, in order.
class SortPositions {
 public:
  // `word`: the token in lower case if it is a kWord.  True: an integer that stays in the key.
  bool step(SqlTokenKind kind, std::string_view word, char character) {
    const bool is_kept = kind == SqlTokenKind::kInteger && is_next_;
    is_next_ = false;
    if (kind == SqlTokenKind::kWord) {
      if (word == "by") in_list_ = is_next_ = true;
      else if (in_list_) in_list_ = !ends_list(word);
    } else if (character == ',') {
      is_next_ = in_list_;
    } else if (character == ')' || character == ';') {
      in_list_ = false;
    }
    return is_kept;
  }

 private:
  static bool ends_list(std::string_view word) {
    return word == "limit" || word == "offset" || word == "fetch" || word == "for" || word == "having" || word == "window" || word == "union" ||
           word == "except" || word == "intersect";
  }
  bool in_list_ = false, is_next_ = false;
};

}  // namespace

std::vector<uint32_t> sql_integers_in_key(std::string_view text) {
  std::vector<uint32_t> offsets;
  SqlLexer lexer(text);
  SortPositions positions;
  std::string word;
  for (SqlToken token = lexer.next(); token.kind != SqlTokenKind::kEnd; token = lexer.next()) {
    word.assign(text.substr(token.start, token.kind == SqlTokenKind::kWord ? token.end - token.start : 0));
    for (char& c : word) c = to_lower(c);
    if (positions.step(token.kind, word, token.kind == SqlTokenKind::kCharacter ? text[token.start] : '\0')) offsets.push_back(token.start);
  }
  return offsets;
}

uint64_t sql_hash(std::string_view bytes, uint64_t seed) {
  const char* p = bytes.data();
  std::size_t left = bytes.size();
  uint64_t state = mix(seed ^ kFirst, bytes.size() ^ kSecond);
  for (; left >= 16; p += 16, left -= 16) {
    uint64_t a, b;
    std::memcpy(&a, p, 8);
    std::memcpy(&b, p + 8, 8);
    state = mix(a ^ kFirst, b ^ state);
  }
  std::array<char, 16> tail{};
  std::memcpy(tail.data(), p, left);
  uint64_t a, b;
  std::memcpy(&a, tail.data(), 8);
  std::memcpy(&b, tail.data() + 8, 8);
  return mix(mix(a ^ kFirst, b ^ state), kSecond);
}

SqlKey sql_key(std::string_view text, MutableBytes out, uint64_t seed) {
  SqlLexer lexer(text);
  char* const begin = reinterpret_cast<char*>(out.data());
  char* p = begin;
  char* const end = begin + out.size();
  bool after_uescape = false;
  SortPositions positions;
  for (;;) {
    const SqlToken token = lexer.next();
    if (token.kind == SqlTokenKind::kEnd) break;
    const uint32_t size = token.end - token.start;
    if (static_cast<std::size_t>(end - p) < size + 2U) return {};
    const char* const from = text.data() + token.start;
    if (token.kind == SqlTokenKind::kWord) {
      for (uint32_t i = 0; i < size; ++i) p[i] = to_lower(from[i]);
      after_uescape = size == 7 && std::memcmp(p, "uescape", 7) == 0;
      positions.step(token.kind, {p, size}, '\0');
      p += size;
    } else {
      const bool is_kept = positions.step(token.kind, {}, token.kind == SqlTokenKind::kCharacter ? *from : '\0') || after_uescape;
      if (is_constant(token.kind) && !is_kept) {  // The constant of UESCAPE changes what an identifier is.
        *p++ = mark_of(token.kind);
      } else if (token.kind == SqlTokenKind::kNational) {
        *p++ = 'n';
        *p++ = '\'';
      } else {
        if (static_cast<unsigned char>(*from) < 0x20) return {};
        std::memcpy(p, from, size);
        p += size;
      }
      after_uescape = false;
    }
    *p++ = ' ';
  }
  if (lexer.error() != nullptr || lexer.has_plain_backslash()) return {};
  SqlKey key;
  key.size = static_cast<uint32_t>(p - begin);
  key.hash = sql_hash({begin, key.size}, seed);
  key.is_shareable = true;
  return key;
}

std::string sql_normalized(std::string_view text) {
  uint32_t parameter_max = 0;
  {
    // Both readings of a backslash must agree on every token: else what looks like code may be a literal.
    SqlLexer lexer(text), other(text, false);
    for (SqlToken token = lexer.next(); token.kind != SqlTokenKind::kEnd; token = lexer.next()) {
      const SqlToken same = other.next();
      if (same.start != token.start || same.end != token.end) return {};
      if (token.kind != SqlTokenKind::kParameter) continue;
      uint32_t number = 0;
      std::from_chars(text.data() + token.start + 1, text.data() + token.end, number);
      if (number > parameter_max && number <= UINT16_MAX) parameter_max = number;
    }
    if (lexer.error() != nullptr || other.next().kind != SqlTokenKind::kEnd || other.error() != nullptr) return {};
  }
  std::string normalized;
  normalized.reserve(text.size());
  SqlLexer lexer(text);
  uint32_t previous_end = 0;
  for (SqlToken token = lexer.next(); token.kind != SqlTokenKind::kEnd; token = lexer.next()) {
    if (token.start != previous_end && !normalized.empty()) normalized += ' ';
    previous_end = token.end;
    if (is_constant(token.kind)) {
      normalized += '$';
      normalized += std::to_string(++parameter_max);
    } else if (token.kind != SqlTokenKind::kNational) {
      normalized += text.substr(token.start, token.end - token.start);
    }
  }
  return normalized;
}

// The depth bound.  In the grammar only lists are flat: what commas, semicolons, AND and OR part.  Everything else may nest a
// level per token, to the left without using the parser's own stack (1+1+1+...).  So a group in brackets is at most as deep as
// its longest item, where a bracketed group inside counts its own bound; joins and set operations nest across commas and are
// added for the whole group; set operations part items as well; AND and OR do not part a group in which a CASE was seen, since
// CASEs may be chained round them.  Behind a dot any word is a name.
// Groups beyond kGroups levels are counted as flat text of the innermost one: too high, never too low.
SqlSurvey sql_survey(std::string_view text) {
  struct Group { uint32_t item = 0, item_nested = 0, best = 0, chained = 0; bool has_case = false; };
  constexpr uint32_t kGroups = 512;
  std::array<Group, kGroups> groups{};
  uint32_t top = 0, beyond = 0;
  SqlSurvey survey;
  const auto close_item = [](Group& group) {
    group.best = std::max(group.best, group.item + group.item_nested);
    group.item = group.item_nested = 0;
  };
  const auto close_group = [&] {
    close_item(groups[top]);
    const uint32_t bound = groups[top].best + groups[top].chained;
    if (top == 0) {
      survey.depth_bound = std::max(survey.depth_bound, bound);
      groups[0] = Group{};
      return;
    }
    --top;
    groups[top].item_nested = std::max(groups[top].item_nested, bound);
  };
  bool is_empty = true, after_dot = false;
  SqlLexer lexer(text);
  for (SqlToken token = lexer.next(); token.kind != SqlTokenKind::kEnd; token = lexer.next()) {
    const char c = token.kind == SqlTokenKind::kCharacter ? text[token.start] : '\0';
    if (!is_constant(token.kind)) survey.names_are_utf8 &= is_valid_utf8(text.substr(token.start, token.end - token.start));
    const bool is_name = std::exchange(after_dot, c == '.');
    Group& group = groups[top];
    if (c == ';' && top == 0) {
      survey.statement_count += is_empty ? 0 : 1;
      is_empty = true;
      close_group();
      continue;
    }
    is_empty = false;
    ++group.item;
    if (c == '(' || c == '[') {
      if (top + 1 == kGroups) ++beyond;
      else groups[++top] = Group{};
    } else if (c == ')' || c == ']') {
      if (beyond > 0) --beyond;
      else if (top > 0) close_group();
    } else if (beyond == 0 && (c == ',' || c == ';')) {
      close_item(group);
    } else if (token.kind == SqlTokenKind::kWord) {
      const bool is_set_operation = equals_word(text, token, "union") || equals_word(text, token, "except") || equals_word(text, token, "intersect");
      group.chained += is_set_operation || equals_word(text, token, "join") ? 1 : 0;
      group.has_case |= equals_word(text, token, "case");
      const bool is_connective = !group.has_case && (equals_word(text, token, "and") || equals_word(text, token, "or"));
      if (beyond == 0 && !is_name && (is_set_operation || is_connective)) close_item(group);
    }
  }
  survey.statement_count += is_empty ? 0 : 1;
  while (top > 0) close_group();
  close_group();
  survey.error = lexer.error();
  survey.has_plain_backslash = lexer.has_plain_backslash();
  survey.has_nul = text.find('\0') != std::string_view::npos;
  return survey;
}

}  // namespace weir::postgres

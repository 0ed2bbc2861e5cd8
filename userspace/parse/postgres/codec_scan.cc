#include "parse/postgres/codec_scan.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace weir::postgres {
namespace {

constexpr bool is_word_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
constexpr bool is_word(char c) { return is_word_start(c) || (c >= '0' && c <= '9') || c == '$'; }
constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }
constexpr bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }

bool equals(std::string_view word, std::string_view lower_case) {
  if (word.size() != lower_case.size()) return false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (lower(word[i]) != lower_case[i]) return false;
  }
  return true;
}

struct WordTraits { std::string_view word; Traits traits; };

// As the first word of a statement.
constexpr std::array kLeading = {
    WordTraits{"copy", kMayFence | kIsCopy},
    WordTraits{"set", kMayFence},
    WordTraits{"reset", kMayFence | kMaySetGrammar},
    WordTraits{"discard", kMayFence | kMaySetGrammar},
    WordTraits{"start_replication", kMayFence},
    // They change what names mean; how, the catalogue says once they are done.
    WordTraits{"create", kMayFence},
    WordTraits{"alter", kMayFence},
    WordTraits{"drop", kMayFence},
    WordTraits{"do", kMayFence},
};
// As the first word of a lone statement, or anywhere in a text that may hold several.
constexpr std::array kMoving = {
    WordTraits{"close", kMayMovePortals},   WordTraits{"discard", kMayMovePortals}, WordTraits{"declare", kMayMovePortals},
    WordTraits{"prepare", kMayMoveNames},
};
// Anywhere.
constexpr std::array kAnywhere = {
    WordTraits{"csv", kCopyIsCsv},
    WordTraits{"names", kMaySetGrammar},
    WordTraits{"quote", kCopyFormatUnsure},
    WordTraits{"escape", kCopyFormatUnsure},
    WordTraits{"encoding", kCopyFormatUnsure},
    WordTraits{"delimiter", kCopyFormatUnsure},
    WordTraits{"delimiters", kCopyFormatUnsure},
    WordTraits{"set_config", kMayFence | kMaySetGrammar},
    WordTraits{"search_path", kMayFence},
    WordTraits{"client_encoding", kMayFence | kMaySetGrammar},
    WordTraits{"standard_conforming_strings", kMayFence | kMaySetGrammar},
};

template <std::size_t N>
Traits look_up(const std::array<WordTraits, N>& table, std::string_view word) {
  for (const WordTraits& entry : table) {
    if (entry.word.size() == word.size() && entry.word[0] == lower(word[0]) && equals(word, entry.word)) return entry.traits;
  }
  return 0;
}

// Skips white space, comments (nested ones too) and opening brackets.  npos: an unclosed comment.
std::size_t skip_blank(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    if (is_space(text[at]) || text[at] == '(' || text[at] == ';') {
      ++at;
    } else if (text.substr(at, 2) == "--") {
      at = std::min(text.find_first_of("\n\r", at), text.size());
    } else if (text.substr(at, 2) == "/*") {
      std::size_t depth = 1;
      for (at += 2; depth > 0; ) {
        if (at + 1 >= text.size()) return std::string_view::npos;
        const std::string_view pair = text.substr(at, 2);
        if (pair == "/*") { ++depth; at += 2; }
        else if (pair == "*/") { --depth; at += 2; }
        else ++at;
      }
    } else {
      break;
    }
  }
  return at;
}

std::string_view word_at(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size() && is_word(text[end])) ++end;
  return text.substr(at, end - at);
}

Traits scan_leading(std::string_view text) {
  const std::size_t first = skip_blank(text, 0);
  if (first == std::string_view::npos) return kMayFence;
  if (first == text.size()) return 0;
  if (!is_word_start(text[first])) return kMayFence;  // Nothing that we know begins so.
  const std::string_view word = word_at(text, first);
  return look_up(kLeading, word) | look_up(kMoving, word);
}

Traits scan_words(std::string_view text, bool is_lone) {
  Traits traits = 0;
  for (std::size_t at = 0; at < text.size();) {
    if (!is_word_start(text[at])) {
      // An escaped identifier (U&"...") or string (E'...') may spell any option.
      const char before = at > 0 ? lower(text[at - 1]) : ' ';
      if ((text[at] == '&' && before == 'u') || (text[at] == '\'' && before == 'e')) traits |= kCopyFormatUnsure;
      ++at;
      continue;
    }
    const std::string_view word = word_at(text, at);
    if (word.size() >= 3 && word.size() <= 27) {
      traits |= look_up(kAnywhere, word);
      if (!is_lone) traits |= look_up(kMoving, word);
    }
    at += word.size();
  }
  return traits;
}

}  // namespace

Traits scan_query(Bytes bytes) {
  const std::string_view text = as_text(bytes);
  const Traits leading = scan_leading(text);
  if (text.size() <= kScanMax) return leading | scan_words(text, false);
  // A Query waits for its answer in any case.  Whether it moves names matters, and only a second statement could hide that.
  const bool is_lone = text.find(';') >= text.size() - 1;
  const int moving = is_lone ? 0 : kMayMoveNames | kMayMovePortals;
  return static_cast<Traits>(leading | kCopyFormatUnsure | moving);
}

Traits scan_lone(Bytes bytes) {
  const std::string_view text = as_text(bytes);
  if (text.size() <= kScanMax) return scan_leading(text) | scan_words(text, true);
  return static_cast<Traits>(scan_leading(text) | kMayFence | kMaySetGrammar | kCopyFormatUnsure);
}

namespace {
// A name at `at` as SQL writes it.  False: none, or one with an escape in it.
bool read_name(std::string_view text, std::size_t& at, std::string_view& name, bool& is_quoted) {
  if (at >= text.size()) return false;
  is_quoted = text[at] == '"';
  if (is_quoted) {
    const std::size_t end = text.find('"', at + 1);
    if (end == std::string_view::npos || text.substr(end, 2) == "\"\"") return false;
    name = text.substr(at + 1, end - at - 1);
    at = end + 1;
  } else {
    if (!is_word_start(text[at])) return false;
    name = word_at(text, at);
    at += name.size();
  }
  const bool is_plain = std::all_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  return is_plain && !name.empty() && name.size() < 64;  // NAMEDATALEN: longer ones are cut by the server.
}
}  // namespace

bool read_sql_deallocate(std::string_view text, std::string_view& name, bool& is_quoted) {
  std::size_t at = skip_blank(text, 0);
  if (at >= text.size() || !equals(word_at(text, at), "deallocate")) return false;
  at = skip_blank(text, at + 10);
  if (!read_name(text, at, name, is_quoted)) return false;
  if (!is_quoted && equals(name, "prepare")) {
    at = skip_blank(text, at);
    if (!read_name(text, at, name, is_quoted)) return false;
  }
  return skip_blank(text, at) == text.size();
}

bool read_sql_prepare(std::string_view text, std::string_view& name, bool& is_quoted, std::string_view& body) {
  std::size_t at = skip_blank(text, 0);
  if (at >= text.size() || !equals(word_at(text, at), "prepare")) return false;
  at = skip_blank(text, at + 7);
  if (!read_name(text, at, name, is_quoted)) return false;
  at = skip_blank(text.substr(0, text.find('(', at)), at);
  if (at < text.size() && text[at] == '(') {
    at = text.find(')', at);
    if (at == std::string_view::npos) return false;
    ++at;
  }
  at = skip_blank(text, at);
  if (at >= text.size() || !equals(word_at(text, at), "as")) return false;
  body = text.substr(at + 2);
  const std::size_t end = body.find(';');
  if (end != std::string_view::npos) {
    if (skip_blank(body, end) != body.size()) return false;  // More follows, or a semicolon inside the body.
    body = body.substr(0, end);
  }
  return true;
}

}  // namespace weir::postgres

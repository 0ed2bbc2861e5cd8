// PostgreSQL's lexical rules (scan.l of PostgreSQL 15), read in one pass without allocation or recursion.
// Used for three things: the cache key of a statement (constants taken out), the text that logs may show, and a bound on
// how deep the parser's tree can get.  It never decides what a statement does: libpg_query does.
// Must never: disagree with libpg_query's scanner on where a token begins or ends (sql_lexer_test.cc and the fuzz target
// hold the two together), since two statements of one key share their facts.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace weir::postgres {

enum class SqlTokenKind : uint8_t {
  kEnd,
  kWord,               // Unquoted identifier or keyword.
  kNational,           // The N that touches a literal: the keyword NCHAR, not the word n.
  kQuotedIdentifier,   // "..."
  kUnicodeIdentifier,  // U&"..."
  kInteger,            // Fits 32 bits signed.
  kFloat,              // Every other number.
  kString,             // '...' with its continuations.
  kEscapeString,       // E'...'
  kUnicodeString,      // U&'...'
  kBitString,          // B'...'
  kHexString,          // X'...'
  kDollarString,       // $tag$...$tag$
  kParameter,          // $1
  kOperator,           // Any run of operator characters, and :: .. := => too.
  kCharacter,          // A single character that stands for itself, also one that no rule knows.
};
[[nodiscard]] constexpr bool is_constant(SqlTokenKind kind) {
  return kind >= SqlTokenKind::kInteger && kind <= SqlTokenKind::kDollarString;
}

struct SqlToken {
  uint32_t start = 0, end = 0;  // Bytes of the text.
  SqlTokenKind kind = SqlTokenKind::kEnd;
};

class SqlLexer {
 public:
  // `standard_conforming_strings` false: a backslash in a plain literal escapes.  Pre: text.size() < 2^32.
  explicit SqlLexer(std::string_view text, bool standard_conforming_strings = true)
      : text_(text), standard_conforming_strings_(standard_conforming_strings) {}

  // The next token; kEnd at the end and from the first error on.  White space and comments are stepped over.
  SqlToken next();

  [[nodiscard]] const char* error() const { return error_; }  // Static; null: none so far.
  // A plain literal so far held a backslash: its end, and all that follows, depends on standard_conforming_strings.
  [[nodiscard]] bool has_plain_backslash() const { return has_plain_backslash_; }

 private:
  SqlToken fail(const char* why);
  bool skip_space();                                          // False: an unterminated comment.
  SqlToken quoted(uint32_t start, uint32_t at, SqlTokenKind kind);
  SqlToken quoted_identifier(uint32_t start, uint32_t at, SqlTokenKind kind);
  SqlToken dollar(uint32_t start);
  SqlToken number(uint32_t start);
  SqlToken operators(uint32_t start);
  SqlToken finish(uint32_t start, uint32_t end, SqlTokenKind kind);
  [[nodiscard]] uint32_t continuation(uint32_t at) const;     // Past the quote that continues a literal, or 0.
  [[nodiscard]] unsigned char at(uint32_t index) const { return index < text_.size() ? static_cast<unsigned char>(text_[index]) : 0; }

  std::string_view text_;
  uint32_t position_ = 0;
  const char* error_ = nullptr;
  bool standard_conforming_strings_;
  bool has_plain_backslash_ = false;
};

// What the cache finds a statement by.
struct SqlKey {
  uint32_t size = 0;             // Bytes written; 0: did not fit, or not to be shared (see is_shareable).
  uint64_t hash = 0;             // Of these bytes.
  bool is_shareable = false;     // False: lexical error, backslash in a plain literal, NUL: only the exact text may be the key.
};
// Writes the tokens of `text`, constants replaced by a mark of their kind, unquoted words in lower case.  Two texts of one
// key have the same token kinds in the same order, and the same identifiers, operators and parameters.
// Post: key.size <= out.size().  A key is never longer than 2 * text.size() + 1.
SqlKey sql_key(std::string_view text, MutableBytes out, uint64_t seed = 0);
uint64_t sql_hash(std::string_view bytes, uint64_t seed = 0);
// Integers stay in the key where they may be the number of an output column (ORDER BY 2): facts depend on these.  Their
// offsets in `text`, in order.
std::vector<uint32_t> sql_integers_in_key(std::string_view text);

// `text` with constants as $n, numbered after its highest parameter, white space and comments folded: safe for logs.
// Post: empty if the text does not lex to its end (an unterminated literal must not be shown).
std::string sql_normalized(std::string_view text);

// The text without rows of VALUES and elements of IN that hold nothing but constants, parameters, NULL, TRUE, FALSE and DEFAULT
// of the same kinds as the one before: what a statement does cannot depend on how many there are, and a parse costs a
// microsecond and 60 bytes for each.  Empty: nothing to leave out, or the text does not lex for certain.
// What is accepted so may still be rejected whole by the server (rows of different lengths), never the other way round.
std::string sql_fewer_rows(std::string_view text);

// What can be said of a text before it is parsed.
struct SqlSurvey {
  const char* error = nullptr;      // The lexer's, for the plain reading.
  bool has_plain_backslash = false;
  bool has_nul = false;
  bool names_are_utf8 = true;       // All that is no constant or comment.
  uint32_t statement_count = 0;     // Non-empty, parted by semicolons outside parentheses.  For information.
  uint32_t depth_bound = 0;         // At least the depth of the parser's tree in tokens: see sql_survey().
};
SqlSurvey sql_survey(std::string_view text);

[[nodiscard]] bool is_valid_utf8(std::string_view text);

}  // namespace weir::postgres

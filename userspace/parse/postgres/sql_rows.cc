#include <algorithm>
#include <vector>

#include "parse/postgres/sql_lexer.h"

namespace weir::postgres {

namespace {

constexpr std::size_t kSignatureMax = 4096;  // Tokens of a row; longer ones are kept.

std::string lower_word(std::string_view text, const SqlToken& token) {
  if (token.kind != SqlTokenKind::kWord || token.end - token.start > 8) return {};
  std::string word(text.substr(token.start, token.end - token.start));
  for (char& c : word) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return word;
}

class RowFilter {
 public:
  explicit RowFilter(std::string_view text) : text_(text), lexer_(text) {}

  std::string run() {
    bool after_dot = false;
    advance();
    while (token_.kind != SqlTokenKind::kEnd) {
      const std::string word = after_dot ? std::string{} : lower_word(text_, token_);
      after_dot = is('.');
      advance();
      if (!is('(')) continue;
      if (word == "values") rows();
      else if (word == "in") elements();
    }
    if (lexer_.error() != nullptr || lexer_.has_plain_backslash() || copied_ == 0) return {};
    shorter_.append(text_.substr(copied_));
    return std::move(shorter_);
  }

 private:
  void advance() { token_ = lexer_.next(); }
  [[nodiscard]] bool is(char c) const { return token_.kind == SqlTokenKind::kCharacter && text_[token_.start] == c; }
  void leave_out(uint32_t from, uint32_t to) {
    shorter_.append(text_.substr(copied_, from - copied_));
    copied_ = to;
  }
  // The token as a part of a row that no fact depends on: its kind, or 0.
  [[nodiscard]] char simple() const {
    if (is_constant(token_.kind) || token_.kind == SqlTokenKind::kParameter) return static_cast<char>(1 + static_cast<int>(token_.kind));
    if (is('-') || is('+')) return text_[token_.start];
    const std::string word = lower_word(text_, token_);
    return word == "null" || word == "true" || word == "false" || word == "default" ? word[0] : '\0';
  }

  // Pre: at the ( of the first row.  Post: behind what was read.
  void rows() {
    std::vector<char> previous, row;
    uint32_t comma = 0;
    while (is('(')) {
      advance();
      row.clear();
      while (!is(')')) {
        const char kind = is(',') ? ',' : simple();
        if (kind == '\0' || row.size() >= kSignatureMax) return;
        row.push_back(kind);
        advance();
      }
      if (!previous.empty() && row == previous) leave_out(comma, token_.end);
      previous.swap(row);
      advance();
      if (!is(',')) return;
      comma = token_.start;
      advance();
    }
  }

  // Pre: at the ( of a list.  Elements are single constants, perhaps with a sign.
  void elements() {
    char previous = '\0';
    uint32_t start = token_.start;  // Of the comma before the element.
    do {
      advance();
      const bool has_sign = is('-') || is('+');
      if (has_sign) advance();
      const char kind = is('-') || is('+') ? '\0' : simple();
      if (kind == '\0') return;
      const uint32_t end = token_.end;
      advance();
      if (!is(',') && !is(')')) return;  // Part of an expression.
      if (kind == previous) leave_out(start, end);
      previous = kind;
      start = token_.start;
    } while (is(','));
  }

  std::string_view text_;
  SqlLexer lexer_;
  SqlToken token_;
  std::string shorter_;
  uint32_t copied_ = 0;
};

}  // namespace

std::string sql_fewer_rows(std::string_view text) { return RowFilter(text).run(); }

}  // namespace weir::postgres

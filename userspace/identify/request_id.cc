#include "identify/request_id.h"

#include <algorithm>

namespace weir::identify {
namespace {

constexpr std::string_view kSpace = " \t\r\n\f\v", kAfterComment = " \t\r\n\f\v;";

bool is_lower_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}
bool is_zero(std::string_view text) { return text.find_first_not_of('0') == std::string_view::npos; }

std::string_view find_traceparent(std::string_view text) {
  for (std::size_t at = 0; at + 55 <= text.size(); ++at) {
    if (is_traceparent(text.substr(at, 55))) return text.substr(at, 55);
  }
  return {};
}

// The inside of a comment at the end of the statement, white space and semicolons after it aside.
std::string_view trailing_comment(std::string_view statement) {
  if (statement.size() > kCommentSizeMax) statement.remove_prefix(statement.size() - kCommentSizeMax);
  const std::size_t last = statement.find_last_not_of(kAfterComment);
  if (last == std::string_view::npos || last < 3) return {};
  statement = statement.substr(0, last + 1);
  if (!statement.ends_with("*/")) return {};
  const std::size_t begin = statement.substr(0, statement.size() - 2).rfind("/*");
  if (begin == std::string_view::npos) return {};
  return statement.substr(begin + 2, statement.size() - begin - 4);
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kSpace);
  return first == std::string_view::npos ? std::string_view() : text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// key='value',key='value': quotes inside a value are escaped with a backslash.
bool is_sqlcommenter(std::string_view text) {
  while (!text.empty()) {
    const std::size_t equals = text.find("='");
    if (equals == 0 || equals == std::string_view::npos ||
        text.substr(0, equals).find_first_of("' ,") != std::string_view::npos)
      return false;
    text.remove_prefix(equals + 2);
    std::size_t end = 0;
    while (end < text.size() && text[end] != '\'') end += text[end] == '\\' ? 2 : 1;
    if (end >= text.size()) return false;
    text.remove_prefix(end + 1);
    if (text.empty()) return true;
    if (text.front() != ',') return false;
    text.remove_prefix(1);
  }
  return false;  // Nothing, or nothing after a comma.
}

std::string_view usable(std::string_view text) {
  const bool is_printable = std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= 0x20 && c < 0x7f; });
  return is_printable && text.size() <= kRequestIdSizeMax ? text : std::string_view();
}

}  // namespace

// No id is all zero, no version ff.
bool is_traceparent(std::string_view text) {
  return text.size() == 55 && text[2] == '-' && text[35] == '-' && text[52] == '-' && is_lower_hex(text.substr(0, 2)) &&
         text.substr(0, 2) != "ff" && is_lower_hex(text.substr(3, 32)) && !is_zero(text.substr(3, 32)) &&
         is_lower_hex(text.substr(36, 16)) && !is_zero(text.substr(36, 16)) && is_lower_hex(text.substr(53, 2));
}

bool may_have_request_id(std::string_view statement) {
  const std::size_t last = statement.find_last_not_of(kAfterComment);
  return last != std::string_view::npos && last >= 3 && statement.substr(0, last + 1).ends_with("*/");
}

std::string_view find_request_id(std::span<const std::string> order, std::string_view statement,
                                 std::string_view application_name) {
  for (const std::string& source : order) {
    std::string_view found;
    if (source == "traceparent") {
      found = find_traceparent(trailing_comment(statement));
      if (found.empty()) found = find_traceparent(application_name.substr(0, kRequestIdSizeMax));
    } else if (source == "sqlcommenter") {
      const std::string_view comment = trimmed(trailing_comment(statement));
      if (is_sqlcommenter(comment)) found = usable(comment);
    } else if (source == "application_name") {
      found = usable(trimmed(application_name));
    }
    if (!found.empty()) return found;
  }
  return {};
}

}  // namespace weir::identify

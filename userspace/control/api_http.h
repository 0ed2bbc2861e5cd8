// One HTTP/1.1 request, read strictly, and the answer's bytes.  Pure: bytes in, bytes out.  The parser is Boost.Beast's.
//
// What two readers could understand in two ways is refused, not guessed at: two lengths, a length beside chunks, two hosts,
// two credentials, names with space before the colon.  One request a connection: nothing can hide behind the first one.
// Must never: believe a header about where a request came from (X-Forwarded-For, Forwarded, Host).
#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace weir::control {

inline constexpr std::size_t kApiHeadSizeMax = 24u << 10;   // A token is 16 KiB at most.
inline constexpr std::size_t kApiHeaderCountMax = 64;

struct ApiRequest {
  std::string method, path;                                  // As sent; the path without its query.
  std::vector<std::pair<std::string, std::string>> query;    // Decoded, in order.
  std::string token;                                         // Of `Authorization: Bearer`; empty: none.
  std::string content_type, body;
  std::string cookie{}, fetch_site{};                        // Cookie, Sec-Fetch-Site: of browsers, for pages alone.
  std::string signature{}, slack_signature{}, slack_timestamp{};  // Weir-Signature, X-Slack-Signature, X-Slack-Request-Timestamp.
};

struct ApiFault {
  int status = 400;
  std::string message;                                       // For who asked, with the fix in it; no bytes of theirs.
};

class ApiRequestReader {
 public:
  explicit ApiRequestReader(std::size_t body_size_max);
  ~ApiRequestReader();
  // True: the request is whole; take it.  False: more is needed.
  [[nodiscard]] tl::expected<bool, ApiFault> add(Bytes received);
  [[nodiscard]] ApiRequest take() { return std::move(request_); }

 private:
  struct Parser;                                             // Keeps the library out of this header.
  tl::expected<void, ApiFault> check_head();
  tl::expected<void, ApiFault> read_target(std::string_view target);

  const std::size_t body_size_max_;
  std::unique_ptr<Parser> parser_;
  std::string buffer_;                                       // What the parser has not taken yet.
  ApiRequest request_;
  bool is_head_checked_ = false;
};

// application/x-www-form-urlencoded: decoded, in order.  nullopt: an escape that is none.
[[nodiscard]] std::optional<std::vector<std::pair<std::string, std::string>>> read_form(std::string_view text);

// "404 Not Found"; the statuses that this API uses.
std::string_view reason_of(int status);
inline constexpr std::string_view kNoContentPolicy = "default-src 'none'; frame-ancestors 'none'";
// A head up to and with its empty line; `more` are whole lines with their ends.  `size`: of the body, or nothing: chunks.
std::string answer_head(int status, std::string_view content_type, const std::size_t* size, std::string_view more, std::string_view policy = kNoContentPolicy);

// {"error": {"kind", "message"}}
std::string error_body(std::string_view kind, std::string_view message);

}  // namespace weir::control

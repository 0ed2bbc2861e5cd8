#include "control/api_http.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "identify/token.h"

namespace weir::control {
namespace {

namespace http = boost::beast::http;

tl::unexpected<ApiFault> refuse(int status, std::string message) { return tl::unexpected<ApiFault>(ApiFault{status, std::move(message)}); }

ApiFault fault_of(boost::beast::error_code code) {
  if (code == http::error::body_limit) return {413, "the body is larger than api.limits.body_size_max"};
  if (code == http::error::header_limit) return {431, "the head is too large"};
  if (code == http::error::bad_version) return {505, "HTTP/1.1 is spoken here"};
  if (code == http::error::bad_content_length) return {400, "Content-Length is not one plain number, or stands beside Transfer-Encoding"};
  if (code == http::error::bad_transfer_encoding) return {400, "Transfer-Encoding is not taken: send a Content-Length"};
  return {400, "not an HTTP/1.1 request"};
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// application/x-www-form-urlencoded.  False: an escape that is none.
bool decode(std::string_view text, std::string& out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    if (i + 2 >= text.size()) return false;
    const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return false;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return true;
}

bool is_token_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("-._~+/=").find(c) != std::string_view::npos;
}

// RFC 6750 section 2.1: "Bearer" 1*SP b64token.  Empty: another scheme, or no token.
std::string bearer_of(std::string_view value) {
  constexpr std::string_view kScheme = "bearer ";
  if (value.size() <= kScheme.size()) return "";
  const bool is_bearer = std::equal(kScheme.begin(), kScheme.end(), value.begin(), [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b); });
  if (!is_bearer) return "";
  value.remove_prefix(kScheme.size());
  while (value.starts_with(' ')) value.remove_prefix(1);
  if (value.empty() || value.size() > identify::kTokenSizeMax || !std::all_of(value.begin(), value.end(), is_token_character)) return "";
  return std::string(value);
}

}  // namespace

struct ApiRequestReader::Parser : http::request_parser<http::string_body> {};

ApiRequestReader::ApiRequestReader(std::size_t body_size_max) : body_size_max_(body_size_max), parser_(std::make_unique<Parser>()) {
  parser_->header_limit(kApiHeadSizeMax);
  parser_->body_limit(body_size_max_);
}

ApiRequestReader::~ApiRequestReader() = default;

tl::expected<bool, ApiFault> ApiRequestReader::add(Bytes received) {
  buffer_.append(as_text(received));
  while (!parser_->is_done()) {
    if (!parser_->is_header_done() && buffer_.size() > kApiHeadSizeMax && buffer_.find("\r\n\r\n") >= kApiHeadSizeMax) return refuse(431, "the head is too large");
    if (buffer_.empty()) return false;
    boost::beast::error_code code;
    const std::size_t taken = parser_->put(boost::asio::buffer(buffer_), code);
    buffer_.erase(0, taken);
    if (code == http::error::need_more) {
      if (taken == 0) return false;
    } else if (code) {
      return tl::unexpected<ApiFault>(fault_of(code));
    }
    if (parser_->is_header_done() && !std::exchange(is_head_checked_, true)) {
      if (auto checked = check_head(); !checked) return tl::unexpected<ApiFault>(checked.error());
    }
  }
  request_.body = std::move(parser_->get().body());
  return true;
}

tl::expected<void, ApiFault> ApiRequestReader::check_head() {
  const auto& head = parser_->get();
  const auto text = [](boost::beast::string_view view) { return std::string_view(view.data(), view.size()); };
  if (head.version() != 11) return refuse(505, "HTTP/1.1 is spoken here");
  if (head.count(http::field::transfer_encoding) != 0) return refuse(411, "Transfer-Encoding is not taken: send a Content-Length");
  if (std::distance(head.begin(), head.end()) > static_cast<std::ptrdiff_t>(kApiHeaderCountMax)) return refuse(431, "too many headers");
  if (head.count(http::field::host) != 1) return refuse(400, "one Host header is needed");
  for (const http::field field : {http::field::content_length, http::field::authorization, http::field::content_type, http::field::cookie}) {
    if (head.count(field) > 1) return refuse(400, std::string(text(http::to_string(field))) + " stands twice");
  }
  // The library takes lists of equal lengths; another reader might not.
  const std::string_view length = text(head[http::field::content_length]);
  if (!std::all_of(length.begin(), length.end(), [](char c) { return c >= '0' && c <= '9'; })) return refuse(400, "Content-Length is not one plain number");
  request_.method = text(head.method_string());
  request_.content_type = text(head[http::field::content_type]);
  request_.cookie = text(head[http::field::cookie]);
  request_.fetch_site = text(head["Sec-Fetch-Site"]);
  for (const auto& [name, value] : {std::pair{"Weir-Signature", &request_.signature}, {"X-Slack-Signature", &request_.slack_signature}, {"X-Slack-Request-Timestamp", &request_.slack_timestamp}}) {
    if (head.count(name) > 1) return refuse(400, std::string(name) + " stands twice");
    *value = text(head[name]);
  }
  request_.token = bearer_of(text(head[http::field::authorization]));
  if (request_.method == "GET" && parser_->content_length().value_or(0) != 0) return refuse(400, "a GET has no body here");
  return read_target(text(head.target()));
}

tl::expected<void, ApiFault> ApiRequestReader::read_target(std::string_view target) {
  if (!target.starts_with('/') || target.find('#') != std::string_view::npos) return refuse(400, "the request names no path of this server");
  const std::size_t mark = target.find('?');
  request_.path = target.substr(0, mark);
  if (mark == std::string_view::npos) return {};
  auto query = read_form(target.substr(mark + 1));
  if (!query) return refuse(400, "the query has a percent sign that escapes nothing");
  request_.query = std::move(*query);
  return {};
}

std::optional<std::vector<std::pair<std::string, std::string>>> read_form(std::string_view rest) {
  std::vector<std::pair<std::string, std::string>> all;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const std::size_t equal = pair.find('=');
    std::string name, value;
    if (!decode(pair.substr(0, equal), name) || !decode(equal == std::string_view::npos ? "" : pair.substr(equal + 1), value)) return std::nullopt;
    all.emplace_back(std::move(name), std::move(value));
  }
  return all;
}

std::string_view reason_of(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 303: return "See Other";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Internal Server Error";
  }
}

std::string answer_head(int status, std::string_view content_type, const std::size_t* size, std::string_view more, std::string_view policy) {
  std::string head = "HTTP/1.1 " + std::to_string(status) + " " + std::string(reason_of(status)) + "\r\nContent-Type: " + std::string(content_type) + "\r\n";
  head += size != nullptr ? "Content-Length: " + std::to_string(*size) + "\r\n" : "Transfer-Encoding: chunked\r\n";
  // No CORS header: a page of another origin gets nothing.
  head += "Connection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
          "Content-Security-Policy: " + std::string(policy) + "\r\nReferrer-Policy: no-referrer\r\n"
          "Strict-Transport-Security: max-age=31536000\r\n";
  return head + std::string(more) + "\r\n";
}

std::string error_body(std::string_view kind, std::string_view message) {
  return nlohmann::json{{"error", {{"kind", kind}, {"message", message}}}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace weir::control

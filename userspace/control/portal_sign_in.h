// What the portal's two halves share: one sign-in, the browser's cookie, and words.  Internal to portal*.cc.
#pragma once
#include <algorithm>

#include "control/portal.h"
#include "core/time_text.h"
#include "identify/oauth.h"
#include "transport/secret_file.h"

namespace weir::control {

// Not changed once others can see it: the next stage is another one.
struct Portal::SignIn {
  Stage stage = Stage::kStarted;
  Address from;                  // Where it was begun: the only address that it can bind.
  std::string source;            // What it is counted by.
  std::chrono::sys_seconds until{};   // Of the sign-in; kBound: of the binding.
  Settings settings;             // As they were at the start.
  identify::CodeSignIn flow;
  std::string csrf, token;
  identify::VerifiedToken who;
  uint64_t binding = 0;

  SignIn() = default;
  SignIn(const SignIn&) = delete;
  SignIn& operator=(const SignIn&) = delete;
  ~SignIn() {
    transport::wipe(token);
    transport::wipe(flow.verifier);
  }
};

namespace portal_detail {

using std::chrono::seconds;
using std::chrono::sys_seconds;

inline constexpr std::string_view kCookie = "__Host-weir-portal";   // The prefix: no other host, path or plain connection can set it.

// The browser's secret; empty: it has none, or two.
inline std::string secret_of(std::string_view header) {
  std::string secret;
  int count = 0;
  while (!header.empty()) {
    std::string_view pair = header.substr(0, header.find(';'));
    header.remove_prefix(std::min(header.size(), pair.size() + 1));
    while (pair.starts_with(' ')) pair.remove_prefix(1);
    if (!pair.starts_with(kCookie) || pair.substr(kCookie.size(), 1) != "=") continue;
    secret = pair.substr(kCookie.size() + 1);
    ++count;
  }
  return count == 1 && secret.size() <= 64 ? secret : "";
}

// What the table knows a browser by; empty: nobody.
inline std::string browser_of(const PageRequest& request) {
  const std::string secret = secret_of(request.cookie);
  return secret.empty() ? "" : identify::sha256_text(secret);
}

inline std::string cookie_line(const std::string& secret, seconds life) {
  return "Set-Cookie: " + std::string(kCookie) + "=" + secret + "; Path=/; Max-Age=" + std::to_string(life.count()) + "; Secure; HttpOnly; SameSite=Lax\r\n";
}

inline std::string value_of(const std::vector<std::pair<std::string, std::string>>& pairs, std::string_view name) {
  const auto found = std::find_if(pairs.begin(), pairs.end(), [&](const auto& pair) { return pair.first == name; });
  return found == pairs.end() ? "" : found->second;
}

inline bool is_twice(const std::vector<std::pair<std::string, std::string>>& pairs, std::string_view name) {
  return std::count_if(pairs.begin(), pairs.end(), [&](const auto& pair) { return pair.first == name; }) > 1;
}

inline bool is_same(std::string_view left, std::string_view right) { return transport::equal_in_constant_time(as_bytes(left), as_bytes(right)); }

// Letters and _ alone (RFC 6749 section 4.1.2.1); whatever else a browser brings is not repeated.
inline std::string plain_error(const std::string& error) {
  const bool is_plain = error.size() <= 64 && std::all_of(error.begin(), error.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
  return is_plain ? error : "another error";
}

inline std::string text_of(seconds time) {
  const int64_t minutes = std::max<int64_t>(time.count(), 0) / 60;
  return (minutes >= 60 ? std::to_string(minutes / 60) + " h " : "") + std::to_string(minutes % 60) + " min";
}

inline std::string until_text(sys_seconds until, sys_seconds now) { return until == sys_seconds{} ? "no end" : utc_text(until) + " (" + text_of(until - now) + " from now)"; }

inline std::string joined(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return all.empty() ? "none" : all;
}

}  // namespace portal_detail
}  // namespace weir::control

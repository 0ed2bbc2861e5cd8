// What the API's tests share: an issuer, an engine that notes what it was asked, and answers as they went over the wire.
#pragma once
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "control/api_router.h"
#include "identify/token_test_support.h"

namespace weir::control::test {

using nlohmann::json;

// Real tokens, really verified.
class Authority final : public ApiHost {
 public:
  Authority() : keys_(issuer.keys()) {}
  Result<ApiCaller> authenticate(std::string_view token) override {
    const auto verified = identify::verify_token(token, issuer.config, keys_, identify::testing::kNow);
    if (!verified) return tl::unexpected<Error>(verified.error());
    return caller_of(config, *verified);
  }
  [[nodiscard]] std::string token(const std::string& subject, const std::vector<std::string>& groups = {}) const {
    json claims = issuer.claims();
    claims["sub"] = subject;
    claims["groups"] = groups;
    return issuer.token(claims);
  }
  [[nodiscard]] std::string token_of(ApiRole role) const { return token("user:" + std::string(name_of(role)), {std::string(name_of(role)) + "s"}); }

  identify::testing::Issuer issuer;
  ApiConfig config = roles();

 private:
  static ApiConfig roles() {
    ApiConfig config;
    config.admin.groups = {"admins"};
    config.reviewer.groups = {"reviewers"};
    config.auditor.groups = {"auditors"};
    config.source_per_second = config.identity_per_second = 1'000;
    config.burst = 10'000;
    return config;
  }
  identify::KeySet keys_;
};

class NotingEngine final : public ControlHandler {
 public:
  Result<json> handle(std::string_view verb, const json& arguments, const ControlPeer& peer) override {
    asked.push_back({std::string(verb), arguments, peer});
    if (const auto found = failures.find(std::string(verb)); found != failures.end()) return tl::unexpected<Error>(found->second);
    if (waits) return json{{"pending", 7}, {"number", 7}};
    if (verb == "cut" || verb == "revoke") return json{{"cut", 1}};
    if (verb == "bindings" || verb == "rules" || verb == "grants" || verb == "profile") return json::array();
    return json{{"verb", verb}};
  }
  std::string metrics() override { return "weir_up 1\n"; }
  [[nodiscard]] std::vector<std::string> verbs() const {
    std::vector<std::string> all;
    for (const Asked& one : asked) all.push_back(one.verb);
    return all;
  }

  struct Asked {
    std::string verb;
    json arguments;
    ControlPeer peer;
  };
  std::vector<Asked> asked;
  std::map<std::string, Error> failures;
  bool waits = false;   // For a second person.
};

struct Answer {
  int status = 0;
  std::string head, body;
  [[nodiscard]] json object() const { return json::parse(body, nullptr, false); }
  [[nodiscard]] bool has_header(const std::string& line) const { return head.find("\r\n" + line + "\r\n") != std::string::npos; }
  [[nodiscard]] std::string message() const { return object().value("error", json::object()).value("message", std::string()); }
};

inline Answer answer_of(const std::string& wire) {
  Answer answer;
  const std::size_t end = wire.find("\r\n\r\n");
  if (end == std::string::npos || !wire.starts_with("HTTP/1.1 ")) return answer;
  answer.status = std::atoi(wire.c_str() + 9);
  answer.head = wire.substr(0, end + 2);
  answer.body = wire.substr(end + 4);
  return answer;
}

inline std::string text_of(const std::vector<std::pair<std::string, std::string>>& headers, const std::string& line, const std::string& body = "") {
  std::string text = line + " HTTP/1.1\r\n";
  for (const auto& [name, value] : headers) text += name + ": " + value + "\r\n";
  if (!body.empty()) text += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  return text + "\r\n" + body;
}

}  // namespace weir::control::test

// A provider behind the Https interface: what it answers is set by the test, what it is asked is kept.
#pragma once
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "identify/https.h"
#include "identify/token_test_support.h"

namespace weir::identify::testing {

struct FakeProvider {
  explicit FakeProvider(const Issuer& issuer) {
    answers["https://idp.example/.well-known/openid-configuration"] = {
        200, "",
        json{{"issuer", "https://idp.example"},
             {"jwks_uri", "https://idp.example/keys"},
             {"token_endpoint", "https://idp.example/token"},
             {"device_authorization_endpoint", "https://idp.example/device"},
             {"code_challenge_methods_supported", {"S256"}}}
            .dump()};
    answers["https://idp.example/keys"] = {200, "", issuer.jwks().dump()};
    answers["https://idp.example/device"] = {200, "",
                                             json{{"device_code", "device-secret"},
                                                  {"user_code", "ABCD-EFGH"},
                                                  {"verification_uri", "https://idp.example/d"},
                                                  {"expires_in", 60}}
                                                 .dump()};
  }
  Https https() {
    return [this](const HttpsRequest& request) -> Result<HttpsAnswer> {
      asked.push_back(request);
      if (is_down) return fail(Error::Kind::kUnavailable, "cannot connect: Connection refused");
      if (request.url == "https://idp.example/token" && !tokens.empty()) {
        HttpsAnswer next = tokens.front();
        if (tokens.size() > 1) tokens.pop_front();
        if (next.status == 0) return fail(Error::Kind::kUnavailable, "no whole answer");
        return next;
      }
      const auto found = answers.find(request.url);
      if (found == answers.end()) return HttpsAnswer{404, "", "not here"};
      return found->second;
    };
  }
  bool is_down = false;
  std::map<std::string, HttpsAnswer> answers;
  std::deque<HttpsAnswer> tokens;  // Of the token endpoint, one after the other; the last one stays.  Status 0: no answer.
  std::vector<HttpsRequest> asked;
};

}  // namespace weir::identify::testing

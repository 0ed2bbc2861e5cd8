#include "identify/device_flow.h"

#include "identify/oauth.h"
#include "identify/provider_keys.h"

namespace weir::identify {
namespace {

using std::chrono::seconds;

constexpr seconds kSlowDown{5};  // RFC 8628 section 3.5: each time it is asked for.
constexpr std::string_view kGrant = "urn:ietf:params:oauth:grant-type:device_code";

tl::unexpected<Error> refused(const std::string& error) {
  if (error == "access_denied") return fail(Error::Kind::kDenied, "the sign-in was refused in the browser");
  if (error == "expired_token") return fail(Error::Kind::kDenied, "the code ran out before anybody signed in; begin again");
  return fail(Error::Kind::kDenied, "the provider refuses: " + error);
}

}  // namespace

Result<DeviceSignIn> begin_device_flow(const DeviceFlow& flow) {
  const auto metadata = discover(flow.issuer, flow.https);
  if (!metadata) return tl::unexpected<Error>(metadata.error());
  for (const Result<std::string>* endpoint : {&metadata->device_authorization_endpoint, &metadata->token_endpoint}) {
    if (!*endpoint) return fail(Error::Kind::kInvalid, flow.issuer.name + ": " + endpoint->error().message);
  }
  DeviceSignIn sign_in;
  sign_in.token_endpoint = *metadata->token_endpoint;
  sign_in.client_proof = metadata->client_proof;
  std::string form = "client_id=" + form_encode(flow.issuer.client_id) + "&scope=" + form_encode(scopes_of(flow.issuer));
  if (metadata->has_pkce) {
    sign_in.verifier = random_text();
    if (sign_in.verifier.empty()) return fail(Error::Kind::kUnavailable, "no random bytes");
    form += "&code_challenge_method=S256&code_challenge=" + sha256_text(sign_in.verifier);
  }
  const std::string& url = *metadata->device_authorization_endpoint;
  const auto answer = flow.https(client_request(flow.issuer, flow.client_secret, metadata->client_proof, url, std::move(form)));
  if (!answer) return fail(answer.error().kind, url + ": " + answer.error().message);
  if (answer->status != 200) {
    const std::string error = error_name(answer->body);
    return fail(Error::Kind::kDenied, url + ": HTTP status " + std::to_string(answer->status) +
                                          (error.empty() ? "" : ", " + error) + "; is client " + flow.issuer.client_id +
                                          " known there, and may it use the device flow?");
  }
  auto code = parse_device_code(answer->body);
  if (!code) return fail(code.error().kind, url + ": " + code.error().message);
  sign_in.code = std::move(*code);
  return sign_in;
}

Result<std::string> finish_device_flow(const DeviceFlow& flow, const DeviceSignIn& sign_in) {
  seconds interval = sign_in.code.interval, waited{0};
  std::string form = "grant_type=" + form_encode(kGrant) + "&device_code=" + form_encode(sign_in.code.device_code) +
                     "&client_id=" + form_encode(flow.issuer.client_id);
  if (!sign_in.verifier.empty()) form += "&code_verifier=" + sign_in.verifier;
  const HttpsRequest request = client_request(flow.issuer, flow.client_secret, sign_in.client_proof, sign_in.token_endpoint, std::move(form));
  while (waited + interval <= sign_in.code.expires_in) {
    flow.wait(interval);
    waited += interval;
    const auto response = flow.https(request);
    if (!response) {  // Section 3.5: a lost answer makes us slower too.
      interval *= 2;
      waited += kHttpsTimeout;
      continue;
    }
    auto answer = parse_token_answer(response->status, response->body);
    if (!answer) return fail(answer.error().kind, sign_in.token_endpoint + ": " + answer.error().message);
    switch (answer->kind) {
      case TokenAnswer::Kind::kTokens:
        return pick_token(flow.issuer, *answer);
      case TokenAnswer::Kind::kPending:
        break;
      case TokenAnswer::Kind::kSlowDown:
        interval += kSlowDown;
        break;
      case TokenAnswer::Kind::kRefused:
        return refused(answer->error);
    }
  }
  return refused("expired_token");
}

}  // namespace weir::identify

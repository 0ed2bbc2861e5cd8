// The device authorization grant (RFC 8628): one host asks for a code, a person enters it in a browser anywhere, the host gets
// the token.  What `weir login` runs; blocking, on the command line's own thread.
// Must never: put a code, a verifier, a secret or a token into an error.
#pragma once
#include <chrono>
#include <functional>
#include <string>

#include "identify/https.h"
#include "identify/provider.h"

namespace weir::identify {

struct DeviceFlow {
  IssuerConfig issuer;        // Its client_id, scopes, audience.
  std::string client_secret;  // Empty: a public client.
  Https https;
  std::function<void(std::chrono::seconds)> wait;
};

struct DeviceSignIn {
  DeviceCode code;  // To be shown: user_code and the addresses.
  std::string token_endpoint;
  ClientProof client_proof = ClientProof::kBasic;
  std::string verifier;  // PKCE (RFC 7636) where the provider knows it; else empty.
};
// Errors: kUnavailable: no answer.  kInvalid: an answer that cannot be used.  kDenied: the provider refuses this client.
[[nodiscard]] Result<DeviceSignIn> begin_device_flow(const DeviceFlow&);
// Polls until the person is done; as slowly as the provider says, and not beyond the code's end.  Gives the token that is meant
// for the issuer's audience, not verified.
// Errors: kDenied: the person refused, the code ran out, or no token is meant for us.  kInvalid.
[[nodiscard]] Result<std::string> finish_device_flow(const DeviceFlow&, const DeviceSignIn&);

}  // namespace weir::identify

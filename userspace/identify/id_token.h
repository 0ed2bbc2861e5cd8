// The ID token of a sign-in that this gateway began (OpenID Connect Core 1.0 section 3.1.3.7): it is for us as a client, and of
// that sign-in.  It says who signed in; it binds nothing by itself.
// Must never: take an ID token of another sign-in, however genuine it is.
#pragma once
#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"
#include "identify/token.h"

namespace weir::identify {

// As verify_token(), with the client's id for the audience and `sub` for the subject; and its nonce is ours, and its azp, if it
// has one, names us.  Pre: nonce is not empty.  Errors: kDenied.
[[nodiscard]] Result<VerifiedToken> verify_id_token(std::string_view token, const IssuerConfig& issuer, const KeySet& keys,
                                                    std::string_view client_id, std::string_view nonce,
                                                    std::chrono::sys_seconds now);
// `sub` of a token that was verified; "" if it has none.
[[nodiscard]] std::string sub_of(std::string_view verified);

}  // namespace weir::identify

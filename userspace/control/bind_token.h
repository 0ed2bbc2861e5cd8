// A token shown to the engine, and what it said: for bind and login.
#pragma once
#include <string>

#include "control/verbs.h"

namespace weir::control {

// Asks the engine to bind `address` by `token`, again for a few seconds while it fetches a provider's keys; prints the binding
// or why there is none.  An ExitCode.  Post: the token is wiped.
int bind_token(VerbCall& call, const Config& config, const Address& address, std::string& token);

}  // namespace weir::control

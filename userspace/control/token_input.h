// A token on its way from a person to the engine: read from where no other process sees it, and shown until keys are there.
#pragma once
#include <string>

#include "control/verbs.h"

namespace weir::control {

// From --token-file, or standard input.  Never from the command line, where every process of the host can read it.
[[nodiscard]] Result<std::string> read_token(VerbCall& call);
// Asks the engine, again for a few seconds while it fetches a provider's keys: it never waits for one itself.
[[nodiscard]] Result<nlohmann::json> ask_patiently(VerbCall& call, const std::string& socket, const std::string& verb, const nlohmann::json& arguments);

}  // namespace weir::control

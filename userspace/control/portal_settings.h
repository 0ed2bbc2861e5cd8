// What the configuration means for the portal: pure, for the engine, the command line and the check of the configuration.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/config.h"

namespace weir::control {

// Where the provider sends the browser back to.  Pre: `url` is that of PortalConfig.
[[nodiscard]] std::string callback_uri(const std::string& url);
// The issuer that people sign in at; nullptr: there is no portal, or no such issuer.
[[nodiscard]] const IssuerConfig* portal_issuer(const IdentityConfig& identity);
// Whether people of that issuer bind an address by the portal alone, so that a token that names a person and is only shown,
// from wherever it is, binds none: what a device code that was entered by somebody else would give.
[[nodiscard]] bool is_by_portal_alone(const IdentityConfig& identity, const std::string& issuer);

// One configuration of the portal, immutable.
struct PortalSettings {
  std::string gateway, page, redirect_uri;
  IssuerConfig issuer;
  std::chrono::seconds ttl_max{0};
  std::vector<std::string> targets;       // Names and protocols: what a person may come for.
  std::string form_action;                // Of the Content-Security-Policy: this server and the provider's hosts.
};
// nullptr: there is no portal.
[[nodiscard]] std::shared_ptr<const PortalSettings> portal_settings(const Config& config);

}  // namespace weir::control

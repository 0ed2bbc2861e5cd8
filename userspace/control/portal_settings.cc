#include "control/portal_settings.h"

#include <algorithm>

#include "identify/provider.h"

namespace weir::control {

std::string callback_uri(const std::string& url) { return url + "/portal/callback"; }

const IssuerConfig* portal_issuer(const IdentityConfig& identity) {
  if (identity.portal.url.empty()) return nullptr;
  const auto found = std::find_if(identity.issuers.begin(), identity.issuers.end(), [&](const IssuerConfig& each) { return each.name == identity.portal.issuer; });
  return found == identity.issuers.end() ? nullptr : &*found;
}

bool is_by_portal_alone(const IdentityConfig& identity, const std::string& issuer) {
  const IssuerConfig* own = portal_issuer(identity);
  return own != nullptr && own->name == issuer && std::find(own->flows.begin(), own->flows.end(), "device") == own->flows.end();
}

std::shared_ptr<const PortalSettings> portal_settings(const Config& config) {
  const IssuerConfig* issuer = portal_issuer(config.identity);
  if (issuer == nullptr) return nullptr;
  PortalSettings settings;
  settings.gateway = config.name;
  settings.page = portal_page(config.identity.portal);
  settings.redirect_uri = callback_uri(config.identity.portal.url);
  settings.issuer = *issuer;
  settings.ttl_max = config.identity.binding_ttl_max;
  for (const TargetConfig& target : config.targets) settings.targets.push_back(target.name + " (" + target.protocol + ")");
  // Browsers hold a form to this also where its answer redirects.
  settings.form_action = "'self'";
  std::vector<std::string> urls = {issuer->url};
  for (const std::string& host : issuer->hosts) urls.push_back("https://" + host);
  for (const std::string& text : urls) {
    const auto url = identify::parse_https_url(text);
    if (url) settings.form_action += " https://" + url->host + (url->port == 443 ? "" : ":" + std::to_string(url->port));
  }
  return std::make_shared<const PortalSettings>(std::move(settings));
}

}  // namespace weir::control

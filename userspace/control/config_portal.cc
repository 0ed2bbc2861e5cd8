// identity.portal: where people sign in with a browser, and what that needs of the rest of the file.
#include <algorithm>

#include "control/config_sections.h"
#include "control/portal_settings.h"
#include "identify/provider.h"

namespace weir::control {
namespace {

bool has_flow(const IssuerConfig& issuer, std::string_view flow) { return std::find(issuer.flows.begin(), issuer.flows.end(), flow) != issuer.flows.end(); }

SourcePlace place_of_issuer(LoadContext& context, const Config& config, const IssuerConfig& issuer) {
  return context.place_of("identity.issuers[" + issuer.name + "].name", {}, {config.file, 0, 0});
}

void check_issuer(LoadContext& context, const PortalConfig& portal, const IssuerConfig& issuer) {
  const std::string path = "identity.issuers[" + issuer.name + "].";
  if (issuer.client_id.empty()) context.error(portal.place, "identity.portal: " + path + "login.client_id is missing", "register this gateway at the provider, with the redirect URI " + callback_uri(portal.url));
  if (!issuer.flows.empty() && !has_flow(issuer, "code")) context.error(portal.place, "identity.portal: " + path + "login.flows does not hold code, which is what the portal runs");
  if (!issuer.scopes.empty() && std::find(issuer.scopes.begin(), issuer.scopes.end(), "openid") == issuer.scopes.end()) {
    context.error(portal.place, "identity.portal: " + path + "login.scopes does not hold openid", "without it there is no ID token, and nothing that ties a token to its sign-in");
  }
  if (issuer.assurance == Assurance::kWorkload) context.error(portal.place, "identity.portal: " + path + "assurance is workload: that issuer names no people");
  if (has_flow(issuer, "device")) {
    context.warn(portal.place, "identity.portal: " + path + "login.flows holds device: whoever gets a person to enter a code binds an address of their own choice to that person",
                 "leave device out, and people bind the address that their browser comes from, and no other");
  }
}

void check_ports(LoadContext& context, const Config& config) {
  const auto url = identify::parse_https_url(config.identity.portal.url);
  if (!url || config.api.listen.empty()) return;
  const bool is_ours = std::any_of(config.api.listen.begin(), config.api.listen.end(), [&](const Endpoint& at) { return at.port == url->port; });
  if (!is_ours) {
    context.warn(config.identity.portal.place, "identity.portal.url has port " + std::to_string(url->port) + ", and api.listen does not",
                 "what stands between must keep the client's address: the one that the connection shows is bound");
  }
}

}  // namespace

void read_portal(MapReader portal, PortalConfig& out) {
  LoadContext& context = portal.context();
  out.place = portal.place();
  portal.text("url", out.url);
  portal.text("issuer", out.issuer);
  portal.finish();
  if (portal.has("url") != portal.has("issuer")) context.error(out.place, portal.path_of("url") + " and issuer belong together");
  if (out.url.empty()) return;
  constexpr std::string_view kScheme = "https://";
  const auto url = identify::parse_https_url(out.url);
  if (!url) {
    context.error(portal.place_of("url"), portal.path_of("url") + ": " + in_quotes(out.url) + " " + url.error().message);
  } else if (out.url.find_first_of("/?", kScheme.size()) != std::string::npos) {
    context.error(portal.place_of("url"), portal.path_of("url") + ": " + in_quotes(out.url) + " has more than a host and a port", "https://HOST:PORT, as browsers reach the API; the pages are at /portal");
  }
}

void check_portal(LoadContext& context, const Config& config) {
  const PortalConfig& portal = config.identity.portal;
  for (const IssuerConfig& issuer : config.identity.issuers) {
    if (!has_flow(issuer, "code") || issuer.name == portal.issuer) continue;
    context.warn(place_of_issuer(context, config, issuer), "identity.issuers[" + issuer.name + "].login.flows: code has no effect: identity.portal is not for this issuer");
  }
  if (portal.url.empty() || portal.issuer.empty()) return;
  if (config.api.listen.empty()) context.error(portal.place, "identity.portal needs the API, which serves its pages", "api: {listen: [...], certificate_file, key_file}");
  check_ports(context, config);
  std::vector<std::string_view> names;
  for (const IssuerConfig& issuer : config.identity.issuers) names.push_back(issuer.name);
  if (const IssuerConfig* issuer = portal_issuer(config.identity)) {
    check_issuer(context, portal, *issuer);
  } else {
    context.error(context.place_of("identity.portal.issuer", {}, portal.place), "identity.portal.issuer: there is no issuer " + in_quotes(portal.issuer), suggestion(portal.issuer, names));
  }
}

}  // namespace weir::control

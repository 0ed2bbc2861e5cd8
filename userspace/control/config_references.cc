// What no single section can see: two entries of one name, names that point nowhere, settings that contradict one another.
#include <algorithm>
#include <map>

#include "control/config_sections.h"
#include "core/glob.h"

namespace weir::control {
namespace {

template <class T>
void check_unique(LoadContext& context, const std::vector<T>& entries, std::string T::*name, std::string_view what) {
  std::map<std::string_view, const T*> seen;
  for (const T& entry : entries) {
    if ((entry.*name).empty()) continue;
    const auto [before, is_new] = seen.emplace(entry.*name, &entry);
    if (is_new) continue;
    const SourcePlace& first = before->second->place;
    context.error(entry.place, std::string(what) + ": two entries are named " + in_quotes(entry.*name), "first at " + first.file + ":" + std::to_string(first.line));
  }
}

// Each entry, a pattern or a name, must fit at least one of `names`.
void check_names(LoadContext& context, const SourcePlace& place, const std::string& path, const std::vector<std::string>& entries,
                 const std::vector<std::string_view>& names, std::string_view what) {
  for (const std::string& entry : entries) {
    const std::string_view pattern = entry.front() == '!' ? std::string_view(entry).substr(1) : std::string_view(entry);
    if (std::any_of(names.begin(), names.end(), [&](std::string_view name) { return glob_matches(pattern, name); })) continue;
    context.error(context.place_of(path, entry, place), path + ": there is no " + std::string(what) + " " + in_quotes(pattern), suggestion(pattern, names));
  }
}

void check_approval(LoadContext& context, const SourcePlace& place, const std::string& path, const std::string& approval) {
  if (approval.empty() || context.approvals.contains(approval)) return;
  const std::vector<std::string_view> names(context.approvals.begin(), context.approvals.end());
  context.error(context.place_of(path, {}, place), path + ": there is no approval " + in_quotes(approval), suggestion(approval, names));
}

void check_grant_logins(LoadContext& context, const Config& config, const GrantConfig& grant) {
  std::vector<std::string_view> logins;
  for (const TargetConfig& target : config.targets) {
    const bool is_meant = std::any_of(grant.targets.begin(), grant.targets.end(), [&](const std::string& p) { return glob_matches(p, target.name); });
    if (!is_meant) continue;
    if (!target.inject) return;  // A relayed login may be any.
    for (const LoginConfig& login : target.logins) logins.push_back(login.client);
  }
  if (!logins.empty()) check_names(context, grant.place, "grants[" + grant.name + "].logins", grant.logins, logins, "login");
}

void check_grants(LoadContext& context, const Config& config, const std::vector<std::string_view>& targets) {
  for (const GrantConfig& grant : config.grants) {
    const std::string path = "grants[" + grant.name + "]";
    check_names(context, grant.place, path + ".targets", grant.targets, targets, "target");
    check_approval(context, grant.place, path + ".approval", grant.approval);
    check_grant_logins(context, config, grant);
  }
}

// How a client may prove itself on the wire is said elsewhere: there must be somebody whose word counts.
void check_wire(LoadContext& context, const Config& config, const TargetConfig& target) {
  if (target.admit == Admit::kAddress) return;
  const std::string path = "targets[" + target.name + "]";
  if (!target.tls.client_ca_file.empty() && !config.identity.certificates.is_configured) {
    context.error(target.place, path + ".tls.client_ca_file: identity.certificates does not say whom a certificate names", "identity: certificates: {trust_domain: NAME}, or names: {from: email}");
  }
  if (target.wire_token != WireToken::kNone && target.tls.client_ca_file.empty() && config.identity.issuers.empty()) {
    context.error(target.place, path + ".admit: identity.issuers is empty, so that no token can hold");
  }
}

void check_targets(LoadContext& context, const Config& config) {
  for (const TargetConfig& target : config.targets) check_wire(context, config, target);
  for (const TargetConfig& target : config.targets) check_approval(context, target.place, "targets[" + target.name + "].opaque_approval", target.opaque_approval);
}

void check_rules(LoadContext& context, const Config& config, const std::vector<std::string_view>& targets) {
  std::vector<std::string_view> ids, kinds;
  for (const RuleConfig& rule : config.rules) ids.push_back(rule.id);
  for (const DataKindConfig& kind : config.data_kinds) kinds.push_back(kind.name);
  for (const RuleConfig& rule : config.rules) {
    const std::string path = "rules[" + rule.id + "]";
    check_names(context, rule.place, path + ".where.targets", rule.where.targets, targets, "target");
    check_names(context, rule.place, path + ".what.data", rule.what.data, kinds, "data kind");
    check_names(context, rule.place, path + ".except_rules", rule.except_rules, ids, "rule");
    if (rule.then == RuleAction::kHold) check_approval(context, rule.place, path + ".approval", rule.approval);
    if (rule.then == RuleAction::kMask && rule.mask.spec.as == MaskSpec::As::kHash && config.mask_hash_key_file.empty()) {
      context.error(rule.place, path + ".mask.as: hash needs masks.hash_key_file");
    }
  }
}

// One address and port belongs to one target.
void check_overlaps(LoadContext& context, const Config& config) {
  for (std::size_t i = 0; i < config.targets.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const TargetConfig &later = config.targets[i], &first = config.targets[j];
      const auto port = std::find_first_of(later.ports.begin(), later.ports.end(), first.ports.begin(), first.ports.end());
      if (port == later.ports.end()) continue;
      for (const Prefix& prefix : later.addresses) {
        const bool overlaps = std::any_of(first.addresses.begin(), first.addresses.end(),
                                          [&](const Prefix& p) { return p.contains(prefix.address) || prefix.contains(p.address); });
        if (!overlaps) continue;
        context.error(later.place, "targets[" + later.name + "]: " + prefix.text() + " port " + std::to_string(*port) + " belongs to target " + in_quotes(first.name) + " too");
        break;
      }
    }
  }
}

void check_interfaces(LoadContext& context, const Config& config) {
  for (const std::string& name : config.steer.clients) {
    if (std::find(config.steer.targets.begin(), config.steer.targets.end(), name) != config.steer.targets.end()) {
      context.warn(context.place_of("steer.clients", name, {config.file, 0, 0}), "steer: " + in_quotes(name) + " faces clients and targets: a client on it can reach targets that are on the same link without the gateway");
    }
  }
}

void check_static_bindings(LoadContext& context, const Config& config) {
  const auto& bindings = config.identity.static_bindings;
  for (std::size_t i = 0; i < bindings.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (bindings[i].address == bindings[j].address && bindings[i].address != Prefix{}) {
        context.error(bindings[i].place, "identity.static: " + bindings[i].address.text() + " is bound twice", "first on line " + std::to_string(bindings[j].place.line));
      }
    }
    const std::string& interface = bindings[i].link.interface;
    if (!interface.empty() && std::find(config.steer.clients.begin(), config.steer.clients.end(), interface) == config.steer.clients.end()) {
      context.error(bindings[i].place, "identity.static: " + bindings[i].address.text() + " is tied to " + in_quotes(interface) + ", which is not in steer.clients");
    }
  }
}

void check_api(LoadContext& context, const Config& config) {
  if (config.api.listen.empty()) return;
  const SourcePlace here = context.place_of("api.listen", config.api.listen.front().text(), {config.file, 0, 0});
  if (config.identity.issuers.empty()) context.error(here, "api: identity.issuers is empty: nobody could sign in");
  std::vector<std::string_view> issuers;
  for (const IssuerConfig& issuer : config.identity.issuers) issuers.push_back(issuer.name);
  check_names(context, here, "api.issuers", config.api.issuers, issuers, "issuer");
  for (std::size_t i = 0; i < config.api.listen.size(); ++i) {
    const Endpoint& at = config.api.listen[i];
    const bool is_twice = std::find(config.api.listen.begin(), config.api.listen.begin() + static_cast<std::ptrdiff_t>(i), at) != config.api.listen.begin() + static_cast<std::ptrdiff_t>(i);
    if (is_twice || at.text() == config.control.metrics) context.error(context.place_of("api.listen", at.text(), here), "api.listen: " + at.text() + " is taken twice");
  }
}

}  // namespace

void check_references(LoadContext& context, const Config& config) {
  check_unique(context, config.targets, &TargetConfig::name, "targets");
  check_unique(context, config.grants, &GrantConfig::name, "grants");
  check_unique(context, config.rules, &RuleConfig::id, "rules");
  check_unique(context, config.data_kinds, &DataKindConfig::name, "kinds");
  for (std::size_t i = 0; i < config.identity.issuers.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const std::string& name = config.identity.issuers[i].name;
      if (name.empty() || name != config.identity.issuers[j].name) continue;
      context.error(context.place_of("identity.issuers[" + name + "].name", {}, {config.file, 0, 0}), "identity.issuers: two entries are named " + in_quotes(name));
    }
  }
  std::vector<std::string_view> targets;
  for (const TargetConfig& target : config.targets) targets.push_back(target.name);
  check_targets(context, config);
  check_grants(context, config, targets);
  check_rules(context, config, targets);
  check_overlaps(context, config);
  check_interfaces(context, config);
  check_static_bindings(context, config);
  check_api(context, config);
  check_portal(context, config);
  check_retention(context, config);
}

}  // namespace weir::control

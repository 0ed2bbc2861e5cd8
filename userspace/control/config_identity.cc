// identity and grants: who is known, and who may do what.
#include <algorithm>

#include "control/config_sections.h"
#include "identify/certificates.h"
#include "identify/jwks.h"
#include "identify/provider.h"

namespace weir::control {
namespace {

using namespace std::chrono_literals;

// Where the keys are from: a file, or the provider, which is then asked over https alone.
void read_keys(MapReader& issuer, IssuerConfig& out) {
  LoadContext& context = issuer.context();
  issuer.text("url", out.url, Need::kRequired);
  if (!out.url.empty()) {
    if (const auto url = identify::parse_https_url(out.url); !url) {
      context.error(issuer.place_of("url"), issuer.path_of("url") + ": " + in_quotes(out.url) + " " + url.error().message);
    }
  }
  issuer.file("ca_file", out.ca_file, FileKind::kPublic);
  for (auto& [host, place] : issuer.placed_strings("hosts")) {
    if (const auto url = identify::parse_https_url("https://" + host); !url || host.find_first_of("/?") != std::string::npos) {
      context.error(place, issuer.path_of("hosts") + ": " + in_quotes(host) + " is not a host, or host:port");
    } else {
      out.hosts.push_back(std::move(host));
    }
  }
  issuer.duration("jwks_refresh", out.jwks_refresh, 1s, 24h);
  issuer.duration("jwks_expire", out.jwks_expire, 1s, 30 * 24h);
  if (out.jwks_expire < out.jwks_refresh) {
    context.error(issuer.has("jwks_expire") ? issuer.place_of("jwks_expire") : issuer.place_of("jwks_refresh"),
                  issuer.path_of("jwks_expire") + " must not be below jwks_refresh: keys would be too old before they are fetched again");
  }
  issuer.file("jwks_file", out.jwks_file, FileKind::kPublic);
  if (issuer.has("jwks_file") && context.check_files && (context.files.facts(out.jwks_file).mode & 022) != 0) {
    context.error(issuer.place_of("jwks_file"), issuer.path_of("jwks_file") + ": others than its owner can write " + out.jwks_file, "chmod go-w " + out.jwks_file);
  }
}

void read_login(MapReader login, IssuerConfig& out) {
  LoadContext& context = login.context();
  login.text("client_id", out.client_id);
  login.file("client_secret_file", out.client_secret_file, FileKind::kSecret);
  for (auto& [flow, place] : login.placed_strings("flows")) {
    if (flow != "device" && flow != "code") {
      context.error(place, login.path_of("flows") + ": " + in_quotes(flow) + " is not one of device or code");
      continue;
    }
    out.flows.push_back(std::move(flow));
  }
  login.strings("scopes", out.scopes);
  login.finish();
}

void read_workload(MapReader workload, IssuerConfig& out) {
  workload.text("claim", out.workload_claim);
  workload.strings("values", out.workload_values);
  if (workload.has("claim") != workload.has("values")) {
    workload.context().error(workload.place(), workload.path_of("claim") + " and values belong together");
  }
  workload.finish();
}

constexpr std::pair<std::string_view, Assurance> kTokenAssurances[] = {{"network", Assurance::kNetwork}, {"workload", Assurance::kWorkload}};

void read_issuer(MapReader issuer, IssuerConfig& out) {
  LoadContext& context = issuer.context();
  issuer.name("name", out.name);
  read_keys(issuer, out);
  issuer.text("audience", out.audience, Need::kRequired);
  std::vector<std::string_view> names;
#define X(enumerator, text) names.push_back(text);
  WEIR_TOKEN_ALGORITHMS(X)
#undef X
  for (auto& [algorithm, place] : issuer.placed_strings("algorithms", {Need::kRequired})) {
    if (std::find(names.begin(), names.end(), algorithm) == names.end()) {
      context.error(place, issuer.path_of("algorithms") + ": " + in_quotes(algorithm) + " is not one of " + join(names),
                    algorithm == "none" || algorithm.starts_with("HS") ? "never none, never HMAC" : "");
    } else {
      out.algorithms.push_back(std::move(algorithm));
    }
  }
  issuer.duration("clock_skew", out.clock_skew, 0s, 10min);
  MapReader claims = issuer.map("claims");
  claims.text("subject", out.claim_subject);
  claims.text("groups", out.claim_groups);
  claims.text("email", out.claim_email);
  claims.text("acting_for", out.claim_acting_for);
  claims.finish();
  issuer.choice("assurance", out.assurance, kTokenAssurances);
  read_workload(issuer.map("workload"), out);
  read_login(issuer.map("login"), out);
  issuer.finish();
}

void read_link(MapReader& entry, LinkKey& out) {
  LoadContext& context = entry.context();
  entry.text("interface", out.interface);
  if (entry.has("vlan")) {
    uint32_t vlan = 0;
    entry.number("vlan", vlan, 0, kVlanMax);
    out.vlan = static_cast<uint16_t>(vlan);
  }
  std::string mac;
  entry.text("mac", mac);
  if (!entry.has("mac")) return;
  if (const auto parsed = parse_mac(mac)) {
    out.mac = *parsed;
  } else {
    context.error(entry.place_of("mac"), entry.path_of("mac") + ": " + parsed.error().message);
  }
}

void read_static_binding(MapReader entry, StaticBindingConfig& out) {
  LoadContext& context = entry.context();
  std::string address;
  entry.text("address", address, Need::kRequired);
  if (!address.empty()) {
    if (const auto prefix = Prefix::parse(address)) {
      out.address = *prefix;
    } else {
      context.error(entry.place_of("address"), entry.path_of("address") + ": " + prefix.error().message);
    }
  }
  entry.text("subject", out.subject, Need::kRequired);
  if (!is_printable(out.subject) || out.subject.size() > 256) {
    context.error(entry.place_of("subject"), entry.path_of("subject") + ": at most 256 printable characters");
  }
  read_link(entry, out.link);
  entry.strings("groups", out.groups, {.may_be_empty = true});
  entry.text("reason", out.reason, Need::kRequired);
  entry.time("until", out.until);
  entry.finish();
}

void read_template(MapReader& section, std::string_view key, std::string& out, std::initializer_list<std::string_view> words) {
  section.text(key, out);
  if (!section.has(key)) return;
  LoadContext& context = section.context();
  bool has_word = false;
  for (std::size_t at = out.find('{'); at != std::string::npos; at = out.find('{', at + 1)) {
    const std::string_view rest = std::string_view(out).substr(at);
    const std::string_view word = rest.substr(0, std::min(rest.find('}'), rest.size() - 1) + 1);
    const bool is_known = std::find(words.begin(), words.end(), word) != words.end();
    has_word = has_word || (is_known && word != "{trust_domain}");
    if (!is_known) context.error(section.place_of(key), section.path_of(key) + ": " + in_quotes(word) + " is not one of " + join({words.begin(), words.end()}));
  }
  if (!has_word) context.error(section.place_of(key), section.path_of(key) + ": everybody would be " + in_quotes(out), "a template with " + std::string(*words.begin()));
  if (!is_printable(out) || out.size() > 200) context.error(section.place_of(key), section.path_of(key) + ": at most 200 printable characters");
}

// Whom client certificates name.
void read_certificates(MapReader certificates, CertificatesConfig& out) {
  LoadContext& context = certificates.context();
  certificates.text("trust_domain", out.trust_domain);
  if (certificates.has("trust_domain") && !identify::is_trust_domain(out.trust_domain)) {
    context.error(certificates.place_of("trust_domain"), certificates.path_of("trust_domain") + ": " + in_quotes(out.trust_domain) + " is no SPIFFE trust domain", "its name alone, as in spiffe://NAME/..., of a-z 0-9 . - _");
  }
  read_template(certificates, "subject", out.subject, {"{path}", "{id}", "{trust_domain}"});
  if (certificates.has("subject") && out.trust_domain.empty()) context.error(certificates.place_of("subject"), certificates.path_of("subject") + " belongs to trust_domain", "names: {subject: ...} is for certificates without a SPIFFE ID");
  MapReader names = certificates.map("names");
  names.choice("from", out.from, {std::pair{std::string_view("none"), CertificatesConfig::From::kNone}, {"email", CertificatesConfig::From::kEmail},
                                  {"dns", CertificatesConfig::From::kDns}, {"common-name", CertificatesConfig::From::kCommonName}});
  read_template(names, "subject", out.name_subject, {"{name}"});
  if (names.has("subject") && out.from == CertificatesConfig::From::kNone) context.error(names.place_of("subject"), names.path_of("subject") + " belongs to from", "from: email, dns or common-name");
  names.finish();
  const auto groups = certificates.take_maps("groups");
  for (std::size_t i = 0; i < groups.size(); ++i) {
    MapReader entry = MapReader::entry(certificates, "groups", groups[i], i);
    CertificateGroupsConfig& made = out.groups.emplace_back();
    entry.text("name", made.name, Need::kRequired);
    entry.strings("groups", made.groups, {Need::kRequired});
    entry.finish();
  }
  certificates.finish();
  out.is_configured = !out.trust_domain.empty() || out.from != CertificatesConfig::From::kNone;
}

void read_hours(MapReader hours, HoursConfig& out) {
  hours.text("zone", out.zone);
  LoadContext& context = hours.context();
  if (hours.has("zone") && !context.files.zone_exists(out.zone)) {
    context.error(hours.place_of("zone"), hours.path_of("zone") + ": there is no time zone " + in_quotes(out.zone), "an IANA name such as Europe/Berlin, and the tzdata package");
  }
  for (const auto& [text, place] : hours.placed_strings("times")) {
    const auto spans = parse_hours(text);
    if (spans) {
      out.spans.insert(out.spans.end(), spans->begin(), spans->end());
    } else {
      context.error(place, hours.path_of("times") + ": " + spans.error().message);
    }
  }
  hours.finish();
}

constexpr std::pair<std::string_view, Verb> kVerbs[] = {
    {"read", Verb::kRead}, {"write", Verb::kWrite}, {"ddl", Verb::kDdl}, {"admin", Verb::kAdmin}, {"exec", Verb::kExec},
    {"shell", Verb::kShell}, {"file", Verb::kFile}, {"forward", Verb::kForward}, {"impersonate", Verb::kImpersonate}, {"replicate", Verb::kReplicate}};
constexpr std::pair<std::string_view, Assurance> kAssurances[] = {
    {"static", Assurance::kStatic}, {"network", Assurance::kNetwork}, {"credential", Assurance::kCredential}, {"workload", Assurance::kWorkload}};

void read_grant(MapReader grant, GrantConfig& out) {
  LoadContext& context = grant.context();
  grant.name("name", out.name);
  if (!grant.has("who")) context.error(grant.place(), grant.path_of("who") + " is missing", "who: {groups: [agents]}, or subjects: [\"*\"] for anybody who is bound");
  read_who(grant.map("who"), out.who);
  grant.strings("targets", out.targets, {Need::kRequired});
  grant.strings("logins", out.logins);
  grant.strings("databases", out.databases);
  grant.strings("objects", out.objects);
  out.verbs = read_verbs(grant, "verbs", Need::kRequired);
  read_hours(grant.map("hours"), out.hours);
  grant.choice("assurance", out.assurance, kAssurances);
  out.request_id_required = grant.choice_of("request_id", {"required", "optional"}) == 0;
  out.is_for_people = grant.choice_of("used_by", {"people", "anybody"}) == 0;
  grant.time("until", out.until);
  grant.name("approval", out.approval, Need::kOptional);
  grant.strings("tags", out.tags);
  grant.strings("impersonate", out.impersonate);
  if (!out.impersonate.empty() && (out.verbs & bit(Verb::kImpersonate)) == 0) {
    context.error(grant.place_of("impersonate"), grant.path_of("impersonate") + " names roles, but verbs does not hold impersonate");
  }
  grant.finish();
}

}  // namespace

VerbSet read_verbs(MapReader& section, std::string_view key, Need need) {
  VerbSet verbs = 0;
  std::vector<std::string_view> names;
  for (const auto& verb : kVerbs) names.push_back(verb.first);
  for (const auto& [name, place] : section.placed_strings(key, {need})) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      section.context().error(place, section.path_of(key) + ": " + in_quotes(name) + " is not a verb class", suggestion(name, names));
    } else {
      verbs = static_cast<VerbSet>(verbs | bit(kVerbs[found - names.begin()].second));
    }
  }
  return verbs;
}

void read_who(MapReader who, WhoConfig& out) {
  who.strings("subjects", out.subjects);
  who.strings("groups", out.groups);
  who.finish();
}

void read_identity(MapReader identity, IdentityConfig& out) {
  const auto issuers = identity.take_maps("issuers");
  for (std::size_t i = 0; i < issuers.size(); ++i) {
    read_issuer(MapReader::entry(identity, "issuers", issuers[i], i), out.issuers.emplace_back());
  }
  read_certificates(identity.map("certificates"), out.certificates);
  MapReader bindings = identity.map("address_bindings");
  bindings.duration("ttl_max", out.binding_ttl_max, 1min, 30 * 24h);
  bindings.flag("one_identity_per_address", out.one_identity_per_address);
  bindings.choice("mac", out.bind_mac, {std::pair{std::string_view("auto"), true}, {"never", false}});
  if (!out.bind_mac) {
    bindings.context().warn(bindings.place_of("mac"), bindings.path_of("mac") + ": never: a host that takes a neighbour's address takes its binding");
  }
  bindings.finish();
  read_portal(identity.map("portal"), out.portal);
  const auto entries = identity.take_maps("static");
  for (std::size_t i = 0; i < entries.size(); ++i) {
    StaticBindingConfig& made = out.static_bindings.emplace_back();
    made.place = entries[i].place;
    read_static_binding(MapReader::entry(identity, "static", entries[i], i), made);
  }
  static const std::vector<std::string_view> kSources = {"traceparent", "sqlcommenter", "application_name"};
  if (identity.has("request_id")) out.request_id.clear();
  for (auto& [source, place] : identity.placed_strings("request_id")) {
    if (std::find(kSources.begin(), kSources.end(), source) == kSources.end()) {
      identity.context().error(place, identity.path_of("request_id") + ": " + in_quotes(source) + " is not one of " + join(kSources), suggestion(source, kSources));
    } else {
      out.request_id.push_back(std::move(source));
    }
  }
  identity.finish();
}

void read_grants(MapReader& root, std::vector<GrantConfig>& out) {
  const auto entries = root.take_maps("grants");
  for (std::size_t i = 0; i < entries.size(); ++i) {
    GrantConfig& made = out.emplace_back();
    made.place = entries[i].place;
    read_grant(MapReader::entry(root, "grants", entries[i], i), made);
  }
}

}  // namespace weir::control

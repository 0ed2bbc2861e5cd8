// targets: what is behind the gateway, and how each is spoken to.
#include <algorithm>

#include "control/config_sections.h"
#include "parse/registry.h"

namespace weir::control {
namespace {

using namespace std::chrono_literals;

constexpr std::pair<std::string_view, OnFailure> kOnFailure[] = {{"closed", OnFailure::kClosed}, {"open", OnFailure::kOpen}};

void read_addresses(MapReader& target, TargetConfig& out) {
  LoadContext& context = target.context();
  for (const auto& [text, place] : target.placed_strings("addresses")) {
    if (const auto prefix = Prefix::parse(text)) {
      out.addresses.push_back(*prefix);
    } else {
      context.error(place, target.path_of("addresses") + ": " + prefix.error().message);
    }
  }
  target.strings("names", out.names);
  target.duration("resolve", out.resolve, 1s, 24h);
  if (target.has("names")) {
    context.error(target.place_of("names"), target.path_of("names") + ": this version resolves no names, so flows to them would go round the gateway", "list the addresses");
  } else if (!target.has("addresses")) {
    context.error(target.place(), target.path_of("addresses") + " is missing");
  }
  target.has_no_effect("resolve");
}

void read_ports(MapReader& target, TargetConfig& out) {
  LoadContext& context = target.context();
  for (const auto& [text, place] : target.placed_strings("ports", {Need::kRequired})) {
    const auto port = parse_number(text);
    if (!port || *port == 0 || *port > 65535) {
      context.error(place, target.path_of("ports") + ": " + in_quotes(text) + " is not a port, 1 to 65535");
    } else {
      out.ports.push_back(static_cast<uint16_t>(*port));
    }
  }
}

void read_on_failure(MapReader& target, TargetConfig& out) {
  const YamlNode* node = target.take("on_failure");
  if (node == nullptr) return;
  LoadContext& context = target.context();
  if (node->kind == YamlNode::Kind::kScalar) {
    OnFailure all = OnFailure::kClosed;
    target.choice("on_failure", all, kOnFailure);
    out.on_engine_failure = out.on_record_failure = out.on_identity_failure = out.on_reviewers_failure = all;
  } else {
    MapReader causes = target.map("on_failure");
    causes.choice("engine", out.on_engine_failure, kOnFailure);
    causes.choice("record", out.on_record_failure, kOnFailure);
    causes.choice("identity", out.on_identity_failure, kOnFailure);
    causes.choice("reviewers", out.on_reviewers_failure, kOnFailure);
    causes.finish();
  }
  const std::string path = target.path_of("on_failure");
  if (out.on_engine_failure == OnFailure::kOpen) {
    context.warn(node->place, path + ": with the engine away, clients reach this target directly: unjudged, unmasked, unrecorded");
  }
  if (out.on_record_failure == OnFailure::kOpen) {
    context.warn(node->place, path + ": with the record broken, commands pass that nobody records; each gap is a finding");
  }
  if (out.on_identity_failure == OnFailure::kOpen || out.on_reviewers_failure == OnFailure::kOpen) {
    context.warn(node->place, path + ": open has no effect in this version for identity and reviewers: they stay closed");
  }
}

void read_target_tls(MapReader tls, TargetTlsConfig& out) {
  LoadContext& context = tls.context();
  tls.choice("to_client", out.to_client, {std::pair{std::string_view("require"), LegTls::kRequire}, {"offer", LegTls::kOffer}, {"none", LegTls::kNone}});
  tls.file("certificate_file", out.certificate_file, FileKind::kPublic);
  tls.file("key_file", out.key_file, FileKind::kSecret);
  if (out.certificate_file.empty() != out.key_file.empty()) {
    context.error(tls.place(), tls.path_of("certificate_file") + " and key_file belong together");
  }
  tls.choice("to_target", out.to_target, {std::pair{std::string_view("verify-full"), VerifyMode::kVerifyFull}, {"verify-ca", VerifyMode::kVerifyCa},
                                          {"require", VerifyMode::kRequire}, {"none", VerifyMode::kNone}});
  tls.file("ca_file", out.ca_file, FileKind::kPublic);
  tls.text("server_name", out.server_name);
  tls.file("client_ca_file", out.client_ca_file, FileKind::kPublic);
  tls.file("client_crl_file", out.client_crl_file, FileKind::kPublic);
  if (tls.has("client_crl_file") && !tls.has("client_ca_file")) {
    context.error(tls.place_of("client_crl_file"), tls.path_of("client_crl_file") + " belongs to client_ca_file");
  }
  const bool verifies = out.to_target == VerifyMode::kVerifyFull || out.to_target == VerifyMode::kVerifyCa;
  if (verifies && !tls.has("ca_file")) {
    context.error(tls.place(), tls.path_of("ca_file") + " is missing: to_target: verify-full needs the target's authority", "ca_file: FILE, or to_target: require");
  }
  if (!verifies && tls.has("ca_file")) {
    context.warn(tls.place_of("ca_file"), tls.path_of("ca_file") + " has no effect with to_target: none or require");
  }
  if (out.to_target == VerifyMode::kRequire) {
    context.warn(tls.place_of("to_target"), tls.path_of("to_target") + ": the target's certificate is not checked");
  }
  tls.finish();
}

void read_logins(MapReader& target, TargetConfig& out) {
  LoadContext& context = target.context();
  target.choice("login", out.inject, {std::pair{std::string_view("relay"), false}, {"inject", true}});
  const auto entries = target.take_maps("logins");
  for (std::size_t i = 0; i < entries.size(); ++i) {
    MapReader entry = MapReader::entry(target, "logins", entries[i], i);
    LoginConfig& login = out.logins.emplace_back();
    entry.text("client", login.client, Need::kRequired);
    login.user = login.client;
    entry.text("user", login.user);
    entry.file("password_file", login.password_file, FileKind::kSecret, Need::kRequired);
    entry.file("client_password_file", login.client_password_file, FileKind::kSecret);
    for (std::size_t j = 0; j + 1 < out.logins.size(); ++j) {
      if (out.logins[j].client == login.client) context.error(entry.place(), target.path_of("logins") + ": " + in_quotes(login.client) + " stands twice");
    }
    entry.finish();
  }
  if (out.inject && out.logins.empty()) {
    context.error(target.place_of("login"), target.path_of("logins") + " is missing: login: inject needs what to log in with");
  }
  if (!out.inject && !out.logins.empty()) {
    context.error(target.place_of("logins"), target.path_of("logins") + " is given, but login is relay", "login: inject");
  }
}

void read_catalogue(MapReader& target, TargetConfig& out) {
  if (!target.has("catalogue")) {
    target.take("catalogue");
    return;
  }
  MapReader section = target.map("catalogue");
  CatalogueConfig catalogue;
  section.text("user", catalogue.user, Need::kRequired);
  section.file("password_file", catalogue.password_file, FileKind::kSecret, Need::kRequired);
  section.strings("databases", catalogue.databases, {Need::kRequired});
  section.duration("refresh", catalogue.refresh, 1s, 24h);
  section.finish();
  out.catalogue = std::move(catalogue);
}

void read_target_record(MapReader record, TargetRecordConfig& out) {
  record.choice("durability", out.durability, {std::pair{std::string_view("before-forward"), Durability::kBeforeForward}, {"async", Durability::kAsync}});
  record.choice("responses", out.responses, {std::pair{std::string_view("none"), RecordResponses::kNone}, {"head", RecordResponses::kHead}, {"full", RecordResponses::kFull}});
  record.number("head_rows", out.head_rows, 0, 10'000);
  record.choice("parameters", out.parameters, {std::pair{std::string_view("masked"), RecordParameters::kMasked}, {"digest", RecordParameters::kDigest}});
  record.finish();
}

void read_protocol(MapReader& target, TargetConfig& out) {
  std::vector<std::string_view> names;
  for (const ProtocolModule* module : protocol_modules()) names.push_back(module->name);
  target.text("protocol", out.protocol, Need::kRequired);
  if (!out.protocol.empty() && find_protocol(out.protocol) == nullptr) {
    target.context().error(target.place_of("protocol"), target.path_of("protocol") + ": this build does not read " + in_quotes(out.protocol), suggestion(out.protocol, names));
  }
}

// Proof on the wire: what must be there for it to work at all.
void check_admit(MapReader& target, const TargetConfig& out) {
  LoadContext& context = target.context();
  const std::string path = target.path_of("admit");
  if (out.admit == Admit::kAddress) {
    for (const char* key : {"wire_token"}) {
      if (target.has(key)) context.error(target.place_of(key), target.path_of(key) + " belongs to admit: credential or either");
    }
    if (!out.tls.client_ca_file.empty()) context.error(target.place_of("tls"), target.path_of("tls") + ".client_ca_file belongs to admit: credential or either: with admit: address nobody is asked for a certificate");
    return;
  }
  const SourcePlace place = target.place_of("admit");
  if (!out.inject) {
    context.error(place, path + ": a credential on the wire takes the place of the login's password, so that there is none to relay", "login: inject, with logins");
  }
  const bool has_certificates = !out.tls.client_ca_file.empty(), has_tls = out.tls.to_client != LegTls::kNone;
  if (has_certificates && !has_tls) context.error(target.place_of("tls"), target.path_of("tls") + ".client_ca_file needs TLS with clients", "to_client: offer, or require");
  if (out.wire_token == WireToken::kTls && !has_tls && !has_certificates) {
    context.error(place, path + ": a token is taken over TLS alone, and tls.to_client is none", "to_client: require, or wire_token: plain on a network that nobody else hears");
  }
  if (out.wire_token == WireToken::kNone && !has_certificates) {
    context.error(place, path + ": there is no way to prove oneself: wire_token is none, and there is no tls.client_ca_file", "wire_token: tls, or tls.client_ca_file");
  }
  if (out.wire_token == WireToken::kPlain) {
    context.warn(target.place_of("wire_token"), target.path_of("wire_token") + ": plain takes tokens in clear: who hears the network has them");
  }
}

void read_target(MapReader target, TargetConfig& out) {
  LoadContext& context = target.context();
  target.name("name", out.name);
  read_protocol(target, out);
  read_addresses(target, out);
  read_ports(target, out);
  target.choice("other_ports", out.other_ports_drop, {std::pair{std::string_view("pass"), false}, {"drop", true}});
  target.choice("mode", out.observe, {std::pair{std::string_view("enforce"), false}, {"observe", true}});
  if (out.observe) context.warn(target.place_of("mode"), target.path_of("mode") + ": observe blocks nothing and masks nothing");
  target.choice("admit", out.admit, {std::pair{std::string_view("address"), Admit::kAddress}, {"credential", Admit::kCredential}, {"either", Admit::kEither}});
  target.choice("wire_token", out.wire_token, {std::pair{std::string_view("tls"), WireToken::kTls}, {"plain", WireToken::kPlain}, {"none", WireToken::kNone}});
  target.choice("unbound", out.unbound, {std::pair{std::string_view("explain"), Unbound::kExplain}, {"reset", Unbound::kReset}, {"drop", Unbound::kDrop}});
  target.choice("icmp", out.icmp_pass, {std::pair{std::string_view("drop"), false}, {"pass", true}});
  read_on_failure(target, out);
  target.choice("closed_answer", out.closed_answer, {std::pair{std::string_view("reset"), ClosedAnswer::kReset}, {"drop", ClosedAnswer::kDrop}});
  target.choice("opaque", out.opaque, {std::pair{std::string_view("block"), Opaque::kBlock}, {"hold", Opaque::kHold}, {"allow", Opaque::kAllow}});
  target.name("opaque_approval", out.opaque_approval, Need::kOptional);
  if (out.opaque == Opaque::kHold && !target.has("opaque_approval")) {
    context.error(target.place_of("opaque"), target.path_of("opaque_approval") + " is missing: opaque: hold needs to know who is asked", "opaque_approval: NAME, of `approvals`");
  } else if (out.opaque != Opaque::kHold && target.has("opaque_approval")) {
    context.error(target.place_of("opaque_approval"), target.path_of("opaque_approval") + " belongs to opaque: hold");
  }
  if (out.opaque == Opaque::kAllow) {
    context.warn(target.place_of("opaque"), target.path_of("opaque") + ": allow passes what nobody can read, and no rule or mask sees it");
  }
  target.choice("unknown_functions", out.unknown_functions_block, {std::pair{std::string_view("block"), true}, {"allow", false}});
  target.choice("source", out.source, {std::pair{std::string_view("client"), SourceMode::kClient}, {"gateway", SourceMode::kGateway}});
  read_target_tls(target.map("tls"), out.tls);
  read_logins(target, out);
  read_catalogue(target, out);
  read_target_record(target.map("record"), out.record);
  check_admit(target, out);
  target.finish();
}

}  // namespace

void read_targets(MapReader& root, const SteerConfig& steer, std::vector<TargetConfig>& out) {
  const auto entries = root.take_maps("targets", Need::kRequired);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    TargetConfig& made = out.emplace_back();
    made.place = entries[i].place;
    made.source = steer.source;
    read_target(MapReader::entry(root, "targets", entries[i], i), made);
  }
}

}  // namespace weir::control

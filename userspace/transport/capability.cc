#include "transport/capability.h"

namespace weir::transport {
namespace {

using Kind = CapabilityVerdict::Kind;

CapabilityVerdict refused(std::string reason, std::string fix) {
  return {Kind::kRefused, std::move(reason), std::move(fix), {}};
}

std::string trust_text(const TargetConfig& target, bool has_own_pair) {
  if (target.tls.to_client == LegTls::kNone) return {};
  if (has_own_pair) return "clients that verify or pin the server see the target's own certificate";
  return "clients that verify the server must trust Weir's CA (`weir ca show`); clients that pin the target's certificate need "
         "its own pair here";
}

// How clients prove themselves, where that is done on the wire, and what their drivers must allow for it.
std::string wire_text(const TargetConfig& target) {
  const bool has_tokens = target.wire_token != WireToken::kNone, has_certificates = !target.tls.client_ca_file.empty();
  std::string text = target.admit == Admit::kEither ? "; clients are known by their address or" : "; clients prove themselves";
  if (has_tokens) text += target.wire_token == WireToken::kPlain ? " by a token as the password, also in clear" : " by a token as the password over TLS";
  if (has_tokens) text += " (libpq: neither channel_binding=require nor a require_auth without password)";
  if (has_certificates) text += has_tokens ? ", or by a client certificate" : " by a client certificate";
  return text;
}

// Whether the client's own SCRAM login can pass through us (RFC 5802 section 6: the proof covers the channel-binding flag).
//
//   client leg   target leg   what the client says       works
//   plain        any          "n": it has no TLS         yes
//   TLS          plain        "y": the target has none   yes
//   TLS, own     TLS          binds to the own pair      yes, it is the certificate that the target shows
//   TLS, minted  TLS          binds to the minted leaf   no, and "y" is taken for a downgrade
bool can_relay_login(const TargetConfig& target, bool has_own_pair) {
  return target.tls.to_client == LegTls::kNone || target.tls.to_target == VerifyMode::kNone || has_own_pair;
}

}  // namespace

std::string_view name_of(CapabilityVerdict::Kind kind) {
  switch (kind) {
    case Kind::kFull:
      return "full";
    case Kind::kFullWithKey:
      return "full with the target's key";
    case Kind::kMetadataOnly:
      return "metadata only";
    case Kind::kRefused:
      return "refused";
  }
  return "refused";
}

CapabilityVerdict capability(const TargetConfig& target, const Config& config, bool is_readable) {
  const TargetTlsConfig& tls = target.tls;
  const bool has_own_pair = !tls.certificate_file.empty() && !tls.key_file.empty();
  const bool has_client_tls = tls.to_client != LegTls::kNone;
  if (!is_readable) {
    if (target.opaque == Opaque::kAllow) {
      return {Kind::kMetadataOnly,
              "this build has no reader for " + target.protocol +
                  ", and opaque: allow lets what cannot be read pass: who, when and how much is recorded, commands are not",
              {},
              {}};
    }
    return refused("this build has no reader for " + target.protocol + ", and what cannot be read does not pass",
                   "use a build that reads it, or opaque: allow to record metadata only");
  }
  if (has_client_tls && !has_own_pair && (config.tls.ca_certificate_file.empty() || config.tls.ca_key_file.empty())) {
    return refused(
        "there is no certificate to show to clients",
        "set tls.ca (`weir ca init`), or the target's tls.certificate_file and tls.key_file, or tls.to_client: none");
  }
  if (target.admit != Admit::kAddress && !target.inject) {
    return refused("login: relay with a credential on the wire: it takes the place of the password, so that there is none to relay", "use login: inject, with logins");
  }
  if (!target.inject && !can_relay_login(target, has_own_pair)) {
    return refused(
        "login: relay over TLS on both legs with a minted certificate: clients bind a SCRAM login to the certificate they see "
        "(libpq does by default), and the target would refuse it",
        "give the gateway the target's own pair (tls.certificate_file, tls.key_file), or use login: inject, or leave the "
        "target leg plain (tls.to_target: none)");
  }
  CapabilityVerdict verdict;
  verdict.kind = has_client_tls && has_own_pair ? Kind::kFullWithKey : Kind::kFull;
  verdict.trust = trust_text(target, has_own_pair);
  if (!has_client_tls) {
    verdict.reason = "the client leg is plain";
  } else if (has_own_pair) {
    verdict.reason = "the client leg shows the target's own certificate";
  } else {
    verdict.reason = "the client leg shows a minted certificate";
  }
  if (target.admit != Admit::kAddress) verdict.reason += wire_text(target);
  verdict.reason += target.inject ? "; the gateway logs in at the target itself" : "; the client's own login passes through";
  if (tls.to_target == VerifyMode::kNone) verdict.reason += "; the target leg is plain";
  if (tls.to_target == VerifyMode::kRequire) verdict.reason += "; the target's certificate is not verified";
  if (tls.to_target == VerifyMode::kVerifyCa) verdict.reason += "; the target's name is not verified";
  return verdict;
}

std::string text_of(const CapabilityVerdict& verdict, std::string_view target) {
  std::string text = std::string(target) + ": " + std::string(name_of(verdict.kind)) + " (" + verdict.reason + ")";
  if (!verdict.fix.empty()) text += "; to mend it: " + verdict.fix;
  if (!verdict.trust.empty()) text += "; " + verdict.trust;
  return text;
}

}  // namespace weir::transport

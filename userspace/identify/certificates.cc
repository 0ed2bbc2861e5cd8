#include "identify/certificates.h"

#include <algorithm>

#include "core/glob.h"

namespace weir::identify {
namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr std::size_t kUriMax = 2048, kTrustDomainMax = 255, kSubjectMax = 256;

tl::unexpected<Error> refuse(std::string why) { return fail(Error::Kind::kDenied, "client certificate refused: " + std::move(why)); }

bool is_path_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

// Every {word} of the template is replaced in one pass: what a certificate says is never read as a template.
using Words = std::initializer_list<std::pair<std::string_view, std::string_view>>;
std::string filled(std::string_view text, Words words) {
  std::string made;
  while (!text.empty()) {
    const auto* const word = std::find_if(words.begin(), words.end(), [&](const auto& each) { return text.starts_with(each.first); });
    if (word == words.end()) {
      made += text.front();
      text.remove_prefix(1);
    } else {
      made += word->second;
      text.remove_prefix(word->first.size());
    }
  }
  return made;
}

std::vector<std::string> groups_of(const CertificatesConfig& config, std::string_view name) {
  std::vector<std::string> groups;
  for (const CertificateGroupsConfig& each : config.groups) {
    if (!glob_matches(each.name, name)) continue;
    for (const std::string& group : each.groups) {
      if (std::find(groups.begin(), groups.end(), group) == groups.end()) groups.push_back(group);
    }
  }
  return groups;
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

Result<std::string> only_name(const PeerCertificate& certificate, CertificatesConfig::From from) {
  const std::vector<std::string>* names = nullptr;
  std::string_view what;
  switch (from) {
    case CertificatesConfig::From::kNone:
      return refuse("it names no URI (SPIFFE ID), and identity.certificates.names takes no other name");
    case CertificatesConfig::From::kEmail: names = &certificate.emails, what = "e-mail address"; break;
    case CertificatesConfig::From::kDns: names = &certificate.dns_names, what = "DNS name"; break;
    case CertificatesConfig::From::kCommonName:
      if (certificate.common_name.empty()) return refuse("it has no common name, or several");
      return certificate.common_name;
  }
  if (names->size() != 1) return refuse("it names " + std::to_string(names->size()) + " of what is looked for (" + std::string(what) + "), and must name one");
  return names->front();
}

}  // namespace

bool is_trust_domain(std::string_view name) {
  return !name.empty() && name.size() <= kTrustDomainMax && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
  });
}

Result<SpiffeId> parse_spiffe_id(std::string_view uri) {
  const auto wrong = [](const char* why) { return fail(Error::Kind::kInvalid, why); };
  if (uri.size() > kUriMax) return wrong("it is longer than 2048 bytes");
  if (!uri.starts_with(kScheme)) return wrong("its scheme is not spiffe");
  uri.remove_prefix(kScheme.size());
  const std::size_t slash = uri.find('/');
  SpiffeId id;
  id.trust_domain = uri.substr(0, slash);
  if (!is_trust_domain(id.trust_domain)) return wrong("its trust domain has other characters than a-z 0-9 . - _ (or a port, or a user)");
  // An SVID of a workload has a path; the trust domain alone is its authority's own ID.
  if (slash == std::string_view::npos) return wrong("it has no path");
  id.path = uri.substr(slash);
  for (std::string_view rest = uri.substr(slash + 1);;) {
    const std::size_t end = rest.find('/');
    const std::string_view segment = rest.substr(0, end);
    if (segment.empty() || segment == "." || segment == "..") return wrong("its path has an empty segment, or one of dots");
    if (!std::all_of(segment.begin(), segment.end(), is_path_character)) return wrong("its path has other characters than a-z A-Z 0-9 . - _");
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  return id;
}

Result<Identity> identity_of(const PeerCertificate& certificate, const CertificatesConfig& config) {
  if (certificate.is_ca || certificate.may_certify) return refuse("it is an authority's own, which signs others and logs nobody in");
  if (certificate.has_odd_names) return refuse("it has a name with bytes that do not print");
  Identity identity;
  std::string name;
  if (!certificate.uris.empty()) {
    if (certificate.uris.size() != 1) return refuse("it names " + std::to_string(certificate.uris.size()) + " URIs, and must name one (X.509-SVID, section 2)");
    const auto id = parse_spiffe_id(certificate.uris.front());
    if (!id) return refuse("its URI is no SPIFFE ID: " + id.error().message);
    if (config.trust_domain.empty()) return refuse("it is of a SPIFFE trust domain, and identity.certificates.trust_domain names none");
    if (id->trust_domain != config.trust_domain) return refuse("it is of the trust domain " + id->trust_domain + ", not of " + config.trust_domain);
    if (!certificate.has_key_usage || !certificate.may_sign) return refuse("its key usage does not say digitalSignature (X.509-SVID, section 4.3)");
    name = id->path;
    identity.subject = filled(config.subject, {{"{path}", std::string_view(id->path).substr(1)}, {"{id}", certificate.uris.front()}, {"{trust_domain}", id->trust_domain}});
    identity.assurance = Assurance::kWorkload;
  } else {
    auto found = only_name(certificate, config.from);
    if (!found) return tl::unexpected<Error>(found.error());
    if (certificate.has_key_usage && !certificate.may_sign) return refuse("its key usage does not say digitalSignature");
    name = std::move(*found);
    identity.subject = filled(config.name_subject, {{"{name}", name}});
    identity.assurance = Assurance::kCredential;
  }
  if (identity.subject.empty() || identity.subject.size() > kSubjectMax || !is_printable(identity.subject)) {
    return refuse("the subject that it makes is empty, longer than 256 bytes, or does not print");
  }
  identity.groups = groups_of(config, name);
  identity.issuer = certificate.issuer;
  identity.expires = certificate.expires;
  identity.is_on_wire = true;
  identity.certificate_serial = certificate.serial;
  identity.certificate_fingerprint = certificate.fingerprint;
  return identity;
}

std::string key_of(const PeerCertificate& certificate) { return "certificate " + certificate.fingerprint; }

}  // namespace weir::identify

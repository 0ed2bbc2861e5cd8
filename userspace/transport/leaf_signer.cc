#include "transport/leaf_signer.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "transport/certificate.h"

namespace weir::transport {
namespace {

constexpr uint32_t kCommonNameMax = 64;  // X.520 ub-common-name.

bool set_subject(X509* certificate, const LeafNames& names) {
  const std::string name = (names.dns.empty() ? names.addresses.front().text() : names.dns.front()).substr(0, kCommonNameMax);
  return X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(name.data()), static_cast<int>(name.size()), -1,
                                    0) == 1;
}

bool is_p256(EVP_PKEY* key) {
  std::array<char, 32> group{};
  std::size_t size = 0;
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && EVP_PKEY_get_group_name(key, group.data(), group.size(), &size) == 1 &&
         std::string_view(group.data(), size) == "prime256v1";
}

}  // namespace

bool is_empty(const LeafNames& names) { return names.dns.empty() && names.addresses.empty(); }

std::string text_of(const LeafNames& names) {
  std::string text;
  for (const std::string& name : names.dns) text += (text.empty() ? "DNS:" : ",DNS:") + name;
  for (const Address& address : names.addresses) text += (text.empty() ? "IP:" : ",IP:") + address.text();
  return text;
}

bool is_host_name(std::string_view name) {
  return !name.empty() && name.size() <= 253 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '*';
  });
}

LeafNames permitted_names(X509* ca, const LeafNames& names) {
  // OpenSSL judges certificates, so each name is put into one.
  using Constraints = std::unique_ptr<NAME_CONSTRAINTS, FreeWith<NAME_CONSTRAINTS_free>>;
  const Constraints constraints(static_cast<NAME_CONSTRAINTS*>(X509_get_ext_d2i(ca, NID_name_constraints, nullptr, nullptr)));
  if (!constraints) return names;
  const auto is_permitted = [&](const std::string& name) {
    const X509Ptr probe(X509_new());
    if (!probe || !add_extension(probe.get(), ca, NID_subject_alt_name, name)) return false;
    X509_check_purpose(probe.get(), -1, 0);  // Reads the extensions in; NAME_CONSTRAINTS_check looks only at what was read.
    ERR_clear_error();
    return NAME_CONSTRAINTS_check(probe.get(), constraints.get()) == X509_V_OK;
  };
  LeafNames permitted;
  for (const std::string& name : names.dns) {
    if (is_permitted("DNS:" + name)) permitted.dns.push_back(name);
  }
  for (const Address& address : names.addresses) {
    if (is_permitted("IP:" + address.text())) permitted.addresses.push_back(address);
  }
  return permitted;
}

LeafNames leaf_names(const TargetConfig& target) {
  LeafNames names;
  const auto add = [&names](const std::string& name) {
    if (const auto address = Address::parse(name)) {
      names.addresses.push_back(*address);
    } else if (is_host_name(name)) {
      names.dns.push_back(name);
    }
  };
  if (!target.tls.server_name.empty()) add(target.tls.server_name);
  for (const std::string& name : target.names) add(name);
  add(target.name);
  for (const Prefix& prefix : target.addresses) {
    if (prefix.bits == 128) names.addresses.push_back(prefix.address);
  }
  const auto drop_repeats = [](auto& list) {
    for (auto i = list.begin(); i != list.end(); ++i) list.erase(std::remove(i + 1, list.end(), *i), list.end());
  };
  drop_repeats(names.dns);
  drop_repeats(names.addresses);
  return names;
}

Result<std::vector<X509Ptr>> read_ca_chain(const TlsConfig& config, std::chrono::sys_seconds now) {
  const std::string fix = "; make one with `weir ca init`, or give each target its own tls.certificate_file and tls.key_file";
  if (config.ca_certificate_file.empty() || config.ca_key_file.empty())
    return fail(Error::Kind::kNotFound, "tls.ca is not set" + fix);
  auto chain = read_certificates(config.ca_certificate_file);
  if (!chain) {
    Error error = chain.error();
    if (error.kind == Error::Kind::kNotFound) error.message += fix;
    return tl::unexpected<Error>(error);
  }
  X509* ca = chain->front().get();
  const std::string& file = config.ca_certificate_file;
  if (X509_check_ca(ca) != 1 || (X509_get_key_usage(ca) & KU_KEY_CERT_SIGN) == 0) {
    return fail(Error::Kind::kInvalid, file + " is no CA: it lacks basicConstraints CA:TRUE or keyUsage keyCertSign");
  }
  if (not_after_of(ca) <= now) {
    return fail(Error::Kind::kInvalid,
                file + " expired on " + utc_text(not_after_of(ca)) + "; move both files away and run `weir ca init`");
  }
  return chain;
}

Result<std::shared_ptr<CaKey>> CaKey::load(const TlsConfig& config, std::chrono::sys_seconds now) {
  auto chain = read_ca_chain(config, now);
  if (!chain) return tl::unexpected<Error>(chain.error());
  auto key = read_private_key(config.ca_key_file);
  if (!key) return tl::unexpected<Error>(key.error());
  if (X509_check_private_key(chain->front().get(), key->get()) != 1) {
    ERR_clear_error();
    return fail(Error::Kind::kInvalid, config.ca_key_file + " is not the key of " + config.ca_certificate_file);
  }
  auto ca = std::shared_ptr<CaKey>(new CaKey);
  ca->file_ = config.ca_certificate_file;
  ca->certificate_ = std::move(chain->front());
  ca->key_ = std::move(*key);
  return ca;
}

Result<X509Ptr> CaKey::sign(const LeafNames& names, EVP_PKEY* key, std::chrono::sys_seconds now) {
  const std::string alternatives = text_of(names);
  X509* ca = certificate_.get();
  if (is_empty(names) || !std::all_of(names.dns.begin(), names.dns.end(), is_host_name)) return fail(Error::Kind::kInvalid, "no host name or whole address to put into a certificate");
  if (permitted_names(ca, names) != names) return fail(Error::Kind::kInvalid, file_ + " may not sign for all of " + alternatives);
  if (!is_p256(key)) return fail(Error::Kind::kInvalid, "leaves have P-256 keys; this is another kind");
  const auto expires = std::min(now + kLeafValidity, not_after_of(ca));
  if (expires <= now) return fail(Error::Kind::kInvalid, file_ + " expired on " + utc_text(expires));
  X509Ptr made(X509_new());
  X509* certificate = made.get();
  const bool is_built = made && X509_set_version(certificate, X509_VERSION_3) == 1 &&
                        set_serial_and_validity(certificate, std::max(now - kLeafBackdated, not_before_of(ca)), expires) &&
                        set_subject(certificate, names) && X509_set_issuer_name(certificate, X509_get_subject_name(ca)) == 1 &&
                        X509_set_pubkey(certificate, key) == 1 &&
                        add_extension(certificate, ca, NID_basic_constraints, "critical,CA:FALSE") &&
                        add_extension(certificate, ca, NID_key_usage, "critical,digitalSignature") &&
                        add_extension(certificate, ca, NID_ext_key_usage, "serverAuth") &&
                        add_extension(certificate, ca, NID_subject_alt_name, alternatives) &&
                        add_extension(certificate, ca, NID_subject_key_identifier, "hash") &&
                        add_extension(certificate, ca, NID_authority_key_identifier, "keyid");
  if (!is_built)
    return fail(Error::Kind::kSystem, "cannot make a certificate for " + alternatives + ": " + take_openssl_error());
  // Ed25519 and Ed448 hash by themselves.
  const int kind = EVP_PKEY_get_base_id(key_.get());
  const EVP_MD* digest = kind == EVP_PKEY_ED25519 || kind == EVP_PKEY_ED448 ? nullptr : EVP_sha256();
  if (X509_sign(certificate, key_.get(), digest) <= 0)
    return fail(Error::Kind::kSystem, "cannot sign with " + file_ + ": " + take_openssl_error());
  return made;
}

}  // namespace weir::transport

#include "transport/tls_contexts.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "transport/certificate.h"
#include "transport/peer_certificate.h"

namespace weir::transport {
namespace {

using LegPtr = std::shared_ptr<const TlsLeg>;

bool has_own_pair(const TargetConfig& target) { return !target.tls.certificate_file.empty() || !target.tls.key_file.empty(); }

Result<std::shared_ptr<TlsLeg>> begin_leg(TlsRole role, const TargetConfig& target, const Config& config) {
  auto leg = std::make_shared<TlsLeg>();
  leg->role = role;
  leg->target = target.name;
  leg->minimum = config.tls.minimum;
  auto context = make_tls_context(role, config.tls.minimum);
  if (!context) return tl::unexpected<Error>(context.error());
  leg->context = std::move(*context);
  leg->io_method = make_tls_io_method();
  if (!leg->io_method) return fail(Error::Kind::kSystem, "cannot begin TLS: " + take_openssl_error());
  return leg;
}

// Makes the leg show `certificate` and the certificates above it.
Result<void> show(TlsLeg& leg, X509* certificate, EVP_PKEY* key, const std::vector<X509*>& above) {
  SSL_CTX* context = leg.context.get();
  bool is_set = SSL_CTX_use_certificate(context, certificate) == 1 && SSL_CTX_use_PrivateKey(context, key) == 1;
  for (X509* each : above) is_set = is_set && SSL_CTX_add1_chain_cert(context, each) == 1;
  if (!is_set) return fail(Error::Kind::kInvalid, "OpenSSL does not take the certificate: " + take_openssl_error());
  std::array<std::byte, 64> hash{};
  const std::size_t size = endpoint_hash(certificate, hash);
  leg.leaf_hash.assign(hash.begin(), hash.begin() + static_cast<std::ptrdiff_t>(size));
  return {};
}

// Errors name the file; the caller names the target.
Result<void> show_own_pair(TlsLeg& leg, const TargetTlsConfig& tls) {
  if (tls.certificate_file.empty() || tls.key_file.empty()) {
    return fail(Error::Kind::kInvalid, "tls.certificate_file and tls.key_file go together; one is missing");
  }
  const auto chain = read_certificates(tls.certificate_file);
  if (!chain) return tl::unexpected<Error>(chain.error());
  const auto key = read_private_key(tls.key_file);
  if (!key) return tl::unexpected<Error>(key.error());
  X509* certificate = chain->front().get();
  if (X509_check_private_key(certificate, key->get()) != 1) {
    ERR_clear_error();
    return fail(Error::Kind::kInvalid, tls.key_file + " is not the key of " + tls.certificate_file);
  }
  std::vector<X509*> above;
  for (std::size_t i = 1; i < chain->size(); ++i) above.push_back((*chain)[i].get());
  leg.is_own_pair = true;
  return show(leg, certificate, key->get(), above);
}

Result<void> show_minted(TlsLeg& leg, const TargetConfig& target, LeafMint* mint, std::chrono::sys_seconds now,
                         std::chrono::sys_seconds& refresh_at) {
  if (mint == nullptr) {
    return fail(Error::Kind::kInvalid,
                "tls.to_client needs a certificate: set tls.ca (`weir ca init`), or tls.certificate_file and tls.key_file of "
                "the target");
  }
  const auto leaf = mint->leaf(leaf_names(target), now);
  if (!leaf) return tl::unexpected<Error>(leaf.error());
  refresh_at = std::min(refresh_at, (*leaf)->renew_at);
  std::vector<X509*> above;
  for (const X509Ptr& each : (*leaf)->chain) above.push_back(each.get());
  return show(leg, (*leaf)->certificate.get(), (*leaf)->key.get(), above);
}

struct Making {
  const Config& config;
  LeafMint* mint;
  std::chrono::sys_seconds now;
};

Result<LegPtr> make_client_leg(const TargetConfig& target, const Making& making, std::chrono::sys_seconds& refresh_at) {
  if (target.tls.to_client == LegTls::kNone) return LegPtr();
  auto leg = begin_leg(TlsRole::kServer, target, making.config);
  if (!leg) return tl::unexpected<Error>(leg.error());
  const auto shown =
      has_own_pair(target) ? show_own_pair(**leg, target.tls) : show_minted(**leg, target, making.mint, making.now, refresh_at);
  if (!shown) return tl::unexpected<Error>(shown.error());
  if (target.admit == Admit::kAddress) return LegPtr(std::move(*leg));
  if (!target.tls.client_ca_file.empty()) {
    const auto asked = ask_for_certificates((*leg)->context.get(), target.tls.client_ca_file, target.tls.client_crl_file);
    if (!asked) return tl::unexpected<Error>(asked.error());
    (*leg)->asks_certificate = true;
    (*leg)->needs_certificate = target.admit == Admit::kCredential && target.wire_token == WireToken::kNone;
    (*leg)->trust = target.tls.client_ca_file;
  }
  // OpenSSL's own buffer, where it decrypts in place, as well as ours.
  (*leg)->overwrites_plaintext = target.wire_token != WireToken::kNone;
  if ((*leg)->overwrites_plaintext) SSL_CTX_set_options((*leg)->context.get(), SSL_OP_CLEANSE_PLAINTEXT);
  return LegPtr(std::move(*leg));
}

// What the target's certificate must be for: server_name if set; else any of the target's names; else (empty) the address
// that is dialled.  OpenSSL would want a host name and an address both to match, hence never a mixture.
std::vector<std::string> expected_names(const TargetConfig& target) {
  if (!target.tls.server_name.empty()) return {target.tls.server_name};
  std::vector<std::string> names;
  for (const std::string& name : target.names) {
    if (!Address::parse(name)) names.push_back(name);
  }
  return names;
}

bool expect_names(SSL_CTX* context, const std::vector<std::string>& names) {
  X509_VERIFY_PARAM* expected = SSL_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  for (const std::string& name : names) {
    const auto address = Address::parse(name);
    if (address ? X509_VERIFY_PARAM_set1_ip_asc(expected, address->text().c_str()) != 1
                : X509_VERIFY_PARAM_add1_host(expected, name.data(), name.size()) != 1) {
      return false;
    }
  }
  return true;
}

Result<LegPtr> make_target_leg(const TargetConfig& target, const Config& config) {
  const TargetTlsConfig& tls = target.tls;
  if (tls.to_target == VerifyMode::kNone) return LegPtr();
  auto made = begin_leg(TlsRole::kClient, target, config);
  if (!made) return tl::unexpected<Error>(made.error());
  TlsLeg& leg = **made;
  SSL_CTX* context = leg.context.get();
  leg.verify = tls.to_target;
  leg.expected_names = expected_names(target);
  if (tls.to_target == VerifyMode::kRequire) return LegPtr(std::move(*made));
  leg.trust = tls.ca_file.empty() ? "the system's CA certificates" : tls.ca_file;
  if (tls.ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) != 1)
      return fail(Error::Kind::kSystem, "cannot read the system's CA certificates: " + take_openssl_error());
  } else {
    const auto trusted = read_certificates(tls.ca_file);
    if (!trusted) return tl::unexpected<Error>(trusted.error());
    for (const X509Ptr& each : *trusted) {
      if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), each.get()) != 1) {
        return fail(Error::Kind::kInvalid, tls.ca_file + ": " + take_openssl_error());
      }
    }
    // What the operator put into the file is trusted as it is: an intermediate, or the target's certificate itself.
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
  }
  if (tls.to_target == VerifyMode::kVerifyFull && !expect_names(context, leg.expected_names)) {
    return fail(Error::Kind::kInvalid, "tls.server_name is no host name: " + take_openssl_error());
  }
  return LegPtr(std::move(*made));
}

// A target's own pair that has ended, or soon will: its clients see just that without a gateway too, so it is shown on.
std::string expiry_warning(const TargetConfig& target, const TlsLeg& client, std::chrono::sys_seconds now) {
  constexpr std::chrono::days kSoon{14};
  const auto expires = not_after_of(SSL_CTX_get0_certificate(client.context.get()));
  if (expires > now + kSoon) return {};
  return "target " + target.name + ": " + target.tls.certificate_file + (expires <= now ? " expired on " : " expires on ") +
         utc_text(expires) + "; give the gateway the target's new pair";
}

}  // namespace

Result<std::shared_ptr<const TlsContexts>> TlsContexts::make(const Config& config, LeafMint* mint,
                                                             std::chrono::sys_seconds now) {
  auto contexts = std::make_shared<TlsContexts>();
  std::string problems;
  Error::Kind kind = Error::Kind::kInvalid;
  const auto add_problem = [&](const TargetConfig& target, const Error& error) {
    kind = error.kind;
    problems += (problems.empty() ? "target " : "\ntarget ") + target.name + ": " + error.message;
  };
  for (const TargetConfig& target : config.targets) {
    const auto client = make_client_leg(target, {config, mint, now}, contexts->refresh_at_);
    if (!client) add_problem(target, client.error());
    const auto upstream = make_target_leg(target, config);
    if (!upstream) add_problem(target, upstream.error());
    if (!client || !upstream) continue;
    if (*client && (*client)->is_own_pair) {
      std::string warning = expiry_warning(target, **client, now);
      if (!warning.empty()) contexts->warnings_.push_back(std::move(warning));
    }
    contexts->targets_.emplace_back(target.name, *client, *upstream);
  }
  if (!problems.empty()) return fail(kind, std::move(problems));
  return std::shared_ptr<const TlsContexts>(std::move(contexts));
}

const TargetTls* TlsContexts::find(std::string_view target) const {
  const auto found =
      std::find_if(targets_.begin(), targets_.end(), [&](const TargetTls& each) { return each.name() == target; });
  return found == targets_.end() ? nullptr : &*found;
}

bool needs_leaf_mint(const Config& config) {
  return std::any_of(config.targets.begin(), config.targets.end(),
                     [](const TargetConfig& target) { return target.tls.to_client != LegTls::kNone && !has_own_pair(target); });
}

}  // namespace weir::transport

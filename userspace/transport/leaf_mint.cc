#include "transport/leaf_mint.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "transport/certificate.h"

namespace weir::transport {
namespace {

bool is_self_signed(X509* certificate) { return X509_self_signed(certificate, 0) == 1; }

}  // namespace

Result<std::unique_ptr<LeafMint>> LeafMint::load(const TlsConfig& config, std::chrono::sys_seconds now) {
  auto key = CaKey::load(config, now);
  if (!key) return tl::unexpected<Error>(key.error());
  return with(config, std::move(*key), now);
}

Result<std::unique_ptr<LeafMint>> LeafMint::with(const TlsConfig& config, std::shared_ptr<LeafSigner> signer, std::chrono::sys_seconds now) {
  auto chain = read_ca_chain(config, now);
  if (!chain) return tl::unexpected<Error>(chain.error());
  auto mint = std::unique_ptr<LeafMint>(new LeafMint);
  mint->file_ = config.ca_certificate_file;
  mint->chain_ = std::move(*chain);
  mint->signer_ = std::move(signer);
  return mint;
}

Result<std::shared_ptr<const Leaf>> LeafMint::leaf(const LeafNames& wanted, std::chrono::sys_seconds now) {
  if (is_empty(wanted)) {
    return fail(Error::Kind::kInvalid,
                "there is no host name or whole address to put into its certificate; set tls.server_name");
  }
  X509* ca = chain_.front().get();
  const LeafNames names = permitted_names(ca, wanted);
  if (is_empty(names)) {
    return fail(Error::Kind::kInvalid,
                file_ + " may sign for none of " + text_of(wanted) + ": its name constraints forbid it");
  }
  const std::string alternatives = text_of(names);
  const auto cached = cache_.find(alternatives);
  if (cached != cache_.end() && now < cached->second->renew_at) return cached->second;

  auto leaf = std::make_shared<Leaf>();
  leaf->key.reset(EVP_EC_gen("P-256"));
  if (!leaf->key) return fail(Error::Kind::kSystem, "cannot make a key for " + alternatives + ": " + take_openssl_error());
  auto certificate = signer_->sign(names, leaf->key.get(), now);
  if (!certificate) return tl::unexpected<Error>(certificate.error());
  leaf->certificate = std::move(*certificate);
  const bool is_ours = X509_check_private_key(leaf->certificate.get(), leaf->key.get()) == 1 && X509_check_issued(ca, leaf->certificate.get()) == X509_V_OK;
  ERR_clear_error();
  if (!is_ours) return fail(Error::Kind::kInvalid, "the certificate for " + alternatives + " was not made by the CA of " + file_ + "; were its files replaced? restart the gateway");
  const auto expires = not_after_of(leaf->certificate.get());
  for (const X509Ptr& above : chain_) {
    if (is_self_signed(above.get())) continue;  // A root is trusted for being held, not for being sent.
    X509_up_ref(above.get());
    leaf->chain.emplace_back(above.get());
  }
  leaf->renew_at = std::max(expires - kRenewBefore, now + (expires - now) / 2);
  ++minted_;
  cache_[alternatives] = leaf;
  return std::shared_ptr<const Leaf>(leaf);
}

}  // namespace weir::transport

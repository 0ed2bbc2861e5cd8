// Who signs the certificates that client legs show: the seam between who makes leaves (LeafMint, in the engine) and who holds the CA's
// key, which in a running gateway is a process of its own (signer/).
// Must never: sign anything but a leaf for servers, under a name that the CA may not sign for, or past the CA's own end.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "core/address.h"
#include "core/config.h"
#include "transport/openssl_ptr.h"

namespace weir::transport {

// What a leaf is for.  The first name is also the common name.
struct LeafNames {
  std::vector<std::string> dns;
  std::vector<Address> addresses;
  friend bool operator==(const LeafNames&, const LeafNames&) = default;
};
// From the target's name, tls.server_name, `names`, and every address that is given whole (a prefix names no host).
[[nodiscard]] LeafNames leaf_names(const TargetConfig&);
[[nodiscard]] bool is_empty(const LeafNames&);
[[nodiscard]] std::string text_of(const LeafNames&);   // "DNS:a.example,IP:198.18.2.2"
// Letters, digits, '-', '.', '_' and '*': OpenSSL reads a list of names as text, where a comma would start another name.
[[nodiscard]] bool is_host_name(std::string_view);
// The part of `names` that the CA's name constraints allow.
[[nodiscard]] LeafNames permitted_names(X509* ca, const LeafNames& names);

inline constexpr std::chrono::seconds kLeafValidity{7 * 24 * 3600};
inline constexpr std::chrono::seconds kLeafBackdated{300};  // Clients' clocks may be behind.

class LeafSigner {
 public:
  virtual ~LeafSigner() = default;
  // A certificate for servers of those names that hold the private half of `key`: CA:FALSE, for kLeafValidity or until the CA ends.
  // Pre: `names` are host names, and permitted.  Errors: kInvalid (no name, one that is not permitted, the CA has expired, a key that is no P-256), kDenied (not
  // a name of this gateway's targets), kUnavailable (nobody is there to sign), kSystem.
  [[nodiscard]] virtual Result<X509Ptr> sign(const LeafNames& names, EVP_PKEY* key, std::chrono::sys_seconds now) = 0;
};

// The CA's key, at hand.
class CaKey final : public LeafSigner {
 public:
  // Reads tls.ca.  Errors: kNotFound with the `weir ca init` that mends it; kDenied (key readable by others); kInvalid (no CA,
  // expired, key of another certificate).
  [[nodiscard]] static Result<std::shared_ptr<CaKey>> load(const TlsConfig&, std::chrono::sys_seconds now);
  [[nodiscard]] Result<X509Ptr> sign(const LeafNames&, EVP_PKEY*, std::chrono::sys_seconds now) override;
  [[nodiscard]] X509* certificate() const { return certificate_.get(); }

 private:
  CaKey() = default;
  std::string file_;
  X509Ptr certificate_;
  PkeyPtr key_;
};

// The CA's certificate and those above it.  Errors: those of CaKey::load that need no key.
[[nodiscard]] Result<std::vector<X509Ptr>> read_ca_chain(const TlsConfig&, std::chrono::sys_seconds now);

}  // namespace weir::transport

// Makes the certificates that client legs show for targets without a pair of their own, signed by the gateway's CA.
// Control thread only.  Leaf keys live in memory and never on disk.
// Must never: sign for a name that the configuration does not give, or outlive the CA's own validity.
#pragma once
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/address.h"
#include "core/config.h"
#include "transport/leaf_signer.h"
#include "transport/openssl_ptr.h"

namespace weir::transport {

struct Leaf {
  X509Ptr certificate;
  PkeyPtr key;
  std::vector<X509Ptr> chain;           // Between the leaf and the root, if the CA is an intermediate.
  std::chrono::sys_seconds renew_at{};  // Before it expires; the next TlsContexts gets a new one from here on.
};

class LeafMint {
 public:
  static constexpr std::chrono::seconds kValidity = kLeafValidity;
  static constexpr std::chrono::seconds kBackdated = kLeafBackdated;
  static constexpr std::chrono::seconds kRenewBefore{2 * 24 * 3600};

  // With the CA's key at hand.  Errors: as CaKey::load.
  [[nodiscard]] static Result<std::unique_ptr<LeafMint>> load(const TlsConfig&, std::chrono::sys_seconds now);
  // Reads the CA's certificate alone; who holds its key signs.  Errors: as read_ca_chain.
  [[nodiscard]] static Result<std::unique_ptr<LeafMint>> with(const TlsConfig&, std::shared_ptr<LeafSigner>, std::chrono::sys_seconds now);

  // The same leaf for the same names until its renew_at.  Names that the CA's name constraints forbid are left out.
  // Errors: kInvalid when no name is left, or the CA has expired; those of who signs.
  [[nodiscard]] Result<std::shared_ptr<const Leaf>> leaf(const LeafNames&, std::chrono::sys_seconds now);
  [[nodiscard]] uint64_t minted() const { return minted_; }

 private:
  LeafMint() = default;
  std::string file_;
  std::vector<X509Ptr> chain_;  // The CA's certificate first.
  std::shared_ptr<LeafSigner> signer_;
  std::map<std::string, std::shared_ptr<const Leaf>> cache_;
  uint64_t minted_ = 0;
};

}  // namespace weir::transport

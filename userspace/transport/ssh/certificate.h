// OpenSSH certificates (PROTOCOL.certkeys): read and verified, judged, minted.
// Must never: be minted for anybody (no principals), be believed for a purpose, a name, a time or an address that is not its
// own, or with a critical option that is not understood.
#pragma once
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "core/address.h"
#include "core/module.h"
#include "transport/ssh/keys.h"

namespace weir::ssh {

enum class CertificateUse : uint8_t { kUser = 1, kHost = 2 };
using CertificateOptions = std::vector<std::pair<std::string, std::string>>;  // Name, value ("" for a flag); sorted by name.

struct Certificate {
  // The CA's signature holds; nothing else was judged.  Errors: kInvalid, with a reason that repeats nothing of it.
  static Result<Certificate> parse(Bytes blob);

  Buffer blob;
  PublicKey key, authority;
  CertificateUse use = CertificateUse::kUser;
  uint64_t serial = 0;
  std::string key_id;                   // A peer's bytes: escape it where it is shown.
  std::vector<std::string> principals;  // Likewise.
  uint64_t valid_after = 0, valid_before = 0;  // Seconds of the epoch, the first in, the last out.
  CertificateOptions critical, extensions;
  [[nodiscard]] const std::string* critical_option(std::string_view name) const;
};

struct CertificateQuestion {
  CertificateUse use = CertificateUse::kUser;
  std::span<const PublicKey> authorities;
  std::string_view principal;  // Login name; or the host's name as it was asked for.
  std::chrono::sys_seconds now{};
  const Address* source = nullptr;  // kUser: where the client is, for source-address.
};
// Whether the certificate answers it.  A host's principals may hold `*`.  Of critical options force-command (to be carried
// out by the caller) and source-address are understood, for users; any other refuses.
// Errors: kDenied, with the reason, fit for a log.
[[nodiscard]] Result<void> check_certificate(const Certificate&, const CertificateQuestion&);

struct CertificateRequest {
  CertificateUse use = CertificateUse::kUser;
  const PublicKey* key = nullptr;
  uint64_t serial = 0;
  std::string key_id;
  std::vector<std::string> principals;
  std::chrono::sys_seconds from{}, until{};
  CertificateOptions critical, extensions;
};
// The certificate's blob.  Errors: kInvalid (no principals, an empty one, no time to be valid in, over the size), kSystem.
[[nodiscard]] Result<Buffer> mint_certificate(const PrivateKey& authority, const CertificateRequest&, RandomSource&);

// Validity of what is minted starts so much earlier: clocks differ ("Certificate invalid: not yet valid").
inline constexpr std::chrono::seconds kCertificateBackdate{60};
inline constexpr std::size_t kPrincipalsMax = 256;  // SSHKEY_CERT_MAX_PRINCIPALS of OpenSSH.

}  // namespace weir::ssh

// Credentials that were shown on the wire and hold: which identity each stands for, under which id, from where.  A token is
// held to the first address that used it, as one that binds (BindingTable has both kinds); a certificate is not, since its
// key proves its holder each time.
// Must never: give one credential two ids in one run, or take one again that was revoked.
#pragma once
#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/address.h"
#include "core/credential.h"
#include "identify/bindings.h"
#include "identify/token.h"

namespace weir::identify {

struct WireCredential {
  IdentityPtr identity;
  Address from;  // Of its first use.
};

class WireCredentials {
 public:
  // `known_max`: hit, the next one is refused as kBusy.
  WireCredentials(BindingTable& bindings, std::size_t known_max) : bindings_(bindings), known_max_(known_max) {}

  // Any thread; the first use of each credential writes to the store.
  [[nodiscard]] CredentialAnswer admit(const VerifiedToken& token, const Address& from, std::chrono::sys_seconds now);
  // `identity`: identity_of(certificate), `key`: key_of(certificate).
  [[nodiscard]] CredentialAnswer admit(const Identity& identity, const std::string& key, const Address& from, std::chrono::sys_seconds now);
  // Any thread.  False: revoked since.
  [[nodiscard]] bool is_in_force(uint64_t id) const;
  [[nodiscard]] std::vector<WireCredential> list(std::chrono::sys_seconds now) const;
  // Any thread.  What revoke() would end.  Of those that other gateways, or an earlier run, saw: subject and address, no id.
  [[nodiscard]] std::vector<WireCredential> fitting(std::string_view which, std::chrono::sys_seconds now) const;
  // By id, subject, token id (jti), certificate serial or fingerprint, or the address of first use (text).  They are taken
  // nowhere any more, also after a restart.  Empty: nothing fitted.  Errors: those of BindingTable; then nothing has changed.
  [[nodiscard]] Result<std::vector<WireCredential>> revoke(std::string_view which, std::chrono::sys_seconds now);
  // What another gateway revoked (BindingTable::ForeignChanges): out of force here too.  Those that are known here.
  [[nodiscard]] std::vector<WireCredential> take_out(const std::vector<std::string>& keys);
  // Takes out what has ended.
  void expire(std::chrono::sys_seconds now);

 private:
  CredentialAnswer admit_key(const std::string& key, Identity identity, const Address& from, bool is_tied, std::chrono::sys_seconds now);

  BindingTable& bindings_;
  const std::size_t known_max_;
  std::mutex changing_;        // Held while the store is written.  Before mutex_.
  mutable std::mutex mutex_;   // What follows; held for no more than a look, since cores ask is_in_force().
  std::map<std::string, WireCredential, std::less<>> known_;  // By key.
  std::unordered_set<uint64_t> ids_;                          // Of those.
};

// Of what a client sent in the place of a password: it is meant to be a token (three parts, the first of which begins a JSON
// object), whether or not it holds.  Only what is not may be a password.
[[nodiscard]] bool looks_like_token(std::string_view credential);

}  // namespace weir::identify

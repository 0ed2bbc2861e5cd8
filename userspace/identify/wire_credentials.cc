#include "identify/wire_credentials.h"

#include <algorithm>
#include <charconv>

namespace weir::identify {
namespace {

using std::chrono::sys_seconds;

CredentialAnswer refused(CredentialResult result, std::string text) { return {result, nullptr, std::move(text)}; }

CredentialResult result_of(Error::Kind kind) {
  switch (kind) {
    case Error::Kind::kDenied: return CredentialResult::kElsewhere;
    case Error::Kind::kNotFound: return CredentialResult::kRevoked;
    default: return CredentialResult::kBusy;
  }
}

bool is_over(const Identity& identity, sys_seconds now) { return identity.expires != sys_seconds{} && identity.expires <= now; }

// What it is remembered by beside its key (SpentToken::names).
std::vector<std::string> names_of(const Identity& identity) {
  std::vector<std::string> names{identity.subject};
  for (const std::string* name : {&identity.token_id, &identity.certificate_serial, &identity.certificate_fingerprint}) {
    if (!name->empty()) names.push_back(*name);
  }
  return names;
}

// Of a use that is known from the store alone: another gateway's, or one of before this start.
WireCredential remembered(const SpentToken& use) {
  Identity identity;
  identity.subject = use.names.empty() ? std::string() : use.names.front();
  identity.is_on_wire = true;
  identity.expires = use.until;
  return {std::make_shared<const Identity>(std::move(identity)), use.where};
}

// What revoke() takes: an id, an address, a subject, or what a token or certificate is known by.
class Fits {
 public:
  explicit Fits(std::string_view which) : which_(which), place_(Address::parse(which)) {
    const auto [end, error] = std::from_chars(which.data(), which.data() + which.size(), id_);
    is_id_ = error == std::errc{} && end == which.data() + which.size();
  }
  bool operator()(const WireCredential& each) const {
    const Identity& identity = *each.identity;
    if (which_.empty()) return false;
    return (is_id_ && identity.binding_id == id_) || (place_ && each.from == *place_) || identity.subject == which_ || identity.token_id == which_ ||
           identity.certificate_serial == which_ || identity.certificate_fingerprint == which_;
  }

 private:
  std::string_view which_;
  uint64_t id_ = 0;
  bool is_id_ = false;
  Result<Address> place_;
};

}  // namespace

bool looks_like_token(std::string_view credential) {
  // {" in base64url is eyJ; white space after the brace is JSON as well.
  const bool begins = credential.starts_with("eyJ") || credential.starts_with("ewo") || credential.starts_with("eyA") || credential.starts_with("ewk");
  return begins && std::count(credential.begin(), credential.end(), '.') == 2;
}

CredentialAnswer WireCredentials::admit_key(const std::string& key, Identity identity, const Address& from, bool is_tied, sys_seconds now) {
  if (is_over(identity, now)) return refused(is_tied ? CredentialResult::kToken : CredentialResult::kCertificate, "it has expired; sign in again");
  const std::lock_guard changing(changing_);
  const bool is_revoked = bindings_.is_revoked(key, now);
  {
    const std::lock_guard lock(mutex_);
    const auto known = known_.find(key);
    if (known != known_.end()) {
      if (is_tied && known->second.from != from) {
        return refused(CredentialResult::kElsewhere, "this token was used from another address already; one sign-in is good for one address: sign in again from here");
      }
      if (is_revoked) {
        ids_.erase(known->second.identity->binding_id);
        known_.erase(known);
        return refused(CredentialResult::kRevoked, "this credential was revoked; sign in again");
      }
      // The configuration may say something else of it by now, and a renewed one has the same key: the id stays, live sessions keep
      // what they began with.
      identity.binding_id = known->second.identity->binding_id;
      known->second.identity = std::make_shared<const Identity>(std::move(identity));
      return {CredentialResult::kAccepted, known->second.identity, {}};
    }
    if (known_.size() >= known_max_) return refused(CredentialResult::kBusy, "this gateway knows as many credentials as it may (" + std::to_string(known_max_) + ")");
  }
  const auto id = bindings_.spend({key, from, false, identity.expires, names_of(identity)}, is_tied, now);
  if (!id) return refused(result_of(id.error().kind), id.error().message);
  identity.binding_id = *id;
  const IdentityPtr made = std::make_shared<const Identity>(std::move(identity));
  const std::lock_guard lock(mutex_);
  known_.emplace(key, WireCredential{made, from});
  ids_.insert(*id);
  return {CredentialResult::kAccepted, made, {}};
}

CredentialAnswer WireCredentials::admit(const VerifiedToken& token, const Address& from, sys_seconds now) {
  Identity identity;
  identity.subject = token.subject;
  identity.groups = token.groups;
  identity.issuer = token.issuer;
  identity.token_id = token.token_id;
  identity.email = token.email;
  identity.acting_for = token.acting_for;
  identity.assurance = std::max(token.assurance, Assurance::kCredential);
  identity.expires = token.expires;
  identity.is_on_wire = true;
  return admit_key(token.key, std::move(identity), from, true, now);
}

CredentialAnswer WireCredentials::admit(const Identity& identity, const std::string& key, const Address& from, sys_seconds now) {
  return admit_key(key, identity, from, false, now);
}

bool WireCredentials::is_in_force(uint64_t id) const {
  const std::lock_guard lock(mutex_);
  return ids_.contains(id);
}

std::vector<WireCredential> WireCredentials::list(sys_seconds now) const {
  const std::lock_guard lock(mutex_);
  std::vector<WireCredential> all;
  for (const auto& [key, each] : known_) {
    if (!is_over(*each.identity, now)) all.push_back(each);
  }
  return all;
}

std::vector<WireCredential> WireCredentials::fitting(std::string_view which, sys_seconds now) const {
  const Fits fits(which);
  std::vector<WireCredential> all;
  std::vector<SpentToken> uses = bindings_.fitting_on_wire(which, now);
  const std::lock_guard lock(mutex_);
  for (const auto& [key, each] : known_) {
    if (fits(each)) all.push_back(each);
  }
  for (const SpentToken& use : uses) {
    if (!known_.contains(use.key.substr(wire_key("").size()))) all.push_back(remembered(use));
  }
  return all;
}

Result<std::vector<WireCredential>> WireCredentials::revoke(std::string_view which, sys_seconds now) {
  const Fits fits(which);
  const std::lock_guard changing(changing_);
  std::vector<SpentToken> uses;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, each] : known_) {
      if (fits(each)) uses.push_back({key, each.from, false, each.identity->expires, names_of(*each.identity)});
    }
  }
  if (uses.empty() && bindings_.fitting_on_wire(which, now).empty()) return std::vector<WireCredential>();
  const auto revoked = bindings_.revoke_on_wire(which, uses, now);
  if (!revoked) return tl::unexpected<Error>(revoked.error());
  std::vector<WireCredential> ended;
  for (const SpentToken& use : *revoked) {
    auto taken = take_out({use.key.substr(wire_key("").size())});
    ended.push_back(taken.empty() ? remembered(use) : std::move(taken.front()));
  }
  return ended;
}

std::vector<WireCredential> WireCredentials::take_out(const std::vector<std::string>& keys) {
  std::vector<WireCredential> taken;
  const std::lock_guard lock(mutex_);
  for (const std::string& key : keys) {
    const auto found = known_.find(key);
    if (found == known_.end()) continue;
    ids_.erase(found->second.identity->binding_id);
    taken.push_back(std::move(found->second));
    known_.erase(found);
  }
  return taken;
}

void WireCredentials::expire(sys_seconds now) {
  const std::lock_guard lock(mutex_);
  std::erase_if(known_, [&](const auto& each) {
    const bool is_ended = is_over(*each.second.identity, now);
    if (is_ended) ids_.erase(each.second.identity->binding_id);
    return is_ended;
  });
}

}  // namespace weir::identify

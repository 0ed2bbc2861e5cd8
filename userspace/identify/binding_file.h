// Bindings as text: an item of the store each; and state/bindings.json, all of them in one file, as versions before there was
// a store wrote it, which is read once.
// Must never: hold a token; only what it said, its id, or its digest.
#pragma once
#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/address.h"
#include "core/identity.h"
#include "core/link.h"

namespace weir::identify {

struct Binding {
  IdentityPtr identity;  // Never null.
  Prefix where;          // One address, or a static binding's prefix.
  LinkKey link;          // What else must fit of its packets.
  bool is_static = false;
  std::chrono::sys_seconds bound_at{};
  uint32_t refused_attempts = 0;  // Others who tried to bind this address; since start-up.
  std::string last_refused_subject;
  uint64_t version = 0;           // Of the store's item; 0: it has none yet.
};
[[nodiscard]] bool has_ended(const Binding&, std::chrono::sys_seconds now);

// A token that was used: it binds one address, and none once it is revoked.
struct SpentToken {
  std::string key;  // VerifiedToken::key
  Address where;
  bool is_revoked = false;
  std::chrono::sys_seconds until{};  // Nobody accepts the token any more from here on.
  // Of a use on the wire: what it can be revoked by beside its address.  The subject, then the token's id, or the certificate's
  // serial and fingerprint.
  std::vector<std::string> names{};
  uint64_t version = 0;              // As Binding's.
};

struct BindingRecords {
  uint64_t next_id = 1;  // Above every id ever given.
  std::vector<Binding> bindings;
  std::vector<SpentToken> spent;
};

// Errors: kNotFound; kCorrupt for what is not a whole and consistent file of this kind; kSystem.
[[nodiscard]] Result<BindingRecords> read_bindings(const std::string& file);

// {interface?, vlan?, mac?}: what is not asked is not there.
[[nodiscard]] nlohmann::json link_json(const LinkKey& link);
// Items of the store.  Errors: kCorrupt.
[[nodiscard]] std::string text_of(const Binding&);
[[nodiscard]] std::string text_of(const SpentToken&);
[[nodiscard]] Result<Binding> parse_binding(std::string_view text);
[[nodiscard]] Result<SpentToken> parse_spent(std::string_view text);

}  // namespace weir::identify

// Credentials on the wire, where they touch what binds addresses: ids that nobody had before, and tokens that were used.
#include <algorithm>

#include "identify/bindings.h"

namespace weir::identify {
namespace {

constexpr std::chrono::seconds kSkewMax{600};  // As in bindings.cc.

auto find_spent(std::vector<SpentToken>& spent, std::string_view key) {
  return std::find_if(spent.begin(), spent.end(), [&](const SpentToken& each) { return each.key == key; });
}

BindingStore::Key store_key(std::string_view key) {
  SpentToken token;
  token.key = key;
  return BindingStore::key_of(token);
}

// `from`: where it is used, of a credential that is tied to its first address; null: it is not.
Result<void> may_spend(std::vector<SpentToken>& spent, std::string_view own_key, std::string_view key, const Address* from) {
  for (const std::string_view each : {own_key, key}) {
    const auto found = find_spent(spent, each);
    if (found == spent.end()) continue;
    if (found->is_revoked) return fail(Error::Kind::kNotFound, "this credential was revoked; sign in again");
    if (from != nullptr && found->where != *from) {
      return fail(Error::Kind::kDenied, "this token was used from another address already; one sign-in is good for one address: sign in again from here");
    }
  }
  return {};
}

}  // namespace

Result<uint64_t> BindingTable::spend(std::string_view key, const Address& from, bool is_tied, std::chrono::sys_seconds until,
                                     std::chrono::sys_seconds now) {
  const std::lock_guard lock(writer_);
  if (auto reserved = reserve_ids(1); !reserved) return tl::unexpected<Error>(reserved.error());
  const std::string own_key = wire_key(key);
  // By what all gateways did until now, told of or not.
  if (auto seen = refresh({store_key(own_key), store_key(key)}); !seen) return tl::unexpected<Error>(seen.error());
  Result<void> may;
  auto changed = change([&](BindingRecords& next) {
    std::erase_if(next.spent, [&](const SpentToken& each) { return each.until <= now; });
    may = may_spend(next.spent, own_key, key, is_tied ? &from : nullptr);
    if (!may || !is_tied || find_spent(next.spent, own_key) != next.spent.end()) return false;
    if (next.spent.size() >= 2 * static_cast<std::size_t>(options_.bindings_max)) {
      may = fail(Error::Kind::kUnavailable, "this gateway remembers as many tokens as it may (" + std::to_string(options_.bindings_max) + " bindings)");
      return false;
    }
    next.spent.push_back({own_key, from, false, until + kSkewMax});
    return true;
  });
  if (!changed) return tl::unexpected<Error>(changed.error());
  if (!may) return tl::unexpected<Error>(may.error());
  return next_id_++;
}

bool BindingTable::is_revoked(std::string_view key, std::chrono::sys_seconds now) {
  const std::lock_guard lock(writer_);
  const std::string own_key = wire_key(key);
  return std::any_of(records_.spent.begin(), records_.spent.end(),
                     [&](const SpentToken& each) { return each.is_revoked && each.until > now && (each.key == own_key || each.key == key); });
}

Result<void> BindingTable::revoke_spent(const std::vector<SpentToken>& tokens, std::chrono::sys_seconds now) {
  const std::lock_guard lock(writer_);
  std::vector<BindingStore::Key> keys;
  for (const SpentToken& token : tokens) keys.push_back(store_key(wire_key(token.key)));
  if (auto seen = refresh(keys); !seen) return seen;
  return change([&](BindingRecords& next) {
    std::erase_if(next.spent, [&](const SpentToken& each) { return each.until <= now; });
    for (const SpentToken& token : tokens) {
      const auto spent = find_spent(next.spent, wire_key(token.key));
      if (spent != next.spent.end()) spent->is_revoked = true;
      else next.spent.push_back({wire_key(token.key), token.where, true, token.until + kSkewMax});
    }
    return true;
  });
}

}  // namespace weir::identify

// Credentials on the wire, where they touch what binds addresses: ids that nobody had before, and tokens that were used.
#include <algorithm>
#include <iterator>

#include "identify/bindings.h"

namespace weir::identify {
namespace {

using std::chrono::sys_seconds;

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

// Of revoke_on_wire().  Those that were revoked before fit none.
class FitsUse {
 public:
  explicit FitsUse(std::string_view which) : which_(which), place_(Address::parse(which)) {}
  bool operator()(const SpentToken& use) const {
    if (which_.empty() || use.is_revoked || !is_wire_key(use.key)) return false;
    return (place_ && use.where == *place_) || std::find(use.names.begin(), use.names.end(), which_) != use.names.end();
  }

 private:
  std::string_view which_;
  Result<Address> place_;
};

}  // namespace

Result<uint64_t> BindingTable::spend(const SpentToken& use, bool is_tied, sys_seconds now) {
  const std::lock_guard lock(writer_);
  if (auto reserved = reserve_ids(1); !reserved) return tl::unexpected<Error>(reserved.error());
  SpentToken made = use;
  made.key = wire_key(use.key);
  made.until += kSkewMax;
  // By what all gateways did until now, told of or not.
  if (auto seen = refresh({store_key(made.key), store_key(use.key)}); !seen) return tl::unexpected<Error>(seen.error());
  Result<void> may;
  auto changed = change([&](BindingRecords& next) {
    std::erase_if(next.spent, [&](const SpentToken& each) { return each.until <= now; });
    may = may_spend(next.spent, made.key, use.key, is_tied ? &use.where : nullptr);
    if (!may || find_spent(next.spent, made.key) != next.spent.end()) return false;
    if (next.spent.size() >= 2 * static_cast<std::size_t>(options_.bindings_max)) {
      may = fail(Error::Kind::kUnavailable, "this gateway remembers as many tokens as it may (" + std::to_string(options_.bindings_max) + " bindings)");
      return false;
    }
    next.spent.push_back(made);
    return true;
  });
  if (!changed) return tl::unexpected<Error>(changed.error());
  if (!may) return tl::unexpected<Error>(may.error());
  return next_id_++;
}

bool BindingTable::is_revoked(std::string_view key, sys_seconds now) {
  const std::lock_guard lock(writer_);
  const std::string own_key = wire_key(key);
  return std::any_of(records_.spent.begin(), records_.spent.end(),
                     [&](const SpentToken& each) { return each.is_revoked && each.until > now && (each.key == own_key || each.key == key); });
}

std::vector<SpentToken> BindingTable::fitting_on_wire(std::string_view which, sys_seconds now) {
  const std::lock_guard lock(writer_);
  std::vector<SpentToken> fitting;
  std::copy_if(records_.spent.begin(), records_.spent.end(), std::back_inserter(fitting), [fits = FitsUse(which), now](const SpentToken& each) { return each.until > now && fits(each); });
  return fitting;
}

Result<std::vector<SpentToken>> BindingTable::revoke_on_wire(std::string_view which, const std::vector<SpentToken>& uses, sys_seconds now) {
  const std::lock_guard lock(writer_);
  std::vector<BindingStore::Key> keys;
  for (const SpentToken& use : uses) keys.push_back(store_key(wire_key(use.key)));
  if (auto seen = refresh(keys); !seen) return tl::unexpected<Error>(seen.error());
  std::vector<SpentToken> revoked;
  auto changed = change([&](BindingRecords& next) {
    revoked.clear();
    std::erase_if(next.spent, [&](const SpentToken& each) { return each.until <= now; });
    for (const SpentToken& use : uses) {
      if (find_spent(next.spent, wire_key(use.key)) != next.spent.end()) continue;
      next.spent.push_back({wire_key(use.key), use.where, false, use.until + kSkewMax, use.names});
    }
    const FitsUse fits(which);
    for (SpentToken& each : next.spent) {
      const bool is_named = std::any_of(uses.begin(), uses.end(), [&](const SpentToken& use) { return each.key == wire_key(use.key); });
      if (each.is_revoked || !(is_named || fits(each))) continue;
      each.is_revoked = true;
      revoked.push_back(each);
    }
    return !revoked.empty();
  });
  if (!changed) return tl::unexpected<Error>(changed.error());
  return revoked;
}

}  // namespace weir::identify

#include "identify/bindings.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <tuple>

#include "identify/binding_index.h"

namespace weir::identify {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;
using Kind = BindOutcome::Kind;

constexpr seconds kSkewMax{600};  // Of any issuer: a used token is remembered beyond its end by as much.

bool is_same_person(const Identity& identity, const VerifiedToken& token) {
  return identity.issuer == token.issuer && identity.subject == token.subject;
}

// A static binding of one address takes it; one of a prefix is what applies to those there who have not signed in.
bool takes_address(const Binding& binding, const Address& address) {
  return binding.where.bits == 128 && binding.where.address == address;
}

bool is_as_configured(const Binding& binding, const StaticBindingConfig& config) {
  const Identity& identity = *binding.identity;
  return binding.is_static && binding.where == config.address && binding.link == config.link && identity.subject == config.subject &&
         identity.groups == config.groups && identity.reason == config.reason && identity.expires == config.until;
}

IdentityPtr identity_of(const VerifiedToken& token, uint64_t id, sys_seconds expires) {
  Identity identity;
  identity.binding_id = id;
  identity.subject = token.subject;
  identity.groups = token.groups;
  identity.issuer = token.issuer;
  identity.token_id = token.token_id;
  identity.email = token.email;
  identity.acting_for = token.acting_for;
  identity.assurance = token.assurance;
  identity.expires = expires;
  return std::make_shared<const Identity>(std::move(identity));
}

// Takes out and returns those that `is_out` says.
template <class Predicate>
std::vector<Binding> take(std::vector<Binding>& bindings, Predicate is_out) {
  const auto end = std::stable_partition(bindings.begin(), bindings.end(), [&](const Binding& each) { return !is_out(each); });
  std::vector<Binding> taken(std::make_move_iterator(end), std::make_move_iterator(bindings.end()));
  bindings.erase(end, bindings.end());
  return taken;
}

// What revoke() takes: an id, an address or prefix, or a subject.
class Fits {
 public:
  explicit Fits(std::string_view which) : which_(which), place_(Prefix::parse(which)) {
    const auto [end, error] = std::from_chars(which.data(), which.data() + which.size(), id_);
    is_id_ = error == std::errc{} && end == which.data() + which.size();
  }
  bool operator()(const Binding& binding) const {
    if (is_id_) return binding.identity->binding_id == id_;
    return place_ ? binding.where == *place_ : binding.identity->subject == which_;
  }

 private:
  std::string_view which_;
  uint64_t id_ = 0;
  bool is_id_ = false;
  Result<Prefix> place_;
};

std::vector<Binding> by_id(std::vector<Binding> bindings) {
  std::sort(bindings.begin(), bindings.end(),
            [](const Binding& a, const Binding& b) { return a.identity->binding_id < b.identity->binding_id; });
  return bindings;
}

}  // namespace

struct BindingTable::Snapshot {
  const std::vector<Binding> all;  // By id.
  const BindingIndex index;

  explicit Snapshot(std::vector<Binding> bindings) : all(by_id(std::move(bindings))), index(all) {}
};

void BindingTable::publish(BindingRecords next) {
  auto snapshot = std::make_shared<const Snapshot>(next.bindings);
  records_ = std::move(next);
  first_end_ = sys_seconds::max();
  for (const Binding& each : records_.bindings) {
    if (each.identity->expires != sys_seconds{}) first_end_ = std::min(first_end_, each.identity->expires);
  }
  const std::lock_guard lock(reader_);
  snapshot_ = std::move(snapshot);
}

std::shared_ptr<const BindingTable::Snapshot> BindingTable::snapshot() const {
  const std::lock_guard lock(reader_);
  return snapshot_;
}

IdentityPtr BindingTable::find(const Address& address, sys_seconds now) const { return snapshot()->index.find(address, now); }

std::optional<Binding> BindingTable::at(const Prefix& where, sys_seconds now) const {
  const auto current = snapshot();
  const Binding* found = current->index.at(where, now);
  return found == nullptr ? std::nullopt : std::optional(*found);
}

std::vector<Binding> BindingTable::list(sys_seconds now) const {
  std::vector<Binding> live = snapshot()->all;
  take(live, [&](const Binding& each) { return has_ended(each, now); });
  return live;
}

std::vector<Binding> BindingTable::in_force(sys_seconds now) const {
  std::vector<Binding> live = list(now);
  // Address bindings before static ones, the older before the newer: as find() looks.
  std::stable_sort(live.begin(), live.end(), [](const Binding& a, const Binding& b) { return !a.is_static && b.is_static; });
  std::stable_sort(live.begin(), live.end(), [](const Binding& a, const Binding& b) {
    return std::tie(a.where.address, a.where.bits) < std::tie(b.where.address, b.where.bits);
  });
  const auto end = std::unique(live.begin(), live.end(), [](const Binding& a, const Binding& b) { return a.where == b.where; });
  live.erase(end, live.end());
  return live;
}

void BindingTable::set_options(const Options& options) {
  const std::lock_guard lock(writer_);
  options_ = options;
}

Result<std::vector<Binding>> BindingTable::set_static(const std::vector<StaticBindingConfig>& configured, sys_seconds now) {
  const std::lock_guard lock(writer_);
  if (auto reserved = reserve_ids(configured.size()); !reserved) return tl::unexpected<Error>(reserved.error());
  BindingRecords next = records_;
  next.next_id = next_id_;
  std::vector<Binding> old = take(next.bindings, [](const Binding& each) { return each.is_static; });
  for (const StaticBindingConfig& config : configured) {
    if (config.until != sys_seconds{} && config.until <= now) continue;
    const auto same = std::find_if(old.begin(), old.end(), [&](const Binding& each) { return is_as_configured(each, config); });
    if (same != old.end()) {
      next.bindings.push_back(std::move(*same));
      old.erase(same);
      continue;
    }
    Identity identity;
    identity.binding_id = next.next_id++;
    identity.subject = config.subject;
    identity.groups = config.groups;
    identity.assurance = Assurance::kStatic;
    identity.expires = config.until;
    identity.reason = config.reason;
    Binding binding;
    binding.identity = std::make_shared<const Identity>(std::move(identity));
    binding.where = config.address;
    binding.link = config.link;
    binding.is_static = true;
    binding.bound_at = now;
    next.bindings.push_back(std::move(binding));
  }
  next_id_ = next.next_id;  // Given, also if it cannot be written.
  if (const auto written = commit(std::move(next)); !written) return tl::unexpected<Error>(written.error());
  return old;
}

Result<BindOutcome> BindingTable::bind(const VerifiedToken& token, const Address& address, sys_seconds now, const LinkKey& link) {
  const std::lock_guard lock(writer_);
  if (auto reserved = reserve_ids(1); !reserved) return tl::unexpected<Error>(reserved.error());
  // By what all gateways did until now, told of or not.
  SpentToken key, key_on_wire;
  key.key = token.key;
  key_on_wire.key = wire_key(token.key);
  if (auto seen = refresh({{kBindingKind, address.text()}, BindingStore::key_of(key), BindingStore::key_of(key_on_wire)}); !seen) return tl::unexpected<Error>(seen.error());
  BindOutcome outcome;
  auto changed = change([&](BindingRecords& next) {
    std::erase_if(next.spent, [&](const SpentToken& each) { return each.until <= now; });
    next.next_id = next_id_;
    outcome = admit(next, token, address, link, now);
    next_id_ = next.next_id;  // Given, also if it cannot be written.
    return outcome.is_bound();
  });
  if (!changed) return tl::unexpected<Error>(changed.error());
  if (outcome.kind == Kind::kAddressTaken) count_refusal(outcome.binding);
  return outcome;
}

// In memory alone: a stranger who is refused must not make us write.  Pre: writer_ is held.
void BindingTable::count_refusal(const Binding& holder) {
  BindingRecords next = records_;
  const auto same = [&](const Binding& each) { return each.identity->binding_id == holder.identity->binding_id; };
  const auto found = std::find_if(next.bindings.begin(), next.bindings.end(), same);
  if (found != next.bindings.end()) *found = holder;
  publish(std::move(next));
}

// What becomes of `next` if the token binds the address.  Pre: writer_ is held.
BindOutcome BindingTable::admit(BindingRecords& next, const VerifiedToken& token, const Address& address, const LinkKey& link,
                                sys_seconds now) const {
  BindOutcome outcome;
  const auto refused = [&outcome](Kind kind, std::string text) {
    outcome.kind = kind;
    outcome.text = std::move(text);
    return outcome;
  };
  const auto spent =
      std::find_if(next.spent.begin(), next.spent.end(), [&](const SpentToken& each) { return each.key == token.key; });
  const auto on_wire = std::find_if(next.spent.begin(), next.spent.end(), [own_key = wire_key(token.key)](const SpentToken& each) { return each.key == own_key; });
  if (on_wire != next.spent.end() && (on_wire->is_revoked || on_wire->where != address)) {
    return refused(on_wire->is_revoked ? Kind::kTokenRevoked : Kind::kTokenElsewhere,
                   on_wire->is_revoked ? "this token was revoked; sign in again"
                                       : "this token was used on the wire from another address already: sign in again from here");
  }
  if (spent != next.spent.end() && spent->is_revoked)
    return refused(Kind::kTokenRevoked, "a binding of this token was revoked; sign in again");
  if (spent != next.spent.end() && spent->where != address) {
    return refused(Kind::kTokenElsewhere,
                   "this token has bound another address already; one sign-in binds one address: sign in again from here");
  }
  std::vector<Binding> old = take(next.bindings, [&](const Binding& each) {
    return !each.is_static && each.where.address == address && has_ended(each, now);
  });
  auto holder = std::find_if(next.bindings.begin(), next.bindings.end(),
                             [&](const Binding& each) { return !each.is_static && each.where.address == address; });
  if (holder == next.bindings.end()) {
    holder = std::find_if(next.bindings.begin(), next.bindings.end(),
                          [&](const Binding& each) { return takes_address(each, address) && !has_ended(each, now); });
  }
  const bool is_held = holder != next.bindings.end();
  const bool is_same =
      is_held && (holder->is_static ? holder->identity->subject == token.subject : is_same_person(*holder->identity, token));
  if (is_held && !is_same && options_.one_identity_per_address) {
    ++holder->refused_attempts;
    holder->last_refused_subject = token.subject;
    outcome.binding = *holder;
    outcome.text_for_holder =
        token.subject + " (" + token.issuer + ") tried to bind your address " + address.text() + " and was refused";
    return refused(Kind::kAddressTaken, address.text() +
                                            " is bound to somebody else; they can end it (`weir revoke`), or prove yourself on "
                                            "the wire where the target admits it");
  }
  const bool is_new = !is_held || holder->is_static;
  if ((is_new && next.bindings.size() >= options_.bindings_max) ||
      next.spent.size() >= 2 * static_cast<std::size_t>(options_.bindings_max)) {
    return refused(Kind::kFull,
                   "this gateway holds as many bindings as it may (" + std::to_string(options_.bindings_max) + ")");
  }

  const sys_seconds expires = std::min(token.expires, now + options_.ttl_max);
  // From elsewhere it is another binding: flows of the old place are not to go on from the new one.
  const bool is_renewal = !is_new && is_same && holder->link == link && holder->identity->groups == token.groups &&
                          holder->identity->acting_for == token.acting_for && holder->identity->assurance == token.assurance;
  uint64_t id = 0;
  if (is_renewal) {
    id = holder->identity->binding_id;
    outcome.kind = Kind::kRenewed;
    holder->identity = identity_of(token, id, expires);
    outcome.binding = *holder;
  } else {
    if (!is_new) {
      outcome.kind = Kind::kReplaced;
      old.push_back(*holder);
      next.bindings.erase(holder);
    }
    id = next.next_id++;
    Binding binding;
    binding.identity = identity_of(token, id, expires);
    binding.where = {address, 128};
    binding.link = link;
    binding.bound_at = now;
    next.bindings.push_back(binding);
    outcome.binding = std::move(binding);
  }
  outcome.ended = std::move(old);
  if (spent == next.spent.end()) next.spent.push_back({token.key, address, false, token.expires + kSkewMax});
  outcome.text = address.text() + " is bound to " + token.subject;
  return outcome;
}

std::vector<Binding> BindingTable::fitting(std::string_view which) const {
  const auto current = snapshot();
  std::vector<Binding> fitting;
  std::copy_if(current->all.begin(), current->all.end(), std::back_inserter(fitting), Fits(which));
  return fitting;
}

Result<std::vector<Binding>> BindingTable::revoke(std::string_view which, sys_seconds now) {
  const std::lock_guard lock(writer_);
  std::vector<Binding> ended;
  auto changed = change([&](BindingRecords& next) {
    ended = take(next.bindings, Fits(which));
    if (ended.empty()) return false;
    // Every live token that bound there, renewals included.
    std::erase_if(next.spent, [&](const SpentToken& each) { return each.until <= now; });
    for (SpentToken& token : next.spent) {
      if (is_wire_key(token.key)) continue;  // Of who proves it each time: others at that address may have their own.
      token.is_revoked = token.is_revoked || std::any_of(ended.begin(), ended.end(), [&](const Binding& each) {
                           return !each.is_static && each.where.address == token.where;
                         });
    }
    return true;
  });
  if (!changed) return tl::unexpected<Error>(changed.error());
  return ended;
}

// From memory at once: the end of a binding waits for nobody's disk.
Result<std::vector<Binding>> BindingTable::expire(sys_seconds now) {
  const std::lock_guard lock(writer_);
  std::vector<Binding> ended;
  if (now < first_end_ && unwritten_.empty()) return ended;
  BindingRecords next = records_;
  ended = take(next.bindings, [&](const Binding& each) { return has_ended(each, now); });
  if (!ended.empty()) {
    std::erase_if(next.spent, [&](const SpentToken& each) { return each.until <= now; });
    for (const BindingStore::Change& each : store_.differences(records_, next)) unwritten_.push_back(each.write);
    publish(std::move(next));
  }
  unwritten_ = store_.write_each(std::move(unwritten_));
  return ended;
}

}  // namespace weir::identify

#include "identify/binding_store.h"

#include <openssl/sha.h>

#include <algorithm>
#include <map>
#include <unordered_map>

namespace weir::identify {
namespace {

constexpr std::size_t kIdMax = 400;   // Of the store's 512: a longer token id stands as its digest.
constexpr std::size_t kAtOnceMax = 500;

Error words(const Error& error, const char* what) { return {error.kind, std::string(what) + ": " + error.message, error.code}; }

}  // namespace

BindingStore::Key BindingStore::key_of(const Binding& binding) const {
  if (binding.is_static) return {kStaticKind, gateway_ + "/" + std::to_string(binding.identity->binding_id)};
  return {kBindingKind, binding.where.text()};
}

BindingStore::Key BindingStore::key_of(const SpentToken& token) {
  if (token.key.size() <= kIdMax) return {kSpentKind, token.key};
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(token.key.data()), token.key.size(), digest);
  std::string id = "sha256:";
  for (const unsigned char each : digest) {
    id += "0123456789abcdef"[each >> 4];
    id += "0123456789abcdef"[each & 15];
  }
  return {kSpentKind, id};
}

Result<BindingRecords> BindingStore::load() {
  BindingRecords records;
  for (const char* kind : {kBindingKind, kStaticKind, kSpentKind}) {
    auto items = store_.load(kind);
    if (!items) return tl::unexpected<Error>(words(items.error(), "bindings cannot be read"));
    for (const StoreItem& item : *items) {
      if (kind == kStaticKind && !item.id.starts_with(gateway_ + "/")) continue;
      if (!add(records, {item.kind, item.id}, item)) {
        return fail(Error::Kind::kCorrupt, "the store's " + item.kind + " " + item.id + " is damaged; remove it there: who it was for signs in anew");
      }
    }
  }
  return records;
}

// Pre: what is as it was shares its identity with that of before.
std::vector<BindingStore::Change> BindingStore::differences(const BindingRecords& before, BindingRecords& after) const {
  std::vector<Change> changes;
  std::unordered_map<uint64_t, const Binding*> old;
  for (const Binding& each : before.bindings) old.emplace(each.identity->binding_id, &each);
  std::vector<Binding*> changed;
  for (Binding& each : after.bindings) {
    const auto found = old.find(each.identity->binding_id);
    const bool is_same = found != old.end() && found->second->identity == each.identity;
    if (is_same) old.erase(found);
    else changed.push_back(&each);
  }
  // What is left of the old ones is written over, or removed.
  std::map<Key, uint64_t> left;
  for (const auto& [id, binding] : old) left[key_of(*binding)] = binding->version;
  for (Binding* each : changed) {
    const Key key = key_of(*each);
    const auto found = left.find(key);
    changes.push_back({{key.first, key.second, found == left.end() ? 0 : found->second, text_of(*each)}, &each->version});
    if (found != left.end()) left.erase(found);
  }
  std::unordered_map<std::string_view, const SpentToken*> spent;
  for (const SpentToken& each : before.spent) spent.emplace(each.key, &each);
  for (SpentToken& each : after.spent) {
    const auto found = spent.find(each.key);
    if (found == spent.end() || found->second->is_revoked != each.is_revoked) {
      changes.push_back({{kSpentKind, key_of(each).second, found == spent.end() ? 0 : found->second->version, text_of(each)}, &each.version});
    }
    if (found != spent.end()) spent.erase(found);
  }
  for (const auto& [key, token] : spent) left[key_of(*token)] = token->version;
  for (const auto& [key, version] : left) {
    if (version != 0) changes.push_back({{key.first, key.second, version, std::nullopt}, nullptr});
  }
  return changes;
}

Result<void> BindingStore::write(const std::vector<Change>& changes) {
  if (changes.empty()) return {};
  std::vector<StoreWrite> writes;
  for (const Change& each : changes) writes.push_back(each.write);
  if (auto written = store_.write(writes); !written) {
    if (written.error().kind == Error::Kind::kDenied) return written;
    return tl::unexpected<Error>(words(written.error(), "bindings cannot be kept now, so nothing has changed"));
  }
  for (const Change& each : changes) {
    if (each.version != nullptr) *each.version = each.write.expected + 1;
  }
  return {};
}

std::vector<StoreWrite> BindingStore::write_each(std::vector<StoreWrite> writes) {
  std::vector<StoreWrite> left;
  for (std::size_t from = 0; from < writes.size(); from += kAtOnceMax) {
    const std::vector<StoreWrite> some(writes.begin() + static_cast<std::ptrdiff_t>(from),
                                       writes.begin() + static_cast<std::ptrdiff_t>(std::min(writes.size(), from + kAtOnceMax)));
    const auto all = store_.write(some);
    if (all) continue;
    const bool is_conflict = all.error().kind == Error::Kind::kDenied;
    for (const StoreWrite& each : some) {
      const auto one = is_conflict ? store_.write({each}) : all;
      if (!one && one.error().kind != Error::Kind::kDenied) left.push_back(each);
    }
  }
  return left;
}

Result<void> BindingStore::refresh(BindingRecords& records, const std::vector<Key>& keys) {
  for (const Key& key : keys) {
    const auto found = store_.find(key.first, key.second);
    if (!found) return tl::unexpected<Error>(words(found.error(), "bindings cannot be looked up, so nothing has changed"));
    apply(records, key, *found ? &**found : nullptr);
  }
  return {};
}

Result<void> BindingStore::reload_spent(BindingRecords& records) {
  const auto items = store_.load(kSpentKind);
  if (!items) return tl::unexpected<Error>(words(items.error(), "used tokens cannot be looked up, so nothing has changed"));
  BindingRecords read;
  for (const StoreItem& item : *items) (void)add(read, {item.kind, item.id}, item);
  records.spent = std::move(read.spent);
  return {};
}

// False: it is no binding, and no used token, of that name.
bool BindingStore::add(BindingRecords& records, const Key& key, const StoreItem& item) const {
  if (key.first == kSpentKind) {
    auto token = parse_spent(item.body);
    if (!token || key_of(*token) != key) return false;
    token->version = item.version;
    records.spent.push_back(std::move(*token));
    return true;
  }
  auto binding = parse_binding(item.body);
  if (!binding || key_of(*binding) != key) return false;
  binding->version = item.version;
  records.bindings.push_back(std::move(*binding));
  return true;
}

void BindingStore::apply(BindingRecords& records, const Key& key, const StoreItem* item) const {
  if (key.first == kSpentKind) {
    std::erase_if(records.spent, [&](const SpentToken& each) { return each.key.size() <= kIdMax ? each.key == key.second : key_of(each) == key; });
    if (item != nullptr) (void)add(records, key, *item);
    return;
  }
  const auto where = Prefix::parse(key.second);
  if (!where) return;
  const auto same = std::find_if(records.bindings.begin(), records.bindings.end(), [&](const Binding& each) { return !each.is_static && each.where == *where; });
  BindingRecords read;
  if (item != nullptr) (void)add(read, key, *item);
  const bool is_there = !read.bindings.empty(), is_known = same != records.bindings.end();
  // As it was: its identity stays the one that sessions hold.
  if (is_there && is_known && same->version == item->version && same->identity->binding_id == read.bindings.front().identity->binding_id) return;
  if (is_known) records.bindings.erase(same);
  if (is_there) records.bindings.push_back(std::move(read.bindings.front()));
}

Result<void> BindingStore::take_over(BindingRecords records) {
  std::vector<StoreWrite> writes;
  for (Change& each : differences({}, records)) writes.push_back(std::move(each.write));
  if (!write_each(std::move(writes)).empty()) return fail(Error::Kind::kUnavailable, "bindings of an earlier version cannot be put into the store now");
  return {};
}

}  // namespace weir::identify

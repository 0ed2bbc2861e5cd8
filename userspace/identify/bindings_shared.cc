// The binding table and its store: opening, writing what changed, and what other gateways change.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "identify/bindings.h"

namespace weir::identify {
namespace {

using std::chrono::sys_seconds;

constexpr uint64_t kIdsAtOnce = 256;  // A restart leaves out what is left of them.
constexpr int kTries = 8;             // Each of them lost to another gateway's write.

std::vector<BindingStore::Key> keys_of(const std::vector<BindingStore::Change>& changes) {
  std::vector<BindingStore::Key> keys;
  for (const BindingStore::Change& each : changes) keys.emplace_back(each.write.kind, each.write.id);
  return keys;
}

}  // namespace

BindingTable::BindingTable(Store& store, const Options& options) : store_(store, options.gateway), raw_store_(store), options_(options) {}

BindingTable::~BindingTable() {
  const std::lock_guard lock(watch_->mutex);
  watch_->table = nullptr;
}

Result<std::unique_ptr<BindingTable>> BindingTable::open(Store& store, const Options& options, sys_seconds now) {
  auto table = std::unique_ptr<BindingTable>(new BindingTable(store, options));
  if (auto started = table->start(now); !started) return tl::unexpected<Error>(started.error());
  return table;
}

Result<void> BindingTable::start(sys_seconds now) {
  // A lost store, or an older one that was put back, must not lead to old ids: the kernel's flow map may still know them.  A
  // thousand a second is more than any gateway binds.
  ids_floor_ = static_cast<uint64_t>(std::max<int64_t>(now.time_since_epoch().count(), 0)) * 1000;
  watch_->table = this;
  const std::lock_guard lock(writer_);  // What is told meanwhile waits, and is looked up again.
  for (const char* kind : {kBindingKind, kSpentKind}) {
    raw_store_.watch(kind, [watch = watch_](const StoreItem& item) {
      const std::lock_guard alive(watch->mutex);
      if (watch->table != nullptr) watch->table->on_change({item.kind, item.id}, item.body.empty() ? nullptr : &item);
    });
  }
  if (auto taken = take_over_file(now); !taken) return taken;
  auto loaded = store_.load();
  if (!loaded) return tl::unexpected<Error>(loaded.error());
  BindingRecords current = *loaded;
  std::erase_if(current.bindings, [&](const Binding& each) { return has_ended(each, now); });
  std::erase_if(current.spent, [&](const SpentToken& each) { return each.until <= now; });
  for (const BindingStore::Change& each : store_.differences(*loaded, current)) unwritten_.push_back(each.write);
  unwritten_ = store_.write_each(std::move(unwritten_));
  publish(std::move(current));
  return reserve_ids(1);
}

// Once: into the store, then renamed.  A crash in between leads to the same again.
Result<void> BindingTable::take_over_file(sys_seconds now) {
  if (options_.earlier_file.empty()) return {};
  auto earlier = read_bindings(options_.earlier_file);
  if (!earlier && earlier.error().kind == Error::Kind::kNotFound) return {};
  if (!earlier) return tl::unexpected<Error>(earlier.error());
  ids_floor_ = std::max(ids_floor_, earlier->next_id);
  std::erase_if(earlier->bindings, [&](const Binding& each) { return has_ended(each, now); });
  if (auto taken = store_.take_over(std::move(*earlier)); !taken) return taken;
  const std::string aside = options_.earlier_file + ".taken-over";
  if (std::rename(options_.earlier_file.c_str(), aside.c_str()) != 0) {
    return fail(Error::Kind::kSystem, "cannot rename " + options_.earlier_file + " to " + aside + ": " + std::strerror(errno), errno);
  }
  return {};
}

Result<void> BindingTable::reserve_ids(uint64_t count) {
  if (ids_until_ - next_id_ >= count && next_id_ > ids_floor_) return {};
  const uint64_t taken = std::max(count, kIdsAtOnce);
  const auto first = store_.take_ids(taken, ids_floor_);
  if (!first) return fail(first.error().kind, "bindings cannot be kept now, so nothing has changed: " + first.error().message, first.error().code);
  next_id_ = *first;
  ids_until_ = *first + taken;
  return {};
}

Result<void> BindingTable::refresh(const std::vector<BindingStore::Key>& keys) {
  BindingRecords next = records_;
  if (auto seen = store_.refresh(next, keys); !seen) return seen;
  note_foreign(records_, next, keys);
  publish(std::move(next));
  return {};
}

// What is there no more, or is somebody else's now, has ended; a renewal keeps its id.
void BindingTable::note_foreign(const BindingRecords& before, const BindingRecords& after, const std::vector<BindingStore::Key>& keys) {
  const auto held = [](const BindingRecords& records, const Prefix& where) -> const Binding* {
    const auto found = std::find_if(records.bindings.begin(), records.bindings.end(), [&](const Binding& each) { return !each.is_static && each.where == where; });
    return found == records.bindings.end() ? nullptr : &*found;
  };
  for (const BindingStore::Key& key : keys) {
    if (key.first == kSpentKind) {
      note_foreign_use(before, after, key);
      continue;
    }
    const auto where = Prefix::parse(key.second);
    if (key.first != kBindingKind || !where) continue;
    const Binding *was = held(before, *where), *is = held(after, *where);
    if (was != nullptr && is != nullptr && was->identity == is->identity) continue;
    const bool is_renewed = was != nullptr && is != nullptr && was->identity->binding_id == is->identity->binding_id;
    if (was != nullptr && !is_renewed) foreign_.ended.push_back(*was);
    if (is != nullptr) foreign_.bound.push_back(*is);
  }
}

void BindingTable::note_foreign_use(const BindingRecords& before, const BindingRecords& after, const BindingStore::Key& key) {
  const auto is_revoked = [&key](const SpentToken& each) { return each.is_revoked && is_wire_key(each.key) && BindingStore::key_of(each) == key; };
  const auto found = std::find_if(after.spent.begin(), after.spent.end(), is_revoked);
  if (found == after.spent.end() || std::any_of(before.spent.begin(), before.spent.end(), is_revoked)) return;
  foreign_.revoked_on_wire.push_back(found->key.substr(wire_key("").size()));
}

Result<void> BindingTable::change(const std::function<bool(BindingRecords&)>& decide) {
  for (int tries = 0; tries < kTries; ++tries) {
    BindingRecords next = records_;
    if (!decide(next)) return {};
    const auto changes = store_.differences(records_, next);
    auto written = store_.write(changes);
    if (written) {
      publish(std::move(next));
      return written;
    }
    if (written.error().kind != Error::Kind::kDenied) return written;
    if (auto seen = refresh(keys_of(changes)); !seen) return seen;
    // Whoever changed a binding may have used another token for it.
    if (auto seen = store_.reload_spent(records_); !seen) return seen;
    if (auto reserved = reserve_ids(1); !reserved) return reserved;
  }
  return fail(Error::Kind::kUnavailable, "other gateways change the same bindings all the time; nothing has changed: try again");
}

Result<void> BindingTable::commit(BindingRecords next) {
  const auto changes = store_.differences(records_, next);
  auto written = store_.write(changes);
  if (written) publish(std::move(next));
  return written;
}

// By what the store has now: what was told may be older than what was written here since.
void BindingTable::on_change(const BindingStore::Key& key, const StoreItem* told) {
  std::function<void()> on_foreign;
  {
    const std::lock_guard lock(writer_);
    BindingRecords next = records_;
    if (!store_.refresh(next, {key})) store_.apply(next, key, told);  // It cannot be asked: what it told counts.
    note_foreign(records_, next, {key});
    publish(std::move(next));
    if (!foreign_.ended.empty() || !foreign_.bound.empty() || !foreign_.revoked_on_wire.empty()) on_foreign = on_foreign_;
  }
  if (on_foreign) on_foreign();
}

BindingTable::ForeignChanges BindingTable::take_foreign() {
  const std::lock_guard lock(writer_);
  return std::exchange(foreign_, {});
}

void BindingTable::set_on_foreign(std::function<void()> on_foreign) {
  const std::lock_guard alive(watch_->mutex);  // The one before is not running any more when this returns.
  const std::lock_guard lock(writer_);
  on_foreign_ = std::move(on_foreign);
}

}  // namespace weir::identify

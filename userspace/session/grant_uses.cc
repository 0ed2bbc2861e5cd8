#include "session/grant_uses.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/json_fields.h"
#include "core/time_text.h"

namespace weir::session {
namespace {

using nlohmann::json;
using std::chrono::sys_seconds;

std::string body_of(const GrantUse& use) {
  return json{{"grant", use.grant}, {"count", use.count}, {"since", use.since.time_since_epoch().count()}, {"last", use.last.time_since_epoch().count()}, {"subject", use.subject}}
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

sys_seconds time_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return sys_seconds(std::chrono::seconds(found != object.end() && found->is_number_integer() ? found->get<int64_t>() : 0));
}

sys_seconds earlier(sys_seconds a, sys_seconds b) { return a == sys_seconds{} ? b : b == sys_seconds{} ? a : std::min(a, b); }

}  // namespace

GrantUses::GrantUses(Store& store, std::string gateway) : store_(store), gateway_(std::move(gateway)) { listener_->uses = this; }

GrantUses::~GrantUses() {
  const std::lock_guard lock(listener_->mutex);
  listener_->uses = nullptr;
}

Result<void> GrantUses::load() {
  store_.watch(kKind, [listener = listener_](const StoreItem& item) {
    const std::lock_guard lock(listener->mutex);
    if (listener->uses != nullptr) listener->uses->take(item);
  });
  const auto items = store_.load(kKind);
  if (!items) return tl::unexpected<Error>(items.error());
  for (const StoreItem& item : *items) take(item);
  return {};
}

// As it stands in the store now; what is counted here and not written yet is not lost.
void GrantUses::take(const StoreItem& item) {
  const json body = json::parse(item.body, nullptr, false);
  if (!body.is_object() || !body.contains("grant") || !body["grant"].is_string()) return;
  const std::lock_guard lock(mutex_);
  Item& mine = items_[item.id];
  mine.version = item.version;
  mine.use.grant = body["grant"].get<std::string>();
  const auto count = body.find("count");
  mine.use.count = std::max(mine.use.count, count != body.end() && count->is_number_unsigned() ? count->get<uint64_t>() : 0);
  mine.use.since = earlier(mine.use.since, time_at(body, "since"));
  if (const sys_seconds last = time_at(body, "last"); last > mine.use.last) {
    mine.use.last = last;
    mine.use.subject = text_at(body, "subject");
  }
}

void GrantUses::set_grants(const std::vector<GrantConfig>& grants, sys_seconds now) {
  const std::lock_guard lock(mutex_);
  for (const GrantConfig& grant : grants) {
    const auto [place, is_new] = items_.try_emplace(id_of(grant.name));
    if (!is_new) continue;
    place->second.use.grant = grant.name;
    place->second.use.since = now;
    place->second.is_changed = true;
  }
}

void GrantUses::add(const std::vector<GrantUse>& uses) {
  const std::lock_guard lock(mutex_);
  for (const GrantUse& use : uses) {
    Item& mine = items_[id_of(use.grant)];
    mine.use.grant = use.grant;
    mine.use.count += use.count;
    mine.use.since = earlier(mine.use.since, use.since);
    if (use.last >= mine.use.last) {
      mine.use.last = use.last;
      mine.use.subject = use.subject;
    }
    mine.is_changed = true;
  }
}

Result<void> GrantUses::save() {
  std::vector<StoreWrite> writes;
  std::vector<uint64_t> counts;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, item] : items_) {
      if (!item.is_changed) continue;
      writes.push_back({kKind, id, item.version, body_of(item.use)});
      counts.push_back(item.use.count);
    }
  }
  if (writes.empty()) return {};
  const auto written = store_.write(writes);
  if (!written && written.error().kind == Error::Kind::kDenied) {
    // Somebody else wrote under this gateway's name: look at what, and write over it the next time.
    for (const StoreWrite& write : writes) {
      const auto found = store_.find(kKind, write.id);
      if (!found) return tl::unexpected<Error>(found.error());
      if (*found) {
        take(**found);
      } else {
        const std::lock_guard lock(mutex_);
        items_[write.id].version = 0;
      }
    }
    return tl::unexpected<Error>(written.error());
  }
  if (!written) return tl::unexpected<Error>(written.error());
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < writes.size(); ++i) {
    Item& item = items_[writes[i].id];
    ++item.version;
    item.is_changed = item.use.count != counts[i];   // Counted meanwhile.
  }
  return {};
}

GrantUse GrantUses::of(std::string_view grant) const {
  GrantUse total;
  total.grant = grant;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, item] : items_) {
    if (item.use.grant != grant) continue;
    total.count += item.use.count;
    total.since = earlier(total.since, item.use.since);
    if (item.use.last <= total.last) continue;
    total.last = item.use.last;
    total.subject = item.use.subject;
  }
  return total;
}

void GrantUseCounter::set_grants(const std::vector<GrantConfig>& grants) {
  if (uses_ == nullptr) return;
  flush({}, true);
  slots_.clear();
  for (const GrantConfig& grant : grants) slots_.push_back({grant.name, 0, {}, nullptr});
}

void GrantUseCounter::note(std::string_view grant, uint32_t number, const IdentityPtr& by, std::chrono::sys_time<std::chrono::nanoseconds> at) {
  if (uses_ == nullptr || grant.empty()) return;
  auto slot = number != 0 && number <= slots_.size() ? slots_.begin() + (number - 1) : slots_.end();
  if (slot == slots_.end() || slot->grant != grant) {
    slot = std::find_if(slots_.begin(), slots_.end(), [&](const Slot& each) { return each.grant == grant; });
    if (slot == slots_.end()) slot = slots_.insert(slots_.end(), {std::string(grant), 0, {}, nullptr});  // A reload took it away meanwhile.
  }
  ++slot->count;
  slot->last = at;
  if (slot->by != by) slot->by = by;
  has_any_ = true;
}

void GrantUseCounter::flush(std::chrono::sys_time<std::chrono::nanoseconds> now, bool at_once) {
  constexpr std::chrono::seconds kEvery{1};
  if (!has_any_ || (!at_once && now - flushed_ < kEvery && now >= flushed_)) return;
  std::vector<GrantUse> uses;
  for (Slot& slot : slots_) {
    if (slot.count == 0) continue;
    const auto last = std::chrono::floor<std::chrono::seconds>(slot.last);
    uses.push_back({slot.grant, slot.count, last, last, slot.by ? slot.by->subject : std::string()});
    slot.count = 0;
    slot.by = nullptr;
  }
  uses_->add(uses);
  has_any_ = false;
  flushed_ = now;
}

}  // namespace weir::session

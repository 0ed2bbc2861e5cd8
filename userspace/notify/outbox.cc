#include "notify/outbox.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/check.h"
#include "notify/notice_json.h"

namespace weir::notify {
namespace {

using nlohmann::json;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::size_t kBatchMax = 200;

std::string body_of(const Notice& notice, const std::set<std::string>& sinks) { return dump(json{{"notice", to_json(notice)}, {"sinks", sinks}}); }

bool wants(const SinkConfig& sink, const Notice& notice) { return (sink.events & bit(notice.event)) != 0 && notice.severity >= sink.min_severity; }

}  // namespace

milliseconds backoff(uint32_t failures, uint64_t random) {
  const uint32_t doublings = std::min(failures - 1, 20u);
  const milliseconds most = std::min<milliseconds>(kBackoffFirst * (1u << doublings), kBackoffMost);
  return most - milliseconds(static_cast<int64_t>(random % static_cast<uint64_t>(most.count() / 2 + 1)));
}

Result<std::unique_ptr<Outbox>> Outbox::open(Store& store, Options options) {
  std::unique_ptr<Outbox> outbox(new Outbox(store, std::move(options)));
  auto items = store.load(kNoticeKind);
  if (!items) return tl::unexpected<Error>(items.error());
  for (const StoreItem& item : *items) {
    if (item.gateway != outbox->options_.gateway) continue;  // Another gateway's to deliver.
    const json body = json::parse(item.body, nullptr, false);
    auto notice = body.is_object() ? notice_of(body.value("notice", json())) : std::nullopt;
    if (!notice || notice->id != item.id) return fail(Error::Kind::kCorrupt, "store: notice " + item.id.substr(0, 40) + " is not one of ours");
    Entry entry{std::move(*notice), {}, item.version};
    for (const json& sink : body.value("sinks", json::array())) {
      if (!sink.is_string()) continue;
      entry.sinks.insert(sink.get<std::string>());
      outbox->queues_[sink.get<std::string>()].ids.insert(item.id);
    }
    if (entry.sinks.empty()) {
      outbox->removed_[item.id] = item.version;
      outbox->dirty_.insert(item.id);
    } else {
      outbox->entries_.emplace(item.id, std::move(entry));
    }
  }
  return outbox;
}

void Outbox::set_config(const NotifyConfig& config) {
  const std::lock_guard lock(mutex_);
  spool_max_ = config.spool_max;
  std::vector<std::string> gone;
  for (const auto& queue : queues_) {
    if (std::none_of(config.sinks.begin(), config.sinks.end(), [&](const SinkConfig& sink) { return sink.name == queue.first; })) gone.push_back(queue.first);
  }
  for (const std::string& name : gone) {
    const std::set<std::string> ids = queues_[name].ids;
    for (const std::string& id : ids) leave(name, id);
    dropped_ += ids.size();
    queues_.erase(name);
  }
  for (const SinkConfig& sink : config.sinks) queues_[sink.name].config = sink;
  bound();
}

// 16 digits of microseconds, which rise, and a random part, so that gateways do not meet.
std::string Outbox::make_id() {
  last_id_us_ = std::max<int64_t>(last_id_us_ + 1, std::chrono::duration_cast<microseconds>(options_.wall().time_since_epoch()).count());
  std::array<unsigned char, 4> random{};
  WEIR_CHECK(RAND_bytes(random.data(), static_cast<int>(random.size())) == 1);
  char id[40];
  std::snprintf(id, sizeof id, "%016lld-%02x%02x%02x%02x", static_cast<long long>(last_id_us_), random[0], random[1], random[2], random[3]);
  return id;
}

std::string Outbox::put(Notice notice, std::set<std::string> sinks) {
  notice.id = make_id();
  if (notice.gateway.empty()) notice.gateway = options_.gateway;
  if (notice.at == Wall{}) notice.at = options_.wall();
  const std::string id = notice.id;
  for (const std::string& sink : sinks) {
    queues_[sink].ids.insert(id);
  }
  entries_.emplace(id, Entry{std::move(notice), std::move(sinks), 0});
  dirty_.insert(id);
  bound();
  return id;
}

std::string Outbox::add(Notice notice) {
  const std::lock_guard lock(mutex_);
  std::set<std::string> sinks;
  for (const auto& [name, queue] : queues_) {
    if (wants(queue.config, notice)) sinks.insert(name);
  }
  return sinks.empty() ? std::string() : put(std::move(notice), std::move(sinks));
}

std::string Outbox::add_for(const std::string& sink, Notice notice) {
  const std::lock_guard lock(mutex_);
  return queues_.contains(sink) ? put(std::move(notice), {sink}) : std::string();
}

void Outbox::leave(const std::string& sink, const std::string& id) {
  if (const auto queue = queues_.find(sink); queue != queues_.end()) queue->second.ids.erase(id);
  const auto entry = entries_.find(id);
  if (entry == entries_.end() || entry->second.sinks.erase(sink) == 0) return;
  dirty_.insert(id);
  if (!entry->second.sinks.empty()) return;
  if (entry->second.version != 0) removed_[id] = entry->second.version;
  entries_.erase(entry);
}

void Outbox::drop_for(Queue& queue, const std::string& sink, const std::string& id) {
  ++queue.counts.dropped;
  leave(sink, id);
}

void Outbox::bound() {
  while (entries_.size() > spool_max_) {
    auto victim = std::find_if(entries_.begin(), entries_.end(), [](const auto& each) { return !is_alert(each.second.notice.event); });
    if (victim == entries_.end()) victim = entries_.begin();
    const std::string id = victim->first;
    const std::set<std::string> sinks = victim->second.sinks;
    ++dropped_;
    for (const std::string& sink : sinks) drop_for(queues_[sink], sink, id);
  }
}

std::optional<Notice> Outbox::next(const std::string& sink) {
  const std::lock_guard lock(mutex_);
  const auto found = queues_.find(sink);
  if (found == queues_.end() || options_.steady() < found->second.not_before) return std::nullopt;
  Queue& queue = found->second;
  while (!queue.ids.empty()) {
    const std::string id = *queue.ids.begin();
    const Notice& notice = entries_.at(id).notice;
    // Too old to be of use; it was tried at least once since the engine started.
    if (queue.failures == 0 || notice.at + queue.config.retry > options_.wall()) return notice;
    drop_for(queue, sink, id);
  }
  return std::nullopt;
}

std::optional<Outbox::Steady::time_point> Outbox::next_at(const std::string& sink) const {
  const std::lock_guard lock(mutex_);
  const auto found = queues_.find(sink);
  if (found == queues_.end() || found->second.ids.empty()) return std::nullopt;
  return found->second.not_before;
}

void Outbox::delivered(const std::string& sink, const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = queues_.find(sink);
  if (found == queues_.end()) return;
  Queue& queue = found->second;
  ++queue.counts.sent;
  queue.failures = queue.refusals = 0;
  queue.not_before = {};
  queue.error.clear();
  leave(sink, id);
}

void Outbox::failed(const std::string& sink, const std::string& id, std::string error, bool is_for_good) {
  const std::lock_guard lock(mutex_);
  const auto found = queues_.find(sink);
  if (found == queues_.end()) return;
  Queue& queue = found->second;
  ++queue.counts.failed;
  ++queue.failures;
  queue.error = std::move(error);
  queue.not_before = options_.steady() + backoff(queue.failures, random_.next());
  queue.refusals = is_for_good ? queue.refusals + 1 : 0;
  if (queue.refusals < kRefusalsMax) return;
  queue.refusals = 0;
  drop_for(queue, sink, id);  // What is behind it may be taken.
}

void Outbox::forget_backoff() {
  const std::lock_guard lock(mutex_);
  for (auto& [name, queue] : queues_) queue.not_before = {};
}

Result<void> Outbox::forget(const std::vector<uint64_t>& sessions) {
  {
    const std::lock_guard lock(mutex_);
    const std::set<uint64_t> gone(sessions.begin(), sessions.end());
    for (auto& [id, entry] : entries_) {
      if (entry.notice.statement.empty() || !gone.contains(entry.notice.session)) continue;
      entry.notice.statement.clear();
      dirty_.insert(id);
    }
  }
  return flush();
}

Result<void> Outbox::flush() {
  const std::lock_guard writing(writer_);
  for (;;) {
    std::vector<StoreWrite> writes;
    {
      const std::lock_guard lock(mutex_);
      while (!dirty_.empty() && writes.size() < kBatchMax) {
        const std::string id = *dirty_.begin();
        dirty_.erase(dirty_.begin());
        StoreWrite write{std::string(kNoticeKind), id, 0, std::nullopt};
        if (const auto entry = entries_.find(id); entry != entries_.end()) {
          write.expected = entry->second.version;
          write.body = body_of(entry->second.notice, entry->second.sinks);
        } else if (const auto removed = removed_.find(id); removed != removed_.end()) {
          write.expected = removed->second;
        } else {
          continue;  // Delivered before it was ever written.
        }
        writes.push_back(std::move(write));
      }
    }
    if (writes.empty()) return {};
    auto written = store_.write(writes);
    if (!written && written.error().kind == Error::Kind::kDenied) {
      // Whether an earlier write went through was not known: ask, and write again at the version that is there.
      for (StoreWrite& write : writes) {
        auto now = store_.find(kNoticeKind, write.id);
        if (!now) {
          written = tl::unexpected<Error>(now.error());
          break;
        }
        write.expected = *now ? (*now)->version : 0;
      }
      const std::lock_guard lock(mutex_);
      std::erase_if(writes, [this](const StoreWrite& write) { return write.expected == 0 && !write.body && (removed_.erase(write.id), true); });
    }
    if (!written && written.error().kind == Error::Kind::kDenied) {
      written = writes.empty() ? Result<void>() : store_.write(writes);
    }
    const std::lock_guard lock(mutex_);
    if (!written) {
      for (const StoreWrite& write : writes) dirty_.insert(write.id);
      return written;
    }
    for (const StoreWrite& write : writes) {
      if (!write.body) {
        removed_.erase(write.id);
      } else if (const auto entry = entries_.find(write.id); entry != entries_.end()) {
        entry->second.version = write.expected + 1;
      } else {
        removed_[write.id] = write.expected + 1;  // Delivered while it was written.
        dirty_.insert(write.id);
      }
    }
  }
}

bool Outbox::is_waiting(const std::string& sink, const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = queues_.find(sink);
  return found != queues_.end() && found->second.ids.contains(id);
}

std::vector<SinkState> Outbox::states() const {
  const std::lock_guard lock(mutex_);
  std::vector<SinkState> all;
  for (const auto& [name, queue] : queues_) {
    SinkState state{name, queue.counts, std::nullopt, queue.failures, queue.error};
    state.counts.queued = queue.ids.size();
    if (!queue.ids.empty()) state.oldest = entries_.at(*queue.ids.begin()).notice.at;
    all.push_back(std::move(state));
  }
  return all;
}

uint64_t Outbox::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

std::size_t Outbox::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace weir::notify

#include "notify/alert_book.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "core/time_text.h"
#include "notify/notice_json.h"

namespace weir::notify {
namespace {

using nlohmann::json;
using std::chrono::sys_seconds;

constexpr std::size_t kBatchMax = 200;

int64_t seconds_of(sys_seconds at) { return at.time_since_epoch().count(); }
sys_seconds time_of(const json& object, const char* key) { return sys_seconds(std::chrono::seconds(object.value(key, int64_t{0}))); }

std::string body_of(const Alert& alert) {
  return dump({{"event", name_of(alert.event)}, {"severity", name_of(alert.severity)}, {"gateway", alert.gateway}, {"rule", alert.rule},
               {"subject", alert.subject}, {"target", alert.target}, {"text", alert.text}, {"statement", alert.statement},
               {"session", alert.session}, {"unit", alert.unit}, {"count", alert.count}, {"first", seconds_of(alert.first)},
               {"last", seconds_of(alert.last)}, {"outcome", alert.outcome}, {"closed_by", alert.closed_by}, {"reason", alert.reason},
               {"closed", seconds_of(alert.closed)}});
}

std::optional<Alert> alert_of(const StoreItem& item) {
  Alert alert;
  const auto read = std::from_chars(item.id.data(), item.id.data() + item.id.size(), alert.number);
  const json body = json::parse(item.body, nullptr, false);
  if (read.ec != std::errc() || read.ptr != item.id.data() + item.id.size() || alert.number == 0 || !body.is_object()) return std::nullopt;
  try {
    const auto event = event_of(body.value("event", std::string()));
    const auto severity = severity_of(body.value("severity", std::string()));
    if (!event || !severity) return std::nullopt;
    alert.event = *event;
    alert.severity = *severity;
    alert.gateway = body.value("gateway", std::string());
    alert.rule = body.value("rule", std::string());
    alert.subject = body.value("subject", std::string());
    alert.target = body.value("target", std::string());
    alert.text = body.value("text", std::string());
    alert.statement = body.value("statement", std::string());
    alert.session = body.value("session", uint64_t{0});
    alert.unit = body.value("unit", uint64_t{0});
    alert.count = body.value("count", uint64_t{1});
    alert.first = time_of(body, "first");
    alert.last = time_of(body, "last");
    alert.outcome = body.value("outcome", std::string());
    alert.closed_by = body.value("closed_by", std::string());
    alert.reason = body.value("reason", std::string());
    alert.closed = time_of(body, "closed");
  } catch (const json::exception&) {
    return std::nullopt;
  }
  return alert;
}

}  // namespace

Result<std::unique_ptr<AlertBook>> AlertBook::open(Store& store, Options options, sys_seconds now) {
  std::unique_ptr<AlertBook> book(new AlertBook(store, std::move(options)));
  book->repeat_ = book->options_.repeat;
  book->watch_->book = book.get();
  store.watch(std::string(kAlertKind), [watch = book->watch_](const StoreItem& item) {
    const std::lock_guard lock(watch->mutex);
    if (watch->book != nullptr) watch->book->on_change(item);
  });
  auto items = store.load(kAlertKind);
  if (!items) return tl::unexpected<Error>(items.error());
  const std::lock_guard lock(book->mutex_);
  for (const StoreItem& item : *items) {
    auto alert = alert_of(item);
    if (!alert) return fail(Error::Kind::kCorrupt, "store: alert " + item.id.substr(0, 40) + " is not one of ours");
    book->index(*alert);
    book->alerts_[alert->number] = {std::move(*alert), item.version};
  }
  book->prune(now);
  return book;
}

AlertBook::~AlertBook() {
  const std::lock_guard lock(watch_->mutex);
  watch_->book = nullptr;
}

void AlertBook::set_repeat(std::chrono::seconds repeat) {
  const std::lock_guard lock(mutex_);
  repeat_ = repeat;
}

void AlertBook::index(const Alert& alert) {
  if (alert.gateway != options_.gateway) return;
  const Key key = key_of(alert);
  if (alert.is_open()) {
    open_[key] = std::max(open_[key], alert.number);
  } else if (const auto found = open_.find(key); found != open_.end() && found->second == alert.number) {
    open_.erase(found);
  }
}

// Another gateway's write.
void AlertBook::on_change(const StoreItem& item) {
  const std::lock_guard lock(mutex_);
  if (item.body.empty()) {
    uint64_t number = 0;
    std::from_chars(item.id.data(), item.id.data() + item.id.size(), number);
    const auto found = alerts_.find(number);
    if (found == alerts_.end()) return;
    if (const auto key = open_.find(key_of(found->second.alert)); key != open_.end() && key->second == number) open_.erase(key);
    dirty_.erase(number);
    alerts_.erase(found);
    return;
  }
  auto alert = alert_of(item);
  if (!alert) return;
  Entry& entry = alerts_[alert->number];
  if (item.version <= entry.version) return;
  index(*alert);
  entry = {std::move(*alert), item.version};
  dirty_.erase(entry.alert.number);  // Whoever closed it has the last word; a count that was not written yet is lost.
}

bool AlertBook::repeat(const Notice& notice, sys_seconds now, uint64_t& number) {
  const auto found = open_.find(Key{notice.event, notice.rule, notice.subject, notice.target});
  if (found == open_.end()) return false;
  Alert& alert = alerts_.at(found->second).alert;
  if (now >= alert.last + repeat_) return false;
  number = alert.number;
  ++alert.count;
  alert.last = std::max(alert.last, now);
  alert.severity = std::max(alert.severity, notice.severity);
  dirty_.insert(number);
  ++counters_.repeated;
  return true;
}

// Without a store: high enough that no sequence has come so far, and apart from what other gateways make up.
uint64_t AlertBook::number_without_store(sys_seconds now) {
  const uint64_t slot = std::hash<std::string>()(options_.gateway) % 1000;
  const uint64_t least = static_cast<uint64_t>(std::max<int64_t>(seconds_of(now), 1)) * 1'000'000 + slot * 1'000;
  return made_up_ = std::max(made_up_ + 1, least);
}

AlertBook::Raised AlertBook::raise(const Notice& notice, sys_seconds now) {
  {
    const std::lock_guard lock(mutex_);
    uint64_t number = 0;
    if (repeat(notice, now, number)) return {number, false};
    const auto open_count = std::count_if(alerts_.begin(), alerts_.end(), [](const auto& each) { return each.second.alert.is_open(); });
    if (open_count >= static_cast<std::ptrdiff_t>(options_.open_max)) {
      ++counters_.unkept;
      return {};
    }
  }
  const auto taken = store_.take_numbers(kAlertKind, 1, 0);
  const std::lock_guard lock(mutex_);
  Alert alert;
  alert.number = taken ? *taken : number_without_store(now);
  alert.event = notice.event;
  alert.severity = notice.severity;
  alert.gateway = options_.gateway;
  alert.rule = notice.rule;
  alert.subject = notice.subject;
  alert.target = notice.target;
  alert.text = notice.text;
  alert.statement = notice.statement;
  alert.session = notice.session;
  alert.unit = notice.unit;
  alert.first = alert.last = now;
  const uint64_t number = alert.number;
  open_[key_of(alert)] = number;
  alerts_[number] = {std::move(alert), 0};
  dirty_.insert(number);
  ++counters_.opened;
  return {number, true};
}

Result<Alert> AlertBook::close(uint64_t number, std::string_view as, std::string_view reason, std::string_view by, sys_seconds now) {
  if (as != "benign" && as != "incident" && as != "duplicate") return fail(Error::Kind::kInvalid, "an alert is closed as benign, incident or duplicate");
  if (reason.empty() || reason.size() > kReasonMax) return fail(Error::Kind::kInvalid, "a reason of at most " + std::to_string(kReasonMax) + " bytes is required");
  const std::lock_guard writing(writer_);
  Alert closed;
  uint64_t version = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto found = alerts_.find(number);
    if (found == alerts_.end()) return fail(Error::Kind::kNotFound, "there is no alert " + std::to_string(number));
    closed = found->second.alert;
    version = found->second.version;
  }
  if (!closed.is_open())
    return fail(Error::Kind::kDenied, "alert " + std::to_string(number) + " was closed as " + closed.outcome + " by " + closed.closed_by + " at " + utc_text(closed.closed));
  closed.outcome = as;
  closed.reason = reason;
  closed.closed_by = by;
  closed.closed = now;
  auto written = store_.write({{std::string(kAlertKind), std::to_string(number), version, body_of(closed)}});
  if (!written && written.error().kind == Error::Kind::kDenied)
    return fail(Error::Kind::kDenied, "alert " + std::to_string(number) + " was changed at another gateway at the same time: look again");
  if (!written) return tl::unexpected<Error>(written.error());
  const std::lock_guard lock(mutex_);
  Entry& entry = alerts_[number];
  closed.count = std::max(closed.count, entry.alert.count);  // What came while it was written.
  closed.last = std::max(closed.last, entry.alert.last);
  entry = {closed, version + 1};
  index(closed);
  ++counters_.closed;
  return closed;
}

std::vector<Alert> AlertBook::list(bool only_open) const {
  const std::lock_guard lock(mutex_);
  std::vector<Alert> all;
  for (auto each = alerts_.rbegin(); each != alerts_.rend(); ++each) {
    if (!only_open || each->second.alert.is_open()) all.push_back(each->second.alert);
  }
  return all;
}

std::optional<Alert> AlertBook::find(uint64_t number) const {
  const std::lock_guard lock(mutex_);
  const auto found = alerts_.find(number);
  return found == alerts_.end() ? std::nullopt : std::optional(found->second.alert);
}

AlertCounters AlertBook::counters() const {
  const std::lock_guard lock(mutex_);
  AlertCounters counters = counters_;
  for (const auto& [number, entry] : alerts_) counters.open += entry.alert.is_open() ? 1 : 0;
  return counters;
}

// Closed alerts of this gateway that are too many, or too old.
void AlertBook::prune(sys_seconds now) {
  std::vector<uint64_t> closed;
  for (const auto& [number, entry] : alerts_) {
    if (!entry.alert.is_open() && entry.alert.gateway == options_.gateway) closed.push_back(number);
  }
  std::size_t left = closed.size();
  for (const uint64_t number : closed) {
    const Entry& entry = alerts_.at(number);
    if (left <= options_.kept_max && entry.alert.closed + options_.kept_for > now) continue;
    if (entry.version != 0) removed_[number] = entry.version;
    dirty_.erase(number);
    alerts_.erase(number);
    --left;
  }
}

Result<void> AlertBook::forget(const std::vector<uint64_t>& sessions, sys_seconds now) {
  {
    const std::lock_guard lock(mutex_);
    const std::set<uint64_t> gone(sessions.begin(), sessions.end());
    for (auto each = alerts_.begin(); each != alerts_.end();) {
      auto& [number, entry] = *each;
      if (entry.alert.gateway != options_.gateway || !gone.contains(entry.alert.session)) {
        ++each;
      } else if (entry.alert.is_open()) {
        if (!entry.alert.statement.empty()) dirty_.insert(number);
        entry.alert.statement.clear();
        ++each;
      } else {
        if (entry.version != 0) removed_[number] = entry.version;
        dirty_.erase(number);
        each = alerts_.erase(each);
      }
    }
  }
  return flush(now);
}

Result<void> AlertBook::flush(sys_seconds now) {
  const std::lock_guard writing(writer_);
  for (;;) {
    std::vector<StoreWrite> writes;
    {
      const std::lock_guard lock(mutex_);
      prune(now);
      while (!dirty_.empty() && writes.size() < kBatchMax) {
        const uint64_t number = *dirty_.begin();
        dirty_.erase(dirty_.begin());
        const auto found = alerts_.find(number);
        if (found != alerts_.end()) writes.push_back({std::string(kAlertKind), std::to_string(number), found->second.version, body_of(found->second.alert)});
      }
      for (auto gone = removed_.begin(); gone != removed_.end() && writes.size() < kBatchMax; gone = removed_.erase(gone))
        writes.push_back({std::string(kAlertKind), std::to_string(gone->first), gone->second, std::nullopt});
    }
    if (writes.empty()) return {};
    const auto written = store_.write(writes);
    // One by one, since one that another gateway changed must not keep the others back.
    std::set<uint64_t> again;
    Result<void> outcome;
    for (const StoreWrite& write : writes) {
      const Result<void> done = written || written.error().kind != Error::Kind::kDenied ? written : store_.write({write});
      const bool is_stale = !done && done.error().kind == Error::Kind::kDenied;
      const auto there = is_stale ? store_.find(kAlertKind, write.id) : Result<std::optional<StoreItem>>(std::nullopt);
      uint64_t number = 0;
      std::from_chars(write.id.data(), write.id.data() + write.id.size(), number);
      if (is_stale && there && *there && (*there)->gateway != options_.gateway) {
        on_change(**there);
        continue;
      }
      const std::lock_guard lock(mutex_);
      const auto found = alerts_.find(number);
      if (done) {
        if (found != alerts_.end()) found->second.version = write.expected + 1;
      } else if (is_stale && there) {
        // An earlier write of ours went through without our knowing, or the item is gone.
        const uint64_t version = *there ? (*there)->version : 0;
        if (found != alerts_.end()) {
          found->second.version = version;
          again.insert(number);
        } else if (version != 0) {
          removed_[number] = version;
        }
      } else {
        if (write.body) again.insert(number);
        else removed_[number] = write.expected;
        outcome = is_stale ? tl::unexpected<Error>(there.error()) : done;
      }
    }
    if (again.empty() && outcome) continue;
    const std::lock_guard lock(mutex_);
    dirty_.insert(again.begin(), again.end());
    return outcome;
  }
}

}  // namespace weir::notify

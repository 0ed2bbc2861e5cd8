#include "notify/notifier.h"

#include <openssl/rand.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>

namespace weir::notify {
namespace {

using std::chrono::floor;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::system_clock;

constexpr milliseconds kTurn{1'000};

std::chrono::sys_seconds now_seconds() { return floor<seconds>(system_clock::now()); }

Notice own_notice(NoticeEvent event, NoticeSeverity severity, std::string rule, std::string text) {
  Notice notice;
  notice.event = event;
  notice.severity = severity;
  notice.rule = std::move(rule);
  notice.text = std::move(text);
  notice.at = floor<milliseconds>(system_clock::now());
  return notice;
}

uint64_t seed() {
  uint64_t value = 1;
  (void)RAND_bytes(reinterpret_cast<unsigned char*>(&value), sizeof value);  // Jitter alone: any value will do.
  return value;
}

}  // namespace

Notifier::Notifier(Store& store, Options options) : store_(store), options_(std::move(options)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  for (uint32_t core = 0; core < options_.core_count; ++core) queues_.push_back(std::make_unique<NoticeQueue>([this] { wake(); }));
}

Result<std::unique_ptr<Notifier>> Notifier::start(Store& store, Options options, NotifierSetup setup) {
  std::unique_ptr<Notifier> notifier(new Notifier(store, std::move(options)));
  if (!notifier->wake_) return fail(Error::Kind::kSystem, std::string("eventfd: ") + std::strerror(errno), errno);
  const std::string& gateway = notifier->options_.gateway;
  auto alerts = AlertBook::open(store, {.gateway = gateway, .repeat = setup.config.repeat}, now_seconds());
  if (!alerts) return tl::unexpected<Error>(alerts.error());
  notifier->alerts_ = std::move(*alerts);
  auto outbox = Outbox::open(store, {.gateway = gateway, .seed = seed()});
  if (!outbox) return tl::unexpected<Error>(outbox.error());
  notifier->outbox_ = std::move(*outbox);
  notifier->set(std::move(setup));
  notifier->thread_ = std::thread([self = notifier.get()] { self->collect(); });
  pthread_setname_np(notifier->thread_.native_handle(), "weir-notify");
  return notifier;
}

Notifier::~Notifier() { stop(); }

void Notifier::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard setting(setup_);
    stop_workers();
  }
  is_stopping_ = true;
  wake();
  thread_.join();
}

void Notifier::wake() { eventfd_write(wake_.get(), 1); }

void Notifier::tell(Notice notice) {
  if (notice.at == decltype(notice.at){}) notice.at = floor<milliseconds>(system_clock::now());
  {
    const std::lock_guard lock(mutex_);
    if (told_.size() >= kToldMax) ++told_lost_;
    else told_.push_back(std::move(notice));
  }
  wake();
}

void Notifier::dropped(std::string_view reason, std::string_view source, std::string_view destination) {
  if (auto notice = drops_.add(reason, source, destination, DropMeter::Steady::now())) tell(std::move(*notice));
}

void Notifier::set(NotifierSetup setup) {
  const std::lock_guard setting(setup_);
  stop_workers();
  {
    const std::lock_guard lock(mutex_);
    rules_ = std::move(setup.rules);
  }
  drops_.set(setup.config.drop_burst, setup.config.drop_burst_within);
  alerts_->set_repeat(setup.config.repeat);
  outbox_->set_config(setup.config);
  outbox_->forget_backoff();
  config_ = std::move(setup.config);
  start_workers(std::move(setup.secrets));
}

void Notifier::start_workers(std::map<std::string, Secrets> secrets) {
  for (const SinkConfig& config : config_.sinks) {
    auto worker = std::make_unique<Worker>();
    worker->config = config;
    worker->sink = options_.make ? options_.make(config, std::move(secrets[config.name]), worker->stop) : make_sink(config, std::move(secrets[config.name]), worker->stop);
    worker->thread = std::thread([this, one = worker.get()] { serve(*one); });
    pthread_setname_np(worker->thread.native_handle(), "weir-sink");
    workers_.push_back(std::move(worker));
  }
}

void Notifier::stop_workers() {
  for (const auto& worker : workers_) worker->stop = true;
  {
    const std::lock_guard lock(mutex_);
    ++changes_;
  }
  changed_.notify_all();
  for (const auto& worker : workers_) worker->thread.join();
  workers_.clear();
}

std::vector<Notifier::TestResult> Notifier::test(const std::string& sink) {
  std::vector<TestResult> queued;
  for (const SinkState& state : outbox_->states()) {
    if (!sink.empty() && state.name != sink) continue;
    std::string id = outbox_->add_for(state.name, own_notice(NoticeEvent::kTest, NoticeSeverity::kInfo, "", "a test: somebody asked whether this sink is reached"));
    if (!id.empty()) queued.push_back({state.name, std::move(id)});
  }
  {
    const std::lock_guard lock(mutex_);
    ++changes_;
  }
  changed_.notify_all();
  wake();
  return queued;
}

Notifier::Counts Notifier::counts() const {
  Counts counts;
  for (const auto& queue : queues_) counts.lost += queue->lost();
  {
    const std::lock_guard lock(mutex_);
    counts.lost += told_lost_;
  }
  counts.dropped = outbox_->dropped();
  counts.store_failures = store_failures_;
  counts.is_stored = is_stored_;
  return counts;
}

// --- the collecting thread ---

void Notifier::collect() {
  auto last_turn = std::chrono::steady_clock::now() - kTurn;
  for (bool is_last = false; !is_last;) {
    is_last = is_stopping_;
    pollfd one{wake_.get(), POLLIN, 0};
    if (!is_last) poll(&one, 1, static_cast<int>(kTurn.count()));
    eventfd_t count = 0;
    const bool was_woken = eventfd_read(wake_.get(), &count) == 0;
    const auto now = std::chrono::steady_clock::now();
    if (options_.on_turn && (was_woken || now - last_turn >= kTurn)) {
      last_turn = now;
      options_.on_turn();
    }
    CoreNotice seed;
    for (const auto& queue : queues_) {
      queue->look();
      while (queue->pop(seed)) take(notice_of(seed));
    }
    std::vector<Notice> told;
    {
      const std::lock_guard lock(mutex_);
      told.swap(told_);
    }
    for (Notice& notice : told) take(std::move(notice));
    say_losses();
    keep();
    {
      const std::lock_guard lock(mutex_);
      ++changes_;
    }
    changed_.notify_all();
  }
}

Notice Notifier::notice_of(const CoreNotice& seed) const {
  Notice notice;
  notice.event = seed.event;
  notice.at = floor<milliseconds>(std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(seed.at_ns)));
  notice.session = seed.session;
  notice.unit = seed.unit;
  notice.rule = seed.rule.view();
  notice.subject = seed.subject.view();
  notice.target = seed.target.view();
  notice.statement = seed.statement.view();
  const std::string verb(seed.verb.view());
  notice.text = (seed.event == NoticeEvent::kAlert ? "rule " + notice.rule + " fired" : notice.rule.empty() ? std::string("refused") : "refused by " + notice.rule) +
                (verb.empty() ? "" : " on " + verb);
  const std::lock_guard lock(mutex_);
  if (const auto rule = rules_.find(seed.rule.view()); rule != rules_.end()) {
    notice.severity = rule->second.severity;
    if (!rule->second.why.empty()) notice.text += ": " + rule->second.why;
  }
  return notice;
}

// An alert that repeats itself is counted in the book, and told of once.
void Notifier::take(Notice notice) {
  if (is_alert(notice.event) && notice.state != kBack) {
    const AlertBook::Raised raised = alerts_->raise(notice, now_seconds());
    if (!raised.is_new) return;
    notice.alert = raised.number;
  }
  outbox_->add(std::move(notice));
}

void Notifier::say_losses() {
  const Counts now = counts();
  if (now.lost != lost_said_) {
    const std::string text = std::to_string(now.lost - lost_said_) + " notices did not fit on their way to their sinks; the record has what they were about";
    lost_said_ = now.lost;
    options_.log(true, "notify: " + text);
    take(own_notice(NoticeEvent::kNoticesLost, NoticeSeverity::kHigh, "queue", text));
  }
  if (now.dropped != dropped_said_) {
    const std::string text = std::to_string(now.dropped - dropped_said_) + " notices were dropped: the spool is full, or their sink is gone";
    dropped_said_ = now.dropped;
    options_.log(true, "notify: " + text);
    // In the book alone: for the spool it would be one more.
    (void)alerts_->raise(own_notice(NoticeEvent::kNoticesLost, NoticeSeverity::kHigh, "spool", text), now_seconds());
  }
}

void Notifier::keep() {
  auto kept = outbox_->flush();
  if (auto alerts = alerts_->flush(now_seconds()); !alerts && kept) kept = alerts;
  if (!kept) ++store_failures_;
  is_stored_ = kept.has_value();
  const bool is_stored = kept.has_value() && store_.is_healthy();
  if (is_stored == was_stored_) return;
  was_stored_ = is_stored;
  const std::string text = is_stored ? "store " + store_.name() + " can be written again"
                                     : "store " + store_.name() + " cannot be written: alerts and notices are in memory alone" + (kept ? "" : ": " + kept.error().message);
  options_.log(!is_stored, "notify: " + text);
  Notice notice = own_notice(NoticeEvent::kStoreDown, is_stored ? NoticeSeverity::kInfo : NoticeSeverity::kHigh, "store", text);
  if (is_stored) notice.state = kBack;
  take(std::move(notice));
}

// --- a sink's thread ---

void Notifier::serve(Worker& worker) {
  const std::string& name = worker.config.name;
  bool is_failing = false;
  while (!worker.stop) {
    uint64_t seen = 0;
    {
      const std::lock_guard lock(mutex_);
      seen = changes_;
    }
    if (const auto notice = outbox_->next(name)) {
      const auto sent = worker.sink->deliver(*notice);
      if (worker.stop && !sent) return;
      if (sent) outbox_->delivered(name, notice->id);
      else outbox_->failed(name, notice->id, sent.error().message, sent.error().kind == Error::Kind::kInvalid);
      if (sent.has_value() == is_failing) {
        is_failing = !sent.has_value();
        options_.log(is_failing, "notify: sink " + name + (is_failing ? " does not take what it is sent: " + sent.error().message : " takes what it is sent again"));
      }
      wake();  // What is delivered leaves the store.
      continue;
    }
    std::unique_lock lock(mutex_);
    const auto ready = [&] { return worker.stop || changes_ != seen; };
    const auto at = outbox_->next_at(name);
    if (at) changed_.wait_until(lock, *at, ready);
    else changed_.wait(lock, ready);
  }
}

}  // namespace weir::notify

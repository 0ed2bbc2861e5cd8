#include "parse/postgres/catalogue_reader.h"

#include <openssl/crypto.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>

#include "base/check.h"
#include "parse/postgres/catalogue_connection.h"
#include "parse/postgres/catalogue_queries.h"
#include "parse/postgres/facts_parse.h"
#include "parse/postgres/facts_pool_impl.h"

namespace weir::postgres {

namespace {

constexpr std::chrono::milliseconds kRoundsApart{250};

class Reader final : public CatalogueReader {
 public:
  explicit Reader(CatalogueReaderOptions options)
      : options_(std::move(options)), stack_(parser_stack_size(limits_)), thread_(start_thread(stack_, run_thread, this)) {}
  ~Reader() override {
    {
      const std::lock_guard guard(lock_);
      stopping_ = true;
      if (forwarder_ != nullptr) forwarder_->stop();
    }
    changed_.notify_all();
    pthread_join(thread_, nullptr);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  uint64_t version() const override { return version_.load(std::memory_order_acquire); }
  std::shared_ptr<const Catalogue> snapshot(std::string_view database) const override {
    const std::lock_guard guard(lock_);
    const auto found = snapshots_.find(database);
    return found == snapshots_.end() ? nullptr : found->second.catalogue;
  }
  uint64_t ask_round() const override {
    uint64_t round = 0;
    {
      const std::lock_guard guard(lock_);
      is_stale_ = true;
      round = begun_ + 1;  // One that runs may have read already what has changed since.
    }
    changed_.notify_all();
    return round;
  }
  uint64_t rounds() const override { return rounds_.load(std::memory_order_acquire); }
  std::shared_ptr<void> watch_rounds(std::function<void()> wake) const override {
    auto watcher = std::make_shared<std::function<void()>>(std::move(wake));
    const std::lock_guard guard(watchers_lock_);
    watchers_.push_back(watcher);
    return watcher;
  }
  std::string last_error() const override {
    const std::lock_guard guard(lock_);
    return last_error_;
  }
  CatalogueReaderStats stats() const override {
    const std::lock_guard guard(lock_);
    return stats_;
  }
  bool wait_first_read(std::chrono::milliseconds limit) override {
    std::unique_lock guard(lock_);
    changed_.wait_for(guard, limit, [this] { return rounds_ > 0; });
    return rounds_ > 0 && snapshots_.size() == options_.databases.size();
  }

 private:
  struct Held { std::shared_ptr<const Catalogue> catalogue; uint64_t digest = 0; };

  static void* run_thread(void* reader) {
    static_cast<Reader*>(reader)->run();
    return nullptr;
  }

  void run() {
    while (true) {
      {
        const std::lock_guard guard(lock_);
        if (stopping_) return;
        is_stale_ = false;
        ++begun_;
      }
      const auto begun_at = std::chrono::steady_clock::now();
      std::string error;
      for (const std::string& database : options_.databases) {
        if (std::string one = read_one(database); !one.empty()) error = std::move(one);
        const std::lock_guard guard(lock_);
        if (stopping_) return;
      }
      finish_round(std::move(error));
      std::unique_lock guard(lock_);
      changed_.wait_for(guard, options_.refresh, [this] { return stopping_ || is_stale_; });
      // At once, but for a target that is changed all the time: never more than one round in that time.
      changed_.wait_until(guard, begun_at + kRoundsApart, [this] { return stopping_; });
    }
  }

  void finish_round(std::string error) {
    bool is_news = false;
    {
      const std::lock_guard guard(lock_);
      is_news = error != last_error_;
      last_error_ = error;
      rounds_.fetch_add(1, std::memory_order_release);
    }
    changed_.notify_all();
    tell_watchers();
    if (is_news && options_.notice) options_.notice(error.empty() ? "catalogue of " + options_.target + " is read again" : error);
  }

  void tell_watchers() const {
    const std::lock_guard guard(watchers_lock_);
    std::erase_if(watchers_, [](const auto& watcher) { return watcher.expired(); });
    for (const auto& watcher : watchers_) {
      if (const auto wake = watcher.lock()) (*wake)();
    }
  }

  // Empty: read.  A snapshot that cannot be renewed stays: what it lacks is unsure, what it says was true.
  std::string read_one(const std::string& database) {
    Result<std::unique_ptr<CatalogueForwarder>> forwarder = CatalogueForwarder::open(options_.dial);
    if (!forwarder) return count_failure(database, forwarder.error().message);
    {
      const std::lock_guard guard(lock_);
      if (stopping_) return {};
      forwarder_ = forwarder->get();
    }
    Result<CatalogueRead> read = connect_and_read(database, **forwarder);
    {
      const std::lock_guard guard(lock_);
      forwarder_ = nullptr;
      if (stopping_) return {};
    }
    if (!read) return count_failure(database, (*forwarder)->dial_error().empty() ? read.error().message : (*forwarder)->dial_error());
    publish(database, std::move(*read));
    return {};
  }

  std::string count_failure(const std::string& database, const std::string& message) {
    const std::lock_guard guard(lock_);
    ++stats_.failures;
    return options_.target + "/" + database + ": " + message;
  }

  void publish(const std::string& database, CatalogueRead read) {
    const std::lock_guard guard(lock_);
    ++stats_.reads;
    stats_.relations = read.contents.relations.size();
    stats_.functions = read.contents.functions.size();
    Held& held = snapshots_[database];
    if (held.catalogue != nullptr && held.digest == read.digest) return;  // The same snapshot: caches keep what they have.
    held.digest = read.digest;
    read.contents.generation = ++generation_;
    held.catalogue = make_catalogue(std::move(read.contents));
    version_.fetch_add(1, std::memory_order_release);
  }

  Result<CatalogueRead> connect_and_read(const std::string& database, CatalogueForwarder& forwarder) {
    // lock_timeout: a session that waits for this reading may itself hold the lock (a view that it replaced in its transaction).
    const auto connection = connect_catalogue(options_, database, "-c statement_timeout=30000 -c lock_timeout=1000", forwarder);
    if (!connection) return tl::unexpected<Error>(connection.error());
    return read_catalogue(connection->get(), limits_);
  }

  CatalogueReaderOptions options_;
  const Limits limits_;
  mutable std::mutex lock_;
  mutable std::condition_variable changed_;
  bool stopping_ = false;
  mutable bool is_stale_ = false;
  uint64_t begun_ = 0, generation_ = 0;
  std::atomic<uint64_t> rounds_{0};
  mutable std::mutex watchers_lock_;
  mutable std::vector<std::weak_ptr<std::function<void()>>> watchers_;
  std::string last_error_;
  CatalogueReaderStats stats_;
  std::map<std::string, Held, std::less<>> snapshots_;
  std::atomic<uint64_t> version_{0};
  CatalogueForwarder* forwarder_ = nullptr;   // While one is open, for stopping.
  GuardedStack stack_;                        // Bodies of functions are parsed on it.
  pthread_t thread_;
};

}  // namespace

CatalogueReaderOptions::~CatalogueReaderOptions() {
  password.resize(password.capacity());  // A short one stays in place when it is moved from.
  OPENSSL_cleanse(password.data(), password.size());
}

std::shared_ptr<CatalogueReader> make_catalogue_reader(CatalogueReaderOptions options) {
  WEIR_CHECK(options.dial != nullptr);
  return std::make_shared<Reader>(std::move(options));
}

}  // namespace weir::postgres

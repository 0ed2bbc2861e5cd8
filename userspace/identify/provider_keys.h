// The keys of one issuer as its provider publishes them: found by discovery, fetched at start, again when they have aged, and
// again (at most once in kAskAgain) when a token names a key that is not there.  On a thread of its own, never on a core.
// Must never: use keys that could not be fetched again for longer than jwks_expire; let tokens decide how often we ask.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "core/config.h"
#include "identify/https.h"
#include "identify/jwks.h"
#include "identify/provider.h"

namespace weir::identify {

// The discovery document.  Errors: kUnavailable, kInvalid; the reason names the address.
[[nodiscard]] Result<ProviderMetadata> discover(const IssuerConfig& issuer, const Https& https);

class ProviderKeys {
 public:
  static constexpr std::chrono::seconds kAskAgain{10};    // Between two fetches for an unknown kid.
  static constexpr std::chrono::seconds kRefreshMin{60};  // However short the provider says its keys may be kept.
  static constexpr std::chrono::seconds kRetryMin{2}, kRetryMax{60};

  struct Status {
    std::size_t keys = 0;
    std::chrono::sys_seconds fetched{}, tried{}, due{};  // Last success, last try, next try.  Unix time 0: never.
    std::string error;                                   // Of the last try; empty: it went well.
    uint64_t fetches = 0, failures = 0;
  };

  // Told once when fetching begins to fail or fails for another reason, and when that is over; on the fetching thread.
  using Notice = std::function<void(std::string_view)>;

  ProviderKeys(const IssuerConfig& issuer, Https https, Notice notice = {});
  ~ProviderKeys();
  ProviderKeys(const ProviderKeys&) = delete;
  ProviderKeys& operator=(const ProviderKeys&) = delete;

  // Any thread.  What a token is checked with now.  Errors: kUnavailable: there are none, or they are too old; says why.
  [[nodiscard]] Result<std::shared_ptr<const KeySet>> current(std::chrono::sys_seconds now) const;
  // Any thread.  A token names a key that current() does not have.  True: keys are being fetched, ask again soon.  False: they
  // were fetched for that reason just now, so that the token is wrong.
  [[nodiscard]] bool ask_again(std::chrono::sys_seconds now);
  [[nodiscard]] Status status() const;

  // What the thread does; one caller at a time.
  [[nodiscard]] bool is_due(std::chrono::sys_seconds now) const;
  void fetch(std::chrono::sys_seconds now);
  // From here on a thread fetches whenever it is due, until the end of this object.
  void start();

 private:
  struct Fetched {
    KeySet keys;
    std::chrono::seconds lifetime{0};
  };
  [[nodiscard]] Result<Fetched> fetch_keys() const;
  bool take(Result<Fetched> fetched, std::chrono::sys_seconds now);
  void serve();

  const IssuerConfig issuer_;
  const Https https_;
  const Notice notice_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<const KeySet> keys_;
  Status status_;
  std::chrono::seconds retry_{kRetryMin};
  std::chrono::sys_seconds asked_{};  // When a token last made us ask.
  bool is_asked_ = false, is_fetching_ = false;
  std::atomic<bool> is_stopping_ = false;
  std::thread thread_;
};

// One ProviderKeys a provider, kept over reloads: a reload while a provider is down must not lose its keys.
class KeyFetchers {
 public:
  explicit KeyFetchers(ProviderKeys::Notice notice = {}) : notice_(std::move(notice)) {}
  // Makes one and starts it, unless one with the same settings is in use.  One caller at a time.
  [[nodiscard]] std::shared_ptr<ProviderKeys> keys_of(const IssuerConfig& issuer);

 private:
  const ProviderKeys::Notice notice_;
  std::map<std::string, std::weak_ptr<ProviderKeys>>
      running_;  // By settings; they end with the last configuration that has them.
};

}  // namespace weir::identify

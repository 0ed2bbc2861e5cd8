#include "identify/provider_keys.h"

#include <algorithm>

#include "core/time_text.h"

namespace weir::identify {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr seconds kNapMax{30};  // A clock that was set back is noticed that late.

sys_seconds wall() { return std::chrono::floor<seconds>(std::chrono::system_clock::now()); }

Result<HttpsAnswer> get(const std::string& url, const IssuerConfig& issuer, std::size_t size_max, const Https& https) {
  auto answer = https({.url = url, .form = {}, .user = {}, .password = {}, .ca_file = issuer.ca_file, .size_max = size_max});
  if (!answer) return fail(Error::Kind::kUnavailable, url + ": " + answer.error().message);
  if (answer->status >= 300 && answer->status < 400)
    return fail(Error::Kind::kUnavailable,
                url + ": it redirects (HTTP status " + std::to_string(answer->status) + "), which is not followed");
  if (answer->status != 200) return fail(Error::Kind::kUnavailable, url + ": HTTP status " + std::to_string(answer->status));
  return answer;
}

}  // namespace

Result<ProviderMetadata> discover(const IssuerConfig& issuer, const Https& https) {
  const std::string url = discovery_url(issuer.url);
  const auto answer = get(url, issuer, kProviderAnswerMax, https);
  if (!answer) return tl::unexpected<Error>(answer.error());
  auto metadata = parse_discovery(answer->body, issuer);
  if (!metadata) return fail(Error::Kind::kInvalid, url + ": " + metadata.error().message);
  return metadata;
}

ProviderKeys::ProviderKeys(const IssuerConfig& issuer, Https https, Notice notice)
    : issuer_(issuer),
      https_(https ? std::move(https) : [this](const HttpsRequest& request) { return https_request(request, &is_stopping_); }),
      notice_(std::move(notice)) {}

ProviderKeys::~ProviderKeys() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Result<std::shared_ptr<const KeySet>> ProviderKeys::current(sys_seconds now) const {
  const std::lock_guard lock(mutex_);
  const std::string what = "no token of " + issuer_.name + " (" + issuer_.url + ") can be checked: ";
  const std::string fix =
      "; bindings that exist live to their end; see that the provider runs, that this gateway reaches it and that "
      "ca_file is right, then try again (weir status shows the last try)";
  if (keys_ && now - status_.fetched <= issuer_.jwks_expire) return keys_;
  if (!keys_ && status_.error.empty())
    return fail(Error::Kind::kUnavailable, what + "its keys are being fetched for the first time; try again in a few seconds");
  const std::string age = keys_ ? "its keys are of " + utc_text(status_.fetched) + ", too old, and cannot be fetched again: "
                                : "its keys cannot be fetched: ";
  return fail(Error::Kind::kUnavailable, what + age + (status_.error.empty() ? "a try is under way" : status_.error) + fix);
}

bool ProviderKeys::ask_again(sys_seconds now) {
  const std::lock_guard lock(mutex_);
  if (is_asked_) return true;
  // What is under way may have begun before the provider changed its keys; only one that a token asked for counts.
  if (asked_ != sys_seconds{} && now >= asked_ && now - asked_ < kAskAgain) return is_fetching_;
  asked_ = now;
  is_asked_ = true;
  changed_.notify_all();
  return true;
}

ProviderKeys::Status ProviderKeys::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

bool ProviderKeys::is_due(sys_seconds now) const {
  const std::lock_guard lock(mutex_);
  return is_asked_ || now >= status_.due || now < status_.tried;
}

Result<ProviderKeys::Fetched> ProviderKeys::fetch_keys() const {
  // Discovery each time: a provider may move its keys, and two small requests an hour cost nothing.
  const auto metadata = discover(issuer_, https_);
  if (!metadata) return tl::unexpected<Error>(metadata.error());
  const auto answer = get(metadata->jwks_uri, issuer_, KeySet::kSizeMax, https_);
  if (!answer) return tl::unexpected<Error>(answer.error());
  auto keys = KeySet::parse(answer->body);
  if (!keys) return fail(Error::Kind::kInvalid, metadata->jwks_uri + ": " + keys.error().message);
  const seconds least = std::min(kRefreshMin, issuer_.jwks_refresh);
  return Fetched{std::move(*keys),
                 std::clamp(cache_lifetime(answer->cache_control).value_or(issuer_.jwks_refresh), least, issuer_.jwks_refresh)};
}

void ProviderKeys::fetch(sys_seconds now) {
  {
    const std::lock_guard lock(mutex_);
    is_asked_ = false;
    is_fetching_ = true;
  }
  auto fetched = fetch_keys();
  const std::string error = fetched ? "" : fetched.error().message;
  const bool is_news = take(std::move(fetched), now);
  if (!is_news || !notice_ || is_stopping_) return;
  notice_("keys of " + issuer_.name + (error.empty() ? " are fetched again" : " cannot be fetched: " + error));
}

// True: it is another error than before, or the end of one.
bool ProviderKeys::take(Result<Fetched> fetched, sys_seconds now) {
  const std::lock_guard lock(mutex_);
  is_fetching_ = false;
  status_.tried = now;
  if (!fetched) {
    const bool is_news = status_.error != fetched.error().message;
    ++status_.failures;
    status_.error = fetched.error().message;
    status_.due = now + std::min(retry_, issuer_.jwks_refresh);
    retry_ = std::min(2 * retry_, kRetryMax);
    return is_news;
  }
  const bool is_news = !status_.error.empty();
  ++status_.fetches;
  status_.error.clear();
  status_.fetched = now;
  status_.keys = fetched->keys.size();
  status_.due = now + fetched->lifetime;
  retry_ = kRetryMin;
  keys_ = std::make_shared<const KeySet>(std::move(fetched->keys));
  return is_news;
}

void ProviderKeys::start() {
  thread_ = std::thread([this] { serve(); });
}

void ProviderKeys::serve() {
  while (!is_stopping_) {
    if (is_due(wall())) fetch(wall());
    std::unique_lock lock(mutex_);
    const seconds nap = std::clamp(status_.due - wall(), seconds(1), kNapMax);
    changed_.wait_for(lock, nap, [this] { return is_stopping_ || is_asked_; });
  }
}

std::shared_ptr<ProviderKeys> KeyFetchers::keys_of(const IssuerConfig& issuer) {
  std::string settings = issuer.name + '\n' + issuer.url + '\n' + issuer.ca_file + '\n' +
                         std::to_string(issuer.jwks_refresh.count()) + '\n' + std::to_string(issuer.jwks_expire.count());
  for (const std::string& host : issuer.hosts) settings += '\n' + host;
  std::erase_if(running_, [](const auto& each) { return each.second.expired(); });
  if (auto running = running_[settings].lock()) return running;
  auto made = std::make_shared<ProviderKeys>(issuer, Https{}, notice_);
  made->start();
  running_[settings] = made;
  return made;
}

}  // namespace weir::identify

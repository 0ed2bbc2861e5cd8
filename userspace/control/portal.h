// The portal: a person whose address is bound to nobody signs in with a browser that comes from that address, and it is bound to
// who they are.  The code flow (identify/code_flow.h), its state tied to one browser by a cookie and to one address by the
// connection; a page that says what will be bound before it is; and a way out again.
//
//   GET /portal -> POST /portal/sign-in -> the provider -> GET /portal/callback -> /portal/confirm: page, then POST -> GET /portal
//
// Must never: bind another address than the connection's own; take an answer that another browser or another address brings than
// began the sign-in (whoever is led into a sign-in that somebody else began gives nobody anything); put a token, a code or a
// secret into a page, a record, a log or an address of ours.
#pragma once
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/control_handler.h"
#include "control/metrics_text.h"
#include "control/portal_pages.h"
#include "control/portal_settings.h"
#include "core/address.h"
#include "identify/code_flow.h"
#include "identify/token.h"

namespace weir::control {

// The engine, as the portal sees it beside ControlHandler.  Any thread.
class PortalHost {
 public:
  virtual ~PortalHost() = default;
  struct Holder {
    uint64_t binding = 0;
    bool is_static = false;
    std::chrono::sys_seconds until{};          // Unix time 0: never.
    uint32_t refused_attempts = 0;             // Others who tried to bind the address.
    std::string last_refused;
  };
  // Who an address is bound to; by a static prefix too.
  virtual std::optional<Holder> holder_of(const Address& address) = 0;
  // Errors: kDenied: it does not hold.  kUnavailable: the issuer's keys are being fetched.
  virtual Result<identify::VerifiedToken> verify_token(std::string_view token) = 0;
  virtual Result<identify::VerifiedToken> verify_id_token(std::string_view token, std::string_view client_id, std::string_view nonce) = 0;
  virtual void tell(std::string_view text) = 0;   // The operator, by the log; no secret is in it.
};

struct PageRequest {
  Address from;                                                   // The other end of the connection itself.
  std::string cookie;                                             // The header, as it came.
  std::string fetch_site;                                         // Sec-Fetch-Site.
  std::vector<std::pair<std::string, std::string>> query, form;   // Decoded; no name twice in `form`.
};
struct PageAnswer {
  int status = 200;
  std::string headers;      // Whole lines: Location, Set-Cookie.
  std::string policy;       // Content-Security-Policy.
  std::string body;
};

#define WEIR_PORTAL_RESULTS(X)                                                                                        \
  X(kStarted, "started") X(kSignedIn, "signed-in") X(kBound, "bound") X(kSignedOut, "signed-out")                     \
  X(kUnknown, "unknown") X(kExpired, "expired") X(kReplayed, "replayed") X(kWrongState, "wrong-state")                \
  X(kOtherBrowser, "other-browser") X(kOtherAddress, "other-address") X(kOtherProvider, "other-provider")             \
  X(kProviderRefused, "provider-refused") X(kProviderDown, "provider-down") X(kIdToken, "id-token") X(kToken, "token") \
  X(kForgedForm, "forged-form") X(kBindRefused, "bind-refused") X(kFull, "full")
enum class PortalResult : uint8_t {
#define X(enumerator, text) enumerator,
  WEIR_PORTAL_RESULTS(X)
#undef X
  kCount
};

class Portal {
 public:
  struct Options {
    std::size_t pending_max = 1024;              // Sign-ins under way; hit: told to try again later.
    std::size_t pending_per_source_max = 16;
    std::size_t bound_max = 8192;                // Browsers that may sign out; hit: whose binding ends first may not.
    std::size_t asks_max = 8;                    // Threads that wait for the provider at once; hit: told to try again.
    std::chrono::seconds sign_in_time{300};      // From the start to the last button.
  };
  using Clock = std::function<std::chrono::sys_seconds()>;
  using Wait = std::function<void(std::chrono::seconds)>;

  // `host` and `handler` outlive it.  What is empty is the real thing.
  Portal(PortalHost& host, ControlHandler& handler, Options options, identify::Https https = {}, Clock clock = {}, Wait wait = {});
  ~Portal();

  // Any thread.  nullptr: there is no portal; sign-ins that are under way for other settings are forgotten.
  void set(std::shared_ptr<const PortalSettings> settings);
  void stop();                                   // Requests to the provider end early.

  // Any thread.  nullopt: there is no portal.
  [[nodiscard]] std::optional<PageAnswer> home(const PageRequest& request);
  [[nodiscard]] std::optional<PageAnswer> start(const PageRequest& request);
  [[nodiscard]] std::optional<PageAnswer> callback(const PageRequest& request);
  [[nodiscard]] std::optional<PageAnswer> confirm_page(const PageRequest& request);
  [[nodiscard]] std::optional<PageAnswer> confirm(const PageRequest& request);
  [[nodiscard]] std::optional<PageAnswer> sign_out(const PageRequest& request);

  [[nodiscard]] std::vector<MetricSample> samples() const;
  [[nodiscard]] uint64_t count(PortalResult result) const { return counts_[static_cast<std::size_t>(result)]; }
  struct State { std::size_t pending = 0, bound = 0; };
  [[nodiscard]] State state() const;

 private:
  struct SignIn;
  using SignInPtr = std::shared_ptr<SignIn>;
  using Settings = std::shared_ptr<const PortalSettings>;
  enum class Stage : uint8_t { kStarted, kSignedIn, kBound };
  // Why a request gets nowhere.
  struct Fault {
    PortalResult result = PortalResult::kUnknown;
    int status = 403;
    std::string text;
    SignInPtr of{};              // Known: it goes on the record, and the browser forgets it.
  };
  template <class T>
  using Or = tl::expected<T, Fault>;

  [[nodiscard]] Settings settings() const;
  void note(PortalResult result) { ++counts_[static_cast<std::size_t>(result)]; }
  [[nodiscard]] PageAnswer page(const PortalSettings& settings, int status, const PortalPage& page, std::string headers = {}) const;
  [[nodiscard]] PageAnswer refuse(const PortalSettings& settings, const PageRequest& request, const Fault& fault);
  [[nodiscard]] PageAnswer bound_page(const PortalSettings& settings, const PageRequest& request, const SignIn& sign_in, const PortalHost::Holder& holder) const;
  [[nodiscard]] static bool is_forged(const PageRequest& request, const SignIn& sign_in);
  [[nodiscard]] SignInPtr find(const std::string& browser) const;
  [[nodiscard]] bool take(const std::string& browser, const SignInPtr& sign_in);   // False: somebody else did.
  [[nodiscard]] Or<identify::CodeFlow> flow_of(const PortalSettings& settings) const;
  [[nodiscard]] Or<identify::ProviderMetadata> metadata(const Settings& settings);
  [[nodiscard]] Or<std::string> enter_started(const Settings& settings, const PageRequest& request, identify::CodeSignIn flow);
  // The sign-in that an answer is of, taken out of the table so that nobody uses it twice.
  [[nodiscard]] Or<SignInPtr> take_started(const PageRequest& request, const identify::CodeAnswer& answer);
  [[nodiscard]] Or<void> judge(const PageRequest& request, const SignInPtr& sign_in, const identify::CodeAnswer& answer) const;
  [[nodiscard]] Or<SignInPtr> exchange(const SignInPtr& sign_in, const std::string& code);
  [[nodiscard]] Or<SignInPtr> check_tokens(const SignInPtr& sign_in, identify::CodeTokens tokens) const;
  // The signed-in person of this browser, at the address where they began.
  [[nodiscard]] Or<SignInPtr> find_signed_in(const PageRequest& request);
  [[nodiscard]] std::string keep_bound(const SignIn& sign_in, const PortalHost::Holder& holder);   // Gives the cookie's line.
  [[nodiscard]] Result<identify::VerifiedToken> patiently(const std::function<Result<identify::VerifiedToken>()>& verify) const;
  [[nodiscard]] static ControlPeer peer_of(const PageRequest& request, const SignIn* sign_in);

  PortalHost& host_;
  ControlHandler& handler_;
  const Options options_;
  const identify::Https https_;
  const Clock clock_;
  const Wait wait_;
  std::atomic<bool> is_stopping_{false};
  std::atomic<std::size_t> asks_{0};
  std::array<std::atomic<uint64_t>, static_cast<std::size_t>(PortalResult::kCount)> counts_{};
  mutable std::mutex mutex_;                       // All below; never held while somebody is asked.
  Settings settings_;
  std::map<std::string, SignInPtr> sign_ins_;      // By the digest of the browser's secret.
  std::optional<Result<identify::ProviderMetadata>> metadata_;   // As the provider last gave it,
  std::chrono::sys_seconds metadata_until_{};                    // used until then.
};

}  // namespace weir::control

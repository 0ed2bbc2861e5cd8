#include "control/portal.h"

#include <thread>

#include "control/api_limits.h"
#include "control/portal_sign_in.h"
#include "identify/provider_keys.h"

namespace weir::control {

using namespace portal_detail;

namespace {

constexpr seconds kMetadataLife{60}, kMetadataRetry{2};
constexpr const char* kAgain = "Nothing was bound. Begin again at the portal.";

}  // namespace

Portal::Portal(PortalHost& host, ControlHandler& handler, Options options, identify::Https https, Clock clock, Wait wait)
    : host_(host),
      handler_(handler),
      options_(options),
      https_(https ? std::move(https) : [this](const identify::HttpsRequest& request) { return identify::https_request(request, &is_stopping_); }),
      clock_(clock ? std::move(clock) : [] { return std::chrono::floor<seconds>(std::chrono::system_clock::now()); }),
      wait_(wait ? std::move(wait) : [](seconds time) { std::this_thread::sleep_for(time); }) {}

Portal::~Portal() = default;

void Portal::stop() { is_stopping_ = true; }

void Portal::set(Settings settings) {
  const std::lock_guard lock(mutex_);
  const auto is_same_provider = [&](const PortalSettings& other) {
    return settings && settings->redirect_uri == other.redirect_uri && settings->issuer.url == other.issuer.url && settings->issuer.client_id == other.issuer.client_id;
  };
  std::erase_if(sign_ins_, [&](const auto& each) { return each.second->stage != Stage::kBound && !is_same_provider(*each.second->settings); });
  metadata_.reset();
  settings_ = std::move(settings);
}

Portal::Settings Portal::settings() const {
  const std::lock_guard lock(mutex_);
  return settings_;
}

Portal::State Portal::state() const {
  const std::lock_guard lock(mutex_);
  State state;
  for (const auto& [browser, sign_in] : sign_ins_) ++(sign_in->stage == Stage::kBound ? state.bound : state.pending);
  return state;
}

std::vector<MetricSample> Portal::samples() const {
  std::vector<MetricSample> all;
  const auto add = [&](PortalResult result, const char* name) {
    all.push_back({"weir_portal_sign_ins_total", "result=\"" + std::string(name) + "\"", all.empty() ? "Steps of sign-ins at the portal, and why others went no further." : "",
                   MetricType::kCounter, static_cast<double>(count(result))});
  };
#define X(enumerator, text) add(PortalResult::enumerator, text);
  WEIR_PORTAL_RESULTS(X)
#undef X
  all.push_back({"weir_portal_pending", "", "Sign-ins at the portal that are under way.", MetricType::kGauge, static_cast<double>(state().pending)});
  return all;
}

ControlPeer Portal::peer_of(const PageRequest& request, const SignIn* sign_in) {
  ControlPeer peer;
  peer.is_portal = true;
  peer.address = request.from.text();
  if (sign_in == nullptr) return peer;
  peer.subject = sign_in->who.subject;
  peer.issuer = sign_in->settings->issuer.name;
  peer.token_id = sign_in->who.token_id;
  return peer;
}

PageAnswer Portal::page(const PortalSettings& settings, int status, const PortalPage& page, std::string headers) const {
  return {status, std::move(headers), page_policy(settings.form_action), render(page, settings.gateway)};
}

PageAnswer Portal::refuse(const PortalSettings& settings, const PageRequest& request, const Fault& fault) {
  note(fault.result);
  std::string headers;
  if (fault.of) {
    headers = cookie_line("", seconds(0));
    // What somebody tried is evidence; a record that is full changes nothing about the answer.
    (void)handler_.handle("refused", {{"act", "sign-in at the portal, begun at " + fault.of->from.text()}, {"why", fault.text}}, peer_of(request, fault.of.get()));
  }
  PortalPage shown;
  shown.title = fault.status == 503 ? "Not now" : "Not signed in";
  shown.paragraphs = {fault.text, kAgain};
  shown.facts = {{"Your address", request.from.text()}};
  shown.link = "/portal";
  shown.link_text = "Back to the portal";
  return page(settings, fault.status, shown, std::move(headers));
}

bool Portal::is_forged(const PageRequest& request, const SignIn& sign_in) {
  return sign_in.csrf.empty() || !is_same(value_of(request.form, "csrf"), sign_in.csrf);
}

Portal::SignInPtr Portal::find(const std::string& browser) const {
  const std::lock_guard lock(mutex_);
  const auto found = browser.empty() ? sign_ins_.end() : sign_ins_.find(browser);
  return found == sign_ins_.end() ? nullptr : found->second;
}

bool Portal::take(const std::string& browser, const SignInPtr& sign_in) {
  const std::lock_guard lock(mutex_);
  const auto found = sign_ins_.find(browser);
  if (found == sign_ins_.end() || found->second != sign_in) return false;
  sign_ins_.erase(found);
  return true;
}

// --- GET /portal ---

PageAnswer Portal::bound_page(const PortalSettings& settings, const PageRequest& request, const SignIn& sign_in, const PortalHost::Holder& holder) const {
  PortalPage shown;
  shown.title = "Signed in";
  shown.paragraphs = {"This address is yours until the end below: what comes from it is done in your name."};
  shown.facts = {{"Address", request.from.text()}, {"Bound to", sign_in.who.subject}, {"Groups", joined(sign_in.who.groups)}, {"Until", until_text(holder.until, clock_())}};
  if (holder.refused_attempts != 0) {
    shown.facts.emplace_back("Refused here", std::to_string(holder.refused_attempts) + (holder.refused_attempts == 1 ? " attempt" : " attempts") + " by others to bind this address, last by " + holder.last_refused);
  }
  shown.forms = {{"/portal/sign-out", "Sign out", sign_in.csrf, true}};
  return page(settings, 200, shown);
}

std::optional<PageAnswer> Portal::home(const PageRequest& request) {
  const Settings settings = this->settings();
  if (!settings) return std::nullopt;
  const SignInPtr sign_in = find(browser_of(request));
  const auto holder = host_.holder_of(request.from);
  if (sign_in && sign_in->stage == Stage::kBound && holder && holder->binding == sign_in->binding) return bound_page(*settings, request, *sign_in, *holder);
  PortalPage shown;
  shown.title = "Sign in";
  shown.facts = {{"Your address", request.from.text()}, {"Sign-in by", settings->issuer.name}, {"For at most", text_of(settings->ttl_max)}, {"Targets", joined(settings->targets)}};
  if (holder) {
    // Not by whom: others may be behind the same address.
    shown.paragraphs = {holder->is_static ? "The configuration of this gateway binds your address already." : "Your address is bound already, until " + until_text(holder->until, clock_()) + ".",
                        "The same person may sign in again. Anybody else is refused here, and proves who they are on the wire, where the target admits that."};
  } else {
    shown.paragraphs = {"Nobody is bound to your address, so that no target admits you. Sign in, and this address, as this connection shows it and no other, is bound to you."};
  }
  shown.forms = {{"/portal/sign-in", "Sign in with " + settings->issuer.name, "", false}};
  return page(*settings, 200, shown);
}

// --- POST /portal/sign-in ---

Portal::Or<identify::CodeFlow> Portal::flow_of(const PortalSettings& settings) const {
  identify::CodeFlow flow;
  flow.issuer = settings.issuer;
  flow.redirect_uri = settings.redirect_uri;
  flow.https = https_;
  if (!settings.issuer.client_secret_file.empty()) {
    const auto secret = transport::read_secret_file(settings.issuer.client_secret_file);
    if (!secret) {
      host_.tell("portal: " + secret.error().message);
      return tl::unexpected<Fault>(Fault{PortalResult::kProviderDown, 503, "This gateway cannot prove itself to " + settings.issuer.name + "; its log says why."});
    }
    flow.client_secret = std::string(secret->view());
  }
  return flow;
}

Portal::Or<identify::ProviderMetadata> Portal::metadata(const Settings& settings) {
  const auto unusable = [&](const Error& error) {
    const bool is_down = error.kind == Error::Kind::kUnavailable;
    return tl::unexpected<Fault>(Fault{PortalResult::kProviderDown, 503,
                                       settings->issuer.name + (is_down ? " does not answer this gateway" : " gives this gateway an answer that it does not use") +
                                           ", so that nobody can sign in now. Whoever is bound stays so to the end of it. Try again in a minute; the gateway's log says more."});
  };
  {
    const std::lock_guard lock(mutex_);
    if (metadata_ && clock_() < metadata_until_) return *metadata_ ? Or<identify::ProviderMetadata>(**metadata_) : unusable(metadata_->error());
  }
  if (asks_.fetch_add(1) >= options_.asks_max) {
    --asks_;
    return tl::unexpected<Fault>(Fault{PortalResult::kFull, 503, "Many people sign in just now. Try again in a few seconds."});
  }
  auto found = identify::discover(settings->issuer, https_);
  --asks_;
  if (found) {
    for (const Result<std::string>* endpoint : {&found->authorization_endpoint, &found->token_endpoint}) {
      if (found && !*endpoint) found = fail(Error::Kind::kInvalid, settings->issuer.name + ": " + endpoint->error().message);
    }
  }
  if (!found) host_.tell("portal: " + found.error().message);
  const std::lock_guard lock(mutex_);
  if (settings_ == settings) {
    metadata_ = found;
    metadata_until_ = clock_() + (found ? kMetadataLife : kMetadataRetry);
  }
  return found ? Or<identify::ProviderMetadata>(std::move(*found)) : unusable(found.error());
}

Portal::Or<std::string> Portal::enter_started(const Settings& settings, const PageRequest& request, identify::CodeSignIn flow) {
  const auto secret = identify::random_text();
  auto sign_in = std::make_shared<SignIn>();
  sign_in->from = request.from;
  sign_in->source = source_of(request.from);
  sign_in->until = clock_() + options_.sign_in_time;
  sign_in->settings = settings;
  sign_in->flow = std::move(flow);
  const std::lock_guard lock(mutex_);
  std::erase_if(sign_ins_, [now = clock_()](const auto& each) { return each.second->until <= now; });
  // One of a browser at a time; what it is bound by stays, should the new one come to nothing.
  if (const auto own = sign_ins_.find(browser_of(request)); own != sign_ins_.end() && own->second->stage != Stage::kBound) sign_ins_.erase(own);
  std::size_t pending = 0, of_source = 0;
  for (const auto& [browser, each] : sign_ins_) {
    if (each->stage == Stage::kBound) continue;
    ++pending;
    if (each->source == sign_in->source) ++of_source;
  }
  if (secret.empty() || pending >= options_.pending_max || of_source >= options_.pending_per_source_max) {
    return tl::unexpected<Fault>(Fault{PortalResult::kFull, 503,
                                       std::string("As many sign-ins are under way ") + (pending >= options_.pending_max ? "here" : "from your address") +
                                           " as this gateway holds. Finish one of yours, or try again in " + text_of(options_.sign_in_time) + "."});
  }
  sign_ins_[identify::sha256_text(secret)] = std::move(sign_in);
  return secret;
}

std::optional<PageAnswer> Portal::start(const PageRequest& request) {
  const Settings settings = this->settings();
  if (!settings) return std::nullopt;
  auto flow = flow_of(*settings);
  if (!flow) return refuse(*settings, request, flow.error());
  transport::wipe(flow->client_secret);   // It could be read; it is used at the exchange.
  const auto metadata = this->metadata(settings);
  if (!metadata) return refuse(*settings, request, metadata.error());
  auto begun = identify::begin_code_flow(*flow, *metadata);
  if (!begun) return refuse(*settings, request, {PortalResult::kProviderDown, 503, "A sign-in cannot be begun now.", nullptr});
  const std::string url = begun->url;
  const auto secret = enter_started(settings, request, std::move(*begun));
  if (!secret) return refuse(*settings, request, secret.error());
  note(PortalResult::kStarted);
  PortalPage shown;
  shown.title = "To " + settings->issuer.name;
  return page(*settings, 303, shown, "Location: " + url + "\r\n" + cookie_line(*secret, options_.sign_in_time));
}

// --- /portal/confirm ---

Portal::Or<Portal::SignInPtr> Portal::find_signed_in(const PageRequest& request) {
  const std::string browser = browser_of(request);
  const SignInPtr sign_in = find(browser);
  if (!sign_in || sign_in->stage != Stage::kSignedIn) return tl::unexpected<Fault>(Fault{PortalResult::kUnknown, 403, "Nobody has signed in with this browser just now, or it was too long ago."});
  const auto refused = [&](PortalResult result, std::string text) {
    (void)take(browser, sign_in);
    return tl::unexpected<Fault>(Fault{result, 403, std::move(text), sign_in});
  };
  if (sign_in->until <= clock_()) return refused(PortalResult::kExpired, "The sign-in took longer than " + text_of(options_.sign_in_time) + ".");
  if (request.from != sign_in->from) return refused(PortalResult::kOtherAddress, "This sign-in was begun at " + sign_in->from.text() + ", and this browser now comes from " + request.from.text() + ".");
  return sign_in;
}

std::optional<PageAnswer> Portal::confirm_page(const PageRequest& request) {
  const Settings settings = this->settings();
  if (!settings) return std::nullopt;
  const auto sign_in = find_signed_in(request);
  if (!sign_in) return refuse(*settings, request, sign_in.error());
  const identify::VerifiedToken& who = (*sign_in)->who;
  PortalPage shown;
  shown.title = "Is this right?";
  shown.paragraphs = {"From here on, what comes from this address is done in your name. Go on only if it is the address of the machine that you work at, and you alone work there."};
  shown.facts = {{"Address", request.from.text()}, {"To be bound to", who.subject}, {"Groups", joined(who.groups)}, {"Until", until_text(std::min(who.expires, clock_() + settings->ttl_max), clock_())}};
  if (!who.acting_for.empty()) shown.facts.emplace_back("Acting by", joined(who.acting_for));
  shown.forms = {{"/portal/confirm", "Bind this address", (*sign_in)->csrf, false}};
  return page(*settings, 200, shown);
}

std::string Portal::keep_bound(const SignIn& sign_in, const PortalHost::Holder& holder) {
  const std::string secret = identify::random_text();
  auto kept = std::make_shared<SignIn>();
  kept->stage = Stage::kBound;
  kept->from = sign_in.from;
  kept->until = holder.until;
  kept->settings = sign_in.settings;
  kept->csrf = identify::random_text();
  kept->who = sign_in.who;
  kept->binding = holder.binding;
  const std::lock_guard lock(mutex_);
  std::size_t bound = 0;
  auto first = sign_ins_.end();
  for (auto each = sign_ins_.begin(); each != sign_ins_.end();) {
    if (each->second->stage == Stage::kBound && each->second->binding == holder.binding) {
      each = sign_ins_.erase(each);   // The same one, renewed: the last browser may end it.
      continue;
    }
    if (each->second->stage == Stage::kBound) {
      ++bound;
      if (first == sign_ins_.end() || each->second->until < first->second->until) first = each;
    }
    ++each;
  }
  if (bound >= options_.bound_max && first != sign_ins_.end()) sign_ins_.erase(first);
  const seconds life = std::max(holder.until - clock_(), seconds(0));
  if (!secret.empty()) sign_ins_[identify::sha256_text(secret)] = std::move(kept);
  return cookie_line(secret, life);
}

std::optional<PageAnswer> Portal::confirm(const PageRequest& request) {
  const Settings settings = this->settings();
  if (!settings) return std::nullopt;
  const auto found = find_signed_in(request);
  if (!found) return refuse(*settings, request, found.error());
  const SignInPtr& sign_in = *found;
  if (!take(browser_of(request), sign_in)) return refuse(*settings, request, {PortalResult::kReplayed, 409, "This was answered already.", nullptr});
  if (is_forged(request, *sign_in)) return refuse(*settings, request, {PortalResult::kForgedForm, 403, "This form is not of the page that this gateway showed.", sign_in});
  // The connection's own address, and no other.
  const auto bound = handler_.handle("bind", {{"address", request.from.text()}, {"token", sign_in->token}}, peer_of(request, sign_in.get()));
  if (!bound) {
    // The engine put it on the record itself.
    const bool is_late = bound.error().kind == Error::Kind::kUnavailable;
    PageAnswer answer = refuse(*settings, request, {PortalResult::kBindRefused, is_late ? 503 : 409, bound.error().message, nullptr});
    answer.headers += cookie_line("", seconds(0));
    return answer;
  }
  note(PortalResult::kBound);
  std::string headers = "Location: /portal\r\n";
  if (const auto holder = host_.holder_of(request.from)) headers += keep_bound(*sign_in, *holder);
  PortalPage shown;
  shown.title = "Signed in";
  return page(*settings, 303, shown, std::move(headers));
}

// --- POST /portal/sign-out ---

// From wherever the browser is now: it takes away what its own sign-in gave.
std::optional<PageAnswer> Portal::sign_out(const PageRequest& request) {
  const Settings settings = this->settings();
  if (!settings) return std::nullopt;
  const std::string browser = browser_of(request);
  const SignInPtr sign_in = find(browser);
  if (!sign_in || sign_in->stage != Stage::kBound) return refuse(*settings, request, {PortalResult::kUnknown, 403, "Nobody who signed in with this browser is bound.", nullptr});
  if (is_forged(request, *sign_in)) return refuse(*settings, request, {PortalResult::kForgedForm, 403, "This form is not of the page that this gateway showed.", nullptr});
  const auto revoked = handler_.handle("revoke", {{"which", std::to_string(sign_in->binding)}, {"reason", "signed out at the portal"}}, peer_of(request, sign_in.get()));
  if (!revoked && revoked.error().kind != Error::Kind::kNotFound) {
    PortalPage shown;
    shown.title = "Still signed in";
    shown.paragraphs = {"The binding could not be ended: " + revoked.error().message};
    shown.link = "/portal";
    shown.link_text = "Back to the portal";
    return page(*settings, 503, shown);
  }
  (void)take(browser, sign_in);
  note(PortalResult::kSignedOut);
  PortalPage shown;
  shown.title = "Signed out";
  shown.paragraphs = {"The address below is bound to nobody by your sign-in any more; what was open is cut."};
  shown.facts = {{"Address", sign_in->from.text()}};
  shown.link = "/portal";
  shown.link_text = "Back to the portal";
  return page(*settings, 200, shown, cookie_line("", seconds(0)));
}

}  // namespace weir::control

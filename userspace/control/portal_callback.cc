// The answer that a browser brings back from the provider: whose it is, and who it says has signed in.
#include "control/portal.h"
#include "control/portal_sign_in.h"
#include "identify/id_token.h"

namespace weir::control {

using namespace portal_detail;
using identify::CodeVerdict;

namespace {

constexpr int kTries = 6;

}  // namespace

Portal::Or<Portal::SignInPtr> Portal::take_started(const PageRequest& request, const identify::CodeAnswer& answer) {
  const std::string browser = browser_of(request);
  SignInPtr own = find(browser);
  if (own && own->stage == Stage::kStarted && take(browser, own)) return own;
  if (own && own->stage == Stage::kSignedIn) {
    return tl::unexpected<Fault>(Fault{PortalResult::kReplayed, 409, "This answer was used already; each is taken once."});
  }
  // Somebody else's: who was given a link to a sign-in that another browser began.  It is over for both.
  SignInPtr other;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(sign_ins_.begin(), sign_ins_.end(), [&](const auto& each) {
      return each.second->stage == Stage::kStarted && !answer.state.empty() && is_same(each.second->flow.state, answer.state);
    });
    if (found != sign_ins_.end()) {
      other = found->second;
      sign_ins_.erase(found);
    }
  }
  if (other) {
    return tl::unexpected<Fault>(Fault{PortalResult::kOtherBrowser, 403, "This sign-in was begun in another browser, at " + other->from.text() +
                                       ". If that was not you, somebody may want to act in your name: tell who runs this gateway.", other});
  }
  return tl::unexpected<Fault>(Fault{PortalResult::kUnknown, 403, "No sign-in that this browser began waits for this answer: it was used already, it ran out, or there never was one."});
}

Portal::Or<void> Portal::judge(const PageRequest& request, const SignInPtr& sign_in, const identify::CodeAnswer& answer) const {
  const auto refused = [&](PortalResult result, int status, std::string text) { return tl::unexpected<Fault>(Fault{result, status, std::move(text), sign_in}); };
  if (sign_in->until <= clock_()) return refused(PortalResult::kExpired, 403, "The sign-in took longer than " + text_of(options_.sign_in_time) + ".");
  // Led here from elsewhere, a person would lend their rights to where it was begun.
  if (request.from != sign_in->from) {
    return refused(PortalResult::kOtherAddress, 403, "This sign-in was begun at " + sign_in->from.text() + ", and this browser comes from " + request.from.text() +
                                                         ". An address is bound only to who comes from it all the way. If you did not begin it, somebody may want to act in your name: tell who runs this gateway.");
  }
  identify::CodeFlow flow;
  flow.issuer = sign_in->settings->issuer;
  switch (identify::judge_answer(flow, sign_in->flow, answer)) {
    case CodeVerdict::kGood: return {};
    case CodeVerdict::kState: return refused(PortalResult::kWrongState, 403, "This answer is of another sign-in than the one that this browser began (state).");
    case CodeVerdict::kIssuer: return refused(PortalResult::kOtherProvider, 403, "This answer is of another provider than " + flow.issuer.name + " (iss).");
    case CodeVerdict::kProvider:
      return refused(PortalResult::kProviderRefused, 403, answer.error == "access_denied" ? "The sign-in was refused at " + flow.issuer.name + "." : flow.issuer.name + " refuses: " + plain_error(answer.error) + ".");
    case CodeVerdict::kNoCode: return refused(PortalResult::kProviderRefused, 403, flow.issuer.name + " sent this browser back without an answer.");
  }
  return refused(PortalResult::kUnknown, 403, "");
}

// The engine never waits for a provider's keys; a person who has just signed in does, for some seconds.
Result<identify::VerifiedToken> Portal::patiently(const std::function<Result<identify::VerifiedToken>()>& verify) const {
  for (int attempt = 1;; ++attempt) {
    auto verified = verify();
    if (verified || verified.error().kind != Error::Kind::kUnavailable || attempt == kTries || is_stopping_) return verified;
    wait_(seconds(1));
  }
}

Portal::Or<Portal::SignInPtr> Portal::check_tokens(const SignInPtr& sign_in, identify::CodeTokens tokens) const {
  const auto refused = [&](PortalResult result, const Error& error) {
    const bool is_late = error.kind == Error::Kind::kUnavailable;
    return tl::unexpected<Fault>(Fault{is_late ? PortalResult::kProviderDown : result, is_late ? 503 : 403, error.message, sign_in});
  };
  const auto id = patiently([&] { return host_.verify_id_token(tokens.id_token, sign_in->settings->issuer.client_id, sign_in->flow.nonce); });
  if (!id) return refused(PortalResult::kIdToken, id.error());
  auto who = patiently([&] { return host_.verify_token(tokens.token); });
  if (!who) return refused(PortalResult::kToken, who.error());
  const auto wrong = [&](const char* text) { return refused(PortalResult::kToken, {Error::Kind::kDenied, text, 0}); };
  if (who->issuer != sign_in->settings->issuer.name || id->issuer != who->issuer) return wrong("the tokens are of another issuer than the one that was asked");
  if (identify::sub_of(tokens.token) != identify::sub_of(tokens.id_token)) return wrong("the tokens of the sign-in name two subjects");
  if (who->assurance == Assurance::kWorkload) return wrong("the token names a workload, not a person");
  auto signed_in = std::make_shared<SignIn>();
  signed_in->stage = Stage::kSignedIn;
  signed_in->from = sign_in->from;
  signed_in->source = sign_in->source;
  signed_in->until = clock_() + options_.sign_in_time;
  signed_in->settings = sign_in->settings;
  signed_in->csrf = identify::random_text();
  signed_in->token = std::move(tokens.token);
  signed_in->who = std::move(*who);
  return signed_in;
}

Portal::Or<Portal::SignInPtr> Portal::exchange(const SignInPtr& sign_in, const std::string& code) {
  auto flow = flow_of(*sign_in->settings);
  if (!flow) return tl::unexpected<Fault>(flow.error());
  if (asks_.fetch_add(1) >= options_.asks_max) {
    --asks_;
    transport::wipe(flow->client_secret);
    return tl::unexpected<Fault>(Fault{PortalResult::kFull, 503, "Many people sign in just now. Try again in a few seconds."});
  }
  auto tokens = identify::finish_code_flow(*flow, sign_in->flow, code);
  --asks_;
  transport::wipe(flow->client_secret);
  if (!tokens) {
    const bool is_down = tokens.error().kind == Error::Kind::kUnavailable;
    host_.tell("portal: " + tokens.error().message);
    return tl::unexpected<Fault>(Fault{is_down ? PortalResult::kProviderDown : PortalResult::kProviderRefused, is_down ? 503 : 403,
                                       is_down ? sign_in->settings->issuer.name + " does not answer this gateway. Try again in a minute." : tokens.error().message, sign_in});
  }
  return check_tokens(sign_in, std::move(*tokens));
}

std::optional<PageAnswer> Portal::callback(const PageRequest& request) {
  const Settings settings = this->settings();
  if (!settings) return std::nullopt;
  for (const char* name : {"state", "code", "iss", "error"}) {
    if (is_twice(request.query, name)) return refuse(*settings, request, {PortalResult::kUnknown, 400, std::string("The answer has two of ") + name + ".", nullptr});
  }
  const identify::CodeAnswer answer{value_of(request.query, "state"), value_of(request.query, "code"), value_of(request.query, "iss"), value_of(request.query, "error")};
  const auto sign_in = take_started(request, answer);
  if (!sign_in) return refuse(*settings, request, sign_in.error());
  if (const auto judged = judge(request, *sign_in, answer); !judged) return refuse(*settings, request, judged.error());
  auto signed_in = exchange(*sign_in, answer.code);
  if (!signed_in) return refuse(*settings, request, signed_in.error());
  note(PortalResult::kSignedIn);
  {
    const std::lock_guard lock(mutex_);
    sign_ins_[browser_of(request)] = std::move(*signed_in);
  }
  PortalPage shown;
  shown.title = "Signed in";
  return page(*settings, 303, shown, "Location: /portal/confirm\r\n");   // Away from the address that has the code in it.
}

}  // namespace weir::control

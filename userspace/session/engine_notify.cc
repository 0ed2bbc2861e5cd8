// Who is told of what: what the engine gives to notify/, alerts as people see them, and what comes back from a sink.
#include <algorithm>

#include "control/callback_body.h"
#include "control/config_values.h"
#include "core/json_fields.h"
#include "core/time_text.h"
#include "session/engine_state.h"
#include "transport/secret_file.h"

namespace weir::session {
namespace {

using nlohmann::json;
using std::chrono::seconds;

constexpr std::string_view kCallbackKind = "callback";

json describe(const notify::Alert& alert) {
  return {{"number", alert.number},   {"state", alert.is_open() ? "open" : "closed"}, {"event", weir::name_of(alert.event)},
          {"severity", weir::name_of(alert.severity)}, {"gateway", alert.gateway}, {"rule", alert.rule},
          {"subject", alert.subject}, {"target", alert.target}, {"text", alert.text}, {"statement", alert.statement},
          {"session", alert.session}, {"unit", alert.unit},     {"count", alert.count}, {"first", utc_text_if_set(alert.first)},
          {"last", utc_text_if_set(alert.last)}, {"as", alert.outcome}, {"closed_by", alert.closed_by}, {"reason", alert.reason},
          {"closed", utc_text_if_set(alert.closed)}};
}

std::string_view kind_of(SinkConfig::Kind kind) {
  switch (kind) {
    case SinkConfig::Kind::kWebhook: return "webhook";
    case SinkConfig::Kind::kSlack: return "slack";
    case SinkConfig::Kind::kSyslog: return "syslog";
  }
  return "unknown";
}

}  // namespace

Result<notify::NotifierSetup> Engine::notifier_setup(const Config& wanted) {
  notify::NotifierSetup setup;
  setup.config = wanted.notify;
  for (const SinkConfig& sink : wanted.notify.sinks) {
    if (sink.secret_file.empty()) continue;
    const auto text = transport::read_secret_file(sink.secret_file);
    if (!text) return fail(text.error().kind, "notify.sinks[" + sink.name + "]: " + text.error().message);
    notify::Secrets secrets = notify::Secrets::of_lines(text->view());
    const bool is_short = std::any_of(secrets.all().begin(), secrets.all().end(), [](const std::string& each) { return each.size() < notify::kSecretSizeMin; });
    if (secrets.empty() || is_short || secrets.all().size() > notify::kSecretsMax) {
      return fail(Error::Kind::kInvalid, "notify.sinks[" + sink.name + "]: " + sink.secret_file + ": one to " + std::to_string(notify::kSecretsMax) +
                                             " lines of at least " + std::to_string(notify::kSecretSizeMin) + " bytes are needed (openssl rand -hex 32)");
    }
    setup.secrets.emplace(sink.name, std::move(secrets));
  }
  for (const RuleConfig& rule : wanted.rules) {
    setup.rules[rule.id] = {rule.severity.empty() ? NoticeSeverity::kMedium : severity_of(rule.severity), rule.why};
  }
  setup.rules[std::string(kImpersonationRule)] = {NoticeSeverity::kHigh, "somebody tried to act as somebody else"};
  setup.rules[std::string(kWireCredentialRule)] = {NoticeSeverity::kMedium, "a credential on the wire was refused, or none was shown in time"};
  return setup;
}

NoticeSeverity Engine::severity_of(std::string_view name) {
  for (uint8_t i = 0; i < static_cast<uint8_t>(NoticeSeverity::kCount); ++i) {
    if (weir::name_of(static_cast<NoticeSeverity>(i)) == name) return static_cast<NoticeSeverity>(i);
  }
  return NoticeSeverity::kMedium;
}

Result<void> Engine::open_notifier() {
  auto setup = notifier_setup(options_.config);
  if (!setup) return tl::unexpected<Error>(setup.error());
  sink_secrets_ = setup->secrets;
  notify::Notifier::Options options;
  options.gateway = options_.config.name;
  options.core_count = core_count(options_.config);
  options.log = [this](bool is_error, const std::string& text) { logging_->log().log(is_error ? spdlog::level::err : spdlog::level::info, "{}", control::escape_bytes(text)); };
  // What asks the store, which may be slow to answer: a revocation waits for none of it.
  options.on_turn = [this] {
    if (ticket_watch_) ticket_watch_->turn(wall_seconds());
    sweep_callbacks(wall_seconds());
    save_grant_uses(wall_seconds());
  };
  ticket_watch_ = std::make_unique<TicketWatch>(*tickets_, options_.config.name, std::chrono::floor<seconds>(started_), [this](Notice notice) { tell(std::move(notice)); }, [this] { if (notifier_) notifier_->wake(); });
  auto started = notify::Notifier::start(*store_, std::move(options), std::move(*setup));
  if (!started) return tl::unexpected<Error>(started.error());
  notifier_ = std::move(*started);
  return {};
}

void Engine::tell(Notice notice) {
  if (notifier_) notifier_->tell(std::move(notice));
}

void Engine::count_impersonation(Impersonation kind) {
  metrics_->control().add(metric_of(kind));
  metrics_->control().add(Metric::kAlerts);
}

// Its act stands on the record.
void Engine::tell_impersonation(Impersonation kind, const std::string& subject, const std::string& text) {
  Notice notice;
  notice.event = NoticeEvent::kAlert;
  notice.severity = NoticeSeverity::kHigh;
  notice.rule = kImpersonationRule;
  notice.subject = subject;
  notice.text = std::string(weir::name_of(kind)) + ": " + text;
  tell(std::move(notice));
}

void Engine::tell(NoticeEvent event, NoticeSeverity severity, std::string rule, std::string text, bool is_back) {
  Notice notice;
  notice.event = event;
  notice.severity = is_back ? NoticeSeverity::kInfo : severity;
  notice.rule = std::move(rule);
  notice.text = std::move(text);
  if (is_back) notice.state = kBack;
  tell(std::move(notice));
}

// Once a second: what nobody calls out by itself.  Pre: control_mutex_ is held.
void Engine::watch_for_notices() {
  const uint64_t refused = metrics_->total(Metric::kJournalRefused);
  if (refused > journal_refused_) {
    tell(NoticeEvent::kRecordingGap, NoticeSeverity::kHigh, "journal", "the journal could not take " + std::to_string(refused - journal_refused_) + " events");
  }
  journal_refused_ = refused;
  watch_countersigner();
  for (const identify::TokenVerifier::IssuerStatus& issuer : tokens_->status()) {
    const bool is_down = !issuer.keys.error.empty();
    if (is_down == issuers_down_.contains(issuer.name)) continue;
    if (is_down) issuers_down_.insert(issuer.name);
    else issuers_down_.erase(issuer.name);
    tell(NoticeEvent::kProviderDown, NoticeSeverity::kHigh, issuer.name,
         is_down ? "the keys of issuer " + issuer.name + " cannot be fetched: " + issuer.keys.error : "the keys of issuer " + issuer.name + " can be fetched again", !is_down);
  }
}

// What was answered so long ago is stale by its own time.  On the notifier's thread alone.
void Engine::sweep_callbacks(std::chrono::sys_seconds now) {
  if (now - callbacks_swept_ <= notify::kSignatureAge) return;
  callbacks_swept_ = now;
  const auto items = store_->load(kCallbackKind);
  if (!items) return;
  for (const StoreItem& item : *items) {
    const json body = json::parse(item.body, nullptr, false);
    const uint64_t at = body.is_object() ? number_at(body, "at") : 0;
    const auto stale = static_cast<uint64_t>((now - 2 * notify::kSignatureAge).time_since_epoch().count());
    if (at < stale) (void)store_->write({{item.kind, item.id, item.version, std::nullopt}});
  }
}

json Engine::sinks() const {
  json all = json::array();
  const auto now = std::chrono::system_clock::now();
  for (const notify::SinkState& state : notifier_->states()) {
    const auto found = std::find_if(config().notify.sinks.begin(), config().notify.sinks.end(), [&](const SinkConfig& sink) { return sink.name == state.name; });
    json entry = {{"name", state.name},           {"kind", found == config().notify.sinks.end() ? "" : kind_of(found->kind)}, {"queued", state.counts.queued},
                  {"sent", state.counts.sent},    {"attempts_failed", state.counts.failed}, {"dropped", state.counts.dropped}, {"error", state.error}};
    if (state.oldest) entry["oldest_s"] = std::chrono::duration_cast<seconds>(now - *state.oldest).count();
    all.push_back(std::move(entry));
  }
  return all;
}

std::vector<control::MetricSample> Engine::notify_samples() const {
  std::vector<control::MetricSample> all;
  const std::vector<notify::SinkState> states = notifier_->states();
  const auto now = std::chrono::system_clock::now();
  const auto add = [&](const char* name, const char* help, MetricType type, auto value) {
    for (const notify::SinkState& state : states)
      all.push_back({name, "sink=\"" + state.name + "\"", &state == states.data() ? help : "", type, static_cast<double>(value(state))});
  };
  using State = notify::SinkState;
  add("weir_notify_queued", "Notices that wait for a sink.", MetricType::kGauge, [](const State& state) { return state.counts.queued; });
  add("weir_notify_oldest_seconds", "Age of the oldest notice that waits for a sink.", MetricType::kGauge, [now](const State& state) {
    return state.oldest ? std::chrono::duration_cast<seconds>(now - *state.oldest).count() : 0;
  });
  add("weir_notify_sent_total", "Notices that a sink has taken.", MetricType::kCounter, [](const State& state) { return state.counts.sent; });
  add("weir_notify_failed_total", "Deliveries to a sink that failed; they are tried again.", MetricType::kCounter, [](const State& state) { return state.counts.failed; });
  add("weir_notify_dropped_total", "Notices given up for a sink: too old, refused for good, or no room.", MetricType::kCounter, [](const State& state) { return state.counts.dropped; });
  const auto one = [&](const char* name, const char* labels, const char* help, MetricType type, uint64_t value) { all.push_back({name, labels, help, type, static_cast<double>(value)}); };
  const notify::Notifier::Counts counts = notifier_->counts();
  one("weir_notices_lost_total", "where=\"queue\"", "Notices that did not fit, by where.", MetricType::kCounter, counts.lost);
  one("weir_notices_lost_total", "where=\"spool\"", "", MetricType::kCounter, counts.dropped);
  one("weir_notify_store_failures_total", "", "Writes of alerts and notices that the store did not take.", MetricType::kCounter, counts.store_failures);
  const notify::AlertCounters alerts = notifier_->alerts().counters();
  one("weir_alerts_open", "", "Alerts that nobody has closed.", MetricType::kGauge, alerts.open);
  one("weir_alert_book_total", "event=\"opened\"", "Alerts in the book, by what became of them.", MetricType::kCounter, alerts.opened);
  one("weir_alert_book_total", "event=\"repeated\"", "", MetricType::kCounter, alerts.repeated);
  one("weir_alert_book_total", "event=\"closed\"", "", MetricType::kCounter, alerts.closed);
  one("weir_alert_book_total", "event=\"no-room\"", "", MetricType::kCounter, alerts.unkept);
  one("weir_callbacks_total", "result=\"done\"", "Answers that came back from sinks, by what became of them.", MetricType::kCounter, callbacks_.done);
  one("weir_callbacks_total", "result=\"unsigned\"", "", MetricType::kCounter, callbacks_.unsigned_);
  one("weir_callbacks_total", "result=\"replayed\"", "", MetricType::kCounter, callbacks_.replayed);
  one("weir_callbacks_total", "result=\"refused\"", "", MetricType::kCounter, callbacks_.refused);
  return all;
}

Result<json> Engine::list_alerts(const json& arguments) {
  if (arguments.contains("alert")) {
    const auto alert = notifier_->alerts().find(number_at(arguments, "alert"));
    if (!alert) return fail(Error::Kind::kNotFound, "there is no alert " + std::to_string(number_at(arguments, "alert")));
    return describe(*alert);
  }
  const auto all = arguments.find("all");
  const bool is_all = all != arguments.end() && all->is_boolean() && all->get<bool>();
  json list = json::array();
  for (const notify::Alert& alert : notifier_->alerts().list(!is_all)) list.push_back(describe(alert));
  return list;
}

Result<json> Engine::close_alert(const json& arguments, const control::ControlPeer& peer) {
  const std::string by = peer.is_api() ? peer.subject + " of " + peer.issuer : local_name(peer);
  auto closed = notifier_->alerts().close(number_at(arguments, "alert"), text_at(arguments, "as"), text_at(arguments, "reason"), by, wall_seconds());
  if (!closed) return tl::unexpected<Error>(closed.error());
  logging_->log().info("alert {} closed as {} by {}", closed->number, closed->outcome, control::escape_bytes(by));
  json result = describe(*closed);
  result["by"] = by;
  return result;
}

Result<json> Engine::test_sinks(const json& arguments) {
  const std::string name = text_at(arguments, "sink");
  const auto queued = notifier_->test(name);
  if (queued.empty()) return fail(Error::Kind::kNotFound, name.empty() ? "notify.sinks is empty: nobody is told of anything" : "there is no sink \"" + name.substr(0, 64) + "\"");
  json tests = json::array();
  for (const notify::Notifier::TestResult& each : queued) tests.push_back({{"sink", each.sink}, {"id", each.id}});
  return tests;
}

// What became of them by now; who asks waits by asking again.
json Engine::sink_tests(const json& arguments) const {
  const std::vector<notify::SinkState> states = notifier_->states();
  json results = json::array();
  const auto tests = arguments.find("tests");
  if (tests == arguments.end() || !tests->is_array()) return results;
  for (const json& each : *tests) {
    if (!each.is_object()) continue;
    const std::string sink = text_at(each, "sink"), id = text_at(each, "id");
    const auto state = std::find_if(states.begin(), states.end(), [&](const notify::SinkState& one) { return one.name == sink; });
    results.push_back({{"sink", sink}, {"id", id}, {"sent", !notifier_->outbox().is_waiting(sink, id)}, {"error", state == states.end() ? "there is no such sink any more" : state->error}});
  }
  return results;
}

// --- what comes back ---

// Signature, age, replay, who it is: in this order, and only then the ticket's own rules.
Result<json> Engine::callback(const json& arguments, control::ControlPeer& peer, json& asked) {
  const auto unauthenticated = [&](std::string message) {
    ++callbacks_.unsigned_;
    return fail(Error::Kind::kDenied, std::move(message), control::kCallbackUnsigned);
  };
  const auto refuse = [&](Error error) {
    ++callbacks_.refused;
    return tl::unexpected<Error>(std::move(error));
  };
  const auto sink = std::find_if(config().notify.sinks.begin(), config().notify.sinks.end(), [&](const SinkConfig& each) { return each.name == peer.sink; });
  const auto secrets = sink_secrets_.find(peer.sink);
  if (sink == config().notify.sinks.end() || sink->reviewers.empty() || secrets == sink_secrets_.end()) return unauthenticated("nobody answers by this name");
  const std::string body = text_at(arguments, "body");
  const bool is_slack = sink->kind == SinkConfig::Kind::kSlack;
  const int64_t now = wall_seconds().time_since_epoch().count();
  const auto proof = is_slack ? notify::check_slack_signature(secrets->second, text_at(arguments, "slack_signature"), text_at(arguments, "slack_timestamp"), body, now)
                              : notify::check_weir_signature(secrets->second, text_at(arguments, "signature"), body, now);
  if (!proof) return unauthenticated(proof.error().message);
  auto read = is_slack ? control::read_slack_callback(text_at(arguments, "content_type"), body) : control::read_callback(text_at(arguments, "content_type"), body);
  if (!read) return refuse(read.error());
  asked = {{"ticket", read->ticket}, {"action", read->is_approval ? "approve" : "deny"}, {"reason", read->reason}};
  if (read->is_nothing) return json{{"what", "nothing to do"}};
  // Whoever comes second with the same bytes, at whichever gateway, finds it written.
  const json seen = {{"at", proof->at}, {"sink", peer.sink}};
  if (const auto first = store_->write({{std::string(kCallbackKind), proof->mac, 0, seen.dump()}}); !first) {
    if (first.error().kind != Error::Kind::kDenied) return refuse(Error{Error::Kind::kUnavailable, "that this was answered once cannot be kept: ask again", 0});
    ++callbacks_.replayed;
    return fail(Error::Kind::kDenied, "this answer was given before: sign a new one");
  }
  const auto reviewer = std::find_if(sink->reviewers.begin(), sink->reviewers.end(), [&](const SinkReviewerConfig& each) { return each.id == read->by; });
  if (reviewer == sink->reviewers.end()) return refuse(Error{Error::Kind::kDenied, "who answers is none of notify.sinks[" + sink->name + "].reviewers", control::kCallbackForbidden});
  peer.subject = reviewer->subject;
  const decide::Reviewer who{reviewer->subject, reviewer->groups, "sink:" + sink->name, {}};
  const std::string reason = read->reason.empty() ? "answered in " + sink->name : read->reason;
  auto outcome = read->is_approval ? tickets_->approve(read->ticket, who, reason, {}, wall_seconds()) : tickets_->deny(read->ticket, who, reason, wall_seconds());
  logging_->log().info("callback of {}: {} ticket {} by {}: {}", sink->name, read->is_approval ? "approve" : "deny", read->ticket, control::escape_bytes(who.subject),
                       control::escape_bytes(outcome ? outcome->text : outcome.error().message));
  if (!outcome) return refuse(outcome.error());
  ++callbacks_.done;
  notifier_->wake();
  return json{{"ticket", std::to_string(read->ticket)}, {"action", read->is_approval ? "approve" : "deny"}, {"by", who.subject}, {"what", outcome->text}, {"changed", outcome->is_changed}};
}

}  // namespace weir::session

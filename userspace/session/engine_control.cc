// What the control socket and the API may ask of the engine.  Called by handle(), which lets one request in at a time.
#include <unistd.h>

#include <algorithm>

#include "control/config_loader.h"
#include "control/config_parts.h"
#include "control/metrics_text.h"
#include "core/time_text.h"
#include "steer/client_link.h"
#include "control/policy_json.h"
#include "control/policy_tools.h"
#include "control/portal_settings.h"
#include "session/engine_state.h"

namespace weir::session {
namespace {

using nlohmann::json;

std::string text_of(std::chrono::sys_seconds at) { return at == std::chrono::sys_seconds{} ? "" : utc_text(at); }

json describe(const identify::Binding& binding) {
  const Identity& identity = *binding.identity;
  return {{"id", identity.binding_id},       {"subject", identity.subject}, {"address", binding.where.text()},
          {"static", binding.is_static},     {"assurance", weir::name_of(identity.assurance)}, {"issuer", identity.issuer},
          {"until", text_of(identity.expires)}, {"reason", identity.reason}, {"groups", identity.groups},
          {"refused", binding.refused_attempts}, {"last_refused", binding.last_refused_subject}, {"link", identify::link_json(binding.link)}, {"on_wire", false}};
}

std::string argument(const json& arguments, const char* name) {
  const auto found = arguments.find(name);
  return found != arguments.end() && found->is_string() ? found->get<std::string>() : std::string();
}
Result<std::vector<std::string>> texts(const json& arguments, const char* name) {
  std::vector<std::string> all;
  const auto found = arguments.find(name);
  if (found == arguments.end()) return all;
  if (!found->is_array()) return fail(Error::Kind::kInvalid, std::string(name) + " is not a list");
  for (const json& each : *found) {
    if (!each.is_string()) return fail(Error::Kind::kInvalid, std::string(name) + " is not a list of texts");
    all.push_back(each.get<std::string>());
  }
  return all;
}
uint64_t number(const json& arguments, const char* name) {
  const auto found = arguments.find(name);
  return found != arguments.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

std::string who(const control::ControlPeer& peer) {
  if (peer.is_portal) return control::escape_bytes(peer.subject) + " of " + peer.issuer + " at the portal from " + peer.address;
  if (peer.is_api()) return control::escape_bytes(peer.subject) + " of " + peer.issuer + (peer.role.empty() ? "" : " as " + peer.role) + " from " + peer.address;
  std::string text = "uid " + std::to_string(peer.uid);
  if (peer.login_uid != control::ControlPeer::kNoLogin) text += ", login uid " + std::to_string(peer.login_uid);
  return text;
}

}  // namespace

json Engine::status() const {
  const record::SealerCounts seals = sealer_->counts();
  const record::SegmentStore::Counts segments = segments_->counts();
  json targets = json::array();
  for (const TargetRuntime& target : runtime_->targets) {
    json entry = {{"name", target.config.name}, {"protocol", target.config.protocol}, {"capability", target.capability}, {"mode", target.config.observe ? "observe" : "enforce"}};
    if (const auto reader = builder_->catalogue(target.config.name)) {
      const auto counts = reader->stats();
      entry["catalogue"] = {{"reads", counts.reads}, {"failures", counts.failures}, {"relations", counts.relations}, {"error", reader->last_error()}};
    }
    targets.push_back(std::move(entry));
  }
  json issuers = json::array();
  for (const identify::TokenVerifier::IssuerStatus& issuer : tokens_->status()) {
    issuers.push_back({{"name", issuer.name}, {"url", issuer.url}, {"from", issuer.source}, {"keys", issuer.keys.keys}, {"fetched", text_of(issuer.keys.fetched)},
                       {"tried", text_of(issuer.keys.tried)}, {"fetches", issuer.keys.fetches}, {"failures", issuer.keys.failures}, {"error", issuer.keys.error}});
  }
  json all = {
      {"engine",
       {{"pid", getpid()},
        {"started", text_of(std::chrono::floor<std::chrono::seconds>(started_))},
        {"config", {{"file", options_.config_file}, {"digest", config().digest}, {"generation", runtime_->generation}, {"on_disk", on_disk_}}},
        {"policy", runtime_->policy->digest()},
        {"cores", cores_.size()},
        {"sessions", directory_->count()}}},
      {"record",
       {{"accepting", !segments.is_full},
        {"segments_free", segments.free},
        {"seals", seals.seals},
        {"open_sessions", seals.open_sessions},
        {"errors", seals.errors},
        {"index", index_status()},
        {"recovered", {{"interrupted", recovered_.interrupted}, {"unknown_commands", recovered_.unknown_commands}, {"torn_bytes", recovered_.torn_bytes}}}}},
      {"signer", signer_status()},
      {"countersigned", countersigners()},
      {"retention", retention_status()},
      {"store", store_status()},
      {"issuers", std::move(issuers)},
      {"targets", std::move(targets)},
      {"sinks", sinks()},
  };
  if (control::portal_issuer(config().identity) != nullptr) all["portal"] = portal_status();
  return all;
}

Result<json> Engine::reload(const json& arguments, const control::ControlPeer& peer, const ReloadHow& wanted) {
  const std::string reason = argument(arguments, "reason");
  auto more = texts(arguments, "set");
  if (!more) return tl::unexpected<Error>(more.error());
  control::ConfigOptions how;
  how.overrides = options_.overrides;
  how.overrides.insert(how.overrides.end(), more->begin(), more->end());
  control::LoadedConfig loaded = control::load_config(options_.config_file, how);
  std::vector<control::ConfigProblem> problems = loaded.problems;
  if (loaded.is_usable()) problems = control::restart_needed(config(), loaded.config);
  CoreCounters& counters = metrics_->control();
  const auto refuse = [&](std::string message) {
    on_disk_ = "configuration on disk refused";
    counters.add(Metric::kReloadsRefused);
    counters.set(Metric::kConfigOnDiskRefused, 1);
    logging_->log().error("reload refused: {}", message);
    tell(NoticeEvent::kConfigRefused, NoticeSeverity::kMedium, "reload", "a reload by " + who(peer) + " was refused: " + message.substr(0, message.find('\n')));
    return fail(Error::Kind::kInvalid, std::move(message));
  };
  if (control::has_errors(problems)) {
    std::string message;
    for (const control::ConfigProblem& problem : problems) message += (message.empty() ? "" : "\n") + control::text_of(problem);
    return refuse(message);
  }
  json change = control::change_between(config(), loaded.config);
  if (wanted.is_preview) {  // Not build(): what it makes counts from then on.
    const auto policy = control::compile_for_tools(loaded.config, problems);
    if (!policy || control::has_errors(problems)) return refuse(policy ? control::text_of(problems.back()) : policy.error().message);
    return json{{"digest", loaded.config.digest}, {"change", std::move(change)}};
  }
  if (!wanted.digest.empty() && wanted.digest != loaded.config.digest) return fail(Error::Kind::kDenied, "changed since: the files are not what was approved");
  auto built = build(loaded.config);
  if (!built) return refuse(built.error().message);
  auto setup = notifier_setup(loaded.config);
  if (!setup) return refuse(setup.error().message);
  // What a refusal leaves behind must be what was in force.
  const auto put_targets_back = [&] {
    if (auto back = steer::write_targets(config()); !back) logging_->log().error("reload refused, and the targets could not be put back: {}", back.error().message);
  };
  if (auto written = steer::write_targets(loaded.config); !written) {
    put_targets_back();
    return refuse(written.error().message);
  }
  auto ended = bindings_->set_static(loaded.config.identity.static_bindings, wall_seconds());
  if (!ended) {
    put_targets_back();
    return refuse(ended.error().message);
  }
  bindings_->set_options(binding_options(loaded.config));
  if (auto synced = sync_kernel_bindings(); !synced) return refuse(synced.error().message);
  end_bindings(*ended);
  admission_->set_limits(loaded.config.engine.limits);
  tickets_->set_approvals(loaded.config.approvals);
  sink_secrets_ = setup->secrets;
  notifier_->set(std::move(*setup));
  hand_over(std::move(*built));
  keep_in_force();
  note_access("reload");
  options_.overrides = std::move(how.overrides);
  on_disk_ = "in force";
  counters.add(Metric::kReloads);
  counters.set(Metric::kConfigOnDiskRefused, 0);
  counters.set(Metric::kPolicyGeneration, runtime_->generation);
  logging_->log().info("reload by {}: generation {}, reason: {}", who(peer), runtime_->generation, control::escape_bytes(reason));
  return json{{"generation", runtime_->generation}, {"digest", config().digest}, {"change", std::move(change)}};
}

Result<identify::VerifiedToken> Engine::verify(std::string_view text) {
  auto token = tokens_->verify(text, wall_seconds());
  const bool is_late = !token && token.error().kind == Error::Kind::kUnavailable;
  metrics_->control().add(token ? Metric::kTokensVerified : is_late ? Metric::kTokensUnchecked : Metric::kTokensRefused);
  return token;
}

Result<json> Engine::bind(const json& arguments, const control::ControlPeer& peer) {
  auto address = Address::parse(argument(arguments, "address"));
  if (!address) return tl::unexpected<Error>(address.error());
  auto token = verify(argument(arguments, "token"));
  if (!token) {
    logging_->log().warn("bind {}: {}", address->text(), control::escape_bytes(token.error().message));
    return tl::unexpected<Error>(token.error());
  }
  if (auto may = may_bind(*token, peer); !may) {
    logging_->log().warn("bind {} to {}: {}", address->text(), control::escape_bytes(token->subject), may.error().message);
    return tl::unexpected<Error>(may.error());
  }
  auto link = steer::find_client_link(*address, config().steer.clients, config().identity.bind_mac);
  if (!link) {
    logging_->log().warn("bind {} to {}: {}", address->text(), control::escape_bytes(token->subject), link.error().message);
    return tl::unexpected<Error>(link.error());
  }
  auto outcome = bindings_->bind(*token, *address, wall_seconds(), *link);
  take_foreign_bindings();  // What it found on the way.
  if (!outcome) return tl::unexpected<Error>(outcome.error());
  logging_->log().info("bind {} ({}) to {}: {}", address->text(), link->is_empty() ? "tied to no link" : link->text(), control::escape_bytes(token->subject), outcome->text);
  if (!outcome->text_for_holder.empty()) logging_->log().warn("for {}: {}", control::escape_bytes(outcome->binding.identity->subject), control::escape_bytes(outcome->text_for_holder));
  if (outcome->kind == identify::BindOutcome::Kind::kTokenElsewhere) {
    impersonation_ = Impersonation::kTokenReplay;
    count_impersonation(impersonation_);
    tell_impersonation(impersonation_, token->subject, outcome->text);
  }
  if (!outcome->is_bound()) return fail(Error::Kind::kDenied, outcome->text);
  end_bindings(outcome->ended);
  if (auto put = kernel_bindings_->put(kernel_binding(outcome->binding)); !put) return tl::unexpected<Error>(put.error());
  json result = describe(outcome->binding);
  result["text"] = outcome->text;
  result["ended"] = json::array();
  for (const identify::Binding& binding : outcome->ended) result["ended"].push_back(binding.identity->binding_id);
  return result;
}

// In the kernel first, then the sessions, with the statement that runs at the target.  Post: how many flows it were.
uint32_t Engine::cut_bindings(const std::vector<identify::Binding>& ended) {
  uint32_t flows = 0;
  for (const identify::Binding& binding : ended) static_cast<void>(kernel_bindings_->remove(binding.where, binding.identity->binding_id));
  for (const identify::Binding& binding : ended) {
    for (const auto& core : cores_) core->post(Request::kCutBinding, binding.identity->binding_id);
    flows += steering_->cut_binding(binding.identity->binding_id);
  }
  return flows;
}

uint32_t Engine::end_bindings(const std::vector<identify::Binding>& ended) {
  const uint32_t flows = cut_bindings(ended);
  show_hidden(ended);
  return flows;
}

// What they hid is in force again.  Pre: the table has them no more.
void Engine::show_hidden(const std::vector<identify::Binding>& ended) {
  for (const identify::Binding& gone : ended) {
    const auto hidden = bindings_->at(gone.where, wall_seconds());
    if (!hidden) continue;
    if (auto put = kernel_bindings_->put(kernel_binding(*hidden)); !put) logging_->log().error("binding {}: {}", hidden->identity->binding_id, put.error().message);
  }
}

Result<json> Engine::revoke(const json& arguments, const control::ControlPeer& peer) {
  const std::string which = argument(arguments, "which");
  const std::vector<identify::Binding> fitting = bindings_->fitting(which);
  const std::vector<identify::WireCredential> fitting_wire = wire_->fitting(which, wall_seconds());
  if (fitting.empty() && fitting_wire.empty()) {
    return fail(Error::Kind::kNotFound, "no binding, and no credential on the wire, has the id, address, subject or token id \"" + which + "\"");
  }
  // Before the disk is asked: its sessions end now, whatever becomes of that.
  uint32_t flows = cut_bindings(fitting) + cut_wire(fitting_wire);
  auto ended = bindings_->revoke(which, wall_seconds());
  auto shown = wire_->revoke(which, wall_seconds());
  if (shown) flows += cut_wire(*shown);  // Whose proof came in between.
  take_foreign_bindings();  // What it found on the way.
  if (!ended) return fail(ended.error().kind, "cut, but not taken back for good (a reload or a restart brings it back): " + ended.error().message);
  if (!shown) return fail(shown.error().kind, "cut, but not taken back for good (who has it may connect again): " + shown.error().message);
  for (const identify::Binding& binding : *ended) tickets_->end_windows_of(binding.identity->subject, wall_seconds());
  for (const identify::WireCredential& credential : *shown) tickets_->end_windows_of(credential.identity->subject, wall_seconds());
  show_hidden(*ended);
  logging_->log().info("revoke {} by {}, reason: {}", control::escape_bytes(which), who(peer), control::escape_bytes(argument(arguments, "reason")));
  json revoked = json::array();
  for (const identify::Binding& binding : *ended) revoked.push_back(describe(binding));
  for (const identify::WireCredential& credential : *shown) revoked.push_back(describe_wire(credential));
  Notice notice;
  notice.event = NoticeEvent::kRevoked;
  if (!ended->empty()) notice.subject = ended->front().identity->subject;
  else if (!shown->empty()) notice.subject = shown->front().identity->subject;
  notice.rule = "revoke";
  notice.text = std::to_string(ended->size() + shown->size()) + " bindings were revoked by " + who(peer) + ", " + std::to_string(flows) + " flows were cut: " + argument(arguments, "reason");
  tell(std::move(notice));
  return json{{"revoked", std::move(revoked)}, {"cut", flows}};
}

Result<json> Engine::cut(const json& arguments, const control::ControlPeer& peer) {
  const uint64_t session = number(arguments, "session"), binding = number(arguments, "binding");
  if (session == 0 && binding == 0) return fail(Error::Kind::kInvalid, "name a session or a binding");
  uint32_t flows = 0;
  if (session != 0) {
    const auto live = directory_->find(session);
    if (!live) return fail(Error::Kind::kNotFound, "session " + std::to_string(session) + " is not live");
    cores_[live->core]->post(Request::kCutSession, session);
    flows = steering_->cut_session(session);
  } else {
    for (const auto& core : cores_) core->post(Request::kCutBinding, binding);
    flows = steering_->cut_binding(binding);
    for (const LiveSession& live : directory_->list()) {  // Of one on the wire the kernel knows the flows alone.
      if (!live.identity || !live.identity->is_on_wire || live.identity->binding_id != binding) continue;
      steering_->cut({live.client, live.server});
      ++flows;
    }
  }
  logging_->log().info("cut {} {} by {}, reason: {}", session != 0 ? "session" : "binding", session != 0 ? session : binding, who(peer),
                       control::escape_bytes(argument(arguments, "reason")));
  Notice notice;
  notice.event = NoticeEvent::kRevoked;
  notice.session = session;
  notice.rule = "cut";
  notice.text = (session != 0 ? "session " + std::to_string(session) : "binding " + std::to_string(binding)) + " was cut by " + who(peer) + ": " + argument(arguments, "reason");
  tell(std::move(notice));
  return json{{"cut", flows}};
}

json Engine::bindings() const {
  json all = json::array();
  for (const identify::Binding& binding : bindings_->list(wall_seconds())) all.push_back(describe(binding));
  for (const identify::WireCredential& credential : wire_->list(wall_seconds())) all.push_back(describe_wire(credential));
  return all;
}

json Engine::sessions() const {
  json all = json::array();
  for (const LiveSession& session : directory_->list()) {
    all.push_back({{"id", session.id}, {"target", session.target}, {"subject", session.identity ? session.identity->subject : ""}, {"client", session.client.text()},
                   {"opened", text_of(std::chrono::sys_seconds(std::chrono::seconds(session.opened_ns / 1'000'000'000)))}});
  }
  return all;
}

json Engine::profile() const {
  json all = json::array();
  for (const decide::RuleCount& count : builder_->policy()->counts()) {
    all.push_back({{"rule", count.rule}, {"matched", count.matched}, {"decided", count.decided}, {"observed", count.observed}, {"masked", count.masked}});
  }
  return all;
}

json Engine::rules() const {
  json all = json::array();
  for (const RuleConfig& rule : config().rules) all.push_back(json::parse(control::to_json(rule).dump()));
  return all;
}

json Engine::grants() const {
  json all = json::array();
  for (const GrantConfig& grant : config().grants) {
    all.push_back(json::parse(control::to_json(grant).dump()));
    all.back()["uses"] = uses_of(grant.name);
  }
  return all;
}

std::string Engine::metrics() {
  const std::lock_guard lock(control_mutex_);
  const steer::KernelSteering::Counters kernel = steering_->counters();
  std::vector<control::MetricSample> more = {
      {"weir_kernel_packets_total", "action=\"steered\"", "Packets as the kernel side decided.", MetricType::kCounter, static_cast<double>(kernel.steered)},
      {"weir_kernel_packets_total", "action=\"sent\"", "", MetricType::kCounter, static_cast<double>(kernel.sent)},
      {"weir_kernel_packets_total", "action=\"passed\"", "", MetricType::kCounter, static_cast<double>(kernel.passed)},
      {"weir_kernel_packets_total", "action=\"dropped\"", "", MetricType::kCounter, static_cast<double>(kernel.dropped)},
      {"weir_acts_total", "result=\"recorded\"", "Acts of people on the gateway, and looks at its record.", MetricType::kCounter, static_cast<double>(acts_recorded_.load())},
      {"weir_acts_total", "result=\"unrecorded\"", "", MetricType::kCounter, static_cast<double>(acts_unrecorded_.load())},
  };
  const std::vector<identify::TokenVerifier::IssuerStatus> issuers = tokens_->status();
  const auto add = [&](const char* name, const char* help, MetricType type, auto value) {
    for (const identify::TokenVerifier::IssuerStatus& issuer : issuers)
      more.push_back({name, "issuer=\"" + issuer.name + "\"", &issuer == issuers.data() ? help : "", type, static_cast<double>(value(issuer.keys))});
  };
  using Keys = identify::ProviderKeys::Status;
  add("weir_issuer_keys", "Keys of an issuer that signatures are checked with.", MetricType::kGauge, [](const Keys& keys) { return keys.keys; });
  add("weir_issuer_fetches_total", "Fetches of an issuer's keys that went well.", MetricType::kCounter, [](const Keys& keys) { return keys.fetches; });
  add("weir_issuer_failures_total", "Fetches of an issuer's keys that failed.", MetricType::kCounter, [](const Keys& keys) { return keys.failures; });
  for (control::MetricSample& sample : signer_samples()) more.push_back(std::move(sample));
  for (control::MetricSample& sample : countersign_samples()) more.push_back(std::move(sample));
  for (control::MetricSample& sample : retention_samples()) more.push_back(std::move(sample));
  for (control::MetricSample& sample : store_samples()) more.push_back(std::move(sample));
  for (control::MetricSample& sample : index_samples()) more.push_back(std::move(sample));
  for (control::MetricSample& sample : bypass_samples()) more.push_back(std::move(sample));
  for (control::MetricSample& sample : ticket_samples()) more.push_back(std::move(sample));
  for (control::MetricSample& sample : portal_->samples()) more.push_back(std::move(sample));
  for (control::MetricSample& sample : notify_samples()) more.push_back(std::move(sample));
  if (api_) {
    for (control::MetricSample& sample : api_->counters().samples()) more.push_back(std::move(sample));
  }
  return control::render_metrics(*metrics_, more);
}

}  // namespace weir::session

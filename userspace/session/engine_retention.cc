// Retention: what is kept is said by people and the configuration; the sealer's thread destroys the rest (record/expirer.h), and
// asks here what else has content of it.
#include <algorithm>

#include "control/config_values.h"
#include "core/json_fields.h"
#include "core/time_text.h"
#include "record/session_index.h"
#include "session/engine_state.h"

namespace weir::session {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds kRunTimeout{3'000}, kRunPoll{20};

json described(const record::Hold& hold) {
  json object = record::to_json(hold);
  object["what"] = record::words_of(hold);
  return object;
}

Result<std::optional<std::chrono::sys_seconds>> moment_at(const json& arguments, const char* key) {
  if (!arguments.contains(key)) return std::nullopt;
  const auto time = control::parse_time(text_at(arguments, key));
  if (!time) return fail(Error::Kind::kInvalid, std::string(key) + ": " + time.error().message);
  return *time;
}

}  // namespace

// Tags of each rule that was in force in this run: a session may be sealed after its rule is gone.
void Engine::note_rule_tags(const Config& wanted) {
  const std::lock_guard lock(rule_tags_mutex_);
  for (const RuleConfig& rule : wanted.rules) rule_tags_[rule.id].insert(rule.tags.begin(), rule.tags.end());
}

void Engine::open_retention(record::SealerOptions& sealer) {
  note_rule_tags(options_.config);
  retention_ = std::make_unique<record::RetentionDesk>(options_.config.state, options_.config.retention, files_);
  sealer.retention = retention_.get();
  sealer.tags_of = [this](const std::string& rule) {
    const std::lock_guard lock(rule_tags_mutex_);
    const auto found = rule_tags_.find(rule);
    return found == rule_tags_.end() ? std::vector<std::string>{} : std::vector<std::string>(found->second.begin(), found->second.end());
  };
}

// Pre: all that may have content of a session is there.  From here on what is over goes.
void Engine::start_retention() {
  record::RetentionDesk::Surroundings around;
  around.forget.push_back([this](const std::vector<uint64_t>& sessions) { return tickets_->forget(sessions); });
  around.forget.push_back([this](const std::vector<uint64_t>& sessions) { return notifier_->forget(sessions, wall_seconds()); });
  around.forget.push_back([this](const std::vector<uint64_t>&) { return store_->wipe_removed(); });
  around.forget.push_back([file = record::index_path(options_.config.state)](const std::vector<uint64_t>& sessions) { return record::forget_sessions(file, sessions); });
  around.is_in_use = [this](uint64_t session) { return tickets_->has_waiting(session); };
  around.tidy_journal = [this] {
    const uint64_t round = ++tidy_round_;
    for (const auto& core : cores_) core->post(Request::kTidyJournal, round);
  };
  around.is_journal_tidy = [this] {
    return segments_->unwiped() == 0 && std::all_of(cores_.begin(), cores_.end(), [this](const auto& core) { return core->tidied() >= tidy_round_; });
  };
  around.leap_max = std::chrono::hours(24);
  retention_->set_surroundings(std::move(around));
}

Result<json> Engine::add_hold(const json& arguments, const control::ControlPeer& peer) {
  record::Hold hold;
  hold.subject = text_at(arguments, "subject");
  hold.target = text_at(arguments, "target");
  hold.reason = text_at(arguments, "reason");
  hold.by = peer.is_api() ? peer.subject : local_name(peer);
  hold.at = wall_seconds();
  if (arguments.contains("session")) {
    hold.session = number_at(arguments, "session");
    if (*hold.session == 0) return fail(Error::Kind::kInvalid, "session: name one by its number");
  }
  for (const std::string* text : {&hold.subject, &hold.target}) {
    if (!control::is_printable(*text) || text->size() > 512) return fail(Error::Kind::kInvalid, "a name of at most 512 printable bytes");
  }
  const auto from = moment_at(arguments, "from"), until = moment_at(arguments, "to");
  if (!from) return tl::unexpected<Error>(from.error());
  if (!until) return tl::unexpected<Error>(until.error());
  hold.from = *from;
  hold.until = *until;
  if (hold.from && hold.until && *hold.from >= *hold.until) return fail(Error::Kind::kInvalid, "to: it is not later than from");
  if (!hold.session && hold.subject.empty() && hold.target.empty() && !hold.from && !hold.until) return fail(Error::Kind::kInvalid, "say what is held: session, subject, target, from, to");
  const auto added = retention_->add_hold(std::move(hold));
  if (!added) return tl::unexpected<Error>(added.error());
  return described(*added);
}

Result<json> Engine::remove_hold(const json& arguments) {
  const auto removed = retention_->remove_hold(text_at(arguments, "hold"));
  if (!removed) return tl::unexpected<Error>(removed.error());
  return described(*removed);
}

Result<json> Engine::list_holds() const {
  const auto holds = retention_->holds();
  if (!holds) return tl::unexpected<Error>(holds.error());
  json all = json::array();
  for (const record::Hold& hold : *holds) all.push_back(described(hold));
  return all;
}

// Until all was looked at once more, or for a few seconds: then it goes on by itself.
Result<json> Engine::run_retention() {
  const record::ExpiryCounts before = retention_->counts();
  retention_->look_now();
  record::ExpiryCounts now = before;
  for (auto waited = std::chrono::milliseconds(0); waited < kRunTimeout; waited += kRunPoll) {
    std::this_thread::sleep_for(kRunPoll);
    now = retention_->counts();
    if ((now.looks > before.looks && now.waiting == 0 && now.announced == 0) || now.failures > before.failures) break;
  }
  return json{{"expired", now.expired - before.expired}, {"held", now.held}, {"waiting", now.waiting}, {"unreadable", now.unreadable},
              {"goes_on", now.looks == before.looks || now.waiting != 0 || now.announced != 0}, {"problem", now.problem}};
}

json Engine::retention_status() const {
  const record::ExpiryCounts counts = retention_->counts();
  constexpr int64_t kSecond = 1'000'000'000;
  json status = {{"kept", counts.kept}, {"expired", counts.expired}, {"held", counts.held}, {"waiting", counts.waiting}, {"unreadable", counts.unreadable}, {"failures", counts.failures},
                 {"next", utc_text_if_set(std::chrono::sys_seconds(std::chrono::seconds(counts.next_ns / kSecond)))}};
  if (!counts.problem.empty()) status["failed"] = counts.problem;
  return status;
}

json Engine::show_retention() const {
  const RetentionConfig& wanted = config().retention;
  json policies = json::array();
  for (const RetentionRuleConfig& rule : wanted.rules) {
    policies.push_back({{"name", rule.name}, {"keep_s", rule.keep.count()}, {"where", {{"targets", rule.targets}, {"tags", rule.tags}, {"rules", rule.rules}, {"groups", rule.groups}, {"subjects", rule.subjects}}}});
  }
  policies.push_back({{"name", record::kDefaultPolicy}, {"keep_s", wanted.keep.count()}});
  json answer = retention_status();
  answer["policies"] = std::move(policies);
  return answer;
}

std::vector<control::MetricSample> Engine::retention_samples() const {
  const record::ExpiryCounts counts = retention_->counts();
  const auto sample = [](const char* name, const char* help, MetricType type, uint64_t value) { return control::MetricSample{name, "", help, type, static_cast<double>(value)}; };
  return {sample("weir_retention_expired_total", "Sessions destroyed by policy since the start.", MetricType::kCounter, counts.expired),
          sample("weir_retention_failures_total", "Steps of destroying sessions that failed, and are done again; also each time that nobody knows what is held.", MetricType::kCounter, counts.failures),
          sample("weir_retention_held", "Sessions that are due, and kept by a legal hold.", MetricType::kGauge, counts.held),
          sample("weir_retention_waiting", "Sessions that are due, and wait for the journal or for a ticket's reviewer.", MetricType::kGauge, counts.waiting),
          sample("weir_retention_unreadable", "Sessions whose archives cannot be read, so that they stay.", MetricType::kGauge, counts.unreadable),
          sample("weir_retention_kept", "Ended sessions on the record.", MetricType::kGauge, counts.kept),
          sample("weir_retention_stopped", "1: nothing expires, since something is wrong (weir status).", MetricType::kGauge, counts.problem.empty() ? 0 : 1)};
}

}  // namespace weir::session

// What leads an action back to who did it and by which right: uses of grants, whose binding has ended, and what would become of
// a command, explained by what is in force.
#include <condition_variable>
#include <nlohmann/json.hpp>

#include "control/config_values.h"
#include "control/explain_json.h"
#include "core/json_fields.h"
#include "core/time_text.h"
#include "identify/request_id.h"
#include "session/act_rules.h"
#include "session/engine_state.h"

namespace weir::session {
namespace {

using nlohmann::json;
using std::chrono::sys_seconds;

constexpr std::chrono::seconds kSaveUsesEvery{60};
constexpr std::chrono::seconds kTellDroppedEvery{1};
constexpr std::chrono::milliseconds kFactsTimeout{500};  // A revocation may wait behind it.
constexpr std::size_t kParametersMax = 64;

Result<std::vector<std::string>> texts_at(const json& object, const char* key, std::size_t count_max) {
  std::vector<std::string> texts;
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return texts;
  const bool is_list = found->is_array() && found->size() <= count_max && std::all_of(found->begin(), found->end(), [](const json& each) { return each.is_string(); });
  if (!is_list) return fail(Error::Kind::kInvalid, std::string(key) + " is no list of at most " + std::to_string(count_max) + " texts");
  for (const json& each : *found) texts.push_back(each.get<std::string>());
  return texts;
}

// A core's facts source, for a thread that may wait.
class WaitingFacts final : public FactsSource {
 public:
  explicit WaitingFacts(const TargetRuntime& target) : source_(target.make_facts([this] { wake(); })) {}
  ~WaitingFacts() override { source_.reset(); }  // Nobody wakes it any more.
  WaitingFacts(const WaitingFacts&) = delete;
  WaitingFacts& operator=(const WaitingFacts&) = delete;

  FactsAnswer facts(const FactsQuery& query) override {
    const auto until = std::chrono::steady_clock::now() + kFactsTimeout;
    for (;;) {
      source_->collect();
      FactsAnswer answer = source_->facts(query);
      if (answer.state != FactsAnswer::State::kPending) return answer;
      std::unique_lock lock(mutex_);
      const bool is_woken = changed_.wait_until(lock, until, [this] { return is_awake_; });
      is_awake_ = false;
      if (!is_woken) return {FactsAnswer::State::kRefused, nullptr};
    }
  }
  std::span<const uint64_t> collect() override { return {}; }

 private:
  void wake() {
    const std::lock_guard lock(mutex_);
    is_awake_ = true;
    changed_.notify_one();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_awake_ = false;
  std::unique_ptr<FactsSource> source_;
};

}  // namespace

Result<void> Engine::open_grant_uses() {
  grant_uses_ = std::make_unique<GrantUses>(*store_, options_.config.name);
  if (auto loaded = grant_uses_->load(); !loaded) return loaded;
  grant_uses_->set_grants(options_.config.grants, wall_seconds());
  return {};
}

void Engine::save_grant_uses(sys_seconds now) {
  if (now < grant_uses_saved_ + kSaveUsesEvery) return;
  grant_uses_saved_ = now;
  if (auto saved = grant_uses_->save(); !saved) logging_->log().error("uses of grants: {}", saved.error().message);
}

json Engine::uses_of(const std::string& grant) const {
  const GrantUse use = grant_uses_->of(grant);
  const bool is_used = use.last != sys_seconds{};
  return {{"count", use.count}, {"last", is_used ? json(utc_text(use.last)) : json(nullptr)}, {"last_subject", is_used ? json(use.subject) : json(nullptr)},
          {"since", use.since == sys_seconds{} ? json(nullptr) : json(utc_text(use.since))}};
}

std::string Engine::ended_binding(const Address& address, sys_seconds now) const {
  const auto ended = ended_bindings_.find(address, now);
  if (!ended) return {};
  return "binding " + std::to_string(ended->id) + " of " + ended->subject + " at " + address.text() + " ended at " + utc_text(ended->at);
}

// The kernel turned it away, where the target's `unbound` is not to explain: there is no session that could say it.
void Engine::on_dropped(const steer::DropNotice& notice) {
  if (cores_.empty() || !metrics_) return;
  const sys_seconds now = wall_seconds();
  if (bindings_->find(notice.source.address, now)) return;
  const std::string ended = ended_binding(notice.source.address, now);
  if (ended.empty()) return;
  count_impersonation(Impersonation::kExpiredBinding);
  if (now < dropped_told_ + kTellDroppedEvery) return;  // Whoever sends packets must fill neither the record nor the sinks.
  tell_impersonation(Impersonation::kExpiredBinding, "", ended);
  dropped_told_ = now;
  Act act;
  act.name = "dropped";
  act.text = act_text({{"by", {{"via", "network"}, {"address", notice.source.address.text()}}}, {"object", notice.destination.text()}, {"outcome", "denied: " + std::string(notice.reason)}});
  act.reason = ended;
  act.is_done = false;
  act.impersonation = Impersonation::kExpiredBinding;
  static_cast<void>(record_act(std::move(act)));
}

// An address, or a subject: with the binding it has, or, for whom none is in force, with the groups that are given.
Result<IdentityPtr> Engine::who_asks(const json& arguments, sys_seconds at, json& about) const {
  const std::string who = text_at(arguments, "who");
  auto groups = texts_at(arguments, "groups", kParametersMax);
  if (!groups) return tl::unexpected<Error>(groups.error());
  if (who.empty()) return fail(Error::Kind::kInvalid, "name who asks: a subject, or an address");
  IdentityPtr found;
  if (const auto address = Address::parse(who)) {
    found = bindings_->find(*address, at);
    if (!found) return fail(Error::Kind::kNotFound, "no identity is bound to " + address->text() + " at that time: name a subject, with its groups");
    about["address"] = address->text();
  } else if (groups->empty()) {
    for (const identify::Binding& binding : bindings_->list(at)) {
      if (binding.identity->subject != who) continue;
      found = binding.identity;   // By id: the newest is the last.
      about["address"] = binding.where.text();
    }
    if (!found) return fail(Error::Kind::kNotFound, "no binding of " + who + " is in force at that time: name the groups that are to be taken for theirs");
  } else {
    Identity made;
    made.subject = who;
    made.groups = std::move(*groups);
    made.assurance = Assurance::kNetwork;
    found = std::make_shared<const Identity>(std::move(made));
  }
  const std::string level = text_at(arguments, "assurance");
  if (!level.empty() && level != weir::name_of(found->assurance)) {
    Identity changed = *found;
    changed.assurance = Assurance::kNone;
    for (const Assurance each : {Assurance::kStatic, Assurance::kNetwork, Assurance::kCredential, Assurance::kWorkload}) {
      if (level == weir::name_of(each)) changed.assurance = each;
    }
    if (changed.assurance == Assurance::kNone) return fail(Error::Kind::kInvalid, "assurance is static, network, credential or workload");
    found = std::make_shared<const Identity>(std::move(changed));
  }
  about["subject"] = found->subject;
  about["groups"] = found->groups;
  about["assurance"] = weir::name_of(found->assurance);
  if (found->binding_id != 0) about["binding"] = found->binding_id;
  if (!found->acting_for.empty()) about["acting_for"] = found->acting_for;
  return found;
}

// Judged as a core would judge it now, by the snapshot, the bindings and the catalogue in force; nothing is sent anywhere.
Result<json> Engine::explain(const json& arguments) const {
  const std::string name = text_at(arguments, "target"), login = text_at(arguments, "login"), database = text_at(arguments, "database"), sql = text_at(arguments, "sql");
  const auto target = std::find_if(runtime_->targets.begin(), runtime_->targets.end(), [&](const TargetRuntime& each) { return each.config.name == name; });
  if (target == runtime_->targets.end()) return fail(Error::Kind::kNotFound, "there is no target \"" + name + "\"");
  sys_seconds at = wall_seconds();
  if (const std::string text = text_at(arguments, "at"); !text.empty()) {
    const auto moment = control::parse_time(text);
    if (!moment) return fail(Error::Kind::kInvalid, "at: " + moment.error().message);
    at = *moment;
  }
  auto parameters = texts_at(arguments, "params", kParametersMax);
  if (!parameters) return tl::unexpected<Error>(parameters.error());
  json about = json::object();
  auto identity = who_asks(arguments, at, about);
  if (!identity) return tl::unexpected<Error>(identity.error());
  const auto* policy = dynamic_cast<const decide::CompiledPolicy*>(runtime_->policy.get());
  if (policy == nullptr) return fail(Error::Kind::kSystem, "this engine's rules cannot be explained");

  const std::shared_ptr<const Catalogue> catalogue = target->catalogue ? target->catalogue(database) : nullptr;
  const std::string application_name = text_at(arguments, "application_name");
  const std::string_view request_id = identify::find_request_id(config().identity.request_id, sql, application_name);
  WaitingFacts facts(*target);
  const decide::ExplainQuery query{.session = {.id = 1, .identity = *identity, .target = target->config.name, .protocol = target->module->name, .client = about.value("address", "")},
                                   .login = login,
                                   .database = database,
                                   .statement = as_bytes(sql),
                                   .wall = at,
                                   .parameters = std::move(*parameters),
                                   .has_request_id = !request_id.empty()};
  json told = json::parse(control::to_json(policy->explain(query, facts, catalogue.get())).dump());
  told["by"] = {{"source", "engine"}, {"generation", runtime_->generation}, {"policy", runtime_->policy->digest()}, {"at", utc_text(at)},
                {"catalogue", catalogue != nullptr ? "read" : target->config.catalogue ? "not read: name --database, or look at weir status" : "none is configured"}};
  told["who"] = std::move(about);
  told["request_id"] = request_id;
  return told;
}

}  // namespace weir::session

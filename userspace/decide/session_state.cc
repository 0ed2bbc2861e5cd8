#include "decide/session_state.h"

#include <algorithm>
#include <chrono>

namespace weir::decide {
namespace {

constexpr int64_t kMinute = 60;

// FNV-1a: of masked values only, never of originals.
uint64_t fingerprint(Bytes value) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const std::byte byte : value) hash = (hash ^ std::to_integer<uint64_t>(byte)) * 0x100000001b3ULL;
  return hash;
}

std::size_t slot_of(const void* pointer, std::size_t count) {
  const uint64_t mixed = static_cast<uint64_t>(reinterpret_cast<std::uintptr_t>(pointer) >> 4) * 0x9e3779b97f4a7c15ULL;
  return static_cast<std::size_t>(mixed >> 40) & (count - 1);
}

}  // namespace

SessionState::SessionState(const Snapshot& snapshot, const SessionFacts& facts)
    : snapshot_(&snapshot),
      identity_(facts.identity),
      target_name_(facts.target),
      target_(snapshot.target(facts.target)),
      plans_(std::make_unique<std::array<PlanSet, kPlanSets>>()) {
  const std::size_t rules = snapshot.contents().rules.size() + 1;
  applicable_ = RuleSet(rules);
  matched = RuleSet(rules);
  if (!identity_) no_identity_reason_ = "no identity is bound to " + (facts.client.empty() ? "this connection" : facts.client) + ": " + snapshot.contents().how_to_sign_in;
  if (!identity_ || target_ == nullptr) return;
  resolve_rules(facts.protocol);
  resolve_scans(facts.protocol);
}

// Plans stay behind: they name the other snapshot's rules.
void SessionState::inherit(const PolicySession& before) {
  const auto* old = dynamic_cast<const SessionState*>(&before);
  if (old == nullptr) return;
  search_path_changed_ = old->search_path_changed_;
  schema_changed_ = old->schema_changed_;
  catalogue_round_ = old->catalogue_round_;
  data_tail = old->data_tail;
  data_tail_size = old->data_tail_size;
  next_fingerprint_ = old->next_fingerprint_;
  if (old->fingerprints_) fingerprints_ = std::make_unique<std::array<uint64_t, kFingerprints>>(*old->fingerprints_);
}

void SessionState::resolve_rules(std::string_view protocol) {
  for (const Rule& rule : snapshot_->contents().rules) {
    if (!rule.applies_to(*identity_, target_name_, protocol)) continue;
    applicable_.add(rule.index);
    if (rule.masks_columns()) column_rules_.push_back(&rule);
    const bool guards = rule.then == RuleAction::kMask && !rule.is_observed && rule.mask.write_back != Guess::kAllow;
    if (guards && (write_back_rule_ == nullptr || rule.mask.write_back > write_back_rule_->mask.write_back))
      write_back_rule_ = &rule;
    const bool is_of_statements = rule.then != RuleAction::kMask && rule.in(Direction::kToTarget);
    const bool needs_pattern = rule.has_patterns && rule.shapes == 0 && rule.functions.empty() && rule.columns.empty();
    if (is_of_statements && !needs_pattern) statement_rules_.push_back(&rule);
  }
}

void SessionState::resolve_scans(std::string_view protocol) {
  const ProtocolScans* scans = snapshot_->scans(protocol);
  if (scans == nullptr) return;
  for (const Pattern& pattern : snapshot_->contents().patterns) {
    for (const uint32_t index : pattern.rules) {
      if (!applicable_.has(index)) continue;
      const Rule& rule = snapshot_->rule(index);
      const bool is_data = pattern.kind == PatternKind::kData;
      redacts_data_ = redacts_data_ || (is_data && !rule.is_observed);
      has_text_rules_ = has_text_rules_ || pattern.kind == PatternKind::kText;
      if (is_data && rule.then == RuleAction::kMask && !rule.is_observed && data_mask_rule_ == nullptr) data_mask_rule_ = &rule;
      matches_commands_ = matches_commands_ || (rule.then != RuleAction::kMask && rule.in(Direction::kToTarget));
      const bool scans_commands = is_data
                                      ? !rule.is_observed || (rule.then != RuleAction::kMask && rule.in(Direction::kToTarget))
                                      : rule.in(Direction::kToTarget);
      if (scans_commands) scans_[index_of(Direction::kToTarget)] = &scans->directions[index_of(Direction::kToTarget)];
      const bool scans_replies = is_data ? rule.in(Direction::kToClient) : rule.direction == Direction::kToClient;
      if (scans_replies) scans_[index_of(Direction::kToClient)] = &scans->directions[index_of(Direction::kToClient)];
    }
  }
}

void SessionState::refresh(const LoginFacts& login, const Catalogue* catalogue,
                           std::chrono::sys_time<std::chrono::nanoseconds> wall) {
  const int64_t now = std::chrono::floor<std::chrono::seconds>(wall).time_since_epoch().count();
  const uint64_t generation = catalogue == nullptr ? 0 : catalogue->generation();
  const bool is_current = epoch_ != 0 && now < recheck_at_ && now >= recheck_at_ - kMinute &&
                          generation == catalogue_generation_ && login.login == login_ && login.database == database_;
  if (is_current) return;
  const std::vector<SessionGrant> before = grants_;
  const bool is_same_login =
      epoch_ != 0 && login.login == login_ && login.database == database_ && generation == catalogue_generation_;
  login_ = login.login;
  database_ = login.database;
  catalogue_generation_ = generation;
  resolve_grants(now);
  const auto same_stop = [](const SessionGrant& a, const SessionGrant& b) { return a.grant == b.grant && a.stop == b.stop; };
  if (is_same_login && std::equal(before.begin(), before.end(), grants_.begin(), grants_.end(), same_stop)) return;
  ++epoch_;
  unreadable_ = make_plan(*this, nullptr, "");
  judge_login();
}

void SessionState::judge_login() {
  login_ruling_ = Ruling();
  login_answer_ = GrantAnswer();
  if (!identity_)
    return login_ruling_.add(Verdict::Action::kBlock, 0, "no-identity", no_identity_reason_);
  if (target_ == nullptr)
    return login_ruling_.add(Verdict::Action::kBlock, 0, "no-target", "this gateway's rules do not know this target");
  login_answer_ = ask_grants_for_login();
  if (login_answer_.grant != nullptr) return;
  login_ruling_.add(Verdict::Action::kBlock, 0, "no-grant", login_answer_.why);
}

void SessionState::resolve_grants(int64_t now) {
  grants_.clear();
  wants_request_ = false;
  recheck_at_ = (now / kMinute + 1) * kMinute;
  if (!identity_ || target_ == nullptr) return;
  for (const Grant& grant : snapshot_->contents().grants) {
    if (!grant.who.admits(*identity_)) continue;
    grants_.push_back({&grant, session_stop(grant, now)});
    wants_request_ = wants_request_ || grant.request_id_required;
    if (grant.until > now) recheck_at_ = std::min(recheck_at_, grant.until);
  }
}

GrantStop SessionState::session_stop(const Grant& grant, int64_t now) const {
  if (!grant.targets.admits(target_name_)) return GrantStop::kTarget;
  if (!grant.logins.admits(login_)) return GrantStop::kLogin;
  if (!grant.databases.admits(database_)) return GrantStop::kDatabase;
  if (grant.until != 0 && now >= grant.until) return GrantStop::kEnded;
  if (!grant.hours.admits(now)) return GrantStop::kHours;
  if (identity_->assurance < grant.assurance) return GrantStop::kAssurance;
  if (grant.is_for_people && is_agent(*identity_)) return GrantStop::kAgent;
  return GrantStop::kAdmits;
}

GrantStop SessionState::statement_stop(const Grant& grant, const StatementFacts& facts, std::string& what) const {
  const auto needed = static_cast<VerbSet>(facts.verbs & ~bit(Verb::kSession));
  if (const auto missing = static_cast<VerbSet>(needed & ~grant.verbs); missing != 0) {
    for (VerbSet verb = 1; verb != 0; verb = static_cast<VerbSet>(verb << 1)) {
      if ((missing & verb) != 0) what += (what.empty() ? "" : ", ") + std::string(name_of(static_cast<Verb>(verb)));
    }
    return GrantStop::kVerbs;
  }
  for (const std::string& role : facts.roles) {
    if (any_matches(grant.impersonate, role)) continue;
    what = role;
    return GrantStop::kRole;
  }
  if (facts.has_unknown_function && target_->unknown_functions_block && grant.is_read_only()) {
    for (const FunctionRef& function : facts.functions) {
      if (!function.is_cleared) what = function.schema.empty() ? function.name : function.schema + "." + function.name;
    }
    return GrantStop::kFunction;
  }
  for (const RelationRef& relation : facts.relations) {
    const std::string name = relation.schema.empty() ? relation.name : relation.schema + "." + relation.name;
    if (is_open_metadata(relation) && !grant.objects.takes(name)) continue;
    if (relation.is_resolved ? grant.objects.admits(name) : grant.objects.admits_all()) continue;
    what = name;
    return GrantStop::kObject;
  }
  return GrantStop::kAdmits;
}

GrantStop SessionState::stop_of(const SessionGrant& grant, const StatementFacts* facts, bool is_login, std::string& what) const {
  if (grant.stop != GrantStop::kAdmits || is_login) return grant.stop;
  const GrantStop stop = facts == nullptr ? GrantStop::kAdmits : statement_stop(*grant.grant, *facts, what);
  if (stop != GrantStop::kAdmits || has_request_ || !grant.grant->request_id_required) return stop;
  // BEGIN, SHOW, SET of a harmless setting: nothing that anybody would ask back for, and SET application_name gives an id.
  const bool only_serves_session = facts != nullptr && (facts->verbs & ~bit(Verb::kSession)) == 0 && facts->relations.empty();
  return only_serves_session ? stop : GrantStop::kRequestId;
}

GrantAnswer SessionState::ask_grants_for_login() const { return ask_all(nullptr, true); }
GrantAnswer SessionState::ask_grants(const StatementFacts* facts) const { return ask_all(facts, false); }

GrantAnswer SessionState::ask_all(const StatementFacts* facts, bool is_login) const {
  GrantAnswer answer;
  const Grant* furthest = nullptr;
  std::string what_of_furthest;
  for (const SessionGrant& candidate : grants_) {
    std::string what;
    const GrantStop stop = stop_of(candidate, facts, is_login, what);
    if (stop == GrantStop::kAdmits) {
      // One that needs no approval is used before one that does.
      if (answer.grant == nullptr || (!answer.grant->approval.empty() && candidate.grant->approval.empty()))
        answer.grant = candidate.grant;
      answer.stop = stop;
    } else if (furthest == nullptr || stop > answer.stop) {
      if (answer.grant == nullptr) answer.stop = stop;
      furthest = candidate.grant;
      what_of_furthest = std::move(what);
    }
  }
  if (answer.grant != nullptr) return answer;
  if (furthest == nullptr) {
    answer.why = "no grant lets you use " + target_name_ + ": ask whoever looks after this gateway's grants";
  } else {
    answer.why = explain_stop(*furthest, answer.stop, what_of_furthest);
  }
  return answer;
}

std::pair<GrantStop, std::string> SessionState::ask_grant(const SessionGrant& grant, const StatementFacts* facts) const {
  std::string what;
  const GrantStop stop = stop_of(grant, facts, facts == nullptr, what);
  return {stop, stop == GrantStop::kAdmits ? "admits it" : explain_stop(*grant.grant, stop, what)};
}

std::string SessionState::explain_stop(const Grant& grant, GrantStop stop, const std::string& what) const {
  const std::string ask = ": ask whoever looks after this gateway's grants";
  switch (stop) {
    case GrantStop::kWho:
    case GrantStop::kTarget:
      return "no grant lets you use " + target_name_ + ask;
    case GrantStop::kLogin:
      return "no grant lets you log in to " + target_name_ + " as " + login_ + ask;
    case GrantStop::kDatabase:
      return "no grant lets you use database " + database_ + " on " + target_name_ + ask;
    case GrantStop::kEnded:
      return "your grant for " + target_name_ + " has ended" + ask;
    case GrantStop::kHours:
      return "your grant for " + target_name_ + " is valid " + grant.hours.text;
    case GrantStop::kAssurance:
      return "your grant for " + target_name_ + " needs assurance " + std::string(name_of(grant.assurance)) +
             ", and you are signed in with " + std::string(name_of(identity_->assurance)) +
             ": sign in again with a stronger proof";
    case GrantStop::kAgent:
      return "your grant for " + target_name_ + " is for people, and you are an agent, or act for somebody" + ask;
    case GrantStop::kRequestId:
      return "your grant for " + target_name_ + " needs a request id with each command: " + snapshot_->contents().how_to_name_a_request;
    case GrantStop::kVerbs:
      return "your grant for " + target_name_ + " does not cover " + what + ask;
    case GrantStop::kRole:
      return "your grant for " + target_name_ + " does not let you act as " + what + ask;
    case GrantStop::kFunction:
      return "function " + what + "() is not known to only read, and your grant for " + target_name_ + " covers reading" + ask;
    case GrantStop::kObject:
      return "no grant covers " + what + " for what this statement does" + ask;
    case GrantStop::kAdmits:
      break;
  }
  return "no grant" + ask;
}

PlanPtr SessionState::plan_for(const FactsPtr& facts) {
  PlanSet& set = (*plans_)[slot_of(facts.get(), kPlanSets)];
  PlanSlot* place = nullptr;
  for (PlanSlot& slot : set.slots) {
    const bool is_live = slot.plan && slot.epoch == epoch_;
    // The plan owns its facts: the address cannot have become another statement's.
    if (is_live && slot.has_request == has_request_ && slot.plan->facts == facts) return slot.plan;
    if (!is_live && place == nullptr) place = &slot;
  }
  if (place == nullptr) place = &set.slots[set.next++ % kPlanWays];
  place->plan = make_plan(*this, facts, "");
  place->epoch = epoch_;
  place->has_request = has_request_;
  return place->plan;
}

SessionState::Known* SessionState::known(uint64_t id) {
  if (!known_) return nullptr;
  Known& entry = (*known_)[id & (kKnown - 1)];
  return entry.id == id && entry.epoch == epoch_ && entry.has_request == has_request_ && entry.plan ? &entry : nullptr;
}

SessionState::Known& SessionState::remember(uint64_t id, PlanPtr plan) {
  if (!known_) known_ = std::make_unique<std::array<Known, kKnown>>();
  Known& entry = (*known_)[id & (kKnown - 1)];
  entry.id = id;
  entry.epoch = epoch_;
  entry.has_request = has_request_;
  entry.plan = std::move(plan);
  entry.has_matches = false;
  return entry;
}

void SessionState::note_command(uint64_t unit, const PlanPtr& first, const PlanPtr& second) {
  if (!asked_) asked_ = std::make_unique<std::array<Asked, kAsked>>();
  Asked& entry = (*asked_)[unit & (kAsked - 1)];
  entry.unit = unit;
  entry.plans = {first, second};
}

const SessionState::Asked* SessionState::asked(uint64_t unit) const {
  if (!asked_ || unit == 0) return nullptr;
  const Asked& entry = (*asked_)[unit & (kAsked - 1)];
  return entry.unit == unit ? &entry : nullptr;
}

void SessionState::add_fingerprint(Bytes value) {
  if (value.size() < kFingerprintedSizeMin) return;  // A 0 or a * is anybody's.
  if (!fingerprints_) fingerprints_ = std::make_unique<std::array<uint64_t, kFingerprints>>();
  (*fingerprints_)[next_fingerprint_++ % kFingerprints] = fingerprint(value);
}

bool SessionState::has_fingerprint(std::string_view value) const {
  if (!fingerprints_ || value.size() < kFingerprintedSizeMin) return false;
  return std::find(fingerprints_->begin(), fingerprints_->end(), fingerprint(as_bytes(value))) != fingerprints_->end();
}

}  // namespace weir::decide

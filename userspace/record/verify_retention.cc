#include "record/verify_retention.h"

#include <algorithm>
#include <map>
#include <unordered_map>

namespace weir::record {
namespace {

using Severity = Finding::Severity;

// An announcement that has no end after so long, in a log that went on, is not a gateway at work.
constexpr int64_t kUnfinishedNs = 3'600ll * 1'000'000'000;

class RetentionChecker {
 public:
  explicit RetentionChecker(const CheckedLog& log) : log_(log) {}

  CheckedRetention run() {
    if (log_.expiring.empty() && log_.tombstones.empty()) return {};
    for (const ListedSeal& seal : log_.seals) {
      seals_.emplace(seal.entry.seal, &seal);
      Session& session = sessions_[seal.entry.session];
      session.seals.push_back(seal.entry.seal);
      if (seal.entry.is_last) session.last = &seal;
    }
    for (const ListedExpiring& expiring : log_.expiring) look_at(expiring);
    for (const ListedTombstone& tombstone : log_.tombstones) look_at(tombstone);
    for (const uint64_t session : dying_) check_whole(session);
    look_at_unfinished();
    add_up();
    return std::move(result_);
  }

 private:
  struct Session { std::vector<uint64_t> seals; const ListedSeal* last = nullptr; };
  void add(Severity severity, const char* code, std::string where, std::string message) { result_.findings.push_back({severity, code, std::move(where), std::move(message)}); }
  static std::string name_of(uint64_t session) { return "session " + std::to_string(session); }

  // What was in force by what the log says up to there.
  bool is_in_force(const std::string& policy, uint64_t keep_s, uint64_t index) const {
    const ListedPolicies* last = nullptr;
    for (const ListedPolicies& each : log_.policies) {
      if (each.index < index) last = &each;
    }
    return last != nullptr && last->policies.is_object() && last->policies.contains(policy) && number_at(last->policies, policy.c_str()) == keep_s;
  }

  void look_at(const ListedExpiring& expiring) {
    const std::string where = "log entry " + std::to_string(expiring.index), by = "\"" + expiring.what.policy + "\"";
    if (!is_in_force(expiring.what.policy, expiring.what.keep_s, expiring.index)) {
      add(Severity::kBroken, "tombstone-wrong", where, "sessions expire by the policy " + by + " of " + std::to_string(expiring.what.keep_s) + " s, which was not in force");
    }
    for (const uint64_t session : expiring.what.sessions) {
      const auto found = sessions_.find(session);
      const ListedSeal* last = found == sessions_.end() ? nullptr : found->second.last;
      if (last == nullptr || last->index > expiring.index) {
        add(Severity::kBroken, "tombstone-live", name_of(session), where + " lets it expire, and it had not ended, or was not sealed to its end");
      } else if (expiring.at_ns < last->entry.sealed_ns + static_cast<int64_t>(std::min<uint64_t>(expiring.what.keep_s, 1ull << 33)) * 1'000'000'000) {
        add(Severity::kBroken, "tombstone-early", name_of(session), "sealed to its end at " + time_text(last->entry.sealed_ns) + ", kept for " + std::to_string(expiring.what.keep_s) + " s by " + by + ", and destroyed at " + time_text(expiring.at_ns));
      }
      announced_.try_emplace(session, &expiring);
    }
  }

  void look_at(const ListedTombstone& stone) {
    const std::string where = "log entry " + std::to_string(stone.index);
    const auto found = seals_.find(stone.what.seal);
    const auto announced = announced_.find(stone.what.session);
    const SealEntry* seal = found == seals_.end() ? nullptr : &found->second->entry;
    if (seal == nullptr || found->second->index > stone.index || seal->session != stone.what.session || seal->part != stone.what.part || seal->digest != stone.what.digest) {
      add(Severity::kBroken, "tombstone-wrong", where, "the tombstone of seal " + std::to_string(stone.what.seal) + " of session " + std::to_string(stone.what.session) + " fits no seal that stands before it");
      return;
    }
    if (announced == announced_.end() || announced->second->index > stone.index || announced->second->what.policy != stone.what.policy || announced->second->what.keep_s != stone.what.keep_s) {
      add(Severity::kBroken, "tombstone-wrong", where, "the tombstone of session " + std::to_string(stone.what.session) + " was not announced as it is");
      return;
    }
    if (!result_.buried.emplace(stone.what.seal, stone.what.digest).second) {
      add(Severity::kBroken, "tombstone-twice", where, "seal " + std::to_string(stone.what.seal) + " of session " + std::to_string(stone.what.session) + " has a tombstone already");
      return;
    }
    dying_.insert(stone.what.session);
    stones_.push_back(&stone);
  }

  // All of it, or nothing.
  void check_whole(uint64_t session) {
    for (const uint64_t seal : sessions_[session].seals) {
      if (result_.buried.contains(seal)) continue;
      add(Severity::kBroken, "tombstone-partial", name_of(session), "seal " + std::to_string(seal) + " of it has no tombstone, others have");
      return;
    }
  }

  void look_at_unfinished() {
    const int64_t newest_ns = log_.newest_ns.empty() ? 0 : log_.newest_ns.back();
    for (const auto& [session, expiring] : announced_) {
      if (dying_.contains(session)) continue;
      result_.expiring.insert(session);
      const bool is_late = newest_ns - expiring->at_ns > kUnfinishedNs;
      add(is_late ? Severity::kAttention : Severity::kNote, is_late ? "expiry-unfinished" : "session-expiring", name_of(session),
          "it expires by the policy \"" + expiring->what.policy + "\" since " + time_text(expiring->at_ns) + (is_late ? ", and the gateway has not come to the end of it" : ": the gateway was at it, or ended in between; the next start finishes it"));
    }
    result_.expired.in_progress = result_.expiring.size();
  }

  void add_up() {
    ExpiredByPolicy& sum = result_.expired;
    std::map<std::pair<std::string, uint64_t>, std::set<uint64_t>> by_policy;
    for (const ListedTombstone* stone : stones_) {
      by_policy[{stone->what.policy, stone->what.keep_s}].insert(stone->what.session);
      if (sum.archives++ == 0) sum.first = time_text(stone->at_ns);
      sum.last = time_text(stone->at_ns);
    }
    if (!result_.buried.empty()) {
      sum.first_seal = result_.buried.begin()->first;
      sum.last_seal = result_.buried.rbegin()->first;
    }
    sum.sessions = dying_.size();
    for (const auto& [policy, sessions] : by_policy) sum.policies.push_back({policy.first, policy.second, sessions.size()});
  }

  const CheckedLog& log_;
  std::unordered_map<uint64_t, const ListedSeal*> seals_;
  std::unordered_map<uint64_t, Session> sessions_;
  std::map<uint64_t, const ListedExpiring*> announced_;
  std::set<uint64_t> dying_;
  std::vector<const ListedTombstone*> stones_;
  CheckedRetention result_;
};

}  // namespace

CheckedRetention check_retention(const CheckedLog& log) { return RetentionChecker(log).run(); }

std::set<uint64_t> expiring_since(const VerifyOptions& options, const CheckedLog& before) {
  std::set<uint64_t> sessions;
  const Result<LogHead> head = read_head(options.place.log);
  if (!head || head->checkpoint.size <= before.checkpoint.size) return sessions;
  const Result<CheckedLog> now = check_log(options);
  if (!now || !now->has_checkpoint || !now->has_all_entries || root_at(*now, before.leaves.size()) != root_at(before, before.leaves.size())) return sessions;
  for (const ListedExpiring& expiring : now->expiring) {
    if (expiring.index >= before.leaves.size()) sessions.insert(expiring.what.sessions.begin(), expiring.what.sessions.end());
  }
  return sessions;
}

}  // namespace weir::record

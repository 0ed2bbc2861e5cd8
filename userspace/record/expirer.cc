#include "record/expirer.h"

#include <algorithm>
#include <set>

#include "record/archive.h"
#include "record/key_store.h"
#include "record/manifest.h"

namespace weir::record {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr std::chrono::nanoseconds kAgainSoon = std::chrono::seconds(1);      // What waits for the journal, or for a reviewer.
constexpr std::chrono::nanoseconds kDoubtFor = std::chrono::hours(24);
constexpr std::chrono::nanoseconds kAgainLater = std::chrono::minutes(10);    // What cannot be read, or is held.

}  // namespace

Result<void> Expirer::step(Nanoseconds now, int64_t oldest_in_journal_ns, const Commit& commit) {
  const std::lock_guard gate(desk_.gate_);
  const Result<void> done = carry_on(now, oldest_in_journal_ns, commit);
  tell(done);
  return done;
}

void Expirer::tell(const Result<void>& outcome) {
  if (!outcome) ++counts_.failures;
  counts_.problem = outcome ? doubt_ : outcome.error().message;
  counts_.kept = lifetimes_.kept();
  counts_.held = fates_[Fate::kHeld];
  counts_.unreadable = fates_[Fate::kUnreadable];
  counts_.waiting = fates_[Fate::kWaits];
  counts_.announced = is_announced_ ? batch_.size() : lifetimes_.expiring().size();
  const int64_t first_unseen = next_ < lifetimes_.ended().size() ? lifetimes_.ended()[next_].sealed_ns + shortest(config_).count() * kSecondNs : 0;
  const int64_t first_seen = later_.empty() ? 0 : later_.begin()->first;
  counts_.next_ns = first_unseen == 0 || (first_seen != 0 && first_seen < first_unseen) ? first_seen : first_unseen;
  const std::lock_guard lock(desk_.mutex_);
  desk_.counts_ = counts_;
}

Result<void> Expirer::carry_on(Nanoseconds now, int64_t oldest_in_journal_ns, const Commit& commit) {
  if (!std::exchange(has_begun_, true)) desk_.may_create_ = lifetimes_.policies().is_null();
  // Fail closed: who is held is not known.
  if (Result<void> done = desk_.open_book(); !done) return done;
  const RetentionConfig config = desk_.config();
  if (Result<void> done = say_policies(now, config, commit); !done) return done;
  if (!desk_.around_) return {};
  if (generation_ != desk_.generation_) {
    generation_ = desk_.generation_;
    config_ = config;
    holds_ = holds_of(config);
    holds_.insert(holds_.end(), desk_.book_.holds().begin(), desk_.book_.holds().end());
    start_over();
  }
  if (batch_.empty() && !lifetimes_.expiring().empty()) {
    if (Result<void> done = resume(); !done) return done;
  }
  if (batch_.empty()) {
    const bool is_asked = std::exchange(desk_.is_look_due_, false);
    if (is_clock_doubted(now.time_since_epoch().count(), is_asked)) return {};
    if (!is_asked && now.time_since_epoch().count() < next_look_ns_) return {};
    choose(now, oldest_in_journal_ns);
    if (batch_.empty()) return {};
  }
  if (!is_announced_) {
    if (Result<void> done = announce(now, commit); !done) return done;
  }
  if (!is_destroyed_) {
    if (Result<void> done = destroy(); !done) return done;
  }
  return bury(now, commit);
}

// What is in force from here on, for who checks what was destroyed by it.
Result<void> Expirer::say_policies(Nanoseconds now, const RetentionConfig& config, const Commit& commit) {
  const nlohmann::json leaf = retention_leaf(config);
  if (lifetimes_.policies() == leaf["policies"]) return {};
  seals_.add(kRetentionKind, now, leaf);
  return commit();
}

// Time that passes while somebody looks is believed; time that is said to have passed meanwhile is not, at once.
bool Expirer::is_clock_doubted(int64_t now_ns, bool is_asked) {
  const int64_t before_ns = std::exchange(seen_ns_, now_ns), leap_max_ns = desk_.around_->leap_max.count();
  const bool leaps = leap_max_ns != 0 && before_ns != 0 && now_ns - before_ns > leap_max_ns;
  if (leaps) {
    doubted_until_ns_ = now_ns + kDoubtFor.count();
    doubt_ = "the clock went from " + time_text(before_ns) + " to " + time_text(now_ns) + " since the last look: nothing expires for a day; if it is right, `weir retention --run` goes on now";
  }
  doubted_until_ns_ = is_asked ? 0 : std::min(doubted_until_ns_, now_ns + kDoubtFor.count());   // Put right, it is not waited for.
  if (now_ns < doubted_until_ns_) return true;
  doubt_.clear();
  return false;
}

// What decides has changed: all is looked at again.
void Expirer::start_over() {
  lifetimes_.compact();
  next_ = 0;
  later_.clear();
  next_look_ns_ = 0;
  fates_.clear();
}

// What was announced before a crash, or by an attempt that failed.  Its archives may be gone: the log says what they were.
Result<void> Expirer::resume() {
  for (const Lifetimes::Ended& ended : lifetimes_.ended()) {
    const auto announced = lifetimes_.expiring().find(ended.session);
    if (announced == lifetimes_.expiring().end()) continue;
    Result<std::vector<SealEntry>> seals = seals_of(ended);
    if (!seals) {
      batch_.clear();
      return tl::unexpected(seals.error());
    }
    batch_.push_back({ended, std::move(*seals), announced->second});
  }
  is_announced_ = true;
  is_destroyed_ = is_buried_ = false;
  return {};
}

Result<std::vector<SealEntry>> Expirer::seals_of(const Lifetimes::Ended& ended) {
  std::vector<SealEntry> seals;
  for (const uint64_t index : lifetimes_.seals_of(ended)) {
    Result<SealEntry> seal = by_index_.at(index);
    if (!seal) return tl::unexpected(seal.error());
    seals.push_back(std::move(*seal));
  }
  return seals;
}

void Expirer::choose(Nanoseconds now, int64_t oldest_in_journal_ns) {
  const int64_t now_ns = now.time_since_epoch().count(), shortest_ns = shortest(config_).count() * kSecondNs;
  std::size_t looks = 0, parts = 0;
  waits_for_journal_ = false;
  const auto take = [&](const Lifetimes::Ended& ended) {
    Doomed doomed{.ended = ended, .seals = {}, .by = {}};
    int64_t again_ns = now_ns + kAgainLater.count();
    ++looks;
    const Fate fate = judge(ended, now, oldest_in_journal_ns, doomed, again_ns);
    if (fate == Fate::kDue) {
      parts += doomed.seals.size();
      batch_.push_back(std::move(doomed));
      return;
    }
    later_.emplace(again_ns, Later{ended, fate});
    ++fates_[fate];
  };
  const auto has_room = [&] { return looks < kLooksPerStep && batch_.size() < kBatch && parts < kPartsPerBatch; };
  while (has_room() && !later_.empty() && later_.begin()->first <= now_ns) {
    const Later again = later_.begin()->second;
    later_.erase(later_.begin());
    --fates_[again.fate];
    take(again.ended);
  }
  while (has_room() && next_ < lifetimes_.ended().size() && lifetimes_.ended()[next_].sealed_ns + shortest_ns <= now_ns) {
    const Lifetimes::Ended ended = lifetimes_.ended()[next_++];
    if (!lifetimes_.is_gone(ended.session)) take(ended);
  }
  is_announced_ = is_destroyed_ = is_buried_ = false;
  if (!has_room()) return;                       // There is more: with the next step.
  ++counts_.looks;
  const bool is_soon = !later_.empty() && later_.begin()->first < now_ns + std::chrono::nanoseconds(kLookEvery).count();
  next_look_ns_ = is_soon ? later_.begin()->first : now_ns + std::chrono::nanoseconds(kLookEvery).count();
}

// By the manifests of all of its parts.  What cannot be read stays: `weir verify` says what is wrong with it.
Expirer::Fate Expirer::judge(const Lifetimes::Ended& ended, Nanoseconds now, int64_t oldest_in_journal_ns, Doomed& doomed, int64_t& again_ns) {
  Result<std::vector<SealEntry>> seals = seals_of(ended);
  if (!seals) return Fate::kUnreadable;
  SessionTraits traits;
  for (const SealEntry& seal : *seals) {
    const Result<ArchiveReader> reader = ArchiveReader::open(archive_ + "/" + seal.path);
    if (!reader || reader->digest() != seal.digest) return Fate::kUnreadable;
    traits.add(reader->manifest());
  }
  const Ruling ruling = ruling_of(config_, traits);
  const int64_t due_ns = ended.sealed_ns + ruling.keep.count() * kSecondNs, now_ns = now.time_since_epoch().count();
  if (due_ns > now_ns) {
    again_ns = due_ns;
    return Fate::kNotYet;
  }
  if (std::any_of(holds_.begin(), holds_.end(), [&](const Hold& hold) { return hold.covers(traits); })) return Fate::kHeld;
  const RetentionDesk::Surroundings& around = *desk_.around_;
  if (!is_out_of_journal(traits, now, oldest_in_journal_ns) || (around.is_in_use && around.is_in_use(ended.session))) {
    again_ns = now_ns + kAgainSoon.count();
    return Fate::kWaits;
  }
  doomed.seals = std::move(*seals);
  doomed.by = {ruling.policy, static_cast<uint64_t>(ruling.keep.count())};
  return Fate::kDue;
}

// A segment is reused, and a buffer written over, some time: not before they are asked to go is anything of it gone for certain.
bool Expirer::is_out_of_journal(const SessionTraits& traits, Nanoseconds now, int64_t oldest_in_journal_ns) {
  const RetentionDesk::Surroundings& around = *desk_.around_;
  if (!around.tidy_journal) return true;
  if (tidy_asked_ns_ > tidied_ns_ && around.is_journal_tidy()) tidied_ns_ = tidy_asked_ns_;
  if (traits.closed_ns < oldest_in_journal_ns && traits.closed_ns < tidied_ns_ && around.is_journal_tidy()) return true;
  waits_for_journal_ = true;
  const int64_t now_ns = now.time_since_epoch().count();
  const bool is_asked = tidy_asked_ns_ > tidied_ns_ || now_ns - tidy_asked_ns_ < kAgainSoon.count();
  if (!is_asked) {
    tidy_asked_ns_ = now_ns;
    around.tidy_journal();
  }
  return false;
}

Result<void> Expirer::announce(Nanoseconds now, const Commit& commit) {
  std::map<std::string, Expiring> by_policy;
  for (const Doomed& each : batch_) {
    Expiring& expiring = by_policy[each.by.policy];
    expiring.policy = each.by.policy;
    expiring.keep_s = each.by.keep_s;
    expiring.sessions.push_back(each.ended.session);
  }
  for (const auto& [policy, expiring] : by_policy) seals_.add(kExpiringKind, now, to_object(expiring));
  is_announced_ = true;   // Whatever becomes of the commit: the leaves wait to be written, and are not added again.
  return commit();
}

Result<void> Expirer::destroy() {
  // An announcement whose commit failed is not one yet.
  if (seals_.is_commit_due()) return fail(Error::Kind::kUnavailable, "the evidence log does not say yet what expires");
  const auto in_folders = [&](const std::string& top, const std::function<Result<void>(const SealEntry&)>& act) -> Result<void> {
    std::set<std::string> folders;
    for (const Doomed& each : batch_) {
      for (const SealEntry& seal : each.seals) {
        if (Result<void> done = act(seal); !done) return done;
        folders.insert(folder_of(top + "/" + seal.path));
      }
    }
    for (const std::string& folder : folders) {
      if (!exists(folder)) continue;
      if (Result<void> done = files_.sync_folder(folder); !done) return done;
    }
    return {};
  };
  if (Result<void> done = in_folders(keys_, [&](const SealEntry& seal) { return destroy_keys(files_, keys_, seal.path); }); !done) return done;
  if (Result<void> done = in_folders(archive_, [&](const SealEntry& seal) { return files_.remove(archive_ + "/" + seal.path); }); !done) return done;
  std::vector<uint64_t> sessions;
  for (const Doomed& each : batch_) sessions.push_back(each.ended.session);
  for (const RetentionDesk::Forget& forget : desk_.around_->forget) {
    if (Result<void> done = forget(sessions); !done) return done;
  }
  is_destroyed_ = true;
  return {};
}

Result<void> Expirer::bury(Nanoseconds now, const Commit& commit) {
  if (!std::exchange(is_buried_, true)) {
    for (const Doomed& each : batch_) {
      for (const SealEntry& seal : each.seals) {
        seals_.add(kTombstoneKind, now, to_object(Tombstone{.seal = seal.seal, .session = seal.session, .part = seal.part, .digest = seal.digest, .policy = each.by.policy, .keep_s = each.by.keep_s}));
      }
    }
  }
  if (Result<void> done = commit(); !done) return done;
  counts_.expired += batch_.size();
  batch_.clear();
  is_announced_ = is_destroyed_ = is_buried_ = false;
  next_look_ns_ = 0;      // There may be more.
  constexpr std::size_t kGoneMax = 4'096;
  if (lifetimes_.gone_count() > kGoneMax) {
    next_ -= std::min(next_, lifetimes_.gone_count());   // Each of them was looked at.
    lifetimes_.compact();
  }
  return {};
}

}  // namespace weir::record

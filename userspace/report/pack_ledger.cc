#include "report/pack_ledger.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "core/time_text.h"
#include "report/pack_text.h"

namespace weir::report {
namespace {

using nlohmann::json;

// Of RFC 3339 in UTC, with or without its Z; nullopt: it is none.
std::optional<int64_t> ns_of(const std::string& at) {
  const auto ns = parse_utc_ns(comparable(at) + "Z");
  return ns ? std::optional<int64_t>(*ns) : std::nullopt;
}

// From `from` to `to`; 0: one of them is not known.
int64_t seconds_between(const std::string& from, const std::string& to) {
  const auto begin = ns_of(from), end = ns_of(to);
  constexpr int64_t kSecond = 1'000'000'000;
  return begin && end ? (*end - *begin) / kSecond : 0;
}

// "1.250": nobody cares for nanoseconds here, and a tenth of a second matters.
std::string seconds_text(const std::string& from, const std::string& to) {
  const auto begin = ns_of(from), end = ns_of(to);
  if (!begin || !end) return "";
  const int64_t ms = std::max<int64_t>(0, (*end - *begin) / 1'000'000);
  std::string rest = std::to_string(ms % 1000);
  return std::to_string(ms / 1000) + "." + std::string(3 - rest.size(), '0') + rest;
}

std::string shifted(const std::string& at, int64_t seconds) {
  const auto ns = ns_of(at);
  if (!ns) return at;
  return comparable(utc_text(std::chrono::floor<std::chrono::seconds>(std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(*ns))) + std::chrono::seconds(seconds)));
}

bool is_done(const json& act) { return text_at(act, "outcome").starts_with("done"); }

constexpr int64_t kBookDelayS = 10;   // An alert is in the book a moment after its event, by the clock of whoever keeps the book.
constexpr int64_t kCutFirstS = 5;     // Sessions are cut first, and the act is on disk after that.

}  // namespace

PackLedger::PackLedger(const std::string& from, const std::string& until) : from_(comparable(from)), until_(comparable(until)), review_from_(shifted(until_, -kReviewDays * 24 * 3600)) {}

void PackLedger::add_act(const json& act) {
  if (!is_done(act)) return;
  const std::string name = text_at(act, "act"), at = text_at(act, "at"), reason = text_at(act, "reason"), object = text_at(act, "object");
  if (name == "sign-off") {
    const json change = object_at(act, "change");
    for (const json& grant : array_at(change, "grants")) {
      if (grant.is_object()) sign_offs_.push_back({at, text_at(grant, "name"), text_at(change, "decision"), by_text(act), reason, text_at(grant, "digest"), text_at(change, "list")});
    }
  } else if (name == "close-alert") {
    add_disposition(act);
  } else if (name == "revoke" && is_in_period(at)) {
    add_revocation(act);
  } else if (name == "hold-add" || name == "hold-remove") {   // "hold-1: what"
    Hold& hold = holds_[object.substr(0, object.find(':'))];
    if (const std::size_t colon = object.find(": "); colon != std::string::npos && hold.what.empty()) hold.what = object.substr(colon + 2);
    (name == "hold-add" ? hold.set : hold.removed) = at;
    (name == "hold-add" ? hold.set_by : hold.removed_by) = by_text(act);
    (name == "hold-add" ? hold.set_reason : hold.removed_reason) = reason;
  }
}

void PackLedger::add_hold(const json& in_force) {
  Hold& hold = holds_[text_at(in_force, "id")];
  hold.is_in_force = true;
  hold.is_configured = flag_at(in_force, "configured");
  if (hold.what.empty()) hold.what = text_at(in_force, "what");
  if (hold.set.empty()) hold.set = text_at(in_force, "at");
  if (hold.set_by.empty()) hold.set_by = text_at(in_force, "by");
  if (hold.set_reason.empty()) hold.set_reason = text_at(in_force, "reason");
}

void PackLedger::add_disposition(const json& act) {
  const json change = object_at(act, "change");
  Disposition one;
  one.judged = {number_at(change, "number"), text_at(change, "as"), by_text(act), text_at(act, "at"), 0};
  one.reason = text_at(act, "reason");
  one.event = text_at(change, "event");
  one.rule = text_at(change, "rule");
  one.subject = text_at(change, "subject");
  one.target = text_at(change, "target");
  one.first = text_at(change, "first");
  one.last = text_at(change, "last");
  one.session = number_at(change, "session");
  one.count = number_at(change, "count");
  one.judged.seconds = seconds_between(one.first, one.judged.at);
  by_rule_.emplace(one.rule, dispositions_.size());
  dispositions_.push_back(std::move(one));
}

void PackLedger::add_revocation(const json& act) {
  const json change = object_at(act, "change"), revoked = array_at(change, "revoked");
  for (const json& binding : revoked) {
    if (!binding.is_object()) continue;
    Revocation one;
    one.at = text_at(act, "at");
    one.by = by_text(act);
    one.reason = text_at(act, "reason");
    one.subject = text_at(binding, "subject");
    one.binding = number_at(binding, "id");
    one.flows = number_at(change, "cut");
    by_binding_.emplace(one.binding, revocations_.size());
    by_subject_.emplace(one.subject, revocations_.size());
    revocations_.push_back(std::move(one));
  }
}

const PackLedger::Judged* PackLedger::judged(const std::string& rule, const std::string& subject, const std::string& target, const std::string& at) const {
  const Disposition* best = nullptr;
  const auto [begin, end] = by_rule_.equal_range(rule);
  for (auto each = begin; each != end; ++each) {
    const Disposition& one = dispositions_[each->second];
    if (one.subject != subject || one.target != target) continue;
    const std::string moment = comparable(at);
    // The book counts whole seconds.
    if (moment < shifted(one.first, -kBookDelayS) || moment > shifted(one.last, 1)) continue;
    if (best == nullptr || one.first < best->first) best = &one;
  }
  return best == nullptr ? nullptr : &best->judged;
}

void PackLedger::saw_command(uint64_t binding, const std::string& subject, const std::string& at) {
  const auto [begin, end] = by_binding_.equal_range(binding);
  for (auto each = begin; each != end; ++each) {
    Revocation& one = revocations_[each->second];
    if (one.subject != subject) continue;
    one.last_command = std::max(one.last_command, at);
    one.commands_after += at > one.at ? 1 : 0;
  }
}

void PackLedger::saw_session(const SessionSeen& session) {
  const auto [begin, end] = by_subject_.equal_range(session.subject);
  for (auto each = begin; each != end; ++each) {
    Revocation& one = revocations_[each->second];
    ++one.looked_at;
    if (session.binding != one.binding) {
      one.later_bindings += session.opened > one.at ? 1 : 0;
    } else if (session.opened > one.at) {
      ++one.sessions_after;
    } else if (session.closed.empty() || comparable(session.closed) >= shifted(one.at, -kCutFirstS)) {
      ++one.open;
      one.is_live = one.is_live || session.closed.empty();
      one.last_cut = std::max(one.last_cut, session.closed);
    }
  }
}

PackLedger::Review PackLedger::review_of(const std::string& grant, const std::string& digest) const {
  Review review;
  for (const SignOff& one : sign_offs_) {
    if (one.grant != grant || one.at >= until_ || one.at < review.at) continue;
    review = {one.at, one.decision, one.by, one.reason, one.at < review_from_, !digest.empty() && one.digest != digest};
  }
  return review;
}

void PackLedger::write_revocations(const Rows& rows, const Exceptions& exceptions) const {
  for (const Revocation& one : revocations_) {
    const std::string silent = std::max(one.last_cut, one.commands_after == 0 ? std::string() : one.last_command);
    const std::string where = "binding " + std::to_string(one.binding) + " of " + one.subject;
    rows("revocations", {one.at, one.by, one.reason, std::to_string(one.binding), one.subject, std::to_string(one.flows), std::to_string(one.open), one.last_command, one.last_cut,
                         one.is_live ? "not yet" : silent.empty() ? "nothing was open" : seconds_text(one.at, silent), std::to_string(one.commands_after), std::to_string(one.sessions_after),
                         std::to_string(one.later_bindings), std::to_string(one.looked_at)});
    if (one.commands_after != 0) exceptions(one.at, "command-after-revocation", where, std::to_string(one.commands_after) + " commands reached the target after it was revoked, the last at " + one.last_command);
    if (one.sessions_after != 0) exceptions(one.at, "session-after-revocation", where, std::to_string(one.sessions_after) + " sessions were opened by it after it was revoked");
    if (one.is_live) exceptions(one.at, "live-after-revocation", where, "a session of it has no end on the record yet");
  }
}

void PackLedger::write(const Rows& rows, const Exceptions& exceptions) const {
  std::vector<const SignOff*> reviews;
  for (const SignOff& one : sign_offs_) {
    if (one.at < until_ && one.at >= std::min(from_, review_from_)) reviews.push_back(&one);
  }
  std::stable_sort(reviews.begin(), reviews.end(), [](const SignOff* a, const SignOff* b) { return a->at < b->at; });
  for (const SignOff* one : reviews) rows("reviews", {one->at, one->grant, one->decision, one->by, one->reason, one->digest, one->list});
  std::vector<const Disposition*> judged;
  for (const Disposition& one : dispositions_) {
    if (is_in_period(one.judged.at) || is_in_period(one.first)) judged.push_back(&one);
  }
  std::stable_sort(judged.begin(), judged.end(), [](const Disposition* a, const Disposition* b) { return a->judged.at < b->judged.at; });
  for (const Disposition* one : judged) {
    rows("dispositions", {std::to_string(one->judged.alert), one->judged.at, one->judged.as, one->judged.by, one->reason, one->event, one->rule, one->subject, one->target, one->session == 0 ? "" : std::to_string(one->session),
                          std::to_string(one->count), one->first, one->last, std::to_string(one->judged.seconds)});
  }
  write_revocations(rows, exceptions);
  for (const auto& [id, hold] : holds_) {
    if (hold.set >= until_ && !hold.set.empty()) continue;                   // Set since.
    if (!hold.removed.empty() && hold.removed < from_) continue;             // Lifted before.
    const bool is_lifted = !hold.removed.empty() && hold.removed < until_;
    rows("holds", {id, hold.what, hold.set, hold.set_by, hold.set_reason, is_lifted ? hold.removed : "", is_lifted ? hold.removed_by : "", is_lifted ? hold.removed_reason : "",
                   is_lifted ? "lifted" : hold.is_configured ? "in force, by the configuration" : hold.is_in_force || !hold.removed.empty() ? "in force at the end" : !are_holds_known_ ? "set; what is in force now was not there to be read" : "set; not in force now, and its lifting is not on the record"});
    if (are_holds_known_ && !is_lifted && !hold.is_in_force && hold.removed.empty()) exceptions(hold.set, "hold-gone", "hold " + id, "it was set, is not in force now, and nobody lifted it on the record");
  }
}

}  // namespace weir::report

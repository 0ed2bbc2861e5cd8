#include "decide/ruling.h"

#include <algorithm>

namespace weir::decide {

void Ruling::strengthen(Part& part, const Part& by) {
  const int had = strictness(part.action), has = strictness(by.action);
  // Among equals the first in file order; the gateway's own (0) come before all rules.
  if (has < had || (has == had && by.action != Verdict::Action::kAllow && by.rule < part.rule)) part = by;
}

void Ruling::add(const Rule& rule) {
  if (rule.then == RuleAction::kAlert) {
    if (!rule.is_observed) alert(rule.index);
    return;
  }
  if (rule.then == RuleAction::kHold) return hold(rule.index, rule.id, rule.message, rule.approval, rule.is_observed);
  add(action_of(rule.then), rule.index, rule.id, rule.message, rule.is_observed);
}

void Ruling::hold(uint32_t rule, std::string_view name, std::string_view reason, std::string_view approval, bool is_observed) {
  add(Verdict::Action::kHold, rule, name, reason, is_observed);
  if (!is_observed) need(approval);
}

void Ruling::need(std::string_view approval) {
  const auto end = approvals_.begin() + static_cast<std::ptrdiff_t>(approval_count_);
  if (std::find(approvals_.begin(), end, approval) != end) return;
  if (approval_count_ == kApprovalsMax) return add(Verdict::Action::kBlock, 0, "approvals", "this needs more approvals than one command may ask for");
  approvals_[approval_count_++] = approval;
}

void Ruling::add(Verdict::Action action, uint32_t rule, std::string_view name, std::string_view reason, bool is_observed) {
  if (action == Verdict::Action::kAllow) return;
  strengthen(is_observed ? observed_ : enforced_, {action, rule, name, reason});
}

void Ruling::alert(uint32_t rule) {
  const auto end = alerts_.begin() + static_cast<std::ptrdiff_t>(alert_count_);
  if (alert_count_ < kAlertsMax && std::find(alerts_.begin(), end, rule) == end) alerts_[alert_count_++] = rule;
}

void Ruling::merge(const Ruling& other) {
  strengthen(enforced_, other.enforced_);
  strengthen(observed_, other.observed_);
  for (std::size_t i = 0; i < other.alert_count_; ++i) alert(other.alerts_[i]);
  for (std::size_t i = 0; i < other.approval_count_; ++i) need(other.approvals_[i]);
}

Verdict Ruling::verdict(bool target_is_observed, Arena& arena) const {
  Verdict made;
  const bool shows_observed = enforced_.action == Verdict::Action::kAllow && observed_.action != Verdict::Action::kAllow;
  const Part& shown = shows_observed ? observed_ : enforced_;
  made.action = shown.action;
  made.rule = shown.rule;
  made.rule_name = shown.name;
  made.reason = shown.reason;
  made.observed = shown.action != Verdict::Action::kAllow && (shows_observed || target_is_observed);
  if (enforced_.action == Verdict::Action::kHold) {
    const std::span<std::string_view> approvals = arena.array<std::string_view>(approval_count_);
    if (approvals.empty()) made.action = Verdict::Action::kBlock;  // No room to say what is asked for.
    std::copy_n(approvals_.begin(), approvals.size(), approvals.begin());
    made.approvals = approvals;
  }
  // An observed rule that another verdict hides is still told.
  const bool tells_hidden = !shows_observed && observed_.action != Verdict::Action::kAllow && observed_.rule != 0;
  const std::size_t count = alert_count_ + (tells_hidden ? 1 : 0);
  if (count == 0) return made;
  const std::span<uint32_t> alerts = arena.array<uint32_t>(count);
  if (alerts.empty()) return made;
  std::copy_n(alerts_.begin(), alert_count_, alerts.begin());
  if (tells_hidden) alerts.back() = observed_.rule;
  made.alerts = alerts;
  return made;
}

}  // namespace weir::decide

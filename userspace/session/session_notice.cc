// What a session has people told of: rules that fired, what was refused, who tried to pass for somebody else.  A copy into the
// core's queue, and nothing is waited for; what does not fit is counted there, and the record has it.
#include "session/session.h"

namespace weir::session {

CoreNotice Session::notice_of(const UnitRef& unit, std::string_view verb) const {
  CoreNotice notice;
  notice.at_ns = services_.io.wall().time_since_epoch().count();
  notice.session = id_;
  notice.unit = unit.id;
  if (target_ != nullptr) notice.target.set(target_->config.name);
  if (facts_.identity) notice.subject.set(facts_.identity->subject);
  notice.verb.set(verb);
  return notice;
}

// `statement`: as the record has it.
void Session::tell_notices(const Unit& unit, const Verdict& verdict, Bytes statement) {
  if (services_.notices == nullptr) return;
  const bool is_refused = !passes(verdict.action) && verdict.action != Verdict::Action::kHold && !verdict.observed && !verdict.grammar_error;
  if (verdict.alerts.empty() && !is_refused) return;
  CoreNotice notice = notice_of(unit, unit.verb);
  notice.statement.set(as_text(statement));
  for (const uint32_t rule : verdict.alerts) {
    notice.event = NoticeEvent::kAlert;
    notice.rule.set(judged_by_->policy->rule_name(rule));
    services_.notices->push(notice);
  }
  if (!is_refused) return;
  notice.event = NoticeEvent::kRefused;
  notice.rule.set(verdict.rule_name);
  services_.notices->push(notice);
}

void Session::tell_alert(const UnitRef& unit, std::string_view verb, std::string_view rule) {
  if (services_.notices == nullptr) return;
  CoreNotice notice = notice_of(unit, verb);
  notice.event = NoticeEvent::kAlert;
  notice.rule.set(rule);
  services_.notices->push(notice);
}

}  // namespace weir::session

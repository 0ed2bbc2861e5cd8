#include "session/act_log.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "record/reader.h"

namespace weir::session {

bool ActLog::put(RecordEvent event, uint64_t& group) {
  event.session = id_;
  event.sequence = sequence_ + 1;
  event.at = wall_();
  if (recorder_.write(event, group) != Written::kDurableLater) return false;
  ++sequence_;
  return true;
}

// A number that was taken is tried again, so that none is lost.
bool ActLog::open() {
  if (sequence_ != 0) return true;
  if (!recorder_.is_accepting()) return false;
  if (id_ == 0) id_ = directory_.take_number();
  const std::string text = nlohmann::json{{"about", record::kAboutGateway}, {"gateway", gateway_}}.dump();
  RecordEvent event;
  event.kind = RecordEvent::Kind::kOpened;
  event.verb = "opened";
  event.text = as_bytes(text);
  event.action = Verdict::Action::kAllow;
  uint64_t group = 0;
  return put(event, group);
}

void ActLog::write(const Act& act, std::promise<bool> done) {
  RecordEvent event;
  event.kind = RecordEvent::Kind::kAct;
  event.verb = act.name;
  event.text = as_bytes(act.text);
  event.reason = act.reason;
  event.action = act.is_done ? Verdict::Action::kAllow : Verdict::Action::kBlock;
  uint64_t group = 0;
  if (is_closed_ || !open() || !put(event, group)) return done.set_value(false);
  if (act.impersonation != Impersonation::kNone) {
    RecordEvent alert;
    alert.kind = RecordEvent::Kind::kAlert;
    alert.verb = "alert";
    alert.rule = kImpersonationRule;
    alert.text = as_bytes(name_of(act.impersonation));
    alert.reason = act.reason;
    alert.action = Verdict::Action::kBlock;
    uint64_t behind = 0;
    if (put(alert, behind)) group = behind;  // Else the act alone is on the record, and says as much.
  }
  if (group <= recorder_.durable_upto()) return done.set_value(true);
  waiters_.push_back({group, std::move(done)});
}

void ActLog::on_journal() {
  const uint64_t durable = recorder_.durable_upto();
  const bool has_failed = recorder_.has_failed();
  std::erase_if(waiters_, [&](Waiter& waiter) {
    if (waiter.group > durable && !has_failed) return false;
    waiter.done.set_value(waiter.group <= durable);
    return true;
  });
}

void ActLog::close() {
  if (std::exchange(is_closed_, true) || sequence_ == 0) return;
  const ByteAccount none[2] = {};
  RecordEvent event;
  event.kind = RecordEvent::Kind::kClosed;
  event.verb = "closed";
  event.action = Verdict::Action::kAllow;
  event.reason = "drained";
  event.accounts = none;
  uint64_t group = 0;
  put(event, group);  // Refused: the next start of the gateway closes it.
}

}  // namespace weir::session

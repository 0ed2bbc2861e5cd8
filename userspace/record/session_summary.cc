#include "record/session_summary.h"

#include <algorithm>

#include "record/manifest.h"

namespace weir::record {

void SessionSummary::place(uint64_t sequence, int64_t at_ns) {
  if (events == 0 && first_sequence == 0) {
    first_sequence = sequence;
    first_at_ns = at_ns;
  } else {
    gaps += sequence != last_sequence + 1 ? 1 : 0;
    clock_steps += at_ns < last_at_ns ? 1 : 0;
  }
  last_sequence = sequence;
  last_at_ns = at_ns;
  ++events;
}

void SessionSummary::add_rule(std::string_view rule) {
  if (rule.empty() || rules.contains(rule)) return;
  if (rules.size() >= kRulesMax) has_more_rules = true;
  else rules.emplace(rule);
}

void SessionSummary::add_undecodable(const FrameHeader& header) {
  session = header.session;
  place(header.sequence, header.at_ns);
  ++undecodable;
}

void SessionSummary::settle(uint32_t stream, uint64_t from, uint64_t upto) {
  std::erase_if(awaiting, [&](const Unit& one) { return one.stream == stream && one.id >= from && one.id <= upto; });
}

bool SessionSummary::is_awaiting(uint32_t stream, uint64_t id) const {
  return std::any_of(awaiting.begin(), awaiting.end(), [&](const Unit& one) { return one.stream == stream && one.id == id; });
}

void SessionSummary::add(const RecordEvent& event) {
  using Kind = RecordEvent::Kind;
  session = event.session;
  place(event.sequence, event.at.time_since_epoch().count());
  requests.add(event.request_id);
  add_rule(event.rule);
  switch (event.kind) {
    case Kind::kOpened:
      opened_ns = event.at.time_since_epoch().count();
      opened_json = as_text(event.text.first(std::min(event.text.size(), kJsonMax)));
      break;
    case Kind::kIdentified: {
      nlohmann::json facts = parse_object(opened_json);
      facts.update(parse_object(as_text(event.text)));
      opened_json = facts.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      break;
    }
    case Kind::kLogin:
      login_json = as_text(event.text.first(std::min(event.text.size(), kJsonMax)));
      break;
    case Kind::kCommand: {
      commands += event.unit.kind == UnitKind::kCommand ? 1 : 0;  // Others: refused control messages, opaque bytes, cancels.
      const bool is_refused = event.action == Verdict::Action::kBlock || event.action == Verdict::Action::kTerminate;
      blocked += is_refused && !event.observed ? 1 : 0;
      masked += event.masked;
      if (event.fate == Fate::kAwaitingTarget && !(is_refused && !event.observed) && awaiting.size() < kAwaitingMax) awaiting.push_back({event.unit.stream, event.unit.id});
      break;
    }
    case Kind::kFate:
      // Held, or past a limit: refused after a verdict that would have let it pass.
      if (event.fate == Fate::kRefusedHere && is_awaiting(event.unit.stream, event.unit.id)) ++blocked;
      if (event.fate != Fate::kAwaitingTarget) settle(event.unit.stream, event.unit.id, event.unit.id);
      break;
    case Kind::kResponse:
      ++responses;
      rows += event.rows;
      masked += event.masked;
      errors += event.sqlstate.empty() ? 0 : 1;
      settle(event.unit.stream, 0, event.unit.in_reply_to);
      break;
    case Kind::kStandIn: ++stand_ins; break;
    case Kind::kAlert: ++alerts; break;
    case Kind::kNote:
    case Kind::kAct: break;
    case Kind::kClosed:
      is_closed = true;
      closed_ns = event.at.time_since_epoch().count();
      reason = event.reason.empty() ? std::string(as_text(event.text.first(std::min<std::size_t>(event.text.size(), 1024)))) : std::string(event.reason);
      if (event.accounts != nullptr) accounts = {event.accounts[0], event.accounts[1]};
      break;
  }
}

}  // namespace weir::record

// Parse, judge, record, settle: one batch of units at a time in each direction.
#include <algorithm>

#include "base/check.h"
#include "session/outbox.h"
#include "session/session.h"

namespace weir::session {
namespace {

class Collector final : public UnitSink {
 public:
  Collector(std::vector<Unit>& units, std::size_t max) : units_(units), max_(max) {}
  bool add(const Unit& unit) override {
    if (units_.size() >= max_) return false;
    units_.push_back(unit);
    return true;
  }

 private:
  std::vector<Unit>& units_;
  std::size_t max_;
};

bool is_held(const Verdict& verdict) { return verdict.action == Verdict::Action::kHold && !verdict.observed; }
bool is_final(const Verdict& verdict) { return verdict.action != Verdict::Action::kWait; }

}  // namespace

void Session::step() {
  if (state_ == State::kDone || state_ == State::kIdle || in_step_) return;
  in_step_ = true;
  bool progress = true;
  while (progress && state_ != State::kDone && state_ != State::kClosing) {
    progress = advance(Direction::kToTarget);
    if (state_ == State::kDone || state_ == State::kClosing) break;
    progress = advance(Direction::kToClient) || progress;
  }
  in_step_ = false;
  for (Stream& s : streams_) {
    if (s.buffer.lease_count() > 0) s.buffer.own_rest(s.window.parsed());
  }
  if (streams_[0].units.empty() && streams_[1].units.empty() && arena_block_) {
    arena_.detach();
    arena_block_.release();
  }
  flush(Side::kTarget);
  flush(Side::kClient);
  update_receives();
  check_end();
}

void Session::follow_runtime() {
  if (judged_by_ == services_.runtime || !streams_[0].units.empty() || !streams_[1].units.empty()) return;
  judged_by_ = services_.runtime;
  auto next = judged_by_->policy->open(facts_);
  if (policy_) next->inherit(*policy_);
  policy_ = std::move(next);
}

void Session::follow_catalogue() {
  const uint64_t version = target_->catalogue_version();
  if (catalogue_ && version == catalogue_version_) return;
  const LoginFacts login = codec_->login();
  if (login.database.empty()) return;
  catalogue_version_ = version;
  catalogue_ = target_->catalogue(login.database);
}

DecideContext Session::decide_context(Direction direction) {
  if (target_->catalogue) follow_catalogue();
  // Verdicts on commands outlive the step (they wait for the disk), those on replies do not.
  Arena& arena = direction == Direction::kToTarget ? arena_ : services_.scratch;
  return {facts_, *policy_, *services_.facts[target_->facts_index], catalogue_.get(), arena, services_.io.wall(),
          judged_by_ == services_.runtime ? services_.scan_scratch.get() : nullptr};
}

// Post: true if anything moved.
bool Session::advance(Direction direction) {
  Stream& s = stream(direction);
  bool moved = false;
  if (!s.units.empty()) {
    moved = judge(direction) && settle(direction);
    if (!s.units.empty()) return moved;
  }
  if (s.is_fenced) {
    if (!codec_->resume(direction)) return moved;
    s.is_fenced = false;
    s.seen = 0;  // Look again at what is there.
  }
  if (s.is_upgrading || leg(sink_of(direction)).queued() > opened_with_->config.engine.limits.queued_output_max) return moved;
  if (codec_->wants_close()) return moved;
  is_held_back_ = direction == Direction::kToTarget && services_.recorder.is_congested();
  if (is_held_back_) return moved;
  follow_runtime();
  return parse(direction) || moved;
}

bool Session::parse(Direction direction) {
  Stream& s = stream(direction);
  if (s.is_finished) return false;
  const uint64_t at = s.window.parsed();
  Bytes chunk = s.buffer.contiguous(at);
  if (!chunk.empty() && chunk.size() < s.need) {
    s.buffer.straddle(at, s.need);
    chunk = s.buffer.contiguous(at);  // It moved, even if it did not grow.
  }
  if (s.need > 0 && at + chunk.size() <= s.seen && !s.is_eof) return false;  // Nothing new since the codec asked for more.
  const bool at_end = s.is_eof && at + chunk.size() == s.buffer.received();
  if (chunk.empty() && !at_end) return false;
  if (!arena_block_) {
    arena_block_ = services_.blocks.take_large(opened_with_->config.engine.limits.session_arena_size);
    arena_.attach(arena_block_.memory());
  }
  s.seen = at + chunk.size();
  Collector sink(s.units, opened_with_->config.engine.limits.units_per_step_max);
  s.units.clear();
  Step step = chunk.empty() ? Step{} : codec_->parse(0, direction, at, chunk, sink);
  const bool stuck = step.consumed == 0 && s.units.empty();
  if (at_end && stuck && step.outcome == Outcome::kNeedBytes) {
    s.is_finished = true;
    step = codec_->finish(0, direction, at, chunk, sink);
  }
  s.window.on_parsed(at + step.consumed);
  services_.counters.add(Metric::kUnitsParsed, s.units.size());
  s.next = s.judged = s.recorded = 0;
  s.verdicts.assign(s.units.size(), Verdict{});
  // Only bytes that are missing make us wait: what was left over is asked for again with what it needs.
  s.need = step.outcome == Outcome::kNeedBytes ? static_cast<uint32_t>(chunk.size()) - step.consumed + std::max(1u, step.need) : 0;
  if (step.outcome == Outcome::kNeedBytes && !chunk.empty() && step.consumed < chunk.size()) s.buffer.straddle(at + step.consumed, s.need);
  s.is_fenced = step.outcome == Outcome::kFence;
  if (step.outcome == Outcome::kUpgrade) {
    s.is_upgrading = true;
    s.upgrading = step.upgraded;
  }
  const bool moved = step.consumed > 0 || !s.units.empty() || s.is_upgrading;
  if (!s.units.empty() && judge(direction)) settle(direction);
  if (state_ == State::kDone || state_ == State::kClosing) return true;
  if (step.outcome == Outcome::kMalformed) {
    on_violation(step.why);
    return true;
  }
  if (s.is_upgrading && s.units.empty()) start_tls(s.upgrading);
  return moved || step.outcome == Outcome::kUnitsFull;
}

// What the session itself knows better than policy.
void Session::session_rules(Stream&, const Unit& unit, Verdict& verdict) {
  if (unit.kind == UnitKind::kHandshake) {
    verdict = Verdict{};
    verdict.action = Verdict::Action::kAllow;
  } else if (unit.kind == UnitKind::kLogin) {
    rule_on_login(verdict);
  } else if (unit.kind == UnitKind::kCancel) {
    // A cancel request has no room for a proof: where that is asked for, it is of who sits at the session's own address.
    const bool is_own = proof_ == Proof::kByAddress
                            ? services_.directory.may_cancel(codec_->cancel_key(), target_->config.name, facts_.identity ? facts_.identity->subject : "")
                            : services_.directory.may_cancel_from(codec_->cancel_key(), target_->config.name, flow_.client.address);
    verdict = Verdict{};
    verdict.action = is_own ? Verdict::Action::kAllow : Verdict::Action::kBlock;
    verdict.rule_name = is_own ? "" : "cancel-key";
    verdict.reason = is_own ? "" : "a cancel request must carry the key of a live session of the same identity";
    services_.counters.add(is_own ? Metric::kCancels : Metric::kCancelsRefused);
    if (is_own) services_.directory.note_cancel(codec_->cancel_key(), target_->config.name);
    if (is_own && needs_proof() && !is_dialling_ && leg(Side::kTarget).fd < 0) dial();
  }
}

// Of the commands that are not judged yet, and of one that is judged again: what its client's session is called may have changed.
void Session::name_requests() {
  Stream& s = stream(Direction::kToTarget);
  requests_.name(std::span(s.units).subspan(s.next), *codec_, judged_by_->config.identity.request_id, judged_by_->generation);
}

// Post: true if every unit has a final verdict, a record, and (to_target) the record is as durable as the target wants.
bool Session::judge(Direction direction) {
  Stream& s = stream(direction);
  // What is behind a held unit is judged when that one is answered, by what is in force then.
  const auto is_behind_held = [&] { return direction == Direction::kToTarget && s.judged > s.next && is_held(s.verdicts[s.judged - 1]); };
  if (s.judged < s.units.size() && !is_behind_held()) {
    const uint64_t start = s.units[s.judged].wire.offset;
    const uint64_t end = s.units.back().wire.end();
    const Bytes chunk = s.buffer.slice({start, static_cast<uint32_t>(end - start)});
    if (needs_proof() && direction == Direction::kToTarget && s.units.back().kind == UnitKind::kLogin) {
      settle_proof();  // First: it says who is judged.
      if (proof_ == Proof::kAccepted) end_secret(end);
      if (state_ == State::kDone || state_ == State::kClosing) return false;
    }
    DecideContext context = decide_context(direction);
    if (direction == Direction::kToClient) services_.scratch.reset();
    else name_requests();
    const std::span<const Unit> units(s.units.data() + s.judged, s.units.size() - s.judged);
    const std::span<Verdict> verdicts(s.verdicts.data() + s.judged, units.size());
    judged_by_->policy->decide(context, *codec_, chunk, start, units, verdicts);
    for (std::size_t i = 0; i < units.size(); ++i) session_rules(s, units[i], verdicts[i]);
  }
  for (; s.judged < s.units.size() && !is_behind_held() && is_final(s.verdicts[s.judged]); ++s.judged) {
    if (!record_unit(direction, s.judged)) {
      close(EndReason::kRecordFailed, true);
      return false;
    }
    s.window.on_judged(s.units[s.judged].wire.end());
  }
  if (s.waits_for_group != 0) {
    if (services_.recorder.durable_upto() < s.waits_for_group) {  // I5
      if (services_.recorder.has_failed()) close(EndReason::kRecordFailed, true);
      return false;
    }
    s.waits_for_group = 0;
  }
  return s.judged > s.next;
}

bool Session::settle(Direction direction) {
  Stream& s = stream(direction);
  bool moved = false;
  while (s.next < s.judged) {
    const Unit& unit = s.units[s.next];
    if (is_held(s.verdicts[s.next])) {
      if (direction == Direction::kToClient) s.verdicts[s.next].action = Verdict::Action::kBlock;  // No answer waits for a reviewer.
      else if (!resolve_hold(unit, s.verdicts[s.next])) return moved;
    }
    if (state_ == State::kDone || state_ == State::kClosing) return moved;
    Verdict verdict = s.verdicts[s.next];
    if (verdict.observed) {
      verdict.action = Verdict::Action::kAllow;
      verdict.edits = {};
    }
    if (direction == Direction::kToTarget && !verdict.approvals.empty()) keep_prepared(unit, verdict, s.buffer.slice(unit.wire));
    SessionOutbox outbox(*this, direction, unit.wire);
    const Settlement settlement = codec_->settle(unit, s.buffer.slice(unit.wire), verdict, outbox);
    if (!settlement.done) {
      WEIR_CHECK(!outbox.touched() && direction == Direction::kToTarget);  // Only a refusal waits, for replies.
      return moved;
    }
    outbox.check_covered();
    s.window.on_settled(unit.wire, outbox.out_size());
    on_settled(direction, unit, verdict, settlement.fate, outbox.out_size());
    if (state_ == State::kDone) return true;
    ++s.next;
    moved = true;
  }
  if (s.next == s.units.size()) {
    s.units.clear();
    s.next = s.judged = s.recorded = 0;
    if (direction == Direction::kToTarget) held_by_.reset();
    if (s.is_upgrading) start_tls(s.upgrading);
  }
  return moved;
}

void Session::on_settled(Direction direction, const Unit& unit, const Verdict& verdict, Fate fate, uint64_t out_size) {
  Stream& s = stream(direction);
  const bool is_passed = fate == Fate::kPassed || fate == Fate::kEdited || fate == Fate::kAwaitingTarget || fate == Fate::kRefusedAtTarget;
  if (unit.kind == UnitKind::kHandshake || unit.kind == UnitKind::kLogin) {
    s.account.handshake += unit.wire.size;
  } else if (!is_passed) {
    s.account.refused += unit.wire.size;
  } else if (unit.kind == UnitKind::kOpaque) {
    s.account.opaque += unit.wire.size;
  } else {
    s.account.parsed += unit.wire.size;
  }
  if (direction == Direction::kToTarget) {
    if (!is_passed && unit.kind != UnitKind::kControl && unit.kind != UnitKind::kHandshake) record_fate(unit, fate);
    const std::string_view stand_in = codec_->stand_in();
    if (!stand_in.empty()) record_stand_in(unit, stand_in);
  } else if (unit.kind == UnitKind::kRows) {
    reply_rows_ += unit.row_count;
    reply_bytes_ += out_size;
  }
  // What only makes a run ready is no use: the run is counted.
  const bool is_use = direction == Direction::kToTarget && is_passed && unit.kind == UnitKind::kCommand && !unit.only_prepares;
  if (is_use && services_.grant_uses != nullptr) services_.grant_uses->note(verdict.grant, verdict.grant_number, facts_.identity, services_.io.wall());
  if (verdict.action == Verdict::Action::kTerminate) is_terminating_ = true;
  if (direction == Direction::kToClient && !is_key_published_ && codec_->login().is_complete) {
    services_.directory.publish_cancel_key(id_, codec_->cancel_key());
    is_key_published_ = true;
  }
}

void Session::on_violation(const char* why) {
  services_.counters.add(Metric::kViolations);
  record_note(std::string("protocol violation: ") + (why != nullptr ? why : "unreadable bytes"));
  refuse(EndReason::kViolation, "08P01", why != nullptr ? why : "unreadable bytes");
}

}  // namespace weir::session

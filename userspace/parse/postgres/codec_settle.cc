// Verdicts to edits, in both directions, and what an answer that goes out changes.
#include <algorithm>
#include <array>

#include "base/check.h"
#include "parse/postgres/codec.h"
#include "parse/postgres/messages.h"

namespace weir::postgres {
namespace {

bool is_allowed(const Verdict& verdict) { return verdict.observed || passes(verdict.action); }
bool is_waiting(const Verdict& verdict) {
  return !verdict.observed && (verdict.action == Verdict::Action::kHold || verdict.action == Verdict::Action::kWait);
}
constexpr bool is_async(char type) { return type == back::kNotice || type == back::kParameterStatus || type == back::kNotification; }
constexpr bool is_copy_message(char type) { return type == front::kCopyData || type == front::kCopyDone || type == front::kCopyFail; }
constexpr bool ends_message(Part part) { return part == Part::kWhole || part == Part::kLast; }

}  // namespace

Settlement PostgresCodec::settle(const Unit& unit, Bytes wire, const Verdict& verdict, Outbox& out) {
  if (unit.direction == Direction::kToClient) return settle_to_client(unit, wire, verdict, out);
  if (was_done_) stand_in_.clear();
  const Settlement settlement = settle_to_target(unit, wire, verdict, out);
  was_done_ = settlement.done;
  return settlement;
}

Settlement PostgresCodec::settle_to_target(const Unit& unit, Bytes wire, const Verdict& verdict, Outbox& out) {
  WEIR_CHECK(!sent_.empty() && sent_.front().unit == unit.id);
  const Sent& sent = sent_.front();
  Settlement settlement{true, Fate::kUnread};
  if (is_closed_) {
    out.drop(unit.wire);
  } else if (is_waiting(verdict)) {
    return {};
  } else if (unit.kind == UnitKind::kHandshake || unit.kind == UnitKind::kLogin || unit.kind == UnitKind::kCancel) {
    settlement = settle_login(unit, wire, sent, verdict, out);
  } else if (!verdict.observed && verdict.action == Verdict::Action::kTerminate) {
    out.drop(unit.wire);
    fail_session(out, sqlstate::kAdminShutdown, verdict.reason.empty() ? "the session was ended by the gateway" : verdict.reason, verdict.rule_name);
    settlement.fate = Fate::kRefusedHere;
  } else if (unit.part != Part::kWhole) {
    settlement = settle_command_part(unit, wire, sent, verdict, out);
  } else {
    settlement = settle_command(unit, wire, sent, verdict, out);
  }
  if (settlement.done) sent_.pop();
  return settlement;
}

Settlement PostgresCodec::settle_command(const Unit& unit, Bytes wire, const Sent& sent, const Verdict& verdict, Outbox& out) {
  const char type = sent.type;
  if (segment_.is_refused && type != front::kSync && type != front::kTerminate) return skip(unit, sent, out);
  if (is_copy_message(type)) return settle_copy_in(unit, wire, sent, verdict, out);
  copy_in_refused_ = false;
  const bool is_framing = type == front::kSync || type == front::kFlush || type == front::kTerminate;
  if (!is_allowed(verdict)) {
    if (!is_framing) return refuse(unit, sent, verdict, out);
    out.drop(unit.wire);
    fail_session(out, sqlstate::kInsufficientPrivilege, verdict.reason, verdict.rule_name);
    return {true, Fate::kRefusedHere};
  }
  if (type == front::kSync) return settle_sync(unit, out);
  if ((type == front::kParse && !sent.name.empty() && names_.named_count() > limits_.prepared_per_session_max) ||
      (type == front::kBind && !sent.name.empty() && portals_.named_count() > limits_.prepared_per_session_max)) {
    Verdict full;
    full.reason = type == front::kParse ? "too many prepared statements in this session" : "too many portals in this session";
    refusal_code_ = sqlstate::kLimitExceeded;
    return refuse(unit, sent, full, out);
  }
  Fate fate = Fate::kPassed;
  if (!carry_out(unit, wire, verdict, out, fate)) return refuse(unit, sent, verdict, out);
  const bool is_skipped = segment_.has_failed && !is_framing;
  pass_command(unit, sent, out);
  if (is_skipped) return {true, Fate::kSkipped};
  return {true, unit.kind == UnitKind::kControl || fate == Fate::kEdited ? fate : Fate::kAwaitingTarget};
}

// What became of it at the target, once its bytes are on their way.
void PostgresCodec::pass_command(const Unit& unit, const Sent& sent, Outbox& out) {
  if (sent.type == front::kTerminate) return;
  if (sent.type == front::kFlush) {
    segment_.needs_flush = false;
    return;
  }
  if (segment_.has_failed) {  // The target skips to Sync: no answer, and no name moves.
    drop_names(sent);
    lower_fence(unit.id);
    return;
  }
  expect(unit, sent);
  if (sent.type == front::kQuery || sent.type == front::kFunctionCall) {
    segment_ = {};
    return;
  }
  segment_.is_contacted = segment_.needs_flush = true;
  if (sent.type != front::kExecute) return;
  segment_.has_executed = true;
  if ((sent.traits & kMaySetGrammar) != 0) grammar_unsure_since_ = unit.id;
  if (!sent.is_fence) return;
  // The client's Sync is behind the fence, and without it the target would hold the answer back.
  scratch_.clear();
  write_empty(scratch_, front::kFlush);
  out.inject(Side::kTarget, scratch_.bytes());
  segment_.needs_flush = false;
  note_stand_in("flush");
}

void PostgresCodec::expect(const Unit& unit, const Sent& sent) {
  Expected& entry = queue_.add();
  entry.unit = unit.id;
  entry.traits = sent.traits;
  entry.statement = sent.statement;
  entry.meanings = sent.type == front::kQuery ? Meanings{sent.statement, 0} : sent.meanings;
  entry.portal = sent.portal;
  entry.closes = sent.object;
  entry.is_answered = false;
  entry.name = sent.name;
  switch (sent.type) {
    case front::kQuery: entry.kind = ReplyKind::kQuery; break;
    case front::kParse: entry.kind = ReplyKind::kParse; break;
    case front::kBind: entry.kind = ReplyKind::kBind; break;
    case front::kDescribe: entry.kind = sent.object == 'S' ? ReplyKind::kDescribeStatement : ReplyKind::kDescribePortal; break;
    case front::kExecute: entry.kind = ReplyKind::kExecute; break;
    case front::kClose: entry.kind = ReplyKind::kClose; break;
    case front::kFunctionCall: entry.kind = ReplyKind::kFunctionCall; break;
    default: WEIR_CHECK(sent.type == front::kSync); entry.kind = ReplyKind::kSync; break;
  }
}

// A unit behind a refused one, up to Sync: the target never sees it, as it would have skipped it.
Settlement PostgresCodec::skip(const Unit& unit, const Sent& sent, Outbox& out) {
  out.drop(unit.wire);
  drop_names(sent);
  lower_fence(unit.id);
  const bool depends = refused_statement_ != 0 && (sent.meanings[0] == refused_statement_ || sent.meanings[1] == refused_statement_);
  return {true, depends ? Fate::kRefusedWithParent : Fate::kSkipped};
}

Settlement PostgresCodec::settle_sync(const Unit& unit, Outbox& out) {
  if (copy_in_open_) {
    // The target swallows a Sync while it reads COPY data, and honours one that comes after an error of its own: with data
    // under way nobody can tell which.  No client sends one there; one that does would set our count of answers off for good.
    if (copy_in_has_data_) {
      out.drop(unit.wire);
      fail_session(out, sqlstate::kProtocolViolation, "a Sync between CopyData and CopyDone is not passed");
      return {true, Fate::kRefusedHere};
    }
    lower_fence(unit.id);  // It has no answer to wait for.
    out.pass(unit.wire);
    return {true, Fate::kPassed};
  }
  const bool is_ours = segment_.is_refused && !segment_.is_contacted;
  segment_ = {};
  names_.forget_dead();
  portals_.forget_dead();
  refused_statement_ = 0;
  if (is_ours) {
    out.drop(unit.wire);
    lower_fence(unit.id);
    scratch_.clear();
    write_ready(scratch_, status_);
    say(out, scratch_.bytes());
    return {true, Fate::kRefusedHere};
  }
  out.pass(unit.wire);
  expect(unit, sent_.front());
  return {true, Fate::kPassed};
}

Settlement PostgresCodec::settle_copy_in(const Unit& unit, Bytes wire, const Sent& sent, const Verdict& verdict, Outbox& out) {
  const bool is_end = sent.type != front::kCopyData;
  if (copy_in_refused_) {
    out.drop(unit.wire);
    copy_in_refused_ = !is_end;
    return {true, Fate::kSkipped};
  }
  Fate fate = Fate::kRefusedHere;
  if (is_allowed(verdict) && carry_out(unit, wire, verdict, out, fate)) {
    // Outside a COPY the target ignores these: they were sent before the client saw its error.
    if (is_end) copy_in_open_ = false;
    else copy_in_has_data_ = true;
    return {true, fate};
  }
  out.drop(unit.wire);
  if (copy_in_open_) {
    refuse_copy(verdict, out);
    copy_in_refused_ = !is_end;
  }
  return {true, Fate::kRefusedHere};
}

// CopyData above unit_size_max, and commands above statement_size_max (opaque).
Settlement PostgresCodec::settle_command_part(const Unit& unit, Bytes wire, const Sent& sent, const Verdict& verdict, Outbox& out) {
  PartFate& fate = part_fate_[index_of(Direction::kToTarget)];
  const bool is_data = unit.kind == UnitKind::kData;
  const bool allowed = is_allowed(verdict);
  if (unit.part == Part::kFirst) {
    fate = PartFate::kDrop;
    if (segment_.is_refused) return skip(unit, sent, out);
    if (!is_data && !allowed) return refuse(unit, sent, verdict, out);
    if (is_data && (copy_in_refused_ || !allowed)) {
      out.drop(unit.wire);
      if (!copy_in_refused_ && copy_in_open_) {
        refuse_copy(verdict, out);
        copy_in_refused_ = true;
      }
      return {true, Fate::kRefusedHere};
    }
    fate = PartFate::kPass;
    if (!is_data) pass_command(unit, sent, out);
    copy_in_has_data_ = copy_in_has_data_ || is_data;
  } else if (fate == PartFate::kPass && !allowed) {
    if (!is_data) {  // Half a command cannot be taken back, nor may the target have the rest.
      out.drop(unit.wire);
      fail_session(out, sqlstate::kInsufficientPrivilege, verdict.reason, verdict.rule_name);
      return {true, Fate::kRefusedHere};
    }
    fate = PartFate::kFill;
    write_refusal(unit, verdict);
  }
  switch (fate) {
    case PartFate::kPass: out.pass(unit.wire); return {true, Fate::kPassed};
    case PartFate::kDrop: out.drop(unit.wire); return {true, Fate::kRefusedHere};
    case PartFate::kFill: break;
  }
  fill(unit, wire, out);
  if (unit.part == Part::kLast && copy_in_open_) {
    refuse_copy(verdict, out);
    copy_in_refused_ = true;
  }
  return {true, Fate::kRefusedHere};
}

Settlement PostgresCodec::settle_to_client(const Unit& unit, Bytes wire, const Verdict& verdict, Outbox& out) {
  WEIR_CHECK(!received_.empty() && received_.front().unit == unit.id);
  const Received& record = received_.front();
  Fate fate = Fate::kUnread;
  if (is_closed_) {
    out.drop(unit.wire);
  } else if (!verdict.observed && verdict.action == Verdict::Action::kTerminate) {
    out.drop(unit.wire);
    fail_session(out, sqlstate::kAdminShutdown, verdict.reason.empty() ? "the session was ended by the gateway" : verdict.reason, verdict.rule_name);
    fate = Fate::kRefusedHere;
  } else if (client_phase_ != ClientPhase::kCommands) {
    fate = settle_target_login(unit, wire, record, verdict, out);
  } else if (unit.part != Part::kWhole) {
    fate = settle_reply_part(unit, wire, record, verdict, out);
  } else {
    fate = settle_reply(unit, wire, record, verdict, out);
  }
  if (ends_message(unit.part)) {
    client_is_mid_message_ = false;
    if (!deferred_.empty() && !is_closed_) {
      out.inject(Side::kClient, deferred_.bytes());
      deferred_.clear();
    }
  }
  received_.pop();
  return {true, fate};
}

Fate PostgresCodec::settle_reply(const Unit& unit, Bytes wire, const Received& record, const Verdict& verdict, Outbox& out) {
  Fate fate = Fate::kPassed;
  const bool may_pass = !is_swallowing_ || is_async(record.type) || record.type == back::kReadyForQuery;
  if (record.is_stand_in) {
    stand_in_name_.clear();
    if (may_pass) out.replace(unit.wire, refusal_.bytes());
    else out.drop(unit.wire);
    fate = Fate::kEdited;
  } else if (!may_pass) {
    out.drop(unit.wire);
    fate = Fate::kSkipped;
  } else if (!is_allowed(verdict) || !carry_out(unit, wire, verdict, out, fate)) {
    fate = Fate::kRefusedHere;
    out.drop(unit.wire);
    if (!is_async(record.type)) refuse_reply(unit, record, verdict, out);
  }
  if (!is_closed_) follow_reply(unit, record, out);
  return fate;
}

Fate PostgresCodec::settle_reply_part(const Unit& unit, Bytes wire, const Received& record, const Verdict& verdict, Outbox& out) {
  PartFate& part = part_fate_[index_of(Direction::kToClient)];
  const bool allowed = is_allowed(verdict);
  if (unit.part == Part::kFirst) {
    part = is_swallowing_ || !allowed ? PartFate::kDrop : PartFate::kPass;
    client_is_mid_message_ = part == PartFate::kPass;
    if (!is_swallowing_ && !allowed) {
      out.drop(unit.wire);
      refuse_reply(unit, record, verdict, out);
      return Fate::kRefusedHere;
    }
  }
  Fate fate = Fate::kPassed;
  if (part == PartFate::kPass && allowed && carry_out(unit, wire, verdict, out, fate)) return fate;
  if (part == PartFate::kDrop) {
    out.drop(unit.wire);
    return Fate::kRefusedHere;
  }
  // The row's beginning is out.  Its end keeps its shape and loses its content; then the client is told.
  if (part == PartFate::kPass) refuse_reply(unit, record, verdict, out);  // Deferred: a message is half-way.
  part = PartFate::kFill;
  fill(unit, wire, out);
  return Fate::kRefusedHere;
}

// What this answer, now on its way to the client, changes.
void PostgresCodec::follow_reply(const Unit& unit, const Received& record, Outbox& out) {
  switch (record.type) {
    case back::kReadyForQuery:
      is_swallowing_ = false;
      status_ = record.status;
      if (unit.in_reply_to > grammar_unsure_since_) grammar_unsure_since_ = 0;
      break;
    case back::kError:
      follow_error(record);
      return;
    case back::kCopyInResponse:
      if (is_swallowing_) {  // The client never learns that data is wanted.
        scratch_.clear();
        write_copy_fail(scratch_, next_stand_in_name());
        out.inject(Side::kTarget, scratch_.bytes());
        note_stand_in("copy-fail");
        was_done_ = false;  // For the record at the next settlement to the target.
        return;
      }
      copy_in_open_ = true;
      copy_in_closed_ = copy_in_has_data_ = copy_in_refused_ = false;
      return;
    default: break;
  }
  if (record.ends_entry) queue_.pop_through(unit.in_reply_to, [this](const Expected& entry) { pop_entry(entry); });
}

void PostgresCodec::follow_error(const Received& record) {
  copy_in_open_ = false;
  if (!record.is_extended_error) return;  // A Query's ReadyForQuery is still to come.
  if (!queue_.has_sync()) segment_.has_failed = true;
  queue_.pop_to_sync([this](const Expected& entry) { pop_entry(entry); });
}

void PostgresCodec::pop_entry(const Expected& entry) {
  drop_names(entry);
  lower_fence(entry.unit);
  if (entry.kind == ReplyKind::kQuery || entry.kind == ReplyKind::kExecute) copy_in_open_ = false;
}

void PostgresCodec::lower_fence(uint64_t unit) {
  if (fence_unit_ != unit) return;
  fence_unit_ = 0;
  copy_in_closed_ = false;
}

bool PostgresCodec::carry_out(const Unit& unit, Bytes wire, const Verdict& verdict, Outbox& out, Fate& fate) {
  if (verdict.observed || verdict.action != Verdict::Action::kMask || verdict.edits.empty()) {
    out.pass(unit.wire);
    fate = Fate::kPassed;
    return true;
  }
  if (!apply_edits(unit, wire, verdict.edits, out)) return false;
  fate = Fate::kEdited;
  return true;
}

// The same size, the same cells, nothing of what was in them.
void PostgresCodec::fill(const Unit& unit, Bytes wire, Outbox& out) {
  static constexpr auto kStars = [] { std::array<std::byte, 4096> stars{}; stars.fill(std::byte{'*'}); return stars; }();
  struct Filler final : FieldVisitor {
    Outbox& out;
    uint64_t at;
    Filler(Outbox& o, uint64_t start) : out(o), at(start) {}
    bool visit(uint32_t, const Field& field) override {
      if (field.value.offset > at) out.pass({at, static_cast<uint32_t>(field.value.offset - at)});
      for (uint32_t done = 0; done < field.value.size;) {
        const uint32_t step = std::min<uint32_t>(field.value.size - done, kStars.size());
        out.replace({field.value.offset + done, step}, Bytes(kStars).first(step));
        done += step;
      }
      at = field.value.end();
      return true;
    }
  } filler(out, unit.wire.offset);
  fields(unit, wire, filler);
  if (filler.at < unit.wire.end()) out.pass({filler.at, static_cast<uint32_t>(unit.wire.end() - filler.at)});
}

}  // namespace weir::postgres

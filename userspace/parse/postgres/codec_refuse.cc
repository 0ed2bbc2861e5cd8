// Refusals in the protocol's own words: the client sees what it would see if the target had raised the error, and the target
// ends in the state that it would be in.  README.md has the cases; DECISIONS.md what else was tried.
#include <algorithm>

#include "parse/postgres/codec.h"
#include "parse/postgres/messages.h"

namespace weir::postgres {

// Pre: not in a COPY, not behind another refused unit.
Settlement PostgresCodec::refuse(const Unit& unit, const Sent& sent, const Verdict& verdict, Outbox& out) {
  if (!has_all_answers(out)) return {};
  out.drop(unit.wire);
  write_refusal(unit, verdict);
  drop_names(sent);
  lower_fence(unit.id);
  if (segment_.has_failed) return {true, Fate::kSkipped};  // The target said its own error and skips to Sync.
  if (sent.type == front::kParse) refused_statement_ = sent.statement;
  if (sent.type == front::kQuery || sent.type == front::kFunctionCall) refuse_query(unit, out);
  else refuse_in_segment(unit, out);
  return {true, Fate::kRefusedHere};
}

// Until every answer is in, it is not known whether the target is in a transaction, nor whether an error came first.
bool PostgresCodec::has_all_answers(Outbox& out) {
  if (queue_.empty()) return true;
  if (segment_.needs_flush) {  // The client may be waiting for us before it says Sync.
    segment_.needs_flush = false;
    scratch_.clear();
    write_empty(scratch_, front::kFlush);
    out.inject(Side::kTarget, scratch_.bytes());
    note_stand_in("flush");
  }
  return false;
}

// Idle or failed: the answer is ours alone.  In a transaction: the target must abort it.
void PostgresCodec::refuse_query(const Unit& unit, Outbox& out) {
  if (status_ == 'T' || segment_.has_executed) {
    send_stand_in(unit, true, out);
    segment_ = {};
    return;
  }
  scratch_.clear();
  scratch_.raw(refusal_.bytes());
  write_ready(scratch_, status_);
  say(out, scratch_.bytes());
}

// The rest of the segment is dropped up to the client's Sync.  Where the target has something to undo (a transaction, or
// an Execute of this segment, which is one) a stand-in fails there; else the target need not know.
void PostgresCodec::refuse_in_segment(const Unit& unit, Outbox& out) {
  segment_.is_refused = true;
  if (status_ == 'T' || segment_.has_executed) {
    segment_.is_contacted = true;
    send_stand_in(unit, false, out);
    return;
  }
  say(out, refusal_.bytes());
}

// A Describe of a prepared statement that does not exist: it fails without holding any SQL, so that the target's log has one
// ERROR line with our own name in it and no statement.  The client's unnamed statement survives it.
void PostgresCodec::send_stand_in(const Unit& unit, bool with_sync, Outbox& out) {
  const std::string_view name = next_stand_in_name();
  scratch_.clear();
  write_describe_statement(scratch_, name);
  if (with_sync) write_empty(scratch_, front::kSync);
  out.inject(Side::kTarget, scratch_.bytes());
  note_stand_in(with_sync ? "describe, sync" : "describe");
  for (const ReplyKind kind : {ReplyKind::kStandIn, ReplyKind::kSync}) {
    if (kind == ReplyKind::kSync && !with_sync) break;
    Expected& entry = queue_.add();
    entry = Expected{};
    entry.unit = unit.id;
    entry.kind = kind;
  }
}

// COPY FROM STDIN fails with our reason; its 57014 is replaced by ours.
void PostgresCodec::refuse_copy(const Verdict& verdict, Outbox& out) {
  write_refusal(Unit{}, verdict);
  scratch_.clear();
  write_copy_fail(scratch_, next_stand_in_name());
  out.inject(Side::kTarget, scratch_.bytes());
  note_stand_in("copy-fail");
  copy_in_open_ = false;
}

// An answer may not reach the client: it gets an error in its place, and nothing more of the reply.
void PostgresCodec::refuse_reply(const Unit& unit, const Received& record, const Verdict& verdict, Outbox& out) {
  if (record.type == back::kReadyForQuery) {
    fail_session(out, sqlstate::kInsufficientPrivilege, verdict.reason, verdict.rule_name);
    return;
  }
  write_refusal(unit, verdict);
  say(out, refusal_.bytes());
  if (record.type == back::kError) return;
  is_swallowing_ = true;
  // The client now skips to Sync; what it sent of this segment and what we still hold is skipped with it.
  const bool is_extended = queue_.empty() || (queue_[0].kind != ReplyKind::kQuery && queue_[0].kind != ReplyKind::kFunctionCall);
  if (is_extended && !queue_.has_sync()) segment_.is_refused = segment_.is_contacted = true;
}

void PostgresCodec::write_refusal(const Unit& unit, const Verdict& verdict) {
  ErrorText error;
  error.code = verdict.grammar_error ? sqlstate::kSyntaxError : sqlstate::kInsufficientPrivilege;
  error.message = verdict.reason.empty() ? std::string_view("this command is not allowed") : verdict.reason;
  if (!refusal_code_.empty()) error.code = refusal_code_;
  refusal_code_ = {};
  if (unit.id != 0 && unit.id == cancelled_unit_) {
    error.code = sqlstate::kQueryCanceled;
    error.message = "canceling statement due to user request";
    cancelled_unit_ = 0;
  }
  std::string detail;
  if (verdict.grammar_error) error.position = verdict.position;
  else if (!verdict.rule_name.empty()) detail.append("Refused by the gateway, rule \"").append(verdict.rule_name).append("\".");
  error.detail = detail;
  refusal_.clear();
  write_error(refusal_, error);
}

std::string_view PostgresCodec::next_stand_in_name() {
  if (nonce_.empty()) {
    std::array<std::byte, 8> random{};
    random_.fill(random);
    nonce_ = "weir-refused-";
    for (const std::byte b : random) {
      nonce_ += "0123456789abcdef"[std::to_integer<unsigned>(b) >> 4];
      nonce_ += "0123456789abcdef"[std::to_integer<unsigned>(b) & 15];
    }
  }
  stand_in_name_ = nonce_ + "-" + std::to_string(++stand_in_count_);
  return stand_in_name_;
}

void PostgresCodec::note_stand_in(std::string_view words) {
  if (!stand_in_.empty()) stand_in_ += "; ";
  stand_in_ += words;
  if (words != "flush") stand_in_.append(" ").append(stand_in_name_);
}

void PostgresCodec::say(Outbox& out, Bytes words) {
  if (client_is_mid_message_) deferred_.raw(words);
  else out.inject(Side::kClient, words);
}

void PostgresCodec::fail_session(Outbox& out, std::string_view code, std::string_view message, std::string_view rule) {
  if (is_closed_) return;
  if (client_hears_ && !client_is_mid_message_) {
    std::string detail;
    if (!rule.empty()) detail.append("Refused by the gateway, rule \"").append(rule).append("\".");
    scratch_.clear();
    write_error(scratch_, {"FATAL", code, message.empty() ? std::string_view("the session was ended by the gateway") : message, detail, {}, 0});
    out.inject(Side::kClient, scratch_.bytes());
  }
  wants_close_ = is_closed_ = true;
}

void PostgresCodec::speak_refusal(Outbox& out) { fail_session(out, pending_code_, pending_refusal_); }

void PostgresCodec::refuse_session(const Signal& signal, std::string_view code, Outbox& out) {
  if (is_closed_ || has_pending_refusal_) return;
  pending_refusal_ = signal.text;
  // A violation that this codec found knows its code best.
  pending_code_ = !violation_code_.empty() ? violation_code_ : code;
  has_pending_refusal_ = true;
  const bool is_client_at_fault = !violation_code_.empty() && violation_is_client_;
  if (client_phase_ == ClientPhase::kNothing || (client_phase_ == ClientPhase::kHello && is_client_at_fault)) client_hears_ = false;
  // Before its login a client would not understand: it is told when it comes.
  if (can_speak_ || is_client_at_fault || !client_hears_) speak_refusal(out);
}

void PostgresCodec::signal(const Signal& signal, Outbox& out) {
  switch (signal.kind) {
    case Signal::Kind::kClientConnected: return;
    case Signal::Kind::kTargetConnected:
      if (is_closed_ || target_phase_ != TargetPhase::kAbsent) return;
      if (!target_.tls_to_target) {
        target_phase_ = TargetPhase::kSilent;
        begin_target_login(out);
        return;
      }
      scratch_.clear();
      write_ssl_request(scratch_);
      out.inject(Side::kTarget, scratch_.bytes());
      target_phase_ = TargetPhase::kAsked;
      return;
    case Signal::Kind::kSideReady:
      if (signal.side == Side::kClient && client_phase_ == ClientPhase::kHello) client_phase_ = ClientPhase::kStartup;
      if (signal.side == Side::kTarget && target_phase_ == TargetPhase::kHello) {
        target_phase_ = TargetPhase::kSilent;
        begin_target_login(out);
      }
      return;
    case Signal::Kind::kTargetUnreachable:
      return refuse_session(signal, signal.code.empty() ? sqlstate::kCannotConnect : signal.code, out);
    case Signal::Kind::kRefuse:
      return refuse_session(signal, signal.code.empty() ? sqlstate::kInvalidAuthorization : signal.code, out);
    case Signal::Kind::kShutdown:
      return refuse_session(signal, signal.code.empty() ? sqlstate::kAdminShutdown : signal.code, out);
    case Signal::Kind::kClientCancel:
      cancelled_unit_ = signal.unit;
      return;
    case Signal::Kind::kHoldBegan: case Signal::Kind::kHoldTick:
      if (!can_speak_ || is_closed_) return;
      scratch_.clear();
      write_notice(scratch_, {"NOTICE", "00000", signal.text, {}, {}, 0});
      say(out, scratch_.bytes());
      return;
    case Signal::Kind::kHoldEnded: return;
  }
}

}  // namespace weir::postgres

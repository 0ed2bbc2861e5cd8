// What goes on the record, and when: a command with its verdict before its first byte leaves, a reply before it is passed.
#include <nlohmann/json.hpp>

#include "core/time_text.h"
#include "session/json_text.h"
#include "session/session.h"

namespace weir::session {
namespace {

constexpr std::size_t kParametersSizeMax = 64u << 10;

// A parser's message quotes the place of the error, which may be a value (with quotes of its own): the record keeps what was
// wrong, not what stood there.
std::string without_quote(std::string_view message) {
  const std::size_t first = message.find('"'), last = message.rfind('"');
  if (first == std::string_view::npos) return std::string(message);
  return std::string(message.substr(0, first)).append("\"...\"").append(message.substr(last + 1));
}

std::string_view name_of_mode(const TargetConfig& target) { return target.observe ? "observe" : "enforce"; }

void add_identity(nlohmann::json& about, const Identity& identity) {
  about["subject"] = identity.subject;
  about["groups"] = identity.groups;
  about["assurance"] = weir::name_of(identity.assurance);
  about["binding"] = identity.binding_id;
  if (!identity.issuer.empty()) about["issuer"] = identity.issuer;
  if (!identity.token_id.empty()) about["token_id"] = identity.token_id;
  if (!identity.email.empty()) about["email"] = identity.email;
  if (!identity.acting_for.empty()) about["acting_for"] = identity.acting_for;
  if (identity.expires != std::chrono::sys_seconds{}) about["until"] = utc_text(identity.expires);
  if (!identity.reason.empty()) about["reason"] = identity.reason;
  if (!identity.certificate_fingerprint.empty()) about["certificate"] = {{"serial", identity.certificate_serial}, {"fingerprint", identity.certificate_fingerprint}};
}

}  // namespace

bool Session::write(RecordEvent& event, uint64_t& group) {
  event.session = id_;
  event.sequence = ++sequence_;
  event.at = services_.io.wall();
  if (services_.recorder.write(event, group) == Written::kDurableLater) return true;
  --sequence_;
  services_.counters.add(Metric::kJournalRefused);
  return target_->config.on_record_failure == OnFailure::kOpen;
}

bool Session::write(RecordEvent& event) {
  uint64_t group = 0;
  return write(event, group);
}

bool Session::record_about(RecordEvent::Kind kind, std::string_view verb, const nlohmann::json& about) {
  const std::string text = about.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  RecordEvent event;
  event.kind = kind;
  event.verb = verb;
  event.text = as_bytes(text);
  event.action = Verdict::Action::kAllow;
  return write(event);
}

bool Session::record_opened() {
  nlohmann::json about = {
      {"target", target_->config.name},
      {"protocol", target_->module->name},
      {"client", flow_.client.text()},
      {"server", flow_.target.text()},
      {"mode", name_of_mode(target_->config)},
      {"login", target_->config.inject ? "inject" : "relay"},
      {"durability", target_->config.record.durability == Durability::kBeforeForward ? "before-forward" : "async"},
      {"capability", target_->capability},
      {"policy", judged_by_->policy->digest()},
      {"gateway", opened_with_->config.name},
  };
  if (facts_.identity) add_identity(about, *facts_.identity);
  if (proof_ != Proof::kByAddress) about["admit"] = target_->config.admit == Admit::kEither ? "either" : "credential";
  if (floor_) about["address_subject"] = floor_->subject;
  return record_about(RecordEvent::Kind::kOpened, "opened", about);
}

// The login that follows is waited for, and stands behind this one.
bool Session::record_identified() {
  const Identity& identity = *facts_.identity;
  nlohmann::json about = {{"proof", !identity.is_on_wire ? "address" : identity.certificate_fingerprint.empty() ? "token" : "certificate"}};
  add_identity(about, identity);
  return record_about(RecordEvent::Kind::kIdentified, "identified", about);
}

// JSON array of the redacted parameters; empty if there are none.
Bytes Session::parameters(DecideContext& context, const Unit& unit, Bytes wire) {
  if (unit.field_count == 0) return {};
  class Walk final : public Codec::FieldVisitor {
   public:
    Walk(Session& session, DecideContext& ctx, const Unit& u, Bytes w) : session_(session), context_(ctx), unit_(u), wire_(w) {}
    bool visit(uint32_t index, const Field& field) override {
      std::string& text = session_.parameters_;
      text += index == 0 ? "[" : ",";
      if (field.is_null) {
        text += "null";
        return true;
      }
      const Bytes safe = session_.judged_by_->policy->redact_field(context_, *session_.codec_, unit_, wire_, field);
      text += '"';
      const bool fits = append_json_escaped(text, safe, kParametersSizeMax);
      text += '"';
      return fits;
    }

   private:
    Session& session_;
    DecideContext& context_;
    const Unit& unit_;
    Bytes wire_;
  } walk(*this, context, unit, wire);
  parameters_.clear();
  codec_->fields(unit, wire, walk);
  if (parameters_.empty()) return {};
  parameters_ += ']';
  return as_bytes(parameters_);
}

bool Session::record_command(const Unit& unit, const Verdict& verdict, Bytes wire, uint64_t& group) {
  RecordEvent event;
  event.kind = RecordEvent::Kind::kCommand;
  event.unit = unit;
  event.verb = unit.verb;
  event.action = verdict.action;
  event.observed = verdict.observed;
  event.rule = verdict.rule_name;
  event.reason = verdict.reason;
  event.bytes = unit.wire.size;
  event.is_awaited = target_->config.record.durability == Durability::kBeforeForward;
  DecideContext context = decide_context(Direction::kToTarget);
  std::string login_text, plain_reason;
  if (verdict.grammar_error) {
    plain_reason = without_quote(verdict.reason);
    event.reason = plain_reason;
  }
  event.request_id = requests_.for_record(unit, *judged_by_->policy, context, *codec_);
  event.grant = verdict.grant;
  if (unit.kind == UnitKind::kLogin) {
    const LoginFacts login = codec_->login();
    event.kind = RecordEvent::Kind::kLogin;
    const Bytes application_name = judged_by_->policy->redact_text(context, *codec_, as_bytes(login.application_name));
    login_text = nlohmann::json{{"login", login.login}, {"database", login.database}, {"application_name", as_text(application_name)}, {"target_login", login.target_login}}
                     .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    event.text = as_bytes(login_text);
  } else if (unit.kind == UnitKind::kCommand) {
    event.text = judged_by_->policy->redact(context, *codec_, unit, wire);
    event.body = parameters(context, unit, wire);
    event.verbs = verdict.verbs;
    event.objects = verdict.objects;
  }
  tell_notices(unit, verdict, unit.kind == UnitKind::kCommand ? event.text : Bytes());
  return write(event, group);
}

// `unit`: of it, where there is one.  `reason` and `text` may be empty.
void Session::record_alert(const UnitRef& unit, Verdict::Action action, std::string_view rule, std::string_view reason, std::string_view text, bool observed) {
  services_.counters.add(Metric::kAlerts);
  RecordEvent event;
  event.kind = RecordEvent::Kind::kAlert;
  event.unit = unit;
  event.verb = "alert";
  event.action = action;
  event.observed = observed;
  event.rule = rule;
  event.reason = reason;
  event.text = as_bytes(text);
  write(event);
}

void Session::record_alerts(const Unit& unit, const Verdict& verdict) {
  for (const uint32_t rule : verdict.alerts) record_alert(unit, verdict.action, judged_by_->policy->rule_name(rule), {}, {}, false);
}

// Who tried to pass for somebody else: of one stable name, so that whoever watches alerts need not know the rules.
void Session::record_impersonation(const UnitRef& unit, Impersonation kind, Verdict::Action action, bool observed, std::string_view reason) {
  if (!observed) services_.counters.add(metric_of(kind));
  record_alert(unit, action, kImpersonationRule, reason, weir::name_of(kind), observed);
  tell_alert(unit, weir::name_of(kind), kImpersonationRule);
}

// Post: false: the record took nothing and the target's setting is to stop (I9).
bool Session::record_unit(Direction direction, uint32_t index) {
  Stream& s = stream(direction);
  const Unit& unit = s.units[index];
  const Verdict& verdict = s.verdicts[index];
  const Bytes wire = s.buffer.slice(unit.wire);
  const bool is_refused = !passes(verdict.action);
  if (verdict.observed) services_.counters.add(Metric::kObserved);
  record_alerts(unit, verdict);
  if (verdict.impersonation != Impersonation::kNone) record_impersonation(unit, verdict.impersonation, verdict.action, verdict.observed, verdict.reason);
  else alert_foreign_login(unit, verdict);
  if (direction == Direction::kToTarget) {
    const bool is_request = unit.kind == UnitKind::kCommand || unit.kind == UnitKind::kLogin || unit.kind == UnitKind::kCancel;
    if (unit.kind == UnitKind::kCommand) {
      services_.counters.add(Metric::kCommands);
      const bool is_held = verdict.action == Verdict::Action::kHold && !verdict.observed;
      services_.counters.add(is_held ? Metric::kCommandsHeld : is_refused ? Metric::kCommandsBlocked : Metric::kCommandsAllowed);
    } else if (unit.kind == UnitKind::kOpaque) {
      services_.counters.add(Metric::kOpaque);
    }
    if (!is_request && unit.kind != UnitKind::kOpaque && !is_refused) {
      tell_notices(unit, verdict, {});
      return true;
    }
    uint64_t group = 0;
    if (!record_command(unit, verdict, wire, group)) return false;
    if (is_request && target_->config.record.durability == Durability::kBeforeForward) s.waits_for_group = group;  // I5
    return true;
  }
  tell_notices(unit, verdict, {});
  if (strictness(verdict.action) < strictness(reply_action_)) {
    reply_action_ = verdict.action;
    reply_rule_ = verdict.rule_name;
    reply_by_ = judged_by_;
  }
  if (!verdict.observed) {
    reply_masked_ += verdict.edits.size();
    services_.counters.add(Metric::kValuesMasked, verdict.edits.size());
  }
  if (unit.kind == UnitKind::kRows && !is_refused) {
    const TargetRecordConfig& record = target_->config.record;
    if (record.responses != RecordResponses::kNone && reply_rows_ == 0) head_.begin(record.responses == RecordResponses::kFull ? UINT32_MAX : record.head_rows);
    if (record.responses != RecordResponses::kNone) {
      head_.add(*codec_, unit, wire, verdict.observed ? std::span<const FieldEdit>() : verdict.edits);
    }
  } else if (unit.kind == UnitKind::kRows) {
    services_.counters.add(Metric::kValuesUnmaskable);
  }
  const ResultFacts result = codec_->result(unit);
  if (unit.kind == UnitKind::kResponseEnd || !result.sqlstate.empty()) return record_reply_end(unit);
  return true;
}

bool Session::record_reply_end(const Unit& unit) {
  const ResultFacts result = codec_->result(unit);
  RecordEvent event;
  event.kind = RecordEvent::Kind::kResponse;
  event.unit = unit;
  event.verb = unit.verb;
  event.action = reply_action_;
  event.rule = reply_rule_;
  event.rows = result.rows != 0 ? result.rows : reply_rows_;
  event.bytes = reply_bytes_;
  event.masked = reply_masked_;
  event.sqlstate = result.sqlstate;
  event.fate = result.sqlstate.empty() ? Fate::kPassed : Fate::kRefusedAtTarget;
  if (result.sqlstate.empty()) {
    event.text = as_bytes(result.tag);
  } else {
    DecideContext context = decide_context(Direction::kToClient);
    event.text = judged_by_->policy->redact(context, *codec_, unit, stream(Direction::kToClient).buffer.slice(unit.wire));
  }
  event.body = head_.json();
  const bool is_written = write(event);
  head_.clear();
  reply_rows_ = reply_bytes_ = reply_masked_ = 0;
  reply_action_ = Verdict::Action::kAllow;
  reply_rule_ = {};
  reply_by_.reset();
  return is_written;
}

void Session::record_fate(const Unit& unit, Fate fate) {
  RecordEvent event;
  event.kind = RecordEvent::Kind::kFate;
  event.unit = unit;
  event.verb = unit.verb;
  event.fate = fate;
  write(event);
}

void Session::record_note(std::string_view text) {
  if (id_ == 0 || close_recorded_) return;
  RecordEvent event;
  event.kind = RecordEvent::Kind::kNote;
  event.verb = "note";
  event.action = Verdict::Action::kAllow;
  event.text = as_bytes(text);
  write(event);
}

// A note that must be on disk before what it speaks of goes out, where commands must be.  Post: false: I9.
bool Session::record_waited(std::string_view text) {
  RecordEvent event;
  event.kind = RecordEvent::Kind::kNote;
  event.verb = "note";
  event.action = Verdict::Action::kAllow;
  event.text = as_bytes(text);
  uint64_t group = 0;
  if (!write(event, group)) return false;
  if (target_->config.record.durability == Durability::kBeforeForward) stream(Direction::kToTarget).waits_for_group = group;
  return true;
}

void Session::record_stand_in(const Unit& unit, std::string_view text) {
  services_.counters.add(Metric::kStandIns);
  RecordEvent event;
  event.kind = RecordEvent::Kind::kStandIn;
  event.unit = unit;
  event.verb = "stand-in";
  event.action = Verdict::Action::kAllow;
  event.text = as_bytes(text);
  write(event);
}

void Session::record_closed() {
  // What was passed on and never answered, or read and never settled, says so: a verdict alone is not a fate (I5).
  for (Stream& s : streams_) {
    for (uint32_t i = s.next; i < s.units.size(); ++i) {
      const bool is_request = s.units[i].kind == UnitKind::kCommand || s.units[i].kind == UnitKind::kLogin;
      if (s.units[i].direction == Direction::kToTarget && is_request) record_fate(s.units[i], Fate::kUnread);
    }
  }
  const ByteAccount accounts[2] = {streams_[0].account, streams_[1].account};
  RecordEvent event;
  event.kind = RecordEvent::Kind::kClosed;
  event.verb = "closed";
  event.action = Verdict::Action::kAllow;
  event.reason = name_of(end_);
  event.accounts = accounts;
  write(event);
}

}  // namespace weir::session

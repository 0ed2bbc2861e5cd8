#include "report/evidence_pack.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/check.h"
#include "core/time_text.h"
#include "report/criteria.h"
#include "report/pack_page.h"
#include "report/pack_tables.h"
#include "report/pack_text.h"

namespace weir::report {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// Whether `text` begins with `head`, which is taken off it then.
bool take(std::string_view& text, std::string_view head) {
  if (!text.starts_with(head)) return false;
  text.remove_prefix(head.size());
  return true;
}

// What it begins with of those characters, taken off it.
std::string_view take_while(std::string_view& text, std::string_view of) {
  const std::string_view taken = text.substr(0, text.find_first_not_of(of));
  text.remove_prefix(taken.size());
  return taken;
}

// How much a counter rose; it begins anew with each run of the kernel side.
uint64_t risen(uint64_t before, uint64_t now) { return now >= before ? now - before : now; }

std::string day_of(const std::string& at) { return at.substr(0, 10); }

}  // namespace

struct EvidencePack::Ticket { std::string approval, asked, answer, by, reason, answered; };

struct EvidencePack::Open {
  std::string id, opened, subject, target, login;
  json session, facts;
  uint64_t commands = 0, passed = 0, refused = 0, held = 0, masked = 0, alerts = 0, impersonation = 0, rows = 0, unknown = 0;
  std::set<std::string> grants;
  std::string client_leg, target_leg;
  bool has_login = false, is_wanted = false;
  std::map<std::string, Ticket> tickets;
};

EvidencePack::EvidencePack(std::string folder, Scope scope)
    : folder_(std::move(folder)), scope_(std::move(scope)), from_text_(utc_text(scope_.from)), until_text_(utc_text(scope_.until)), ledger_(from_text_, until_text_), access_begin_(from_text_), access_end_(until_text_) {
  // "2026-11-27T16:14:15Z" and "2026-11-27T16:14:15.000000001Z": without the Z the shorter one stands first.
  from_text_.pop_back();
  until_text_.pop_back();
}

Result<EvidencePack> EvidencePack::begin(const std::string& folder, Scope scope) {
  if (scope.until <= scope.from) return fail(Error::Kind::kInvalid, "the period ends before it begins");
  std::error_code error;
  if (std::filesystem::exists(folder, error)) return fail(Error::Kind::kInvalid, folder + " is there already: name a folder that is not, so that no earlier pack is mixed with this one");
  for (const char* part : {"", "/tables", "/proofs"}) {
    if (!std::filesystem::create_directories(folder + part, error) && error) return fail(Error::Kind::kSystem, folder + part + ": " + error.message());
  }
  EvidencePack pack(folder, std::move(scope));
  if (Result<void> made = pack.make_tables(); !made) {
    std::filesystem::remove_all(folder, error);
    return tl::unexpected(made.error());
  }
  return pack;
}

Result<void> EvidencePack::make_tables() {
  for (const TableInfo& info : pack_tables()) {
    Result<PackTable> made = PackTable::create(folder_ + "/tables", info);
    if (!made) return tl::unexpected(made.error());
    order_.push_back(info.name);
    tables_.emplace(info.name, std::move(*made));
  }
  return {};
}

PackTable& EvidencePack::table(const std::string& name) {
  const auto found = tables_.find(name);
  WEIR_CHECK(found != tables_.end());
  return found->second;
}

bool EvidencePack::is_in_period(const std::string& at) const { return at >= from_text_ && at < until_text_; }

void EvidencePack::add_exception(std::string at, std::string kind, std::string where, std::string what) {
  ++summary_.exceptions;
  table("exceptions").add({std::move(at), std::move(kind), std::move(where), std::move(what)});
}

void EvidencePack::add_grant(const json& grant) {
  config_grants_.push_back(grant);
}

void EvidencePack::begin_session(const json& session) {
  open_ = std::make_shared<Open>();
  Open& open = *open_;
  open.session = session;
  open.facts = object_at(session, "facts");
  open.id = std::to_string(number_at(session, "id"));
  open.opened = text_at(session, "opened");
  open.subject = text_at(session, "subject");
  open.target = text_at(session, "target");
  open.login = text_at(session, "login");
}

void EvidencePack::add_event(const json& event) {
  WEIR_CHECK(open_ != nullptr);
  const std::string kind = text_at(event, "kind");
  if (kind == "note") add_note(text_at(event, "at"), text_at(event, "text"));
  else if (kind == "login" || kind == "command") add_command(event);
  else if (kind == "alert") add_alert(event);
  else if (kind == "response") {
    open_->rows += number_at(event, "rows");
    const uint64_t masked = number_at(event, "masked");
    open_->masked += masked;
    if (masked != 0 && !text_at(event, "rule").empty()) {
      Rule& rule = rules_[text_at(event, "rule")];
      rule.masked += masked;
      add_if(rule.subjects, open_->subject);
    }
  }
}

// "TLS on the client leg: TLSv1.3 ...", "ticket 7 asks for approval local", "ticket 7 was approved by local:root: CHG-17".
void EvidencePack::add_note(const std::string& at, const std::string& text) {
  std::string_view rest = text;
  if (take(rest, "TLS on the client leg: ")) {
    open_->client_leg = rest;
  } else if (take(rest, "TLS on the target leg: ")) {
    open_->target_leg = rest;
  } else if (take(rest, "ticket ")) {
    const std::string_view number = take_while(rest, "0123456789");
    if (number.empty()) return;
    if (take(rest, " asks for approval ")) {
      Ticket& ticket = open_->tickets[std::string(number)];
      ticket.approval = rest;
      ticket.asked = at;
    } else if (take(rest, " was ")) {
      const std::string_view answer = take_while(rest, "abcdefghijklmnopqrstuvwxyz");
      const std::string_view by = take(rest, " by ") ? rest.substr(0, rest.find(": ")) : std::string_view();
      rest.remove_prefix(by.size());
      if (answer.empty() || !take(rest, ": ")) return;
      Ticket& ticket = open_->tickets[std::string(number)];
      ticket.answer = answer;
      ticket.by = by;
      ticket.reason = rest;
      ticket.answered = at;
    }
  }
}

void EvidencePack::add_command(const json& event) {
  Open& open = *open_;
  const std::string verdict = text_at(event, "verdict"), outcome = text_at(event, "outcome"), rule = text_at(event, "rule"), grant = text_at(event, "grant");
  if (text_at(event, "kind") == "login") {
    open.has_login = true;
  } else {
    ++open.commands;
    const bool is_passed = outcome == "passed" || outcome.starts_with("error:") || outcome == "unknown";
    if (is_passed) {
      ++open.passed;
      ledger_.saw_command(number_at(open.facts, "binding"), open.subject, text_at(event, "at"));
    }
    if (outcome == "unknown") ++open.unknown;
    if (is_passed && !grant.empty()) {
      open.grants.insert(grant);
      Grant& use = grants_[grant];
      ++use.commands;
      use.last = std::max(use.last, text_at(event, "at"));
      add_if(use.subjects, open.subject);
    }
  }
  Rule* by_rule = nullptr;
  if (!rule.empty() && (verdict == "block" || verdict == "terminate" || verdict == "hold")) {
    by_rule = &rules_[rule];
    add_if(by_rule->subjects, open.subject);
  }
  if (verdict == "hold") {
    ++open.held;
    if (by_rule != nullptr) ++by_rule->held;
  } else if (verdict == "block" || verdict == "terminate") {
    ++open.refused;
    if (by_rule != nullptr) ++by_rule->refused;
    table("refusals").add({open.id, std::to_string(number_at(event, "seq")), text_at(event, "at"), open.subject, open.target, open.login, text_at(event, "verb"), rule, text_at(event, "reason")});
  }
}

void EvidencePack::add_alert(const json& event) {
  Open& open = *open_;
  const std::string rule = text_at(event, "rule"), at = text_at(event, "at"), seq = std::to_string(number_at(event, "seq"));
  ++open.alerts;
  Rule& by_rule = rules_[rule];
  ++by_rule.alerts;
  add_if(by_rule.subjects, open.subject);
  const PackLedger::Judged* judged = ledger_.judged(rule, open.subject, open.target, at);
  ++alerts_;
  alerts_judged_ += judged != nullptr ? 1 : 0;
  table("alerts").add({open.id, seq, at, open.subject, open.target, rule, text_at(event, "verdict"), judged ? std::to_string(judged->alert) : "", judged ? judged->as : "none on the record", judged ? judged->by : "",
                       judged ? judged->at : "", judged ? std::to_string(judged->seconds) : ""});
  if (rule != "impersonation") return;
  ++open.impersonation;
  table("impersonation").add({open.id, seq, at, open.subject, open.target, text_at(event, "text"), text_at(event, "verdict"), text_at(event, "reason")});
  add_exception(at, "impersonation", "session " + open.id, open.subject + ": " + text_at(event, "text") + ", " + text_at(event, "verdict"));
}

void EvidencePack::note_unreadable_session(const std::string& why) {
  open_->is_wanted = true;
  add_exception(open_->opened, "not-readable", "session " + open_->id, "its events cannot all be read, so that its rows here are not whole: " + why);
}

void EvidencePack::note_unreadable(const std::string& where, const std::string& why) {
  add_exception("", "not-readable", where, "what it has is not in this pack: " + why);
}

bool EvidencePack::end_session() {
  Open& open = *open_;
  const json& session = open.session;
  const std::string where = "session " + open.id, account = text_at(session, "account"), mode = text_at(open.facts, "mode"), closed = text_at(session, "closed");
  const bool is_interrupted = flag_at(session, "is_interrupted");
  const uint64_t before = summary_.exceptions;
  if (is_interrupted) add_exception(closed, "session-interrupted", where, "the engine died; what was in the journal is sealed" + (open.unknown == 0 ? std::string() : ", and of " + std::to_string(open.unknown) + " commands it is not known whether the target ran them"));
  if (account == "differs") add_exception(closed, "bytes-differ", where, "the kernel's byte counts and the engine's do not agree");
  if (number_at(session, "gaps") != 0) add_exception(open.opened, "sequence-gap", where, std::to_string(number_at(session, "gaps")) + " gaps in its events");
  if (!mode.empty() && mode != "enforce") add_exception(open.opened, "not-enforced", where, "mode " + mode + ": verdicts were recorded and not carried out");
  const json bytes = object_at(session, "bytes");
  const uint64_t opaque = number_at(object_at(bytes, "to_target"), "opaque") + number_at(object_at(bytes, "to_client"), "opaque");
  if (opaque != 0) add_exception(open.opened, "not-read", where, std::to_string(opaque) + " bytes were passed that the gateway could not read");

  if (open.has_login) {
    if (open.client_leg.empty()) table("plaintext").add({open.id, open.opened, open.subject, open.target, "client"});
    if (open.target_leg.empty() && open.passed != 0) table("plaintext").add({open.id, open.opened, open.subject, open.target, "target"});
    if (!open.login.empty() && !open.subject.empty()) logins_[{open.target, open.login}].insert(open.subject);
  }
  for (const auto& [number, ticket] : open.tickets) {
    table("approvals").add({number, open.id, open.subject, open.target, ticket.approval, ticket.asked, ticket.answer.empty() ? "none on the record" : ticket.answer, ticket.by, ticket.reason, ticket.answered});
  }
  table("sessions").add({open.id, open.opened, closed, closed.empty() ? "live" : text_at(session, "reason"), open.subject, joined(texts_at(open.facts, "groups")), text_at(open.facts, "assurance"), text_at(open.facts, "issuer"),
                         text_at(open.facts, "token_id"), text_at(open.facts, "client"), open.target, open.login, joined(open.grants), mode, std::to_string(open.commands), std::to_string(open.refused),
                         std::to_string(open.held), std::to_string(open.masked), std::to_string(open.alerts), std::to_string(open.rows), std::to_string(number_at(object_at(bytes, "to_client"), "kernel")),
                         open.client_leg, open.target_leg, account});

  ledger_.saw_session({number_at(open.facts, "binding"), open.subject, open.opened, closed});
  Subject& subject = subjects_[open.subject];
  ++subject.sessions;
  subject.commands += open.commands;
  subject.passed += open.passed;
  subject.refused += open.refused;
  subject.held += open.held;
  subject.masked += open.masked;
  subject.alerts += open.alerts;
  subject.impersonation += open.impersonation;
  subject.rows += open.rows;
  if (subject.first.empty() || open.opened < subject.first) subject.first = open.opened;
  subject.last = std::max(subject.last, open.opened);
  subject.groups.merge(texts_at(open.facts, "groups"));
  add_if(subject.assurances, text_at(open.facts, "assurance"));
  add_if(subject.issuers, text_at(open.facts, "issuer"));
  add_if(subject.targets, open.target);
  add_if(subject.logins, open.login);
  subject.grants.insert(open.grants.begin(), open.grants.end());

  Day& day = days_[day_of(open.opened)];
  ++day.sessions;
  day.interrupted += is_interrupted ? 1 : 0;
  day.live += closed.empty() ? 1 : 0;
  day.commands += open.commands;
  day.passed_commands += open.passed;
  day.held += open.held;
  day.masked += open.masked;
  day.refused += open.refused;
  day.alerts += open.alerts;
  ++summary_.sessions;
  summary_.commands += open.commands;
  summary_.refused += open.refused;
  const bool is_wanted = !closed.empty() && (open.is_wanted || open.refused != 0 || open.held != 0 || open.alerts != 0 || summary_.exceptions != before);
  open_.reset();
  return is_wanted;
}

void EvidencePack::add_act(const json& act) {
  const std::string name = text_at(act, "act"), at = text_at(act, "at"), by = by_text(act), object = text_at(act, "object"), reason = text_at(act, "reason"), outcome = text_at(act, "outcome");
  ledger_.add_act(act);
  access_begin_.add_act(act);
  access_end_.add_act(act);
  if (!is_in_period(at)) return;
  if (name == "bind" || name == "revoke" || name == "cut") {
    table("bindings").add({at, name, by, object, reason, outcome});
  } else if (name == "approve" || name == "deny") {
    table("answers").add({at, name, by, object, reason, outcome});
    if (outcome.starts_with("denied")) add_exception(at, "answer-refused", "act " + name, by + " on " + object + ": " + outcome);
  } else if (name == "reload" || name == "start" || name == "change-approve" || name == "change-deny" || name.starts_with("bypass") || name.starts_with("hold-") || name == "retention-run") {
    const json change = object_at(act, "change"), digest = object_at(change, "digest");
    std::string parts;
    const auto listed = change.find("parts");
    if (listed != change.end() && listed->is_array()) {
      for (const json& part : *listed) parts += (parts.empty() ? "" : "; ") + text_at(part, "kind") + " " + text_at(part, "name") + " " + text_at(part, "how");
    }
    table("changes").add({at, name, by, object, reason, outcome, text_at(digest, "before"), text_at(digest, "after"), parts});
    if (name == "start") add_exception(at, "changed-before-a-start", "act start", object + ": put in force by a start, so that nobody stands for it on the record");
    if (name.starts_with("bypass")) add_exception(at, "bypass", "act " + name, by + ": " + object + ", " + outcome + ", reason: " + reason);
  } else if (name != kAccessListAct && name != "sign-off" && name != "close-alert") {   // Those have tables of their own.
    table("views").add({at, name, by, object, outcome});
  }
}

void EvidencePack::add_log_entry(const json& entry) {
  const std::string kind = text_at(entry, "kind"), at = text_at(entry, "at");
  if (kind == "start" || kind == "gap" || kind == "act") {
    access_begin_.add_log_entry(log_index_, entry);
    access_end_.add_log_entry(log_index_, entry);
  }
  ++log_index_;
  if (kind == "heartbeat") return add_heartbeat(entry, at);
  if (kind == "start") {
    last_start_ = entry;
    last_beat_ = nullptr;
  }
  if (kind == "seal" && seal_first_ == 0 && at >= from_text_) seal_first_ = number_at(entry, "seal");
  if (kind == "tombstone" && (is_in_period(at) || (seal_first_ != 0 && number_at(entry, "seal") >= seal_first_))) {
    table("expired").add({at, std::to_string(number_at(entry, "session")), std::to_string(number_at(entry, "part")), std::to_string(number_at(entry, "seal")), text_at(entry, "digest"), text_at(entry, "policy"),
                          std::to_string(number_at(entry, "keep_s"))});
  }
  if (kind == "retention" && at < from_text_) policies_before_ = entry;
  if (!is_in_period(at)) return;
  if (kind == "retention") {
    add_policies(std::exchange(policies_before_, nullptr));
    add_policies(entry);
  } else if (kind == "gap") {
    const std::string why = text_at(entry, "why");
    table("gaps").add({text_at(entry, "from"), at, why});
    if (why == "killed") add_exception(at, "gateway-killed", "log", "no gateway ran from " + text_at(entry, "from") + ", and the one before did not end in order");
  } else if (kind == "start") {
    const json recovered = object_at(entry, "recovered");
    table("runs").add({at, "start", text_at(entry, "version"), text_at(entry, "config"), "",
                       std::to_string(number_at(recovered, "interrupted")) + " sessions, " + std::to_string(number_at(recovered, "unknown_commands")) + " commands of unknown outcome"});
  } else if (kind == "stop") {
    table("runs").add({at, "stop", "", "", "", ""});
  }
}

void EvidencePack::add_heartbeat(const json& entry, const std::string& at) {
  const json before = last_beat_.is_object() ? last_beat_ : json::object();
  const std::string programs = joined(texts_at(entry, "programs"));
  const bool is_first = !last_beat_.is_object();
  last_beat_ = entry;
  if (!is_in_period(at)) return;
  Day& day = days_[day_of(at)];
  ++day.heartbeats;
  day.steered += risen(number_at(before, "steered"), number_at(entry, "steered"));
  day.passed += risen(number_at(before, "passed"), number_at(entry, "passed"));
  const json dropped = object_at(entry, "dropped"), dropped_before = object_at(before, "dropped");
  for (const auto& [reason, count] : dropped.items()) {
    const uint64_t more = risen(number_at(dropped_before, reason.c_str()), number_at(dropped, reason.c_str()));
    day.dropped += more;
    day.reasons[reason] += more;
  }
  const json clock = object_at(entry, "clock");
  if (!flag_at(clock, "synchronised")) {
    day.is_clock_unsure = true;
    ++day.unsure;
  }
  day.clock_error_max_us = std::max(day.clock_error_max_us, number_at(clock, "error_max_us"));
  const auto offset = clock.find("offset_us");
  if (offset != clock.end() && offset->is_number_integer() && std::abs(offset->get<int64_t>()) > std::abs(day.clock_offset_worst_us)) day.clock_offset_worst_us = offset->get<int64_t>();
  if (is_first) {
    table("runs").add({at, "programs", text_at(last_start_, "version"), text_at(last_start_, "config"), programs, ""});
  } else if (programs != joined(texts_at(before, "programs"))) {
    add_exception(at, "programs-changed", "heartbeat " + std::to_string(number_at(entry, "number")), "the kernel side's programs are not those of the heartbeat before, and no start stands between");
  }
  if (number_at(entry, "pieces_lost") > number_at(before, "pieces_lost")) add_exception(at, "kernel-piece-lost", "heartbeat " + std::to_string(number_at(entry, "number")), "a piece of the kernel side was taken away by somebody else");
  if (entry.contains("accepting") && !flag_at(entry, "accepting")) add_exception(at, "not-accepting", "heartbeat " + std::to_string(number_at(entry, "number")), "the gateway took no new sessions");
}

void EvidencePack::set_verifier(VerifierResult result) { verifier_ = std::move(result); }

void EvidencePack::add_policies(const json& entry) {
  if (!entry.is_object()) return;
  const json policies = object_at(entry, "policies");
  for (const auto& [policy, seconds] : policies.items()) table("retention").add({text_at(entry, "at"), policy, seconds.dump()});
}

void EvidencePack::look_for_exceptions() {
  for (const VerifierResult::Finding& finding : verifier_.findings) {
    table("findings").add({finding.severity, finding.code, finding.where, finding.message});
    if (finding.severity != "note") add_exception("", "verifier: " + finding.code, finding.where, finding.message);
  }
  if (!verifier_.is_verified) add_exception("", "not-verified", "record", "the verifier says that the record is not what was sealed: nothing in this report can be relied on before that is explained");
  for (const auto& [place, who] : logins_) {
    table("logins").add({place.first, place.second, std::to_string(who.size()), joined(who)});
    if (who.size() > 1) add_exception("", "shared-login", place.first + " as " + place.second, std::to_string(who.size()) + " subjects use it: the target's own log does not tell them apart, this record does");
  }
  ledger_.write([this](const char* name, Cells cells) { table(name).add(std::move(cells)); },
                [this](const std::string& at, const char* kind, const std::string& where, const std::string& what) { add_exception(at, kind, where, what); });
  if (alerts_ != alerts_judged_) add_exception("", "alerts-not-judged", "table alerts", std::to_string(alerts_ - alerts_judged_) + " of " + std::to_string(alerts_) + " alerts belong to none that somebody closed with a judgement");
  for (const auto& [name, day] : days_) {
    if (day.is_clock_unsure) add_exception(name, "clock-not-synchronised", "coverage of " + name, "at least one heartbeat says so; the worst offset told is " + std::to_string(day.clock_offset_worst_us) + " us");
  }
}

void EvidencePack::add_proof(uint64_t session, uint32_t part, uint64_t seal, const std::string& digest, const std::string& file) {
  table("proofs").add({std::to_string(session), std::to_string(part), std::to_string(seal), digest, file});
}

void EvidencePack::write_sums() {
  for (const auto& [name, each] : subjects_) {
    table("identities").add({name.empty() ? "(none)" : name, joined(each.groups), joined(each.assurances), joined(each.issuers), joined(each.targets), joined(each.logins), joined(grants_of(name, each.groups)), joined(each.grants), std::to_string(each.sessions),
                             std::to_string(each.commands), std::to_string(each.passed), std::to_string(each.refused), std::to_string(each.held), std::to_string(each.masked), std::to_string(each.rows),
                             std::to_string(each.alerts), std::to_string(each.impersonation), each.first, each.last});
    if (each.assurances.contains("static")) table("weak-identity").add({name, std::to_string(each.sessions)});
    summary_.identities += name.empty() ? 0 : 1;
  }
  for (const auto& [name, grant] : grants_) {
    const json& held = grant.held;
    const json who = held.is_object() ? object_at(held, "who") : json::object();
    std::set<std::string> names = texts_at(who, "subjects");
    for (const std::string& group : texts_at(who, "groups")) names.insert("group:" + group);
    const auto list = [&](const char* key) { return held.is_object() ? joined(texts_at(held, key)) : std::string(); };
    const PackLedger::Review review = ledger_.review_of(name, "");
    table("grants").add({name, held.is_null() ? "not held at the end" : grant.commands == 0 ? "unused in the period" : "used", joined(names), list("targets"), list("logins"), list("verbs"), list("objects"),
                         held.is_object() ? text_at(held, "until") : "", held.is_object() ? text_at(held, "approval") : "", std::to_string(grant.commands), grant.last, joined(grant.subjects), review.at, review.decision, review.by});
  }
  for (const auto& [name, day] : days_) {
    std::string reasons;
    for (const auto& [reason, count] : day.reasons) {
      if (count != 0) reasons += (reasons.empty() ? "" : " ") + reason + "=" + std::to_string(count);
    }
    table("coverage").add({name, std::to_string(day.sessions), std::to_string(day.interrupted), std::to_string(day.live), std::to_string(day.commands), std::to_string(day.refused), std::to_string(day.alerts),
                           std::to_string(day.heartbeats), std::to_string(day.steered), std::to_string(day.passed), std::to_string(day.dropped), reasons, std::to_string(day.clock_offset_worst_us), std::to_string(day.clock_error_max_us),
                           day.is_clock_unsure ? "not always" : day.heartbeats == 0 ? "not told" : "yes"});
  }
  for (const auto& [name, rule] : rules_) {
    table("masking").add({name, std::to_string(rule.refused), std::to_string(rule.held), std::to_string(rule.alerts), std::to_string(rule.masked), std::to_string(rule.subjects.size())});
  }
}

ordered_json EvidencePack::described() const {
  ordered_json tables = ordered_json::array(), criteria = ordered_json::array(), findings = ordered_json::array();
  for (const std::string& name : order_) {
    const PackTable& each = tables_.at(name);
    tables.push_back({{"name", name}, {"title", each.info().title}, {"rows", each.rows()}, {"query", each.info().query}, {"csv", "tables/" + name + ".csv"}, {"csv_sha256", each.csv_digest()},
                      {"jsonl", "tables/" + name + ".jsonl"}, {"jsonl_sha256", each.jsonl_digest()}});
  }
  for (const Criterion& each : soc2_criteria()) {
    criteria.push_back({{"id", each.id}, {"asks", each.asks}, {"tables", each.tables}, {"does_not_prove", each.not_proved}});
  }
  for (const auto& each : verifier_.findings) findings.push_back({{"severity", each.severity}, {"code", each.code}, {"where", each.where}, {"message", each.message}});
  return {{"format", "weir evidence 1"},
          {"scope", {{"gateway", scope_.gateway}, {"version", scope_.version}, {"from", utc_text(scope_.from)}, {"until", utc_text(scope_.until)}, {"zone", "UTC"}, {"made_at", scope_.made_at}, {"made_by", scope_.made_by},
                     {"command", scope_.command}, {"framework", scope_.framework}, {"grants_from", grants_from_}}},
          {"summary", {{"sessions", summary_.sessions}, {"commands", summary_.commands}, {"refused", summary_.refused}, {"identities", summary_.identities}, {"exceptions", summary_.exceptions}}},
          {"verifier", {{"verified", verifier_.is_verified}, {"archives", verifier_.archives}, {"sessions", verifier_.sessions}, {"events", verifier_.events}, {"live_sessions", verifier_.live_sessions},
                        {"log", {{"origin", verifier_.origin}, {"entries", verifier_.log_entries}, {"root", verifier_.root}, {"vkey", verifier_.vkey}, {"heartbeats", verifier_.heartbeats}}},
                        {"protections", verifier_.protections}, {"findings", std::move(findings)}}},
          {"criteria", std::move(criteria)},
          {"tables", std::move(tables)}};
}

Result<void> EvidencePack::write_file(const std::string& name, std::string_view text) {
  Result<DigestedFile> file = DigestedFile::create(folder_ + "/" + name);
  if (!file) return tl::unexpected(file.error());
  file->write(text);
  Result<std::string> digest = file->close();
  if (!digest) return tl::unexpected(digest.error());
  sums_.emplace_back(name, std::move(*digest));
  return {};
}

// The page says whether it stands beside itself as PDF, so it is printed before it is what it will be.
Result<void> EvidencePack::write_page(PageData& page) {
  std::string problem = "not asked for";
  if (printer_) {
    page.pdf = "This page as PDF: report.pdf.";
    const Result<void> printed = printer_(page_html(page), folder_ + "/report.pdf");
    problem = printed ? "" : printed.error().message;
    if (printed) {
      std::ifstream in(folder_ + "/report.pdf", std::ios::binary);
      const std::string text{std::istreambuf_iterator<char>(in), {}};
      sums_.emplace_back("report.pdf", sha256_hex(text));
      summary_.has_pdf = true;
    }
  }
  if (!problem.empty()) page.pdf = "There is no PDF of this page: " + problem + ".  A browser can print it.";
  summary_.pdf_problem = problem;
  return write_file("index.html", page_html(page));
}

Result<PackSummary> EvidencePack::finish(const std::vector<std::string>& extra) {
  settle_access();
  write_sums();
  add_policies(policies_before_);
  look_for_exceptions();
  PageData page{.scope = scope_, .verifier = verifier_, .grants_from = grants_from_, .tables = {}, .days = {}, .drops = {}, .clock = {}, .pdf = {}};
  for (const std::string& name : order_) {
    PackTable& each = table(name);
    if (Result<void> closed = each.close(); !closed) return tl::unexpected(closed.error());
    sums_.emplace_back("tables/" + name + ".csv", each.csv_digest());
    sums_.emplace_back("tables/" + name + ".jsonl", each.jsonl_digest());
    summary_.rows[name] = each.rows();
    page.tables.push_back(&each);
  }
  for (const auto& [name, day] : days_) {
    page.days.push_back({name, day.sessions, day.refused, day.dropped, day.heartbeats, day.commands, day.passed_commands, day.held, day.masked});
    for (const auto& [reason, count] : day.reasons) page.drops[reason] += count;
    page.clock.heartbeats += day.heartbeats;
    page.clock.unsure += day.unsure;
    page.clock.error_max_us = std::max(page.clock.error_max_us, day.clock_error_max_us);
    if (std::abs(day.clock_offset_worst_us) > std::abs(page.clock.offset_worst_us)) page.clock.offset_worst_us = day.clock_offset_worst_us;
  }
  page.summary = summary_;
  if (Result<void> written = write_file("pack.json", described().dump(1, ' ', false, json::error_handler_t::replace) + "\n"); !written) return tl::unexpected(written.error());
  if (Result<void> written = write_page(page); !written) return tl::unexpected(written.error());
  for (const std::string& name : extra) {
    std::ifstream in(folder_ + "/" + name, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    if (!in) return fail(Error::Kind::kSystem, folder_ + "/" + name + ": cannot be read again");
    sums_.emplace_back(name, sha256_hex(text));
  }
  std::sort(sums_.begin(), sums_.end());
  std::string list;
  for (const auto& [name, digest] : sums_) list += digest + "  " + name + "\n";
  if (Result<void> written = write_file("SHA256SUMS", list); !written) return tl::unexpected(written.error());
  return summary_;
}

}  // namespace weir::report

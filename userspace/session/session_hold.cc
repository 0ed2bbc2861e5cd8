// A held command: its ticket, what its client is told meanwhile, and what follows from the answer.  The unit keeps its place in
// the stream; what is behind it waits, what came before it goes on.
#include <openssl/evp.h>

#include <algorithm>
#include <initializer_list>
#include <memory>

#include "base/check.h"
#include "core/time_text.h"
#include "session/outbox.h"
#include "session/session.h"

namespace weir::session {
namespace {

constexpr std::chrono::seconds kRemindEvery{60};
constexpr std::size_t kPreparedMax = 64;
constexpr std::size_t kShownMax = 256 << 10;  // Of what a reviewer decides by: hit: refused, since a part would hide the rest.

// SHA-256 over the parts, each behind its length: no two lists of parts give the same bytes.
CommandDigest digest_of(std::initializer_list<Bytes> parts) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  WEIR_CHECK(context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
  for (const Bytes part : parts) {
    std::array<std::byte, 8> size{};
    store_le<uint64_t>(size, 0, part.size());
    EVP_DigestUpdate(context.get(), size.data(), size.size());
    EVP_DigestUpdate(context.get(), part.data(), part.size());
  }
  CommandDigest digest{};
  WEIR_CHECK(EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr) == 1);
  return digest;
}

}  // namespace

// A Bind that passed: its Execute will be held, and is what it is by these parameters.
void Session::keep_prepared(const Unit& unit, const Verdict& verdict, Bytes wire) {
  const bool is_bind = unit.text.empty() && unit.meanings[0] != 0 && unit.bound_by == 0;
  if (verdict.approvals.empty() || !passes(verdict.action) || !is_bind) return;
  DecideContext context = decide_context(Direction::kToTarget);
  if (prepared_.size() == kPreparedMax) prepared_.erase(prepared_.begin());
  prepared_.push_back({unit.id, digest_of({wire}), std::string(as_text(parameters(context, unit, wire)))});
}

// nullptr in `why`: the digest says all that decides what the target will do.
CommandDigest Session::digest_of_command(const Unit& unit, Bytes wire, const Prepared*& prepared, const char*& why) const {
  prepared = nullptr;
  why = unit.part == Part::kWhole ? nullptr : "a command in pieces cannot be approved";
  if (unit.meanings[0] == 0 || !unit.text.empty()) return digest_of({wire});
  const auto found = std::find_if(prepared_.begin(), prepared_.end(), [&](const Prepared& each) { return each.unit == unit.bound_by; });
  if (unit.bound_by == 0 || unit.meanings[1] != 0 || found == prepared_.end()) {
    why = "it is not clear with which parameters this runs: bind it again";
    return {};
  }
  prepared = &*found;
  return digest_of({codec_->statement(unit.meanings[0]), prepared->digest, wire});
}

// Post: true: a ticket waits.  False: `verdict` says why not.
bool Session::open_ticket(const Unit& unit, Verdict& verdict) {
  const Bytes wire = stream(Direction::kToTarget).buffer.slice(unit.wire);
  const Prepared* prepared = nullptr;
  const char* why = nullptr;
  TicketRequest request;
  request.digest = digest_of_command(unit, wire, prepared, why);
  if (why != nullptr) return refuse_held(verdict, why);
  const LoginFacts login = codec_->login();
  request.session = id_;
  request.unit = unit.id;
  request.identity = facts_.identity;
  request.target = target_->config.name;
  request.login = login.login;
  request.database = login.database;
  request.approval = hold_->wanted[hold_->given];
  request.rule = verdict.rule_name;
  request.reason = verdict.reason;
  request.objects = verdict.objects;
  request.verbs = verdict.verbs;
  DecideContext context = decide_context(Direction::kToTarget);
  Unit shown = unit;
  if (prepared != nullptr) shown.text = codec_->statement(unit.meanings[0]);
  if (unit.kind == UnitKind::kCommand) request.statement = as_text(judged_by_->policy->redact(context, *codec_, shown, wire));
  request.parameters = prepared != nullptr ? prepared->parameters : std::string();
  if (request.statement.size() + request.parameters.size() + request.objects.size() > kShownMax) {
    return refuse_held(verdict, "it is too large to be shown to a reviewer");
  }
  const auto opened = services_.tickets->open(request, wall_seconds());
  if (!opened) {
    services_.counters.add(Metric::kHoldsUnopened);
    return refuse_held(verdict, opened.error().message);
  }
  hold_->ticket = *opened;
  hold_->told_at = services_.io.now();
  const TicketAnswer now = services_.tickets->ask(*opened, wall_seconds());
  record_note("ticket " + std::to_string(*opened) + " asks for approval " + request.approval);
  if (now.state == TicketAnswer::State::kOpen) {
    tell_held("held for approval, ticket " + std::to_string(*opened) + ": " + std::string(verdict.reason) + ". Without an answer it is refused at " + utc_text(now.deadline));
  }
  return true;
}

void Session::tell_held(std::string_view text) {
  SessionOutbox outbox(*this, Direction::kToTarget, {});
  codec_->signal({hold_->is_told ? Signal::Kind::kHoldTick : Signal::Kind::kHoldBegan, Side::kClient, 0, hold_->ticket, text, {}}, outbox);
  hold_->is_told = true;
}

// False, for its callers: the verdict stands, and it is a refusal.
bool Session::refuse_held(Verdict& verdict, std::string_view why) {
  const std::string_view kept = arena_.keep(why);
  verdict.action = Verdict::Action::kBlock;
  verdict.reason = kept.empty() ? std::string_view("it was held, and not approved") : kept;
  services_.counters.add(Metric::kCommandsBlocked);
  hold_.reset();
  return false;
}

// Post: true: the verdict of the held unit is final.  False: ask again.
bool Session::resolve_hold(const Unit& unit, Verdict& verdict) {
  if (!hold_) {
    hold_.emplace();
    for (const std::string_view approval : verdict.approvals) hold_->wanted.emplace_back(approval);
    if (services_.tickets == nullptr || hold_->wanted.empty()) {
      services_.counters.add(Metric::kHoldsUnopened);
      refuse_held(verdict, "nobody can approve this here");  // I9
      return true;
    }
    static_cast<void>(services_.directory.take_cancel(id_));  // One that came before there was anything to withdraw.
    if (!open_ticket(unit, verdict)) return true;
  }
  while (!hold_->is_released()) {
    const std::optional<TicketAnswer> left = withdraw_hold();
    const TicketAnswer answer = left ? *left : services_.tickets->ask(hold_->ticket, wall_seconds());
    if (answer.state == TicketAnswer::State::kOpen) {
      if (services_.io.now() - hold_->told_at < kRemindEvery) return false;
      hold_->told_at = services_.io.now();
      tell_held("still held, ticket " + std::to_string(hold_->ticket));
      return false;
    }
    const bool is_approved = answer.state == TicketAnswer::State::kApproved;
    std::string text = "ticket " + std::to_string(hold_->ticket) + " was " + std::string(weir::name_of(answer.state));
    if (!answer.by.empty()) text += " by " + answer.by;
    if (!answer.reason.empty()) text += ": " + answer.reason;
    if (!record_waited(text)) {
      close(EndReason::kRecordFailed, true);
      return false;
    }
    if (!is_approved) return refuse_answered(unit, verdict, answer.state, text);
    services_.counters.add(Metric::kHoldsApproved);
    ++hold_->given;
    if (!hold_->is_released() && !open_ticket(unit, verdict)) return true;
  }
  if (stream(Direction::kToTarget).waits_for_group > services_.recorder.durable_upto()) return false;  // I5: the answer first.
  return release_held(unit, verdict);
}

bool Session::refuse_answered(const Unit& unit, Verdict& verdict, TicketAnswer::State state, std::string_view text) {
  switch (state) {
    case TicketAnswer::State::kDenied: services_.counters.add(Metric::kHoldsDenied); break;
    case TicketAnswer::State::kExpired: services_.counters.add(Metric::kHoldsExpired); break;
    case TicketAnswer::State::kWithdrawn:
    case TicketAnswer::State::kOpen:
    case TicketAnswer::State::kApproved: services_.counters.add(Metric::kHoldsWithdrawn); break;
  }
  if (hold_->is_cancelled) {
    SessionOutbox outbox(*this, Direction::kToTarget, {});
    codec_->signal({Signal::Kind::kClientCancel, Side::kClient, unit.id, hold_->ticket, {}, {}}, outbox);
  }
  refuse_held(verdict, text);
  return true;
}

// Nobody waits for the answer any more: the client left or cancelled, or the gateway stops, and hears no reviewers.
// Post: how the ticket stands for this session; nothing: somebody waits.
std::optional<TicketAnswer> Session::withdraw_hold() {
  if (services_.directory.take_cancel(id_)) {
    hold_->is_cancelled = true;
    services_.tickets->withdraw(hold_->ticket, "its client cancelled it", wall_seconds());
    return services_.tickets->ask(hold_->ticket, wall_seconds());
  }
  if (is_draining_) return services_.tickets->leave(hold_->ticket, TicketDesk::Leave::kGatewayStops, "the gateway is being stopped", wall_seconds());
  if (stream(Direction::kToTarget).is_eof) return services_.tickets->leave(hold_->ticket, TicketDesk::Leave::kClientLeft, "the client left", wall_seconds());
  return std::nullopt;
}

// Approved by all who must.  Judged again by what is in force now: a reload may have closed it.
bool Session::release_held(const Unit& unit, Verdict& verdict) {
  if (judged_by_ != services_.runtime) {
    held_by_ = judged_by_;  // Verdicts of units that are not settled point into it.
    judged_by_ = services_.runtime;
    auto next = judged_by_->policy->open(facts_);
    next->inherit(*policy_);
    policy_ = std::move(next);
  }
  const Bytes wire = stream(Direction::kToTarget).buffer.slice(unit.wire);
  DecideContext context = decide_context(Direction::kToTarget);
  name_requests();
  Verdict again;
  judged_by_->policy->decide(context, *codec_, wire, unit.wire.offset, {&unit, 1}, {&again, 1});
  if (again.action == Verdict::Action::kWait) return false;
  if (again.action == Verdict::Action::kHold && !again.observed) {
    const auto missing = std::find_if(again.approvals.begin(), again.approvals.end(), [&](std::string_view each) {
      return std::find(hold_->wanted.begin(), hold_->wanted.end(), each) == hold_->wanted.end();
    });
    if (missing != again.approvals.end()) {
      hold_->wanted.emplace_back(*missing);
      verdict = again;
      return !open_ticket(unit, verdict);
    }
    again.action = again.edits.empty() ? Verdict::Action::kAllow : Verdict::Action::kMask;
  }
  if (!again.observed && !passes(again.action)) {
    record_note("ticket " + std::to_string(hold_->ticket) + ": judged again before its release, and refused by rule " + std::string(again.rule_name));
  }
  services_.counters.add(passes(again.action) || again.observed ? Metric::kCommandsAllowed : Metric::kCommandsBlocked);
  verdict = again;
  hold_.reset();
  return true;
}

// The session ends: what nobody answered has no asker any more.
void Session::drop_hold() {
  if (!hold_) return;
  if (!hold_->is_released()) {
    const bool has_left = end_ == EndReason::kClientClosed || end_ == EndReason::kClientReset, stops = end_ == EndReason::kDrained;
    std::string why = "the session ended";
    if (has_left || stops) {
      const auto how = stops ? TicketDesk::Leave::kGatewayStops : TicketDesk::Leave::kClientLeft;
      why = services_.tickets->leave(hold_->ticket, how, stops ? "the gateway is being stopped" : "the client left", wall_seconds()).reason;
    } else {
      services_.tickets->withdraw(hold_->ticket, why, wall_seconds());
    }
    services_.counters.add(Metric::kHoldsWithdrawn);
    record_note("ticket " + std::to_string(hold_->ticket) + " was withdrawn: " + why);
  }
  hold_.reset();
}

}  // namespace weir::session

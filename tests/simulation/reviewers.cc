#include "simulation/reviewers.h"

#include <algorithm>

#include "base/check.h"
#include "simulation/postgres_target.h"

namespace weir::simulation {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;
using State = TicketAnswer::State;

constexpr seconds kSlow{70};        // A client is told again each minute.
constexpr seconds kDeadline{80};
constexpr const char* kIssuer = "https://idp.simulated";

decide::Reviewer reviewer(std::string subject, std::vector<std::string> groups, std::string issuer = kIssuer, std::vector<std::string> acting_for = {}) {
  return {std::move(subject), std::move(groups), std::move(issuer), std::move(acting_for)};
}

}  // namespace

Reviewers::Reviewers(World& world) : world_(world), random_(world.seed() ^ 0x7265'7669'6577'6572ULL), needed_(1 + static_cast<uint32_t>(random_.below(2))) {
  ApprovalConfig terms;
  terms.name = "two-eyes";
  terms.reviewers.groups = {"reviewers"};
  terms.min_reviewers = needed_;
  terms.deadline = kDeadline;
  auto book = decide::TicketBook::open(store_, {}, {terms}, wall());
  WEIR_CHECK(book);
  book_ = std::move(*book);
}

Reviewers::~Reviewers() = default;

// As SimIo says it.
sys_seconds Reviewers::wall() const { return sys_seconds(std::chrono::hours(24 * 365 * 50)) + std::chrono::floor<seconds>(world_.now()); }

bool Reviewers::is_open(const Ticket& ticket, sys_seconds now) const { return !ticket.is_denied && !is_approved(ticket) && !ticket.is_withdrawn && now < ticket.deadline; }

// Not by the world's queue: an event a minute away would let the time jump there while the engine has work to do.
void Reviewers::plan(std::chrono::nanoseconds after, std::function<void()> what) { planned_.emplace(world_.now() + after, std::move(what)); }

void Reviewers::run_due(std::chrono::nanoseconds until) {
  while (!planned_.empty() && planned_.begin()->first <= until) {
    const auto what = std::move(planned_.begin()->second);
    planned_.erase(planned_.begin());
    what();
  }
}

Result<uint64_t> Reviewers::open(const TicketRequest& request, sys_seconds now) {
  run_due(world_.now());
  const bool is_slow = !has_slow_ && world_.random().one_in(16);
  has_slow_ = has_slow_ || is_slow;
  const std::chrono::nanoseconds answered_after = world_.delay(std::chrono::milliseconds(3'000)) + (is_slow ? kSlow : seconds(0));
  const auto opened = book_->open(request, now);
  if (!opened) {
    broken_.push_back("a ticket was not opened: " + opened.error().message);
    return opened;
  }
  Ticket& ticket = tickets_[*opened];
  ticket.statement = request.statement;
  ticket.subject = request.identity->subject;
  ticket.deadline = now + kDeadline;
  ticket.is_slow = is_slow;
  const bool is_unanswered = is_slow && random_.one_in(3);
  const uint64_t number = *opened;
  if (!is_unanswered) {
    const bool is_approval = !is_denied(request.statement);
    if (is_approval && needed_ == 2) {
      // The other one before, or at the same moment.
      const std::chrono::nanoseconds before = random_.one_in(2) ? answered_after : answered_after / 2;
      plan(before, [this, number] { say(number, {reviewer("user:bob", {"reviewers"}), true}, true); });
    }
    plan(answered_after, [this, number, is_approval] { say(number, {reviewer("user:ann", {"staff", "reviewers"}), true}, is_approval); });
  }
  plan_noise(number, answered_after, is_unanswered);
  return opened;
}

// Who may not, and why.
Reviewers::Who Reviewers::somebody(const Ticket& ticket) {
  switch (random_.below(6)) {
    case 0: return {reviewer(ticket.subject, {"reviewers"}), false};                                        // The requester.
    case 1: return {reviewer("user:mallory", {"staff"}), false};                                            // No reviewer.
    case 2: return {reviewer("user:mallory", {}), false};
    case 3: return {reviewer("user:ann", {"reviewers"}, kIssuer, {"user:boss"}), false};                    // Somebody acts with her token.
    case 4: return {reviewer("local:ann", {"reviewers"}), false};                                           // A token that says it is a login here.
    default: return {reviewer("reviewers", {}), false};                                                     // A group's name as one's own.
  }
}

void Reviewers::plan_noise(uint64_t number, std::chrono::nanoseconds answered_after, bool is_unanswered) {
  const auto within = [&](std::chrono::nanoseconds span) { return std::chrono::nanoseconds(random_.below(static_cast<uint64_t>(span.count()) + 1)); };
  for (uint64_t left = random_.below(4); left > 0; --left) {
    const bool is_approval = !random_.one_in(4);
    const auto at = within(answered_after + answered_after / 2);
    plan(at, [this, number, is_approval] {
      const Who who = somebody(tickets_.at(number));
      say(number, who, is_approval || who.reviewer.subject == tickets_.at(number).subject);   // Whoever asked may well deny it.
    });
  }
  // One reviewer twice: with two needed it is still one.
  if (needed_ == 2 && !is_denied(tickets_.at(number).statement) && random_.one_in(2)) {
    for (int i = 0; i < 2; ++i) plan(within(answered_after / 2), [this, number] { say(number, {reviewer("user:bob", {"reviewers"}), true}, true); });
  }
  // After the answer, and after the deadline.
  if (!is_unanswered && random_.one_in(2)) {
    plan(answered_after + within(seconds(1)), [this, number] { say(number, {reviewer("user:carl", {"reviewers"}), true}, true); });
  }
  plan(kDeadline + seconds(1) + within(seconds(5)), [this, number] { say(number, {reviewer("user:dora", {"reviewers"}), true}, true); });
  // A number that was never given.
  if (random_.one_in(4)) plan(within(answered_after), [this, number] { say(number + 100'000, {reviewer("user:ann", {"reviewers"}), true}, true); });
}

void Reviewers::say(uint64_t number, const Who& who, bool is_approval) {
  const sys_seconds now = wall();
  const auto found = tickets_.find(number);
  const bool is_wanted = found != tickets_.end() && who.may && is_open(found->second, now);
  const auto outcome = is_approval ? book_->approve(number, who.reviewer, "a reason", {}, now) : book_->deny(number, who.reviewer, "a reason", now);
  if (outcome.has_value() != is_wanted) {
    broken_.push_back("ticket " + std::to_string(number) + ": " + (is_approval ? "approval by " : "denial by ") + who.reviewer.subject + (is_wanted ? " was refused: " + outcome.error().message : " counted"));
  }
  if (!is_wanted) {
    ++refused_;
    return;
  }
  if (is_approval) found->second.approvers.insert(who.reviewer.subject);
  else found->second.is_denied = true;
}

TicketAnswer Reviewers::ask(uint64_t number, sys_seconds now) {
  run_due(world_.now());
  Ticket& ticket = tickets_.at(number);
  TicketAnswer answer = book_->ask(number, now);
  const State wanted = ticket.is_denied      ? State::kDenied
                       : is_approved(ticket) ? State::kApproved
                       : ticket.is_withdrawn ? State::kWithdrawn
                       : now >= ticket.deadline ? State::kExpired
                                                : State::kOpen;
  if (answer.state != wanted) {
    broken_.push_back("ticket " + std::to_string(number) + " is " + std::string(weir::name_of(answer.state)) + ", and should be " + std::string(weir::name_of(wanted)));
  }
  if (answer.state != State::kOpen) {
    ticket.is_told = true;
    ticket.told = answer.state;
  }
  return answer;
}

void Reviewers::withdraw(uint64_t number, std::string_view why, sys_seconds now) {
  run_due(world_.now());
  Ticket& ticket = tickets_.at(number);
  book_->withdraw(number, why, now);
  ticket.is_left = true;
  ticket.is_withdrawn = ticket.is_withdrawn || is_open(ticket, now);   // What was answered before stays as it was answered.
}

bool Reviewers::use_approval(const std::string& statement) {
  for (auto& [number, ticket] : tickets_) {
    if (ticket.statement != statement || !is_approved(ticket) || ticket.told != State::kApproved || ticket.used != 0) continue;
    ++ticket.used;
    return true;
  }
  return false;
}

bool Reviewers::has_unanswered(std::string_view bytes) const {
  return std::any_of(tickets_.begin(), tickets_.end(), [&](const auto& each) { return each.second.told == State::kExpired && bytes.find(each.second.statement) != std::string_view::npos; });
}

std::size_t Reviewers::slow_count() const {
  return static_cast<std::size_t>(std::count_if(tickets_.begin(), tickets_.end(), [](const auto& each) { return each.second.is_slow && each.second.is_told; }));
}

void Reviewers::finish() { run_due(std::chrono::nanoseconds::max()); }

std::size_t Reviewers::open_count() const {
  return static_cast<std::size_t>(std::count_if(tickets_.begin(), tickets_.end(), [](const auto& each) { return !each.second.is_told && !each.second.is_left; }));
}

}  // namespace weir::simulation

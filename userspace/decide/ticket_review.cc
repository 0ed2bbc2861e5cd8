// What reviewers say of a ticket: who may, when it is too late, and what it leaves behind.
#include <algorithm>

#include "core/time_text.h"
#include "decide/rule_table.h"
#include "decide/ticket_book.h"

namespace weir::decide {
namespace {

using std::chrono::sys_seconds;
using State = TicketAnswer::State;

bool may_review(const ApprovalConfig& terms, const Reviewer& reviewer) {
  Identity identity;
  identity.subject = reviewer.subject;
  identity.groups = reviewer.groups;
  const WhoConfig& who = terms.reviewers;
  // The configuration refuses it; here nobody is not anybody.
  return !(who.subjects.empty() && who.groups.empty()) && Who(who).admits(identity);
}

}  // namespace

// The ticket, if this reviewer may answer it at all; whether it is still open is asked by who answers.
Result<TicketPtr> TicketBook::reviewable(uint64_t number, const Reviewer& reviewer, std::string_view reason) const {
  const auto found = records_.tickets.find(number);
  if (found == records_.tickets.end()) return fail(Error::Kind::kNotFound, "there is no ticket " + std::to_string(number));
  const TicketPtr& ticket = found->second;
  if (reason.empty()) return fail(Error::Kind::kInvalid, "a reason is required");
  if (reason.size() > kTicketReasonMax)
    return fail(Error::Kind::kInvalid, "the reason is longer than " + std::to_string(kTicketReasonMax) + " bytes");
  if (reviewer.subject.starts_with(kLocalReviewer) != reviewer.issuer.empty()) {
    return fail(Error::Kind::kDenied, "names that begin with local: are those of the gateway's own host, and no token has one");
  }
  if (!reviewer.acting_for.empty())
    return fail(Error::Kind::kDenied, "a token that somebody else acts with reviews nothing: sign in yourself");
  if (ticket->is_open() && ticket->terms == nullptr) {
    return fail(Error::Kind::kDenied, "approval \"" + ticket->approval + "\" is not in this gateway's configuration" +
                                          (is_own(*ticket) ? "" : ": answer it at " + ticket->gateway));
  }
  if (ticket->terms != nullptr && !may_review(*ticket->terms, reviewer)) {
    return fail(Error::Kind::kDenied, reviewer.subject + " is none of the reviewers of approval \"" + ticket->approval + "\"");
  }
  return ticket;
}

Result<TicketBook::Outcome> TicketBook::add_approval(uint64_t number, const Reviewer& reviewer, std::string_view reason,
                                                     sys_seconds until, sys_seconds now, std::unique_lock<std::mutex>& lock) {
  auto found = reviewable(number, reviewer, reason);
  if (!found) return tl::unexpected<Error>(found.error());
  const Ticket& ticket = **found;
  if (reviewer.subject == ticket.subject)
    return fail(Error::Kind::kDenied, "ticket " + std::to_string(number) + " is your own: somebody else approves it");
  if (std::find(ticket.acting_for.begin(), ticket.acting_for.end(), reviewer.subject) != ticket.acting_for.end()) {
    return fail(Error::Kind::kDenied, "ticket " + std::to_string(number) + " is asked in your name: somebody else approves it");
  }
  if (!ticket.is_open()) return fail(Error::Kind::kDenied, state_text(ticket));
  const auto by_same = [&](const TicketReview& each) { return each.by == reviewer.subject; };
  if (std::any_of(ticket.answers.begin(), ticket.answers.end(), by_same)) {
    return Outcome{*found, reviewer.subject + " has approved this already: another reviewer is needed", false};
  }
  if (until != sys_seconds{}) {
    if (!ticket.terms->is_for_class)
      return fail(Error::Kind::kInvalid, "approval \"" + ticket.approval + "\" is bound to one command: it opens no window");
    if (ticket.verbs == 0 || ticket.statement.empty())
      return fail(Error::Kind::kInvalid, "what nobody can read opens no window");
    if (until <= now || until > now + ticket.terms->window_max) {
      return fail(Error::Kind::kInvalid, "a window of approval \"" + ticket.approval + "\" ends after now, and at " +
                                             utc_text(now + ticket.terms->window_max) + " at the latest");
    }
  }
  Ticket answered = ticket;
  answered.answers.push_back({reviewer.subject, reviewer.issuer, now, true, std::string(reason), until, reviewer.groups});
  const bool is_enough = answered.answers.size() >= answered.min_reviewers;
  if (is_enough) {
    answered.state = State::kApproved;
    answered.closed = now;
    // With this write: whose session waits here goes on after it, once.  What waits elsewhere is marked by the gateway that has it.
    answered.is_used = is_own(ticket) && !ticket.is_detached;
    shorten(answered);
  }
  const auto put_down = put(*found, std::move(answered), lock);
  if (!put_down) return tl::unexpected<Error>(put_down.error());
  if (*put_down == nullptr) return Outcome{};
  const TicketPtr& kept = *put_down;
  if (!is_enough) {
    const std::size_t left = kept->min_reviewers - kept->answers.size();
    return Outcome{kept, "noted; " + std::to_string(left) + " more must approve until " + utc_text(kept->deadline)};
  }
  ++counters_.approved;
  if (!is_own(*kept)) return Outcome{kept, "approved; gateway " + kept->gateway + " looks at it again and lets it through"};
  if (kept->is_detached) return Outcome{kept, "approved; nobody waits: the same command passes once, asked again before " + utc_text(kept->deadline)};
  auto window = window_of(*kept);
  if (!window || window->until <= now) return Outcome{kept, "approved"};
  const std::string text =
      "approved; so is what " + window->subject + " asks for on " + window->target + " until " + utc_text(window->until);
  windows_.push_back(std::move(*window));
  return Outcome{kept, text};
}

// All reviewers gave one, and the earliest end counts.
std::optional<TicketBook::Window> TicketBook::window_of(const Ticket& ticket) const {
  if (ticket.terms == nullptr || !ticket.terms->is_for_class || ticket.verbs == 0 || ticket.statement.empty() || ticket.answers.empty()) return std::nullopt;
  Window window{ticket.subject, ticket.issuer, ticket.target, ticket.approval, ticket.acting_for, ticket.verbs, ticket.closed, {}, ticket.number, ticket.answers};
  window.until = ticket.closed + ticket.terms->window_max;
  for (const TicketReview& each : ticket.answers) window.until = std::min(window.until, each.until);
  return window;
}

std::string TicketBook::doubt(const Ticket& ticket) const {
  if (ticket.terms == nullptr) return "approval \"" + ticket.approval + "\" is not in this gateway's configuration";
  std::vector<std::string> seen;
  for (const TicketReview& each : ticket.answers) {
    const bool is_asker = each.by == ticket.subject || std::find(ticket.acting_for.begin(), ticket.acting_for.end(), each.by) != ticket.acting_for.end();
    if (is_asker) return each.by + " asked for it, or it is asked in their name";
    if (each.by.starts_with(kLocalReviewer) != each.issuer.empty()) return each.by + " is a name of a gateway's own host";
    if (!may_review(*ticket.terms, {each.by, each.groups, each.issuer, {}})) return each.by + " is none of this gateway's reviewers of approval \"" + ticket.approval + "\"";
    if (std::find(seen.begin(), seen.end(), each.by) != seen.end()) return each.by + " stands twice";
    seen.push_back(each.by);
  }
  return "";
}

// By what the store has: another gateway may have taken an answer that nobody was told of yet.
Result<TicketBook::Outcome> TicketBook::answer(uint64_t number, sys_seconds now, const std::function<Result<Outcome>(std::unique_lock<std::mutex>&)>& add) {
  constexpr int kTries = 8;  // Each lost to another gateway's answer.
  std::vector<uint64_t> sessions;
  Result<Outcome> outcome = [&]() -> Result<Outcome> {
    const std::lock_guard writing(writer_);
    std::unique_lock lock(mutex_);
    Result<Outcome> added = fail(Error::Kind::kUnavailable, "others answer it all the time: try again");
    for (int tries = 0; tries < kTries; ++tries) {
      sessions = sweep(now);
      if (auto seen = refresh(number, lock); !seen) {
        added = fail(seen.error().kind, "the answer cannot be kept, so nothing has changed: " + seen.error().message, seen.error().code);
        break;
      }
      added = add(lock);
      if (!added || added->ticket != nullptr) break;
      added = fail(Error::Kind::kUnavailable, "others answer it all the time: try again");
    }
    if (!added)
      ++counters_.answers_refused;
    else if (!added->ticket->is_open() && is_own(*added->ticket) && !added->ticket->is_detached)
      sessions.push_back(added->ticket->session);
    sessions.insert(sessions.end(), to_tell_.begin(), to_tell_.end());
    to_tell_.clear();
    return added;
  }();
  tell(sessions);
  return outcome;
}

Result<TicketBook::Outcome> TicketBook::approve(uint64_t number, const Reviewer& reviewer, std::string_view reason,
                                                sys_seconds until, sys_seconds now) {
  return answer(number, now, [&](std::unique_lock<std::mutex>& lock) { return add_approval(number, reviewer, reason, until, now, lock); });
}

Result<TicketBook::Outcome> TicketBook::add_denial(uint64_t number, const Reviewer& reviewer, std::string_view reason,
                                                   sys_seconds now, std::unique_lock<std::mutex>& lock) {
  auto found = reviewable(number, reviewer, reason);
  if (!found) return tl::unexpected<Error>(found.error());
  const Ticket& ticket = **found;
  if (!ticket.is_open()) {
    if (!is_own(ticket) && ticket.state == State::kApproved && !ticket.is_window_ended &&
        std::any_of(ticket.answers.begin(), ticket.answers.end(), [now](const TicketReview& each) { return each.until > now; })) {
      Ticket ended = ticket;
      ended.is_window_ended = true;
      const auto put_down = put(*found, std::move(ended), lock);
      if (!put_down) return tl::unexpected<Error>(put_down.error());
      return Outcome{*put_down, "the command was approved before; the window that it opened at " + ticket.gateway + " ends"};
    }
    const std::size_t ended = std::erase_if(windows_, [&](const Window& each) { return each.ticket == number; });
    if (ended == 0) return fail(Error::Kind::kDenied, state_text(ticket));
    return Outcome{*found, "the command was approved before; the window that it opened has ended"};
  }
  Ticket denied = ticket;
  denied.answers.push_back({reviewer.subject, reviewer.issuer, now, false, std::string(reason), {}, reviewer.groups});
  denied.state = State::kDenied;
  denied.closed = now;
  shorten(denied);
  // Before the disk is asked: a denial that cannot be written leaves the ticket open, but lets nothing through unasked.
  std::erase_if(windows_, [&](const Window& each) { return each.is_of(denied); });
  const auto put_down = put(*found, std::move(denied), lock);
  if (!put_down) return tl::unexpected<Error>(put_down.error());
  if (*put_down == nullptr) return Outcome{};
  const TicketPtr& kept = *put_down;
  ++counters_.denied;
  return Outcome{kept, "denied"};
}

Result<TicketBook::Outcome> TicketBook::deny(uint64_t number, const Reviewer& reviewer, std::string_view reason,
                                             sys_seconds now) {
  return answer(number, now, [&](std::unique_lock<std::mutex>& lock) { return add_denial(number, reviewer, reason, now, lock); });
}

}  // namespace weir::decide

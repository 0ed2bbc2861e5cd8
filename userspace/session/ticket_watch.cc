#include "session/ticket_watch.h"

#include <utility>

#include "core/time_text.h"

namespace weir::session {
namespace {

constexpr std::size_t kStatementMax = 2'000;  // Of a held statement, masked; the ticket has all of it.

NoticeSeverity severity_of(TicketAnswer::State state) {
  switch (state) {
    case TicketAnswer::State::kOpen:
    case TicketAnswer::State::kExpired: return NoticeSeverity::kMedium;
    case TicketAnswer::State::kApproved:
    case TicketAnswer::State::kDenied:
    case TicketAnswer::State::kWithdrawn: return NoticeSeverity::kLow;
  }
  return NoticeSeverity::kMedium;
}

std::string sentence_of(const decide::Ticket& ticket) {
  const std::string which = "ticket " + std::to_string(ticket.number);
  if (ticket.is_open()) {
    return which + " waits for " + std::to_string(ticket.min_reviewers) + (ticket.min_reviewers == 1 ? " reviewer" : " reviewers") + " until " +
           utc_text(ticket.deadline) + ": " + ticket.reason;
  }
  std::string text = which + " was " + std::string(weir::name_of(ticket.state));
  for (const decide::TicketReview& each : ticket.answers) text += (&each == &ticket.answers.front() ? " by " : ", ") + each.by;
  const std::string why = ticket.answers.empty() ? ticket.text : ticket.answers.back().reason;
  return why.empty() ? text : text + ": " + why;
}

}  // namespace

TicketWatch::TicketWatch(decide::TicketBook& book, std::string gateway, std::chrono::sys_seconds started, Tell tell, std::function<void()> wake)
    : book_(book), gateway_(std::move(gateway)), started_(started), tell_(std::move(tell)), wake_(std::move(wake)) {
  // Told as open by an earlier run.  The book has denied, at its start, what nobody waits for any more.
  for (const decide::TicketPtr& ticket : book_.list(decide::TicketBook::Which::kAll, started_)) {
    if (ticket->gateway == gateway_ && ticket->window_ticket == 0 && (ticket->is_open() || ticket->closed >= started_)) watched_.insert(ticket->number);
  }
}

Result<uint64_t> TicketWatch::open(const TicketRequest& request, std::chrono::sys_seconds now) {
  auto opened = book_.open(request, now);
  if (!opened) return opened;
  {
    const std::lock_guard lock(mutex_);
    opened_.push_back(*opened);        // As many as the book lets be open, and what was opened since the last turn.
  }
  wake_();
  return opened;
}

void TicketWatch::withdraw(uint64_t ticket, std::string_view why, std::chrono::sys_seconds now) {
  book_.withdraw(ticket, why, now);
  wake_();
}

TicketAnswer TicketWatch::leave(uint64_t ticket, Leave how, std::string_view why, std::chrono::sys_seconds now) {
  const TicketAnswer answer = book_.leave(ticket, how, why, now);
  wake_();
  return answer;
}

Notice TicketWatch::notice_of(const decide::Ticket& ticket) {
  Notice notice;
  notice.event = NoticeEvent::kTicket;
  notice.severity = severity_of(ticket.state);
  notice.subject = ticket.subject;
  notice.target = ticket.target;
  notice.rule = ticket.rule;
  notice.state = weir::name_of(ticket.state);
  notice.text = sentence_of(ticket);
  notice.statement = ticket.statement.size() <= kStatementMax ? ticket.statement : ticket.statement.substr(0, kStatementMax) + " ...";
  notice.session = ticket.session;
  notice.unit = ticket.unit;
  notice.ticket = ticket.number;
  return notice;
}

void TicketWatch::turn(std::chrono::sys_seconds now) {
  std::vector<uint64_t> opened;
  {
    const std::lock_guard lock(mutex_);
    opened.swap(opened_);
  }
  for (const uint64_t number : opened) {
    const decide::TicketPtr ticket = book_.find(number, now);
    if (ticket == nullptr || watched_.contains(number)) continue;  // Asked for again: it was told.
    decide::Ticket first = *ticket;    // It may be over by now: that it was open is told first.
    if (ticket->window_ticket != 0) continue;  // Approved before anybody was asked: there is nothing to answer.
    first.state = TicketAnswer::State::kOpen;
    first.answers.clear();
    tell_(notice_of(first));
    watched_.insert(number);
  }
  if (watched_.empty()) return;
  std::set<uint64_t> open;
  for (const decide::TicketPtr& ticket : book_.list(decide::TicketBook::Which::kOpen, now)) open.insert(ticket->number);
  for (auto each = watched_.begin(); each != watched_.end();) {
    if (open.contains(*each)) {
      ++each;
      continue;
    }
    if (const decide::TicketPtr ticket = book_.find(*each, now)) tell_(notice_of(*ticket));
    each = watched_.erase(each);
  }
}

}  // namespace weir::session

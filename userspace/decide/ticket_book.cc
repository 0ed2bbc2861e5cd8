#include "decide/ticket_book.h"

#include <algorithm>

#include "core/time_text.h"

namespace weir::decide {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;
using State = TicketAnswer::State;

uint64_t bytes_of(const Ticket& ticket) { return ticket.statement.size() + ticket.parameters.size() + ticket.objects.size(); }
bool is_same_person(const Ticket& a, const Ticket& b) { return a.subject == b.subject && a.issuer == b.issuer; }
// What an approval is bound to, but for the session.
bool is_same_command(const Ticket& a, const Ticket& b) {
  return is_same_person(a, b) && a.acting_for == b.acting_for && a.target == b.target && a.login == b.login && a.database == b.database &&
         a.approval == b.approval && a.digest == b.digest;
}

Ticket ticket_of(const TicketRequest& request, sys_seconds now) {
  Ticket ticket;
  ticket.session = request.session;
  ticket.unit = request.unit;
  ticket.subject = request.identity->subject;
  ticket.issuer = request.identity->issuer;
  ticket.groups = request.identity->groups;
  ticket.acting_for = request.identity->acting_for;
  ticket.assurance = request.identity->assurance;
  ticket.target = request.target;
  ticket.login = request.login;
  ticket.database = request.database;
  ticket.rule = request.rule;
  ticket.approval = request.approval;
  ticket.reason = request.reason;
  ticket.statement = request.statement;
  ticket.parameters = request.parameters;
  ticket.objects = request.objects;
  ticket.verbs = request.verbs;
  ticket.digest = request.digest;
  ticket.opened = now;
  return ticket;
}

bool is_same(const ApprovalConfig& a, const ApprovalConfig& b) {
  return a.reviewers.subjects == b.reviewers.subjects && a.reviewers.groups == b.reviewers.groups &&
         a.min_reviewers == b.min_reviewers && a.is_resumed_at_restart == b.is_resumed_at_restart && a.is_kept_without_client == b.is_kept_without_client && a.deadline == b.deadline && a.is_for_class == b.is_for_class &&
         a.window_max == b.window_max;
}

}  // namespace

bool TicketBook::Window::is_of(const Ticket& other) const {
  return subject == other.subject && issuer == other.issuer && target == other.target && approval == other.approval;
}

// What cannot be told by its verbs, or not be shown at all, needs a reviewer of its own.
bool TicketBook::Window::covers(const Ticket& other, sys_seconds now) const {
  const auto allowed = static_cast<VerbSet>(verbs | bit(Verb::kSession));
  const bool is_known = other.verbs != 0 && !other.statement.empty();
  return is_known && is_of(other) && acting_for == other.acting_for && (other.verbs & ~allowed) == 0 && opened <= now &&
         now < until;
}

// From the store each gateway takes its own, and what a gateway that is not there any more left behind.
void TicketBook::take_out(const Ticket& ticket, sys_seconds now) {
  const auto version = versions_.find(ticket.number);
  const bool is_left_behind = ticket.deadline + 2 * options_.kept_for <= now;
  if (version != versions_.end() && (is_own(ticket) || is_left_behind)) gone_.emplace(ticket.number, version->second);
  if (version != versions_.end()) versions_.erase(version);
  dirty_.erase(ticket.number);
}

Result<void> TicketBook::forget(const std::vector<uint64_t>& sessions) {
  {
    const std::lock_guard lock(mutex_);
    const std::set<uint64_t> gone(sessions.begin(), sessions.end());
    for (auto each = records_.tickets.begin(); each != records_.tickets.end();) {
      const Ticket& ticket = *each->second;
      if (!is_own(ticket) || !gone.contains(ticket.session) || is_waiting(ticket)) {
        ++each;
        continue;
      }
      take_out(ticket, sys_seconds{});
      each = records_.tickets.erase(each);
    }
  }
  return flush();
}

bool TicketBook::has_waiting(uint64_t session) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(records_.tickets.begin(), records_.tickets.end(), [&](const auto& each) { return each.second->session == session && is_own(*each.second) && is_waiting(*each.second); });
}

void TicketBook::prune(sys_seconds now) {
  std::size_t closed = records_.tickets.size() - open_.size();
  for (auto each = records_.tickets.begin(); each != records_.tickets.end();) {
    const Ticket& ticket = *each->second;
    const bool is_old = ticket.closed + options_.kept_for <= now;
    if (is_waiting(ticket) || (!is_old && closed <= options_.kept_max)) {
      ++each;
      continue;
    }
    take_out(ticket, now);
    each = records_.tickets.erase(each);
    --closed;
  }
}

// In memory first: what is over stays over, whatever the disk or the clock do.
void TicketBook::close(uint64_t number, State state, std::string text, sys_seconds now) {
  TicketPtr& ticket = records_.tickets.at(number);
  Ticket closed = *ticket;
  closed.state = state;
  closed.text = std::move(text);
  closed.closed = now;
  shorten(closed);
  const bool is_here = is_own(closed);
  ticket = std::make_shared<const Ticket>(std::move(closed));
  open_.erase(number);
  kept_.erase(number);
  claimed_.erase(number);
  if (is_here) touch(number);  // What waits at another gateway is closed by that one; here it is over all the same.
}

std::vector<uint64_t> TicketBook::sweep(sys_seconds now) {
  if (now == swept_) return {};  // Times are whole seconds: what is over now was found by the first that asked in this one.
  swept_ = now;
  std::erase_if(windows_, [now](const Window& window) { return now >= window.until || now < window.opened; });
  std::vector<uint64_t> over, sessions;
  for (const std::set<uint64_t>* waiting : {&open_, &claimed_}) {
    for (const uint64_t number : *waiting) {
      if (now >= records_.tickets.at(number)->deadline) over.push_back(number);
    }
  }
  std::erase_if(kept_, [&](uint64_t number) { return now >= records_.tickets.at(number)->deadline && !records_.tickets.at(number)->is_open(); });
  for (const uint64_t number : over) {
    const Ticket& ticket = *records_.tickets.at(number);
    if (is_own(ticket)) {
      if (!ticket.is_detached) sessions.push_back(ticket.session);
      ++counters_.expired;
    }
    close(number, State::kExpired, claimed_.contains(number) ? "the approval could not be written down in time" : "nobody answered in time", now);
  }
  return sessions;
}

void TicketBook::tell(const std::vector<uint64_t>& sessions) const {
  for (const uint64_t session : sessions) {
    if (on_answer_) on_answer_(session);
  }
}

Result<void> TicketBook::has_room(const Ticket& ticket) const {
  uint64_t bytes = bytes_of(ticket), own_bytes = bytes, own = 1, here = 0;
  for (const uint64_t number : open_) {
    const Ticket& other = *records_.tickets.at(number);
    if (!is_own(other)) continue;
    ++here;
    bytes += bytes_of(other);
    if (!is_same_person(ticket, other)) continue;
    own_bytes += bytes_of(other);
    ++own;
  }
  if (own > options_.open_per_identity_max || own_bytes > options_.open_bytes_max / 4) {
    return fail(Error::Kind::kUnavailable,
                "too many commands of " + ticket.subject + " wait for reviewers (" + std::to_string(own - 1) + ")");
  }
  if (here >= options_.open_max || bytes > options_.open_bytes_max) {
    return fail(Error::Kind::kUnavailable, "too many commands wait for reviewers (" + std::to_string(here) + ")");
  }
  return {};
}

Result<uint64_t> TicketBook::open(const TicketRequest& request, sys_seconds now) {
  std::vector<uint64_t> over;
  Result<uint64_t> opened = [&]() -> Result<uint64_t> {
    const std::lock_guard lock(mutex_);
    over = sweep(now);
    const auto terms = approvals_.find(request.approval);
    if (terms == approvals_.end()) {
      ++counters_.refused;
      return fail(Error::Kind::kNotFound, "there is no approval \"" + request.approval + "\"");
    }
    Ticket ticket = ticket_of(request, now);
    ticket.deadline = now + terms->second->deadline;
    ticket.min_reviewers = terms->second->min_reviewers;
    ticket.terms = terms->second;
    ticket.gateway = options_.gateway;
    ticket.may_resume = terms->second->is_resumed_at_restart;
    ticket.may_keep = terms->second->is_kept_without_client;
    if (const uint64_t kept = resume(ticket, now); kept != 0) return kept;
    const auto window =
        std::find_if(windows_.begin(), windows_.end(), [&](const Window& each) { return each.covers(ticket, now); });
    const bool is_approved = window != windows_.end();
    if (is_approved) {
      ticket.state = State::kApproved;
      ticket.is_used = true;
      ticket.closed = now;
      ticket.answers = window->answers;
      ticket.window_ticket = window->ticket;
      ticket.text =
          "within the window that ticket " + std::to_string(window->ticket) + " opened until " + utc_text(window->until);
      shorten(ticket);
    } else if (const auto room = has_room(ticket); !room) {
      ++counters_.refused;
      return tl::unexpected<Error>(room.error());
    }
    if (next_number_ == numbers_until_ && spare_first_ != 0) {
      next_number_ = std::exchange(spare_first_, 0);
      numbers_until_ = next_number_ + kNumbersAhead;
    }
    if (!write_error_.empty() || next_number_ == numbers_until_) {
      ++counters_.refused;
      return fail(Error::Kind::kSystem, "the ticket cannot be kept: " + (write_error_.empty() ? "too many at once" : write_error_));
    }
    const uint64_t number = next_number_++;
    ticket.number = number;
    if (!is_approved) open_.insert(number);
    records_.tickets.emplace(number, std::make_shared<const Ticket>(std::move(ticket)));
    prune(now);
    touch(number);
    ++counters_.opened;
    if (is_approved) ++counters_.approved_by_window;
    return number;
  }();
  tell(over);
  return opened;
}

TicketAnswer TicketBook::ask(uint64_t number, sys_seconds now) {
  std::vector<uint64_t> over;
  TicketAnswer answer;
  {
    const std::lock_guard lock(mutex_);
    over = sweep(now);
    const auto found = records_.tickets.find(number);
    if (found == records_.tickets.end()) {
      answer.state = State::kDenied;  // Nobody can answer it any more.
      answer.reason = "there is no ticket " + std::to_string(number);
    } else {
      answer = answer_of(*found->second);
      if (claimed_.contains(number)) answer.state = State::kOpen;
      std::erase(over, found->second->session);
    }
  }
  tell(over);
  return answer;
}

void TicketBook::withdraw(uint64_t number, std::string_view why, sys_seconds now) {
  const std::lock_guard lock(mutex_);
  if (!open_.contains(number) && !claimed_.contains(number)) return;
  close(number, State::kWithdrawn, std::string(why.substr(0, kTicketReasonMax)), now);
  ++counters_.withdrawn;
}

TicketAnswer TicketBook::leave(uint64_t number, Leave how, std::string_view why, sys_seconds now) {
  std::vector<uint64_t> over;
  bool is_kept = false;
  {
    const std::lock_guard lock(mutex_);
    over = sweep(now);
    if (open_.contains(number)) {
      TicketPtr& ticket = records_.tickets.at(number);
      is_kept = how == Leave::kClientLeft ? ticket->may_keep : ticket->may_resume;
      if (is_kept) {
        Ticket kept = *ticket;
        kept.is_detached = true;
        ticket = std::make_shared<const Ticket>(std::move(kept));
        kept_.insert(number);
        touch(number);
        ++counters_.kept;
      }
    }
    if (const auto found = records_.tickets.find(number); found != records_.tickets.end()) std::erase(over, found->second->session);
  }
  tell(over);
  if (!is_kept) withdraw(number, why, now);
  TicketAnswer answer = ask(number, now);
  if (is_kept) {
    answer.state = State::kWithdrawn;
    answer.by.clear();
    answer.reason = std::string(why) + "; the ticket is kept for the same command until " + utc_text(answer.deadline);
  }
  return answer;
}

uint64_t TicketBook::resume(const Ticket& asked, sys_seconds now) {
  const auto found = std::find_if(kept_.begin(), kept_.end(), [&](uint64_t number) {
    const Ticket& ticket = *records_.tickets.at(number);
    return is_same_command(ticket, asked) && now < ticket.deadline;
  });
  if (found == kept_.end() || !write_error_.empty()) return 0;
  const uint64_t number = *found;
  TicketPtr& ticket = records_.tickets.at(number);
  Ticket next = *ticket;
  next.session = asked.session;
  next.unit = asked.unit;
  next.is_detached = false;
  if (!next.is_open()) {
    next.is_used = true;
    claimed_.insert(number);
  }
  ticket = std::make_shared<const Ticket>(std::move(next));
  kept_.erase(found);
  touch(number);
  ++counters_.resumed;
  return number;
}

std::vector<TicketPtr> TicketBook::list(Which which, sys_seconds now) {
  std::vector<uint64_t> over;
  std::vector<TicketPtr> all;
  {
    const std::lock_guard lock(mutex_);
    over = sweep(now);
    for (auto each = records_.tickets.rbegin(); each != records_.tickets.rend(); ++each) {
      if (which == Which::kAll || each->second->is_open()) all.push_back(each->second);
    }
  }
  tell(over);
  return all;
}

TicketPtr TicketBook::find(uint64_t number, sys_seconds now) {
  std::vector<uint64_t> over;
  TicketPtr ticket;
  {
    const std::lock_guard lock(mutex_);
    over = sweep(now);
    const auto found = records_.tickets.find(number);
    if (found != records_.tickets.end()) ticket = found->second;
  }
  tell(over);
  return ticket;
}

void TicketBook::set_approvals(std::vector<ApprovalConfig> configs) {
  const std::lock_guard lock(mutex_);
  const auto before = std::exchange(approvals_, {});
  for (ApprovalConfig& config : configs) {
    std::string name = config.name;
    approvals_.emplace(std::move(name), std::make_shared<const ApprovalConfig>(std::move(config)));
  }
  std::erase_if(windows_, [&](const Window& window) {
    const auto old = before.find(window.approval);
    const auto next = approvals_.find(window.approval);
    return old == before.end() || next == approvals_.end() || !is_same(*old->second, *next->second);
  });
}

void TicketBook::end_windows_of(std::string_view subject, sys_seconds now) {
  const std::lock_guard lock(mutex_);
  std::erase_if(windows_, [&](const Window& each) { return each.subject == subject; });
  const std::set<uint64_t> kept = kept_;
  for (const uint64_t number : kept) {
    if (records_.tickets.at(number)->subject != subject) continue;
    close(number, State::kWithdrawn, "the binding of who asked was revoked", now);
    ++counters_.withdrawn;
  }
}

void TicketBook::expire(sys_seconds now) {
  std::vector<uint64_t> over;
  {
    const std::lock_guard lock(mutex_);
    over = sweep(now);
  }
  tell(over);
}

TicketCounters TicketBook::counters() const {
  const std::lock_guard lock(mutex_);
  TicketCounters counters = counters_;
  counters.open = static_cast<uint64_t>(std::count_if(open_.begin(), open_.end(), [&](uint64_t number) { return is_own(*records_.tickets.at(number)); }));
  return counters;
}

}  // namespace weir::decide

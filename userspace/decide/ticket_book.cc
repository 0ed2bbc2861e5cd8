#include "decide/ticket_book.h"

#include <algorithm>

#include "core/time_text.h"

namespace weir::decide {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;
using State = TicketAnswer::State;

constexpr uint64_t kNumbersAhead = 500;  // That a file of a moment ago still covers; hit: refused until the next write.
constexpr seconds kRetryWrite{1};

uint64_t bytes_of(const Ticket& ticket) { return ticket.statement.size() + ticket.parameters.size() + ticket.objects.size(); }
bool is_same_person(const Ticket& a, const Ticket& b) { return a.subject == b.subject && a.issuer == b.issuer; }

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
         a.min_reviewers == b.min_reviewers && a.deadline == b.deadline && a.is_for_class == b.is_for_class &&
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

Result<std::unique_ptr<TicketBook>> TicketBook::open(std::string file, const Options& options,
                                                     std::vector<ApprovalConfig> approvals, sys_seconds now) {
  auto records = read_tickets(file);
  if (!records && records.error().kind != Error::Kind::kNotFound) return tl::unexpected<Error>(records.error());
  TicketRecords current;
  if (records) {
    current = std::move(*records);
    for (auto& [number, ticket] : current.tickets) {
      if (!ticket->is_open()) continue;
      Ticket denied = *ticket;
      denied.state = State::kDenied;
      denied.text = "the gateway was restarted";
      denied.closed = now;
      ticket = std::make_shared<const Ticket>(std::move(denied));
    }
  } else {
    // A lost file must not lead to old numbers, which the record has.  A thousand a second is more than any gateway opens.
    current.next_number = static_cast<uint64_t>(std::max<int64_t>(now.time_since_epoch().count(), 0)) * 1000 + 1;
  }
  auto book = std::unique_ptr<TicketBook>(new TicketBook(std::move(file), options));
  book->set_approvals(std::move(approvals));
  book->records_ = std::move(current);
  book->prune(now);
  book->is_dirty_ = true;
  if (const auto written = book->flush(); !written) return tl::unexpected<Error>(written.error());
  book->thread_ = std::thread([self = book.get()] { self->serve(); });
  return book;
}

TicketBook::~TicketBook() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
  (void)flush();  // Counted; the record has what was asked and answered.
}

void TicketBook::touch() {
  is_dirty_ = true;
  changed_.notify_all();
}

void TicketBook::serve() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return is_stopping_ || is_dirty_; });
      if (is_stopping_) return;
    }
    if (flush()) continue;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kRetryWrite, [this] { return is_stopping_; });
  }
}

Result<void> TicketBook::flush() {
  const std::lock_guard writing(writer_);
  std::unique_lock lock(mutex_);
  if (!is_dirty_) return {};
  return write(lock, records_);
}

// Pre: writer_ and mutex_ are held.  The disk is written without mutex_: no session waits for it.
Result<void> TicketBook::write(std::unique_lock<std::mutex>& lock, TicketRecords records) {
  const uint64_t until = records.next_number + (is_stopping_ ? 0 : kNumbersAhead);
  records.next_number = until;
  is_dirty_ = false;  // What changes from here on is for the next one.
  lock.unlock();
  auto written = write_tickets(file_, records);
  lock.lock();
  write_error_ = written ? "" : written.error().message;
  if (written) {
    numbers_until_ = until;
  } else {
    is_dirty_ = true;
    ++counters_.write_failures;
  }
  return written;
}

Result<TicketPtr> TicketBook::put(const TicketPtr& before, Ticket after, std::unique_lock<std::mutex>& lock) {
  const uint64_t number = after.number;
  auto next = std::make_shared<const Ticket>(std::move(after));
  TicketRecords records = records_;
  records.tickets[number] = next;
  if (const auto written = write(lock, std::move(records)); !written) return tl::unexpected<Error>(written.error());
  TicketPtr& now = records_.tickets[number];
  if (now != before) {  // Its session went away, or its deadline came, while the disk was written: the file follows.
    touch();
    return fail(Error::Kind::kDenied, state_text(*now));
  }
  now = std::move(next);
  if (!now->is_open()) open_.erase(number);
  return now;
}

void TicketBook::prune(sys_seconds now) {
  std::size_t closed = 0;
  std::erase_if(records_.tickets,
                [&](const auto& each) { return !each.second->is_open() && each.second->closed + options_.kept_for <= now; });
  closed = records_.tickets.size() - open_.size();
  for (auto each = records_.tickets.begin(); each != records_.tickets.end() && closed > options_.kept_max;) {
    if (each->second->is_open()) {
      ++each;
    } else {
      each = records_.tickets.erase(each);
      --closed;
    }
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
  ticket = std::make_shared<const Ticket>(std::move(closed));
  open_.erase(number);
  touch();
}

std::vector<uint64_t> TicketBook::sweep(sys_seconds now) {
  if (now == swept_) return {};  // Times are whole seconds: what is over now was found by the first that asked in this one.
  swept_ = now;
  std::erase_if(windows_, [now](const Window& window) { return now >= window.until || now < window.opened; });
  std::vector<uint64_t> over, sessions;
  for (const uint64_t number : open_) {
    if (now >= records_.tickets.at(number)->deadline) over.push_back(number);
  }
  for (const uint64_t number : over) {
    sessions.push_back(records_.tickets.at(number)->session);
    close(number, State::kExpired, "nobody answered in time", now);
    ++counters_.expired;
  }
  return sessions;
}

void TicketBook::tell(const std::vector<uint64_t>& sessions) const {
  if (!on_answer_) return;
  for (const uint64_t session : sessions) on_answer_(session);
}

Result<void> TicketBook::has_room(const Ticket& ticket) const {
  uint64_t bytes = bytes_of(ticket), own_bytes = bytes, own = 1;
  for (const uint64_t number : open_) {
    const Ticket& other = *records_.tickets.at(number);
    bytes += bytes_of(other);
    if (!is_same_person(ticket, other)) continue;
    own_bytes += bytes_of(other);
    ++own;
  }
  if (own > options_.open_per_identity_max || own_bytes > options_.open_bytes_max / 4) {
    return fail(Error::Kind::kUnavailable,
                "too many commands of " + ticket.subject + " wait for reviewers (" + std::to_string(own - 1) + ")");
  }
  if (open_.size() >= options_.open_max || bytes > options_.open_bytes_max) {
    return fail(Error::Kind::kUnavailable, "too many commands wait for reviewers (" + std::to_string(open_.size()) + ")");
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
    const auto window =
        std::find_if(windows_.begin(), windows_.end(), [&](const Window& each) { return each.covers(ticket, now); });
    const bool is_approved = window != windows_.end();
    if (is_approved) {
      ticket.state = State::kApproved;
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
    if (!write_error_.empty() || records_.next_number >= numbers_until_) {
      ++counters_.refused;
      return fail(Error::Kind::kSystem, "the ticket cannot be kept: " + (write_error_.empty() ? "too many at once" : write_error_));
    }
    const uint64_t number = records_.next_number++;
    ticket.number = number;
    if (!is_approved) open_.insert(number);
    records_.tickets.emplace(number, std::make_shared<const Ticket>(std::move(ticket)));
    prune(now);
    touch();
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
      std::erase(over, found->second->session);
    }
  }
  tell(over);
  return answer;
}

void TicketBook::withdraw(uint64_t number, std::string_view why, sys_seconds now) {
  const std::lock_guard lock(mutex_);
  if (!open_.contains(number)) return;
  close(number, State::kWithdrawn, std::string(why.substr(0, kTicketReasonMax)), now);
  ++counters_.withdrawn;
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

void TicketBook::end_windows_of(std::string_view subject) {
  const std::lock_guard lock(mutex_);
  std::erase_if(windows_, [&](const Window& each) { return each.subject == subject; });
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
  counters.open = open_.size();
  return counters;
}

}  // namespace weir::decide

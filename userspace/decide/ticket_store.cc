// The book and its store: what is kept over a restart, the thread that writes, and what other gateways answer.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "decide/ticket_book.h"

namespace weir::decide {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;
using State = TicketAnswer::State;

constexpr const char* kTicketKind = "ticket";
constexpr seconds kRetryWrite{1};
constexpr std::size_t kWritesAtOnce = 64;

uint64_t number_of(const std::string& id) {
  uint64_t number = 0;
  for (const char each : id) {
    if (each < '0' || each > '9' || id.size() > 19) return 0;
    number = number * 10 + static_cast<uint64_t>(each - '0');
  }
  return number;
}

}  // namespace

Result<std::unique_ptr<TicketBook>> TicketBook::open(Store& store, const Options& options, std::vector<ApprovalConfig> approvals, sys_seconds now) {
  auto book = std::unique_ptr<TicketBook>(new TicketBook(store, options));
  book->set_approvals(std::move(approvals));
  if (auto started = book->start(now); !started) return tl::unexpected<Error>(started.error());
  book->thread_ = std::thread([self = book.get()] { self->serve(); });
  return book;
}

Result<void> TicketBook::start(sys_seconds now) {
  // A lost store, or an older one that was put back, must not lead to old numbers, which the record has.  A thousand a second is
  // more than any gateway opens.
  numbers_floor_ = static_cast<uint64_t>(std::max<int64_t>(now.time_since_epoch().count(), 0)) * 1000;
  watch_->book = this;
  store_.watch(kTicketKind, [watch = watch_](const StoreItem& item) {
    const std::lock_guard alive(watch->mutex);
    if (watch->book != nullptr) watch->book->on_change(number_of(item.id));
  });
  if (auto taken = take_over_file(); !taken) return taken;
  auto items = store_.load(kTicketKind);
  if (!items) return fail(items.error().kind, "tickets cannot be read: " + items.error().message, items.error().code);
  {
    const std::lock_guard lock(mutex_);
    for (const StoreItem& item : *items) {
      auto ticket = parse_ticket(item.body);
      if (!ticket || std::to_string(ticket->number) != item.id) {
        return fail(Error::Kind::kCorrupt, "the store's ticket " + item.id + " is damaged; remove it there: the record has what was asked and answered");
      }
      const uint64_t number = ticket->number;
      versions_[number] = item.version;
      ticket->terms = terms_of(ticket->approval);
      if (is_own(*ticket)) settle_own(*ticket, now);
      if (ticket->is_open()) open_.insert(number);
      records_.tickets.emplace(number, std::make_shared<const Ticket>(std::move(*ticket)));
    }
    prune(now);
  }
  const std::lock_guard writing(writer_);
  std::unique_lock lock(mutex_);
  if (auto numbers = more_numbers(lock); !numbers) return numbers;
  return sync(lock);
}

// What was open or approved when the gateway ended.  Nothing of it waits any more; nothing of it was let through, unless it is used.
void TicketBook::settle_own(Ticket& ticket, sys_seconds now) {
  const bool is_approved = ticket.state == State::kApproved && !ticket.is_used;
  if (!ticket.is_open() && !(is_approved && ticket.may_resume)) return;
  std::string why = is_approved ? doubt(ticket) : "";
  if (!why.empty()) why = "the approval does not hold here: " + why;
  if (!ticket.may_resume) why = "the gateway was restarted";
  if (why.empty() && now < ticket.deadline) {
    ticket.is_detached = true;
    kept_.insert(ticket.number);
  } else {
    ticket.state = State::kDenied;
    ticket.text = why.empty() ? "its time was over when the gateway was started again" : why;
    ticket.closed = now;
    shorten(ticket);
  }
  dirty_.insert(ticket.number);
}

// Once: into the store, then renamed.  A crash in between leads to the same again.
Result<void> TicketBook::take_over_file() {
  if (options_.earlier_file.empty()) return {};
  auto earlier = read_tickets(options_.earlier_file);
  if (!earlier && earlier.error().kind == Error::Kind::kNotFound) return {};
  if (!earlier) return tl::unexpected<Error>(earlier.error());
  numbers_floor_ = std::max(numbers_floor_, earlier->next_number);
  for (const auto& [number, ticket] : earlier->tickets) {
    Ticket taken = *ticket;
    taken.gateway = options_.gateway;
    taken.is_used = true;
    auto written = store_.write({{kTicketKind, std::to_string(number), 0, text_of(taken)}});
    if (!written && written.error().kind != Error::Kind::kDenied) return fail(written.error().kind, "tickets of an earlier version cannot be put into the store: " + written.error().message);
  }
  const std::string aside = options_.earlier_file + ".taken-over";
  if (std::rename(options_.earlier_file.c_str(), aside.c_str()) != 0) {
    return fail(Error::Kind::kSystem, "cannot rename " + options_.earlier_file + " to " + aside + ": " + std::strerror(errno), errno);
  }
  return {};
}

TicketBook::~TicketBook() {
  {
    const std::lock_guard lock(watch_->mutex);
    watch_->book = nullptr;
  }
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
  (void)flush();  // Counted; the record has what was asked and answered.
}

void TicketBook::touch(uint64_t number) {
  dirty_.insert(number);
  changed_.notify_all();
}

bool TicketBook::has_work() const { return !dirty_.empty() || !told_.empty() || !gone_.empty() || needs_numbers(); }

// On the store's thread.
void TicketBook::on_change(uint64_t number) {
  if (number == 0) return;
  const std::lock_guard lock(mutex_);
  told_.insert(number);
  changed_.notify_all();
}

void TicketBook::serve() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return is_stopping_ || has_work(); });
      if (is_stopping_) return;
    }
    if (flush()) continue;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kRetryWrite, [this] { return is_stopping_; });
  }
}

Result<void> TicketBook::flush() {
  std::vector<uint64_t> sessions;
  Result<void> done;
  {
    const std::lock_guard writing(writer_);
    std::unique_lock lock(mutex_);
    done = sync(lock);
    sessions = std::exchange(to_tell_, {});
  }
  tell(sessions);
  return done;
}

Error TicketBook::failed(const Error& error) {
  write_error_ = error.message;
  ++counters_.write_failures;
  return error;
}

// Everything: what others did, numbers, what changed here, what leaves.
Result<void> TicketBook::sync(std::unique_lock<std::mutex>& lock) {
  while (has_work()) {
    if (!told_.empty()) {
      const uint64_t number = *told_.begin();
      told_.erase(told_.begin());
      if (auto seen = refresh(number, lock); !seen) {
        told_.insert(number);
        return seen;
      }
    } else if (needs_numbers()) {
      if (auto numbers = more_numbers(lock); !numbers) return numbers;
    } else if (auto written = write_some(lock); !written) {
      return written;
    }
  }
  return {};
}

Result<void> TicketBook::more_numbers(std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  const auto first = store_.take_numbers(kTicketKind, kNumbersAhead, numbers_floor_);
  lock.lock();
  if (!first) return tl::unexpected<Error>(failed(first.error()));
  if (next_number_ == numbers_until_) {
    next_number_ = *first;
    numbers_until_ = *first + kNumbersAhead;
  } else {
    spare_first_ = *first;
  }
  return {};
}

void TicketBook::note_written(uint64_t number, uint64_t version) {
  if (records_.tickets.contains(number)) versions_[number] = version;
  else gone_[number] = version;  // It left meanwhile.
  if (claimed_.contains(number) && records_.tickets.at(number)->is_used && !dirty_.contains(number)) {
    claimed_.erase(number);
    to_tell_.push_back(records_.tickets.at(number)->session);
  }
}

Result<void> TicketBook::write_some(std::unique_lock<std::mutex>& lock) {
  std::vector<StoreWrite> writes;
  std::vector<uint64_t> numbers;
  for (auto each = dirty_.begin(); each != dirty_.end() && writes.size() < kWritesAtOnce; each = dirty_.erase(each)) {
    const auto found = records_.tickets.find(*each);
    if (found == records_.tickets.end()) continue;
    const auto version = versions_.find(*each);
    writes.push_back({kTicketKind, std::to_string(*each), version == versions_.end() ? 0 : version->second, text_of(*found->second)});
    numbers.push_back(*each);
  }
  for (auto each = gone_.begin(); each != gone_.end() && writes.size() < kWritesAtOnce; each = gone_.erase(each)) {
    writes.push_back({kTicketKind, std::to_string(each->first), each->second, std::nullopt});
    numbers.push_back(each->first);
  }
  if (writes.empty()) return {};
  lock.unlock();
  std::vector<Result<void>> done(writes.size(), store_.write(writes));
  if (!done.front() && done.front().error().kind == Error::Kind::kDenied) {
    for (std::size_t i = 0; i < writes.size(); ++i) done[i] = store_.write({writes[i]});
  }
  lock.lock();
  Result<void> all;
  for (std::size_t i = 0; i < writes.size(); ++i) {
    const bool is_conflict = !done[i] && done[i].error().kind == Error::Kind::kDenied;
    if (done[i]) {
      if (writes[i].body) note_written(numbers[i], writes[i].expected + 1);
    } else if (is_conflict && writes[i].body) {
      told_.insert(numbers[i]);  // Another gateway answered it: read, and what is over here is written over it.
      dirty_.insert(numbers[i]);
    } else if (!is_conflict) {
      if (writes[i].body) dirty_.insert(numbers[i]);
      else gone_.emplace(numbers[i], writes[i].expected);
      all = tl::unexpected<Error>(done[i].error());
    }
  }
  if (!all) return tl::unexpected<Error>(failed(all.error()));
  write_error_.clear();
  return {};
}

Result<void> TicketBook::refresh(uint64_t number, std::unique_lock<std::mutex>& lock) {
  const bool is_unwritten = records_.tickets.contains(number) && !versions_.contains(number);
  if (is_unwritten) {
    // Unless its first write was carried out and not answered: then it is there, by this gateway.
    if (!dirty_.contains(number)) return {};
  }
  lock.unlock();
  const auto found = store_.find(kTicketKind, std::to_string(number));
  lock.lock();
  if (!found) return tl::unexpected<Error>(found.error());
  take_in(number, *found ? &**found : nullptr);
  return {};
}

// Null: the store has none of that number.
void TicketBook::take_in(uint64_t number, const StoreItem* item) {
  const auto known = records_.tickets.find(number);
  const auto version = versions_.find(number);
  if (item == nullptr) {
    if (version == versions_.end() || known == records_.tickets.end()) return;
    versions_.erase(version);
    if (known->second->is_open() && is_own(*known->second)) {
      dirty_.insert(number);  // Somebody waits for it.
    } else if (!kept_.contains(number) && !claimed_.contains(number)) {
      open_.erase(number);
      dirty_.erase(number);
      records_.tickets.erase(known);
    }
    return;
  }
  if (version != versions_.end() && version->second == item->version) return;
  auto read = parse_ticket(item->body);
  const bool is_mine = known != records_.tickets.end() && is_own(*known->second);
  if (!read || read->number != number) {  // Damaged: what is known here stays, and is written over it where it is ours.
    if (is_mine) versions_[number] = item->version;
    if (is_mine) dirty_.insert(number);
    return;
  }
  versions_[number] = item->version;
  if (is_mine) {
    take_in_answers(known->second, *read);
    return;
  }
  read->terms = known != records_.tickets.end() && known->second->terms != nullptr ? known->second->terms : terms_of(read->approval);
  if (read->is_open()) open_.insert(number);
  else open_.erase(number);
  records_.tickets[number] = std::make_shared<const Ticket>(std::move(*read));
}

// Somebody answered at another gateway.  What was asked is as it is here, never as it is there.
void TicketBook::take_in_answers(TicketPtr& mine, const Ticket& theirs) {
  const uint64_t number = mine->number;
  if (theirs.is_window_ended) std::erase_if(windows_, [&](const Window& each) { return each.ticket == number; });
  Ticket next = *mine;
  if (theirs.answers.size() > next.answers.size()) next.answers = theirs.answers;
  if (!mine->is_open()) {  // What is over here stays over; what they said of it is kept.
    if (theirs.state != mine->state || theirs.is_used != mine->is_used || theirs.is_detached != mine->is_detached) dirty_.insert(number);
    next.is_window_ended = next.is_window_ended || theirs.is_window_ended;
    mine = std::make_shared<const Ticket>(std::move(next));
    return;
  }
  if (theirs.answers.size() <= mine->answers.size()) {
    if (!theirs.is_open()) dirty_.insert(number);
    return;
  }
  dirty_.insert(number);
  const bool is_denied = std::any_of(next.answers.begin(), next.answers.end(), [](const TicketReview& each) { return !each.is_approval; });
  const std::string why = is_denied ? "" : doubt(next);
  if (!why.empty()) next.text = "an approval at another gateway does not hold here: " + why;
  if (is_denied || !why.empty()) {
    next.state = State::kDenied;
    kept_.erase(number);
    std::erase_if(windows_, [&](const Window& each) { return each.is_of(next); });
    ++counters_.denied;
  } else if (next.answers.size() >= next.min_reviewers) {
    next.state = State::kApproved;
    next.is_used = !next.is_detached;
    ++counters_.approved;
  } else {
    mine = std::make_shared<const Ticket>(std::move(next));
    return;
  }
  next.closed = next.answers.back().at;
  open_.erase(number);
  if (next.is_used && (next.may_resume || next.may_keep)) claimed_.insert(number);  // Let through when the store knows.
  else if (!next.is_detached) to_tell_.push_back(next.session);
  auto window = next.is_used && !next.is_window_ended ? window_of(next) : std::nullopt;
  shorten(next);
  if (window && window->until > next.closed) windows_.push_back(std::move(*window));
  mine = std::make_shared<const Ticket>(std::move(next));
}

Result<TicketPtr> TicketBook::put(const TicketPtr& before, Ticket after, std::unique_lock<std::mutex>& lock) {
  const uint64_t number = after.number;
  auto next = std::make_shared<const Ticket>(std::move(after));
  const auto version = versions_.find(number);
  const uint64_t expected = version == versions_.end() ? 0 : version->second;
  const bool was_dirty = dirty_.erase(number) != 0;
  lock.unlock();
  const auto written = store_.write({{kTicketKind, std::to_string(number), expected, text_of(*next)}});
  lock.lock();
  if (!written) {
    if (was_dirty) touch(number);
    if (written.error().kind == Error::Kind::kDenied) return TicketPtr();
    told_.insert(number);  // It may have been written, and the answer lost.
    const Error error = failed(written.error());
    return fail(error.kind, "the answer cannot be kept, so nothing has changed: " + error.message, error.code);
  }
  write_error_.clear();
  versions_[number] = expected + 1;
  const auto found = records_.tickets.find(number);
  if (found == records_.tickets.end()) return fail(Error::Kind::kNotFound, "ticket " + std::to_string(number) + " is gone");
  TicketPtr& now = found->second;
  if (now != before) {  // Its session went away, or its deadline came, while it was written: that is written over it.
    touch(number);
    return fail(Error::Kind::kDenied, state_text(*now));
  }
  now = std::move(next);
  if (!now->is_open()) open_.erase(number);
  if (!now->is_open() && now->state != State::kApproved) kept_.erase(number);
  return now;
}

std::shared_ptr<const ApprovalConfig> TicketBook::terms_of(const std::string& approval) const {
  const auto found = approvals_.find(approval);
  return found == approvals_.end() ? nullptr : found->second;
}

}  // namespace weir::decide

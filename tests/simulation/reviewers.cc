#include "simulation/reviewers.h"

#include <algorithm>

#include "simulation/postgres_target.h"

namespace weir::simulation {
namespace {

constexpr std::chrono::seconds kSlow{70};   // A client is told again each minute.

}  // namespace

Result<uint64_t> Reviewers::open(const TicketRequest& request, std::chrono::sys_seconds) {
  const uint64_t number = tickets_.size() + 1;
  const auto state = is_denied(request.statement) ? TicketAnswer::State::kDenied : TicketAnswer::State::kApproved;
  const bool is_slow = !has_slow_ && world_.random().one_in(16);
  has_slow_ = has_slow_ || is_slow;
  const auto answered_at = world_.now() + world_.delay(std::chrono::milliseconds(3'000)) + (is_slow ? kSlow : std::chrono::seconds(0));
  tickets_[number] = {request.statement, answered_at, state, is_slow, false, false};
  return number;
}

TicketAnswer Reviewers::ask(uint64_t number, std::chrono::sys_seconds now) {
  Ticket& ticket = tickets_.at(number);
  TicketAnswer answer;
  answer.deadline = now;
  if (ticket.is_withdrawn) {
    answer.state = TicketAnswer::State::kWithdrawn;
  } else if (world_.now() >= ticket.answered_at) {
    ticket.is_told = true;
    answer.state = ticket.answer;
    answer.by = "a reviewer";
  }
  return answer;
}

void Reviewers::withdraw(uint64_t number, std::string_view, std::chrono::sys_seconds) {
  Ticket& ticket = tickets_.at(number);
  ticket.is_withdrawn = ticket.is_withdrawn || !ticket.is_told;
}

bool Reviewers::has_approved(const std::string& statement) const {
  return std::any_of(tickets_.begin(), tickets_.end(), [&](const auto& each) {
    return each.second.statement == statement && each.second.is_told && each.second.answer == TicketAnswer::State::kApproved;
  });
}

std::size_t Reviewers::slow_count() const {
  return static_cast<std::size_t>(std::count_if(tickets_.begin(), tickets_.end(), [](const auto& each) { return each.second.is_slow && each.second.is_told; }));
}

std::size_t Reviewers::open_count() const {
  return static_cast<std::size_t>(std::count_if(tickets_.begin(), tickets_.end(), [](const auto& each) { return !each.second.is_told && !each.second.is_withdrawn; }));
}

}  // namespace weir::simulation

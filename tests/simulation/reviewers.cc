#include "simulation/reviewers.h"

#include <algorithm>

#include "simulation/postgres_target.h"

namespace weir::simulation {

Result<uint64_t> Reviewers::open(const TicketRequest& request, std::chrono::sys_seconds) {
  const uint64_t number = tickets_.size() + 1;
  const auto state = is_denied(request.statement) ? TicketAnswer::State::kDenied : TicketAnswer::State::kApproved;
  tickets_[number] = {request.statement, world_.now() + world_.delay(std::chrono::milliseconds(3'000)), state, false, false};
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

std::size_t Reviewers::open_count() const {
  return static_cast<std::size_t>(std::count_if(tickets_.begin(), tickets_.end(), [](const auto& each) { return !each.second.is_told && !each.second.is_withdrawn; }));
}

}  // namespace weir::simulation

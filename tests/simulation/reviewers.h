// Reviewers of the simulated gateway: they take their time, and answer by what is_denied() says of the statement.
#pragma once
#include <map>
#include <string>

#include "core/ticket.h"
#include "simulation/world.h"

namespace weir::simulation {

class Reviewers final : public TicketDesk {
 public:
  explicit Reviewers(World& world) : world_(world) {}
  Result<uint64_t> open(const TicketRequest& request, std::chrono::sys_seconds now) override;
  TicketAnswer ask(uint64_t ticket, std::chrono::sys_seconds now) override;
  void withdraw(uint64_t ticket, std::string_view why, std::chrono::sys_seconds now) override;

  // A statement that was asked for, and approved before now.
  [[nodiscard]] bool has_approved(const std::string& statement) const;
  [[nodiscard]] std::size_t open_count() const;   // Asked, and neither answered nor withdrawn.
  [[nodiscard]] std::size_t count() const { return tickets_.size(); }
  [[nodiscard]] std::size_t slow_count() const;   // Answered so late that the client was told a second time.

 private:
  struct Ticket { std::string statement; std::chrono::nanoseconds answered_at{}; TicketAnswer::State answer{}; bool is_slow = false, is_withdrawn = false, is_told = false; };
  World& world_;
  std::map<uint64_t, Ticket> tickets_;
  bool has_slow_ = false;   // One a run: time goes on for everybody.
};

}  // namespace weir::simulation

// Reviewers of the simulated gateway, at the production ticket book: they take their time, and answer by what is_denied() says
// of the statement.  Around them others try what must not count: the requester, strangers, the same reviewer twice, words that
// come after the answer, after the deadline or after the client left, and for tickets that nobody opened.
// A model beside the book says what each word should lead to: the two must agree, and what reaches a target must be approved
// by the model.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/prng.h"
#include "core/ticket.h"
#include "decide/ticket_book.h"
#include "simulation/world.h"
#include "store/memory_store.h"

namespace weir::simulation {

class Reviewers final : public TicketDesk {
 public:
  explicit Reviewers(World& world);
  ~Reviewers() override;
  Result<uint64_t> open(const TicketRequest& request, std::chrono::sys_seconds now) override;
  TicketAnswer ask(uint64_t ticket, std::chrono::sys_seconds now) override;
  void withdraw(uint64_t ticket, std::string_view why, std::chrono::sys_seconds now) override;

  // The target received that statement.  False: no approval is left for it; each lets one pass.
  [[nodiscard]] bool use_approval(const std::string& statement);
  [[nodiscard]] bool has_unanswered(std::string_view bytes) const;   // A statement in `bytes` was refused: nobody who may said yes in time.
  void finish();   // What is left is said: everything is over, and nothing of it may count.
  [[nodiscard]] std::size_t open_count() const;   // Asked, and neither answered nor withdrawn.
  [[nodiscard]] std::size_t count() const { return tickets_.size(); }
  [[nodiscard]] std::size_t slow_count() const;   // Answered so late that the client was told a second time.
  [[nodiscard]] uint64_t refused_count() const { return refused_; }        // Words that counted for nothing.
  [[nodiscard]] const std::vector<std::string>& broken() const { return broken_; }   // Where book and model differ.

 private:
  struct Who { decide::Reviewer reviewer; bool may = false; };
  struct Ticket {
    std::string statement, subject;
    std::chrono::sys_seconds deadline{};
    std::set<std::string> approvers;
    bool is_denied = false, is_slow = false, is_withdrawn = false, is_left = false, is_told = false;
    TicketAnswer::State told = TicketAnswer::State::kOpen;
    uint32_t used = 0;
  };
  [[nodiscard]] std::chrono::sys_seconds wall() const;
  [[nodiscard]] bool is_open(const Ticket& ticket, std::chrono::sys_seconds now) const;
  [[nodiscard]] bool is_approved(const Ticket& ticket) const { return !ticket.is_denied && ticket.approvers.size() >= needed_; }
  [[nodiscard]] Who somebody(const Ticket& ticket);
  void plan_noise(uint64_t number, std::chrono::nanoseconds answered_after, bool is_unanswered);
  void plan(std::chrono::nanoseconds after, std::function<void()> what);
  void run_due(std::chrono::nanoseconds until);
  void say(uint64_t number, const Who& who, bool is_approval);

  World& world_;
  Prng random_;             // Of its own: what others do is the same with and without the noise.
  uint32_t needed_ = 1;     // min_reviewers.
  store::MemoryStore store_{"gw-simulation"};   // Outlives the book.
  std::unique_ptr<decide::TicketBook> book_;
  std::map<uint64_t, Ticket> tickets_;
  std::multimap<std::chrono::nanoseconds, std::function<void()>> planned_;   // By when it is said.
  bool has_slow_ = false;   // One a run: time goes on for everybody.
  uint64_t refused_ = 0;
  std::vector<std::string> broken_;
};

}  // namespace weir::simulation

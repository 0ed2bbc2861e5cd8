// Stands before the ticket book, and tells of each ticket: that it was opened, and what became of it.
// A core that opens one leaves its number; the thread that carries notices looks them up, so that no session waits for it.
#pragma once
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "core/notice.h"
#include "core/ticket.h"
#include "decide/ticket_book.h"

namespace weir::session {

class TicketWatch final : public TicketDesk {
 public:
  using Tell = std::function<void(Notice)>;
  // `wake`: somebody should call turn() soon; must not wait.
  // What an earlier run of `gateway` left open is watched as if it had been opened here; what was closed since `started` is told.
  TicketWatch(decide::TicketBook& book, std::string gateway, std::chrono::sys_seconds started, Tell tell, std::function<void()> wake);

  Result<uint64_t> open(const TicketRequest& request, std::chrono::sys_seconds now) override;
  TicketAnswer ask(uint64_t ticket, std::chrono::sys_seconds now) override { return book_.ask(ticket, now); }
  TicketAnswer leave(uint64_t ticket, Leave how, std::string_view why, std::chrono::sys_seconds now) override;
  void withdraw(uint64_t ticket, std::string_view why, std::chrono::sys_seconds now) override;

  // One thread.  Tells of what was opened and of what is over since the last turn.
  void turn(std::chrono::sys_seconds now);

 private:
  [[nodiscard]] static Notice notice_of(const decide::Ticket& ticket);

  decide::TicketBook& book_;
  const std::string gateway_;
  const std::chrono::sys_seconds started_;
  const Tell tell_;
  const std::function<void()> wake_;
  std::mutex mutex_;
  std::vector<uint64_t> opened_;       // Under mutex_; not told yet.
  std::set<uint64_t> watched_;         // Of turn()'s thread: told as open.
};

}  // namespace weir::session

// Tickets on disk: state/tickets.json, written whole and aside, synced, then renamed, so that a crash leaves the old or the new
// one.  It is for numbers and for looking back: nothing that waits survives a restart.
// Must never: hold a token, or a statement that the record does not hold as well.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/config.h"
#include "core/ticket.h"

namespace weir::decide {

// One reviewer's word.
struct TicketReview {
  std::string by, issuer;  // Issuer empty: at the gateway itself.
  std::chrono::sys_seconds at{};
  bool is_approval = false;
  std::string reason;
  std::chrono::sys_seconds until{};  // The end of the window that they give; 0: none.
};

struct Ticket {
  uint64_t number = 0;
  uint64_t session = 0, unit = 0;
  std::string subject, issuer;
  std::vector<std::string> groups, acting_for;
  Assurance assurance = Assurance::kNone;
  std::string target, login, database, rule, approval, reason;
  std::string statement, parameters, objects;  // Whole while it is open; then, and on disk, the beginning.
  VerbSet verbs = 0;
  CommandDigest digest{};
  std::chrono::sys_seconds opened{}, deadline{}, closed{};
  uint32_t min_reviewers = 1;
  TicketAnswer::State state = TicketAnswer::State::kOpen;
  std::string text;            // The gateway's own words, if it was no reviewer who closed it.
  uint64_t window_ticket = 0;  // Approved at once: the ticket whose approval opened the window.
  std::vector<TicketReview> answers;
  std::shared_ptr<const ApprovalConfig> terms;  // Those it was opened with; null for one that was read from disk.
  [[nodiscard]] bool is_open() const { return state == TicketAnswer::State::kOpen; }
};
using TicketPtr = std::shared_ptr<const Ticket>;

struct TicketRecords {
  uint64_t next_number = 1;  // Above every number ever given.
  std::map<uint64_t, TicketPtr> tickets;
};

inline constexpr std::size_t kTicketTextKept = 4096;  // Of a statement or parameters, once nobody has to decide by it.
inline constexpr std::size_t kTicketReasonMax = 1024;
[[nodiscard]] std::string beginning_of(const std::string& text);
void shorten(Ticket&);  // Closed: nobody decides by it any more.
[[nodiscard]] TicketAnswer answer_of(const Ticket&);
[[nodiscard]] std::string state_text(const Ticket&);  // "ticket 17 was denied by user:ann"
[[nodiscard]] std::string hex_of(const CommandDigest&);

// Errors: kNotFound; kCorrupt for what is not a whole and consistent file of this kind; kSystem.
[[nodiscard]] Result<TicketRecords> read_tickets(const std::string& file);
// Errors: kSystem; then the old file is still there.
[[nodiscard]] Result<void> write_tickets(const std::string& file, const TicketRecords&);

}  // namespace weir::decide

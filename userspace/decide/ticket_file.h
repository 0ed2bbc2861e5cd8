// Tickets as text: an item of the store each; and state/tickets.json, all of them in one file, as versions before there was a
// store wrote it, which is read once.
// Must never: hold a token, or a statement that the record does not hold as well.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
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
  std::vector<std::string> groups;   // So that the gateway whose session waits can look again.
};

struct Ticket {
  uint64_t number = 0;
  uint64_t session = 0, unit = 0;
  std::string subject, issuer;
  std::vector<std::string> groups, acting_for;
  Assurance assurance = Assurance::kNone;
  std::string target, login, database, rule, approval, reason;
  std::string gateway;         // Whose session waits.
  std::string statement, parameters, objects;  // Whole while it is open; then the beginning.
  VerbSet verbs = 0;
  CommandDigest digest{};
  std::chrono::sys_seconds opened{}, deadline{}, closed{};
  uint32_t min_reviewers = 1;
  TicketAnswer::State state = TicketAnswer::State::kOpen;
  std::string text;            // The gateway's own words, if it was no reviewer who closed it.
  bool may_resume = false, may_keep = false;  // As its approval said when it was opened.
  bool is_detached = false;       // No session waits: it is for the same command, asked again.
  bool is_used = false;           // Approved, and a command was let through; on disk before that, where it could be asked again.
  bool is_window_ended = false;   // By a denial at another gateway.
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
// An item of the store.  Errors: kCorrupt.
[[nodiscard]] std::string text_of(const Ticket&);
[[nodiscard]] Result<Ticket> parse_ticket(std::string_view text);

}  // namespace weir::decide

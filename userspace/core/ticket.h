// A command that waits for a reviewer: what is asked, and what became of it.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/facts.h"
#include "core/identity.h"

namespace weir {

// What an approval is bound to: SHA-256 of the exact bytes that decide what the target will do.  Other bytes need another one.
using CommandDigest = std::array<std::byte, 32>;

struct TicketRequest {
  uint64_t session = 0;
  uint64_t unit = 0;
  IdentityPtr identity;          // Never null.
  std::string target, login, database;
  std::string approval;          // Which of the configuration's `approvals`.
  std::string rule;              // Or grant, that asks for it.
  std::string reason;
  std::string statement;         // As the record has it: masked.  Empty: only the digest is known.
  std::string parameters;        // JSON array, masked; empty: none.
  std::string objects;           // "public.orders, public.people"
  VerbSet verbs = 0;
  CommandDigest digest{};
};

struct TicketAnswer {
  enum class State : uint8_t { kOpen, kApproved, kDenied, kExpired, kWithdrawn } state = State::kOpen;
  std::string by;                // Who approved or denied, several by commas.
  std::string reason;            // Theirs, or the gateway's own words.
  std::chrono::sys_seconds deadline{};
};
std::string_view name_of(TicketAnswer::State state);

// Shared by all cores.  Any thread; the calls take a lock for a moment and may write a file, so only a held command makes them.
class TicketDesk {
 public:
  virtual ~TicketDesk() = default;
  // Post: the ticket's number, never used twice, open or (by a window that a reviewer gave before) approved already.
  // Errors, with words for the client: kNotFound (no such approval), kUnavailable (too many wait), kSystem (cannot be kept).
  [[nodiscard]] virtual Result<uint64_t> open(const TicketRequest&, std::chrono::sys_seconds now) = 0;
  // How it stands now; a deadline that is over has passed.
  [[nodiscard]] virtual TicketAnswer ask(uint64_t ticket, std::chrono::sys_seconds now) = 0;
  // Nobody waits for it any more.  What was answered before stays as it was answered.
  virtual void withdraw(uint64_t ticket, std::string_view why, std::chrono::sys_seconds now) = 0;
  // As withdraw(), but the approval may say that the ticket is kept for the same command, asked again.  Post: how it stands for
  // who left: never open.
  enum class Leave : uint8_t { kClientLeft, kGatewayStops };
  [[nodiscard]] virtual TicketAnswer leave(uint64_t ticket, Leave, std::string_view why, std::chrono::sys_seconds now) {
    withdraw(ticket, why, now);
    return ask(ticket, now);
  }
};

}  // namespace weir

// What one pass over a session's events adds up to: the manifest's counts, what `weir sessions` shows, and what recovery
// must close.  Fed in order.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/event.h"
#include "record/layout.h"
#include "record/request_keys.h"

namespace weir::record {

inline constexpr std::string_view kReasonInterrupted = "interrupted";
inline constexpr std::string_view kReasonNeverOpened = "never-opened";

struct SessionSummary {
  uint64_t session = 0;
  uint64_t first_sequence = 0, last_sequence = 0;
  int64_t first_at_ns = 0, last_at_ns = 0;
  int64_t opened_ns = 0;               // 0: the opening is not in these events.
  int64_t closed_ns = 0;
  bool is_closed = false;
  std::string reason;                  // Of kClosed.
  std::string opened_json;             // Text of kOpened, with what kIdentified added.
  std::string login_json;              // Text of the last kLogin.
  uint64_t events = 0, commands = 0, blocked = 0, masked = 0, alerts = 0, stand_ins = 0, responses = 0, errors = 0, rows = 0;
  uint64_t gaps = 0;                   // Places where the sequence does not go on by one (I5).
  uint64_t undecodable = 0;            // Of a newer version, or damaged.
  uint64_t clock_steps = 0;            // Events older than the one before.
  std::optional<std::array<ByteAccount, 2>> accounts;
  RequestSet requests;                 // Of logins and commands.
  // Rules that decided or were told of: what retention goes by.  Cut: there were more, or an earlier version did not note them.
  std::set<std::string, std::less<>> rules;
  bool has_more_rules = false;
  static constexpr std::size_t kRulesMax = 64;

  struct Unit { uint32_t stream = 0; uint64_t id = 0; };
  // Commands without a fate or an answer yet.  Answers of one stream come in order: an answer settles what came before it.
  std::vector<Unit> awaiting;
  static constexpr std::size_t kAwaitingMax = 65'536;
  static constexpr std::size_t kJsonMax = 64u << 10;

  void add(const RecordEvent&);
  void add_undecodable(const FrameHeader&);
  [[nodiscard]] bool is_interrupted() const { return reason == kReasonInterrupted || reason == kReasonNeverOpened; }

 private:
  void place(uint64_t sequence, int64_t at_ns);
  void add_rule(std::string_view rule);
  [[nodiscard]] bool is_awaiting(uint32_t stream, uint64_t id) const;
  void settle(uint32_t stream, uint64_t from, uint64_t upto);
};

}  // namespace weir::record

// What goes on the record.  The recorder copies an event before write() returns.
#pragma once
#include <chrono>
#include <cstdint>
#include <string_view>

#include "core/unit.h"
#include "core/verdict.h"

namespace weir {

// I11, per direction.  On a leg without TLS: kernel == handshake + parsed + opaque + refused.  With TLS the ciphertext
// account is kernel == wire, and handshake holds wire - plain.
struct ByteAccount {
  uint64_t kernel = 0;     // Payload bytes that the kernel's socket delivered (received from source_of(direction)).
  uint64_t handshake = 0;  // Transport overhead and login exchange.
  uint64_t parsed = 0;     // Bytes of readable units that passed or were edited.
  uint64_t opaque = 0;
  uint64_t refused = 0;    // Bytes of blocked, skipped and unread units.
  uint64_t injected = 0;   // Bytes of our own towards sink_of(direction): errors, stand-ins, our login.
  [[nodiscard]] bool balances() const { return kernel == handshake + parsed + opaque + refused; }
};

struct RecordEvent {
  enum class Kind : uint8_t {
    kOpened = 1,      // text: JSON object {target, client, target address, binding, subject, groups, issuer, assurance, capability, mode, ...}
    kLogin = 2,       // verb "login", text: JSON {login, database, application_name}
    kCommand = 3,     // A unit with its verdict.  text: the redacted statement; body: redacted parameters (JSON array of strings and nulls).
    kFate = 4,        // What became of unit `unit.id`.
    kResponse = 5,    // The reply to unit.in_reply_to is complete: rows, bytes, tag, sqlstate; body: head rows, masked (JSON).
    kStandIn = 6,     // A message of ours to the target; text says which.
    kAlert = 7,       // rule: which; reason.  Of rule "impersonation" text is the kind: "set-role", "login", ... (core/verdict.h).
    kNote = 8,        // Something about the session: cut, timeout, port changed, violation.  text: static or JSON.
    kClosed = 9,      // reason; accounts of both directions.
    kAct = 10,        // What a person did to the gateway, or looked at.  verb: the act; text: JSON {by, object, outcome}; reason.
    kIdentified = 11, // Who the session is was proven on its wire.  text: JSON {subject, groups, assurance, proof, ...}; completes kOpened's.
  };
  Kind kind{};
  uint64_t session = 0;
  uint64_t sequence = 0;  // Within the session, from 1, no gaps: a gap is a finding (I5).
  std::chrono::sys_time<std::chrono::nanoseconds> at{};
  UnitRef unit{};
  std::string_view verb;
  Bytes text;             // Already masked.
  Bytes body;             // Already masked.
  Verdict::Action action = Verdict::Action::kBlock;
  bool observed = false;
  std::string_view rule;
  std::string_view reason;
  Fate fate = Fate::kAwaitingTarget;
  uint64_t rows = 0;
  uint64_t bytes = 0;
  uint64_t masked = 0;    // Values masked in this unit or reply.
  std::string_view sqlstate;
  std::string_view request_id;  // kLogin, kCommand: what the client says it belongs to.  At most 256 bytes of printable ASCII, masked as text is.
  std::string_view grant;       // kLogin, kCommand: the one that admits it.
  VerbSet verbs = 0;            // kCommand: what it does, and to what ("schema.name, ..."), as it was judged; nothing if it could not be read.
  std::string_view objects;
  // False: nobody holds bytes back for this event (`durability: async`), so it waits for the next group or commit_every.
  // Only openings, logins, commands, stand-ins and acts are ever waited for; of other kinds it is not looked at.
  bool is_awaited = true;
  const ByteAccount* accounts = nullptr;  // kClosed: two of them, by Direction.
};

enum class Written : uint8_t { kDurableLater, kRefused };

// One per core.  kRefused: the record cannot take it, and the target's on_failure decides (stop, by default) (I9).
class Recorder {
 public:
  virtual ~Recorder() = default;
  // `group` is durable when durable_upto() reaches it.
  [[nodiscard]] virtual Written write(const RecordEvent&, uint64_t& group) = 0;
  [[nodiscard]] virtual uint64_t durable_upto() const = 0;
  // False: broken or full; no new session is admitted.
  [[nodiscard]] virtual bool is_accepting() const = 0;
  // True: groups above durable_upto() never become durable.  Who waits for one is refused.
  [[nodiscard]] virtual bool has_failed() const { return false; }
  // True: more than half of the pending memory waits for the disk.  Sessions stop reading new commands until it is false.
  [[nodiscard]] virtual bool is_congested() const { return false; }
};

}  // namespace weir

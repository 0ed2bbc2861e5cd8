// The kernel side as a whole: what would be done, doing it, undoing it, looking at it.  For the command line and the lab;
// the engine's own view is kernel_steering.h.  Everything acts on the network namespace of the caller.
// Must never: leave a half of it behind (up is all or nothing), or open a way to a target while it works: the egress guard
// is attached first and detached last.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/config.h"
#include "steer/kernel_bypasses.h"

namespace weir::steer {

struct Plan {
  std::vector<std::string> steps;     // In order, one line each: what up() does, made from the steps that it carries out.
  std::vector<std::string> clashes;   // What stands in the way; up() refuses while there is one.
  std::vector<std::string> notes;     // What else is there and may matter: other tc programs, XDP, bridge ports.
};
// Changes nothing.
[[nodiscard]] Result<Plan> plan(const Config&);

// Already up with the same programs and options: writes the targets anew and puts back what is missing.
// Errors: kInvalid (a clash; the message names it), kDenied (a capability), kUnavailable (a kernel feature; doctor() has the
// fix), kSystem.  After an error everything that up() did is undone.
[[nodiscard]] Result<void> up(const Config&);

// Undoes what up() recorded, also when the configuration has changed since.  Post: what could not be put back, one line each
// (a sysctl that somebody has changed meanwhile is left alone and said).  Not up: does nothing.
[[nodiscard]] Result<std::vector<std::string>> down(const Config&);

struct Piece {
  std::string kind;                   // link, rule, route, sysctl, nft, pin
  std::string name;
  bool is_in_place = false;
  std::string detail;                 // What was found instead.
};
struct ReasonCount { std::string name; uint64_t packets = 0; };
struct Status {
  bool is_up = false;                 // Pins are there; `pieces` tell whether all of it works.
  bool is_engine_listening = false;   // A listener stands in the kernel's table.
  std::vector<Piece> pieces;
  uint64_t steered = 0;               // kernel.steered: packets given to the engine, from clients and targets.
  uint64_t sent = 0;                  // Packets of the engine that the guard let out.
  uint64_t passed = 0;                // kernel.passed: packets that were not ours, untouched.
  std::vector<ReasonCount> dropped;   // kernel.dropped.<reason>, every reason, zeros too.
  std::vector<ReasonCount> by_reason; // All other reasons (steered, sent, passed in detail).
  std::vector<KernelBypass> bypasses; // Also such as are over, which no engine has taken out yet.
  uint64_t bindings = 0, flows = 0;   // Entries now.
  std::vector<std::string> programs;  // "guard 6f1c0e5d2b8a9f04": name and kernel tag, for the record.
};
[[nodiscard]] Result<Status> status(const Config&);

struct Finding {
  enum class Level : uint8_t { kOk, kWarn, kFail };
  std::string check;
  Level level = Level::kOk;
  std::string found;
  std::string fix;                    // Empty for kOk.
};
[[nodiscard]] std::vector<Finding> doctor(const Config&);

// Targets alone, on a reload or when a name resolves anew (put the addresses into TargetConfig::addresses).  Packets in
// between see the old or the new entry of each prefix, never none.  Pre: up.
[[nodiscard]] Result<void> write_targets(const Config&);

}  // namespace weir::steer

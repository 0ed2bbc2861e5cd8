// What policy says of a unit, and what then became of it.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "core/facts.h"
#include "core/unit.h"

namespace weir {

// A mask carried out on one field: the bytes `within` (absolute stream offsets, inside the field's value) become `with`.
struct FieldEdit {
  uint32_t field = 0;
  ByteRange within;
  Bytes with;            // Session arena.
  bool to_null = false;  // The whole value becomes NULL; `within` is the value, `with` is empty.
};

// How somebody tried to pass for somebody else.  Each is refused, recorded as an alert of rule "impersonation", and counted.
enum class Impersonation : uint8_t {
  kNone,
  kSetRole,         // A statement that changes, or may change, the role or session user: no grant names that role.
  kLogin,           // A login name that no grant of theirs lists.
  kAgent,           // A workload, or who acts for somebody by delegation, where the grant is for people.
  kExpiredBinding,  // From an address whose binding has ended.
  kTokenReplay,     // A token that has bound another address already.
};
inline constexpr std::string_view kImpersonationRule = "impersonation";
std::string_view name_of(Impersonation kind);

struct Verdict {
  // Ordered by strictness after kTerminate: terminate > block > hold > wait > mask > allow.
  enum class Action : uint8_t {
    kBlock,      // The default: nothing passes that nobody judged (I9).
    kTerminate,  // Block, and end the session with the protocol's own message.
    kHold,       // Waits for a reviewer.
    kWait,       // Judged later: facts, catalogue or another thread's answer is outstanding.  Ask decide() again.
    kMask,
    kAllow,
  };
  Action action = Action::kBlock;
  uint32_t rule = 0;                   // Index into the snapshot's rule table; 0: none ("no-grant" and the like have names too).
  std::string_view rule_name;          // Snapshot memory; the session pins the snapshot while a unit is unsettled.
  std::string_view reason;             // What the client is told.  Snapshot memory or session arena.
  std::span<const FieldEdit> edits{};  // Masks; with kHold they apply on release.  Session arena.
  std::span<const uint32_t> alerts{};  // Rules that only want to be told.  Session arena.
  std::string_view grant;              // Admits it; empty: none does, or none is needed.  Snapshot memory.
  uint32_t grant_number = 0;           // Its place in the configuration, from 1; 0: none.
  // The client asked to act as somebody that no grant lets it act as, and was refused: how.  Else kNone.
  Impersonation impersonation = Impersonation::kNone;
  bool observed = false;               // Target or rule in observe mode: recorded as decided, carried out as kAllow.
  bool grammar_error = false;          // The statement does not parse: `reason` is the parser's message, `position` its place (42601).
  uint32_t position = 0;               // 1-based character, 0: none.
  // What a reviewer must approve.  With kHold: before it passes.  With kAllow: it only prepares (PostgreSQL Parse, Bind) what will
  // be held when it is to run.
  std::span<const std::string_view> approvals{};  // Names; all are needed.  Session arena, of snapshot memory.
  VerbSet verbs = 0;                              // What the command does; 0: it could not be read.
  std::string_view objects;                       // What it does it to, "schema.name, ...".  Session arena.
};

constexpr bool passes(Verdict::Action a) { return a == Verdict::Action::kMask || a == Verdict::Action::kAllow; }
// 0 is the strictest.
constexpr int strictness(Verdict::Action a) {
  switch (a) {
    case Verdict::Action::kTerminate: return 0;
    case Verdict::Action::kBlock: return 1;
    case Verdict::Action::kHold: return 2;
    case Verdict::Action::kWait: return 3;
    case Verdict::Action::kMask: return 4;
    case Verdict::Action::kAllow: return 5;
  }
  return 0;
}
std::string_view name_of(Verdict::Action action);

// What became of a unit.  Written to the record: a verdict alone does not say what the target ran.
enum class Fate : uint8_t {
  kPassed,
  kEdited,
  kRefusedHere,         // We answered; the target never saw it.
  kRefusedAtTarget,     // It passed, and the target answered with an error.
  kRefusedWithParent,   // Its Parse or PREPARE was refused.
  kSkipped,             // Refused because an earlier unit of its pipeline failed.
  kUnread,              // The session ended before it was settled.
  kAwaitingTarget,      // Passed; no answer yet.
  kUnknown,             // Recovered after a kill: whether the target ran it is not known.
};
std::string_view name_of(Fate fate);

}  // namespace weir

// The judge, as the session sees it.
#pragma once
#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/arena.h"
#include "core/facts.h"
#include "core/identity.h"
#include "core/module.h"
#include "core/verdict.h"

namespace weir {

// What policy keeps for one session: the rules and grants that apply to it, resolved once per snapshot and login.
class PolicySession {
 public:
  virtual ~PolicySession() = default;
  // Another snapshot judges on: what `before` learnt of the stream (settings in force, masked values sent) must not be lost.
  virtual void inherit(const PolicySession& /*before*/) {}
};

struct SessionFacts {
  uint64_t id = 0;
  IdentityPtr identity;         // Null: unbound.
  std::string_view target;
  std::string_view protocol;
  std::string client;           // Its address, for what it is told.
};

// One per core: memory of the pattern scanner and of what it found, so that a scan allocates nothing.
class ScanScratch {
 public:
  virtual ~ScanScratch() = default;
};

struct DecideContext {
  const SessionFacts& session;
  PolicySession& state;
  FactsSource& facts;
  const Catalogue* catalogue;   // Null: none configured or not read yet.
  Arena& arena;                 // Session arena: reasons, edits and alerts of the verdicts.
  std::chrono::sys_time<std::chrono::nanoseconds> wall;
  ScanScratch* scratch = nullptr;  // Policy::make_scratch() of this snapshot; null: the session's state makes one of its own.
};

// How a mask rewrites a value.
struct MaskSpec {
  enum class As : uint8_t { kFull, kPartial, kHash, kNull } as = As::kFull;
  uint8_t keep_last = 4;
  bool keep_length = true;
};
// A run of bytes of the chunk that a data pattern found and its validator confirmed.
struct DataHit {
  ByteRange where;       // Absolute stream offsets, clipped to one field.
  uint32_t rule = 0;     // Index into the snapshot's rule table.
};

// One snapshot: immutable, shared by all cores.
class Policy {
 public:
  virtual ~Policy() = default;
  virtual std::unique_ptr<PolicySession> open(const SessionFacts&) const = 0;
  // Judges `units` (all of one direction, all inside `chunk`, which starts at stream offset `chunk_at`).  One pattern scan a
  // chunk.  Post: out[i] is the verdict of units[i]; kWait ones are asked again, alone, with the same chunk.
  virtual void decide(DecideContext&, const Codec&, Bytes chunk, uint64_t chunk_at, std::span<const Unit> units,
                      std::span<Verdict> out) const = 0;
  // `text` of a command (or error, or parameter) with what rules mask taken out, in `arena`; for the record (I4).
  // Post: empty with !text.empty() means: could not be masked safely, record its digest only.
  virtual Bytes redact(DecideContext&, const Codec&, const Unit&, Bytes wire) const = 0;
  // The same for one parameter (or other field) of a unit.  Pre: it is not NULL.  Post: as redact(), by the field's value.
  virtual Bytes redact_field(DecideContext&, const Codec&, const Unit&, Bytes /*wire*/, const Field&) const { return {}; }
  // The same for a text that stands beside a unit: its request id.  Post: empty: it may not stand on the record.
  virtual Bytes redact_text(DecideContext&, const Codec&, Bytes text) const { return text; }
  // Made once per core and snapshot, off the data path.
  virtual std::unique_ptr<ScanScratch> make_scratch() const { return nullptr; }
  virtual std::string_view rule_name(uint32_t /*index*/) const { return {}; }  // For Verdict::alerts.  Snapshot memory.
  virtual uint64_t generation() const = 0;
  virtual std::string_view digest() const = 0;  // SHA-256, hex, of all rule, grant and mask text in force.
};

}  // namespace weir

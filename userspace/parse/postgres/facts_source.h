// Where the engine gets StatementFacts of PostgreSQL statements from: a cache in front of libpg_query.
// Two implementations of core/facts.h's FactsSource: PostgresFactsSource (misses go to SqlParserPool's threads) and
// InlineFacts (misses are parsed before facts() returns; for simulation, tests and command-line tools).
// Must never: answer from a key that was not compared byte by byte, parse on a core's own stack, or allocate on a hit.
#pragma once
#include <functional>
#include <memory>
#include <string_view>

#include "core/facts.h"
#include "core/limits.h"

namespace weir::postgres {

// The catalogue snapshots of one target.  CatalogueReader is one; tests make their own.
class CatalogueProvider {
 public:
  virtual ~CatalogueProvider() = default;
  // Differs after any snapshot was replaced.  Any thread, no lock: looked at once a turn.
  virtual uint64_t version() const = 0;
  // Null: that database was not read (yet).  Any thread.
  virtual std::shared_ptr<const Catalogue> snapshot(std::string_view database) const = 0;

  // Catching up.  A round reads every database once, or fails to.
  // Asks for a round that sees what is committed now; returns the number that rounds() has reached when it is over.  Any thread.
  virtual uint64_t ask_round() const { return 0; }
  // Rounds that are over.  Any thread, no lock.
  virtual uint64_t rounds() const { return 0; }
  // `wake` is called after each round, by another thread, for as long as the handle lives.
  virtual std::shared_ptr<void> watch_rounds(std::function<void()> /*wake*/) const { return nullptr; }
};

struct FactsStats {
  uint64_t hits = 0;            // Answered from the cache: one lexing pass.
  uint64_t exact_hits = 0;      // Of these: found by the whole text, since constants matter to the facts.
  uint64_t misses = 0;          // Sent to a parser.
  uint64_t joined = 0;          // Asked while the same key was already being parsed.
  uint64_t refused_full = 0;    // facts_pending_max reached or the parsers' queue full.
  uint64_t caught_up = 0;       // Waited for the catalogue to be read again, since they named what it did not know.
  uint64_t refused_size = 0;    // Above statement_size_max.
  uint64_t evicted = 0;
  uint64_t entries = 0;
  uint64_t bytes = 0;           // What keys and facts take, by estimate.
};

class SqlParserPool;

// One per core and target.  All calls on that core's thread.
class PostgresFactsSource : public FactsSource {
 public:
  virtual FactsStats stats() const = 0;
};

// `wake` is called on a parser thread when an answer is ready: it must only post to the core (Io::message).  It is not
// called any more once the source is destroyed.  `catalogue` may be null.  The pool outlives the source.
std::unique_ptr<PostgresFactsSource> make_postgres_facts(SqlParserPool& pool, const Limits& limits,
                                                         std::shared_ptr<const CatalogueProvider> catalogue,
                                                         std::function<void()> wake);
// Never answers kPending.  Starts one thread (for its stack) and waits for it at each miss.
std::unique_ptr<PostgresFactsSource> make_inline_facts(const Limits& limits,
                                                       std::shared_ptr<const CatalogueProvider> catalogue = nullptr);

}  // namespace weir::postgres

// What the target's planner thinks of a held statement, for its reviewer: plain EXPLAIN, never ANALYZE, by the gateway's own
// catalogue login.  Asked of the statement's general form (constants taken out, a generic plan), so that no value of the
// statement leaves the gateway or comes back in the plan, and nothing of the client's is executed.
// Must never: run on a core; send a text whose planning may call what is not PostgreSQL's own; write.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/facts.h"
#include "parse/postgres/catalogue_reader.h"

namespace weir::postgres {

struct Estimate {
  std::string plan;         // As EXPLAIN (FORMAT TEXT) prints it, at most kEstimatePlanMax bytes.
  std::string statement;    // What was planned: the general form.
  std::string server;       // "15.14"
};
inline constexpr std::size_t kEstimatePlanMax = 64u << 10;

// Whether its planning is harmless, and EXPLAIN takes it.  `facts` are of the statement, with the catalogue of its database.
// Errors: kDenied with why: it is unreadable, several statements, no SELECT, INSERT, UPDATE, DELETE, MERGE or VALUES, reads a view
// or what is not known (what that calls is not seen here), or calls a function that is not one of PostgreSQL's own that only read.
[[nodiscard]] Result<void> may_estimate(const StatementFacts& facts, const Catalogue* catalogue);

// Blocking, some seconds at most (connect 10 s, statement 2 s, lock 500 ms).  `masked`: as the record has it.
// Pre: may_estimate() of its facts.  Errors: kDenied: the target refuses, with what to grant; kUnavailable: it does not answer;
// kInvalid: the general form cannot be planned (a constant that the grammar needs).
[[nodiscard]] Result<Estimate> estimate(const CatalogueReaderOptions& how, const std::string& database, std::string_view masked);

}  // namespace weir::postgres

// What the catalogue reader asks, and how it reads the answers.  Blocking; on the reader's thread.
//
// A function outside pg_catalog only reads if that can be shown, since IMMUTABLE and STABLE are claims of its author:
//   language sql     not VOLATILE, and its body parses to SELECTs over no relation with calls of the safe list alone
//   language c       not VOLATILE, and it belongs to an extension (its author had to be a superuser)
//   all others       never (plpgsql may do anything in a branch that is not looked at)
// An operator is what its function is.
#pragma once
#include <libpq-fe.h>

#include "base/result.h"
#include "core/limits.h"
#include "parse/postgres/catalogue.h"

namespace weir::postgres {

struct CatalogueRead {
  CatalogueContents contents;   // Without a generation.
  uint64_t digest = 0;          // Of all rows read: equal digests mean that nothing changed.
};
// Pre: `connection` is open and idle.  Errors name the query that failed; they hold no data.
Result<CatalogueRead> read_catalogue(PGconn* connection, const Limits& limits);

}  // namespace weir::postgres

// A connection of libpq's with the gateway's own catalogue login, over a forwarder whose socket the egress guard lets out.
// Internal to parse/postgres/.
#pragma once
#include <libpq-fe.h>

#include <memory>
#include <string>

#include "base/result.h"
#include "parse/postgres/catalogue_forwarder.h"
#include "parse/postgres/catalogue_reader.h"

namespace weir::postgres {

struct CloseConnection { void operator()(PGconn* connection) const { PQfinish(connection); } };
using ConnectionPtr = std::unique_ptr<PGconn, CloseConnection>;

// Blocking, ten seconds at most.  `settings`: "-c name=value ...", beside a read-only default.
// Errors: kUnavailable (no answer, or libpq's own words: the password is not in them), kSystem.
[[nodiscard]] Result<ConnectionPtr> connect_catalogue(const CatalogueReaderOptions& how, const std::string& database, const std::string& settings, CatalogueForwarder& forwarder);

}  // namespace weir::postgres

#include "parse/postgres/estimate.h"

#include <algorithm>
#include <cstring>

#include "parse/postgres/catalogue_connection.h"
#include "parse/postgres/sql_lexer.h"

namespace weir::postgres {
namespace {

// A generic plan: parameters stay parameters, also where the call gives NULL.  PostgreSQL 12 and later.
constexpr const char* kSettings = "-c statement_timeout=2000 -c lock_timeout=500 -c idle_in_transaction_session_timeout=5000 -c plan_cache_mode=force_generic_plan -c jit=off";
constexpr const char* kName = "weir_estimate";

struct ClearResult { void operator()(PGresult* result) const { PQclear(result); } };
using ResultPtr = std::unique_ptr<PGresult, ClearResult>;

std::string field_of(const PGresult* result, int field) {
  const char* text = PQresultErrorField(result, field);
  return text == nullptr ? "" : text;
}

tl::unexpected<Error> refusal(const PGresult* result, const std::string& role, std::string_view database) {
  const std::string state = field_of(result, PG_DIAG_SQLSTATE), message = field_of(result, PG_DIAG_MESSAGE_PRIMARY);
  if (state == "42501") {
    return fail(Error::Kind::kDenied, "the target refuses: " + message + ": grant it to " + role + " in database " + std::string(database) + ", the catalogue's login, if its plans are to be seen");
  }
  if (state == "57014" || state == "55P03" || state.starts_with("08") || state.starts_with("57P")) return fail(Error::Kind::kUnavailable, "the target did not plan it in time: " + message);
  return fail(Error::Kind::kInvalid, "its general form, without constants, cannot be planned: " + (message.empty() ? std::string("the connection was lost") : message));
}

bool is_plannable(std::string_view kind) {
  for (const std::string_view known : {"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"}) {
    if (kind == known) return true;
  }
  return false;
}

}  // namespace

Result<void> may_estimate(const StatementFacts& facts, const Catalogue* catalogue) {
  const auto refuse = [](std::string why) { return fail(Error::Kind::kDenied, "no estimate: " + std::move(why)); };
  if (facts.is_syntax_error || facts.is_opaque) return refuse("it cannot be read: " + facts.why);
  if (facts.statement_count != 1) return refuse("it is " + std::to_string(facts.statement_count) + " statements");
  if (facts.kinds.empty() || !std::all_of(facts.kinds.begin(), facts.kinds.end(), is_plannable)) return refuse("EXPLAIN plans SELECT, INSERT, UPDATE, DELETE and MERGE alone");
  if ((facts.verbs & ~static_cast<VerbSet>(Verb::kRead | Verb::kWrite)) != 0) return refuse("it does more than read and write rows");
  if (catalogue == nullptr) return refuse("the catalogue of its database has not been read");
  for (const FunctionRef& function : facts.functions) {
    const bool is_own = function.schema.empty() || function.schema == "pg_catalog";
    if (!is_own || !function.is_cleared) return refuse("planning may call " + (function.schema.empty() ? "" : function.schema + ".") + function.name + "(), which is not known to only read");
  }
  if (facts.has_unknown_function) return refuse("planning may call a function that is not known");
  for (const RelationRef& relation : facts.relations) {
    const std::string name = (relation.schema.empty() ? "" : relation.schema + ".") + relation.name;
    const CatalogueRelation* known = relation.is_resolved && relation.id != 0 ? catalogue->relation(relation.id) : nullptr;
    if (known == nullptr) return refuse("the catalogue does not know " + name);
    if (known->is_view) return refuse(name + " is a view: what planning it calls is not seen here");
  }
  return {};
}

Result<Estimate> estimate(const CatalogueReaderOptions& how, const std::string& database, std::string_view masked) {
  Estimate made;
  made.statement = sql_normalized(masked);
  if (made.statement.empty()) return fail(Error::Kind::kDenied, "no estimate: its constants cannot be told from its code");
  auto forwarder = CatalogueForwarder::open(how.dial);
  if (!forwarder) return tl::unexpected<Error>(forwarder.error());
  const auto connection = connect_catalogue(how, database, kSettings, **forwarder);
  if (!connection) return fail(Error::Kind::kUnavailable, (*forwarder)->dial_error().empty() ? connection.error().message : (*forwarder)->dial_error());
  PGconn* const pg = connection->get();
  made.server = PQparameterStatus(pg, "server_version") == nullptr ? "" : PQparameterStatus(pg, "server_version");
  // One statement: the extended protocol takes no more.  Read-only, and never committed.
  const ResultPtr begun(PQexec(pg, "begin transaction read only"));
  if (PQresultStatus(begun.get()) != PGRES_COMMAND_OK) return refusal(begun.get(), how.user, database);
  const ResultPtr prepared(PQprepare(pg, kName, made.statement.c_str(), 0, nullptr));
  if (PQresultStatus(prepared.get()) != PGRES_COMMAND_OK) return refusal(prepared.get(), how.user, database);
  const ResultPtr described(PQdescribePrepared(pg, kName));
  if (PQresultStatus(described.get()) != PGRES_COMMAND_OK) return refusal(described.get(), how.user, database);
  std::string ask = std::string("explain execute ") + kName;
  for (int i = 0; i < PQnparams(described.get()); ++i) ask += i == 0 ? "(null" : ", null";
  if (PQnparams(described.get()) > 0) ask += ")";
  const ResultPtr plan(PQexec(pg, ask.c_str()));
  if (PQresultStatus(plan.get()) != PGRES_TUPLES_OK) return refusal(plan.get(), how.user, database);
  for (int row = 0; row < PQntuples(plan.get()) && made.plan.size() < kEstimatePlanMax; ++row) made.plan += std::string(PQgetvalue(plan.get(), row, 0)) + "\n";
  if (made.plan.size() > kEstimatePlanMax) made.plan.resize(kEstimatePlanMax);
  return made;
}

}  // namespace weir::postgres

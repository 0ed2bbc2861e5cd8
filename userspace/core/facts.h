// What a statement does, as read from its parse: the contract between a protocol's reader (parse/<protocol>/) and the
// stages that judge (decide/) and mask (mask/).  Immutable once made; made off the data path, shared within a core.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace weir {

// Verb classes of grants.  A statement has all the classes of what it does.
enum class Verb : uint16_t {
  kRead = 1 << 0, kWrite = 1 << 1, kDdl = 1 << 2, kAdmin = 1 << 3, kExec = 1 << 4, kShell = 1 << 5,
  kFile = 1 << 6, kForward = 1 << 7, kImpersonate = 1 << 8, kReplicate = 1 << 9,
  kSession = 1 << 10,  // BEGIN, COMMIT, SHOW, SET of harmless settings, DEALLOCATE: what every grant allows.
};
using VerbSet = uint16_t;
constexpr VerbSet operator|(Verb a, Verb b) { return static_cast<VerbSet>(static_cast<VerbSet>(a) | static_cast<VerbSet>(b)); }
constexpr VerbSet bit(Verb v) { return static_cast<VerbSet>(v); }

// Named shapes that rules may ask for (`facts: [...]`).  X(enumerator, "name-in-rules", "what it means")
#define WEIR_SHAPES(X)                                                                                     \
  X(kUpdateWithoutWhere, "update-without-where", "UPDATE of a whole table, also WHERE true")               \
  X(kDeleteWithoutWhere, "delete-without-where", "DELETE of a whole table, also WHERE true")               \
  X(kTruncate, "truncate", "TRUNCATE")                                                                     \
  X(kDropTable, "drop-table", "DROP TABLE, VIEW, MATERIALIZED VIEW, SEQUENCE, INDEX, TYPE")                \
  X(kDropSchema, "drop-schema", "DROP SCHEMA")                                                             \
  X(kDropDatabase, "drop-database", "DROP DATABASE")                                                       \
  X(kDropRole, "drop-role", "DROP ROLE, USER, GROUP, OWNED")                                               \
  X(kAlterTable, "alter-table", "ALTER TABLE and its kin")                                                 \
  X(kAlterSystem, "alter-system", "ALTER SYSTEM")                                                          \
  X(kAlterRole, "alter-role", "CREATE or ALTER ROLE, also with a password")                                \
  X(kGrantRevoke, "grant-revoke", "GRANT, REVOKE, ALTER DEFAULT PRIVILEGES")                               \
  X(kCopyProgram, "copy-program", "COPY TO or FROM PROGRAM")                                               \
  X(kCopyFile, "copy-file", "COPY TO or FROM a file on the server")                                        \
  X(kCopyOut, "copy-out", "COPY TO STDOUT")                                                                \
  X(kCopyIn, "copy-in", "COPY FROM STDIN")                                                                 \
  X(kServerFile, "server-file", "functions that read, list or write files on the server, large-object import and export") \
  X(kDo, "do-block", "DO: code that this parser does not look into")                                       \
  X(kCall, "call", "CALL of a procedure")                                                                  \
  X(kDynamicSql, "dynamic-sql", "PREPARE or EXECUTE in SQL, query_to_xml and kin, text that the server parses as SQL") \
  X(kCreateFunction, "create-function", "CREATE FUNCTION, PROCEDURE, TRIGGER, RULE, EVENT TRIGGER, POLICY changes") \
  X(kCreateExtension, "create-extension", "CREATE, ALTER or DROP EXTENSION, LANGUAGE, FOREIGN DATA WRAPPER, SERVER, LOAD") \
  X(kForeignAccess, "foreign-access", "dblink, postgres_fdw, subscriptions: the server connects elsewhere") \
  X(kSetRole, "set-role", "SET ROLE, SET SESSION AUTHORIZATION, RESET of them")                            \
  X(kSetGrammar, "set-grammar", "sets what changes how text is read: standard_conforming_strings, client_encoding, ...") \
  X(kSetSearchPath, "set-search-path", "sets search_path")                                                 \
  X(kSecurityOff, "security-off", "row_security, session_replication_role, log_*, statement logging or audit settings") \
  X(kTerminateBackend, "terminate-backend", "pg_terminate_backend, pg_cancel_backend, pg_reload_conf")     \
  X(kCatalogSecrets, "catalog-secrets", "pg_authid, pg_shadow, pg_user_mapping, pg_hba_file_rules, pg_stat_activity text") \
  X(kLockTable, "lock-table", "LOCK TABLE and advisory locks for the whole session")                       \
  X(kSleep, "sleep", "pg_sleep and kin")                                                                   \
  X(kCrossJoin, "cross-join", "a SELECT of two or more relations with neither join condition nor WHERE")   \
  X(kSelectStar, "select-star", "SELECT * of a base relation without LIMIT and WHERE")                     \
  X(kListenNotify, "listen-notify", "LISTEN, NOTIFY, UNLISTEN, pg_notify")                                 \
  X(kVacuum, "maintenance", "VACUUM, ANALYZE, CLUSTER, REINDEX, CHECKPOINT")                               \
  X(kPrepareTransaction, "prepare-transaction", "two-phase commit")                                        \
  X(kExplainAnalyze, "explain-analyze", "EXPLAIN ANALYZE runs what it explains")

enum class Shape : uint8_t {
#define X(enumerator, name, meaning) enumerator,
  WEIR_SHAPES(X)
#undef X
  kCount
};
using ShapeSet = uint64_t;
static_assert(static_cast<int>(Shape::kCount) <= 64);
constexpr ShapeSet bit(Shape s) { return ShapeSet{1} << static_cast<int>(s); }
std::string_view name_of(Shape shape);
std::string_view name_of(Verb verb);
std::vector<std::string_view> names_of(VerbSet verbs);

struct RelationRef {
  std::string schema;        // Resolved by the catalogue; else as written (may be empty).
  std::string name;
  uint32_t id = 0;           // Catalogue id (PostgreSQL OID), 0: not resolved.
  bool is_read = false;      // Neither read nor written: named only by the text of a view that is read (for lineage).
  bool is_written = false;
  bool is_resolved = false;  // False: `objects` of grants match only `*`, and columns are unsure.
};
struct FunctionRef {
  std::string schema, name;
  bool is_cleared = false;   // Safe list or catalogue says that it only reads.
};
struct ColumnRef {           // A base column that the statement touches.
  uint16_t relation = 0;     // Index into relations.
  std::string name;          // "*": all of them.
  // Its value can be guessed or leaves the masks' reach: WHERE, JOIN, ORDER BY, GROUP BY, HAVING, CASE, LIMIT, INTERSECT and
  // EXCEPT, an argument of a function in FROM or of one that is not cleared, copied into another column, table, view or file.
  bool in_filter = false;
  bool is_written = false;   // Assigned by INSERT, UPDATE, MERGE, COPY FROM.
};
// One output column of the statement's result set.
struct OutputColumn {
  std::string name;
  std::vector<uint16_t> origins;   // Indices into columns: every base column whose value may be in it.
  bool is_exact = false;           // The base column's value itself, unchanged.
  bool is_sure = false;            // origins is complete; false: anything may be in it.
};

// A relation named "*", not resolved: the statement may touch any relation (DO, EXECUTE, DROP SCHEMA, dblink, ...).
struct StatementFacts {
  VerbSet verbs = 0;
  ShapeSet shapes = 0;
  uint16_t statement_count = 0;
  bool is_opaque = false;              // Not readable, or readable in two ways: `why` says which.
  bool is_syntax_error = false;        // The parser rejects it: `why` and `position` are the parser's.
  bool is_fence = false;               // What follows depends on the answer (COPY FROM STDIN, SET of a lexer setting, ...).
  bool has_unknown_function = false;   // A call that neither the safe list nor the catalogue clears.
  bool has_output = false;             // It may return rows.
  bool outputs_are_known = false;      // `outputs` lists every output column, in order.
  uint32_t position = 0;               // 1-based character of a syntax error.
  std::string why;
  std::string normalized;              // Constants taken out ($n): safe for logs and keys.
  std::vector<std::string> kinds;      // "SelectStmt", "InsertStmt", ... nested ones too.
  std::vector<RelationRef> relations;
  std::vector<FunctionRef> functions;
  std::vector<ColumnRef> columns;
  std::vector<OutputColumn> outputs;   // Of the last statement that returns rows; meaningful if statement_count is 1.
  std::vector<std::string> roles;      // SET ROLE and kin: the role asked for.
};
using FactsPtr = std::shared_ptr<const StatementFacts>;

// Why a query for facts is answered or not.  `facts` lives in the core's cache until the core evicts it between turns;
// who keeps it longer keeps the FactsPtr.
struct FactsAnswer {
  enum class State : uint8_t { kReady, kPending, kRefused /* queue full or too large: opaque */ } state = State::kRefused;
  FactsPtr facts;
};
struct FactsQuery {
  Bytes text;
  std::string_view database;
  std::string_view search_path;                 // As the session has it; empty: the login's default.
  bool standard_conforming_strings = true;
  uint64_t session = 0;                         // Woken (Io::message) when a pending answer is in.
  uint64_t catalogue_round = 0;                 // Pending until the catalogue was read so often: the session changed the schema.
};
// One per core.  A hit costs one lexing pass; a miss is parsed on a helper thread with a stack of its own.
class FactsSource {
 public:
  virtual ~FactsSource() = default;
  virtual FactsAnswer facts(const FactsQuery&) = 0;
  // A session has changed the schema: what FactsQuery::catalogue_round must say to see it.
  virtual uint64_t catalogue_changed() { return 0; }
  // Takes in what helper threads finished; returns the sessions to step again.  Called once a turn.
  virtual std::span<const uint64_t> collect() = 0;
};

// What the gateway's own read-only login learnt of one database.  Immutable snapshot.
struct CatalogueColumn { std::string name; uint32_t type_id = 0; uint16_t number = 0; };
struct CatalogueRelation {
  std::string schema, name;
  uint32_t id = 0;
  bool is_view = false;
  std::vector<CatalogueColumn> columns;
  std::string view_text;  // pg_get_viewdef: parsed for its own lineage.
};
struct CatalogueFunction { std::string schema, name; char volatility = 'v'; bool is_internal = false; };
class Catalogue {
 public:
  virtual ~Catalogue() = default;
  virtual uint64_t generation() const = 0;
  // `schema` empty: by search_path.  nullptr: unknown (then lineage is unsure).
  virtual const CatalogueRelation* relation(std::string_view schema, std::string_view name, std::string_view search_path) const = 0;
  virtual const CatalogueRelation* relation(uint32_t id) const = 0;
  // True if every overload of that name is known and none has side effects.
  virtual bool function_only_reads(std::string_view schema, std::string_view name, std::string_view search_path) const = 0;
  // Outside pg_catalog there is a function of that name which the search path may find before or beside a built-in one.
  virtual bool function_is_shadowed(std::string_view name, std::string_view search_path) const { (void)name, (void)search_path; return false; }
  virtual std::string_view default_search_path(std::string_view login) const = 0;
};

}  // namespace weir

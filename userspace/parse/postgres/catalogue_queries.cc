#include "parse/postgres/catalogue_queries.h"

#include <charconv>
#include <memory>

#include "parse/postgres/facts_functions.h"
#include "parse/postgres/facts_parse.h"
#include "parse/postgres/sql_lexer.h"

namespace weir::postgres {

namespace {

struct FreeResult { void operator()(PGresult* result) const { PQclear(result); } };
using ResultPtr = std::unique_ptr<PGresult, FreeResult>;

constexpr const char* kDefaultPath =
    "select case when source in ('default', 'configuration file', 'command line') then reset_val else boot_val end"
    " from pg_catalog.pg_settings where name = 'search_path'";
constexpr const char* kRoleSettings =
    "select coalesce(r.rolname, ''), s.setdatabase <> 0, c from pg_catalog.pg_db_role_setting s"
    " left join pg_catalog.pg_roles r on r.oid = s.setrole cross join lateral unnest(s.setconfig) c"
    " where s.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()))"
    " and c like 'search\\_path=%' and (s.setrole = 0 or r.oid is not null) order by s.setrole <> 0, s.setdatabase <> 0";
constexpr const char* kRoles = "select rolname from pg_catalog.pg_roles where rolcanlogin";
// No path: pg_get_viewdef then writes every name with its schema.
constexpr const char* kNoPath = "select pg_catalog.set_config('search_path', '', false)";
constexpr const char* kRelations =
    "select c.oid, n.nspname, c.relname, c.relkind in ('v', 'm'), n.nspname like 'pg\\_temp\\_%',"
    " case when c.relkind in ('v', 'm') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_temp\\_%'"
    " then pg_catalog.pg_get_viewdef(c.oid) end"
    " from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace"
    " where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and n.nspname not like 'pg\\_toast%' order by c.oid";
constexpr const char* kColumns =
    "select a.attrelid, a.attnum, a.attname, a.atttypid from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid"
    " join pg_catalog.pg_namespace n on n.oid = c.relnamespace"
    " where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and n.nspname not like 'pg\\_toast%'"
    " and n.nspname not like 'pg\\_temp\\_%' order by a.attrelid, a.attnum";
constexpr const char* kFunctions =
    "select p.oid, n.nspname, p.proname, p.provolatile, l.lanname, p.prokind,"
    " exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype = 'e'),"
    " case when l.lanname = 'sql' and n.nspname <> 'pg_catalog' and n.nspname <> 'information_schema'"
    " then coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc) end"
    " from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace join pg_catalog.pg_language l on l.oid = p.prolang"
    " order by p.oid";
constexpr const char* kOperators =
    "select n.nspname, o.oprname, o.oprcode::pg_catalog.oid from pg_catalog.pg_operator o"
    " join pg_catalog.pg_namespace n on n.oid = o.oprnamespace order by o.oid";

class Reader {
 public:
  Reader(PGconn* connection, const Limits& limits) : connection_(connection), limits_(limits) {}

  Result<CatalogueRead> run() {
    if (!command("begin isolation level repeatable read read only")) return failed("begin");
    if (!read_paths()) return failed("search paths");
    if (!command(kNoPath)) return failed("set search_path");
    if (!read_relations()) return failed("relations");
    if (!read_columns()) return failed("columns");
    if (!read_functions()) return failed("functions");
    if (!read_operators()) return failed("operators");
    if (!command("commit")) return failed("commit");
    return std::move(read_);
  }

 private:
  // SQLSTATE and primary message: the queries are ours and hold no data of the database.
  [[nodiscard]] tl::unexpected<Error> failed(const char* what) const {
    std::string message = std::string("catalogue: reading ") + what + " failed";
    if (!error_.empty()) message += ": " + error_;
    return fail(Error::Kind::kUnavailable, std::move(message));
  }
  bool command(const char* sql) { return query(sql) != nullptr; }
  ResultPtr query(const char* sql) {
    ResultPtr result(PQexec(connection_, sql));
    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) return result;
    const char* const text = PQresultErrorField(result.get(), PG_DIAG_MESSAGE_PRIMARY);
    error_ = text != nullptr ? text : "the connection was lost";
    return nullptr;
  }
  std::string_view cell(const ResultPtr& rows, int row, int column) {
    const std::string_view text(PQgetvalue(rows.get(), row, column), static_cast<std::size_t>(PQgetlength(rows.get(), row, column)));
    read_.digest = sql_hash(text, read_.digest + 1);
    return text;
  }
  uint32_t number(const ResultPtr& rows, int row, int column) {
    const std::string_view text = cell(rows, row, column);
    uint32_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  }
  bool truth(const ResultPtr& rows, int row, int column) { return cell(rows, row, column) == "t"; }

  bool read_paths() {
    const ResultPtr standard = query(kDefaultPath);
    if (standard == nullptr) return false;
    CatalogueContents& contents = read_.contents;
    if (PQntuples(standard.get()) == 1) contents.database_search_path = cell(standard, 0, 0);
    const ResultPtr settings = query(kRoleSettings);
    const ResultPtr roles = settings != nullptr ? query(kRoles) : nullptr;
    if (roles == nullptr) return false;
    std::unordered_map<std::string, std::string> own;
    for (int row = 0; row < PQntuples(settings.get()); ++row) {
      const std::string role(cell(settings, row, 0));
      cell(settings, row, 1);
      std::string path(cell(settings, row, 2).substr(std::string_view("search_path=").size()));
      (role.empty() ? contents.database_search_path : own[role]) = std::move(path);  // Ordered: the more particular comes later.
    }
    for (int row = 0; row < PQntuples(roles.get()); ++row) {
      const std::string role(cell(roles, row, 0));
      const auto found = own.find(role);
      contents.role_search_paths.emplace(role, for_role(found != own.end() ? found->second : contents.database_search_path, role));
    }
    return true;
  }
  static std::string for_role(std::string_view path, std::string_view role) {
    std::string text;
    for (const std::string& schema : split_search_path(path)) {
      if (!text.empty()) text += ", ";
      text += '"';
      for (const char c : schema == "$user" ? role : std::string_view(schema)) {
        if (c == '"') text += '"';
        text += c;
      }
      text += '"';
    }
    return text;
  }

  bool read_relations() {
    const ResultPtr rows = query(kRelations);
    if (rows == nullptr) return false;
    for (int row = 0; row < PQntuples(rows.get()); ++row) {
      CatalogueRelation relation;
      relation.id = number(rows, row, 0);
      relation.schema = cell(rows, row, 1);
      relation.name = cell(rows, row, 2);
      relation.is_view = truth(rows, row, 3);
      const bool is_temporary = truth(rows, row, 4);
      relation.view_text = cell(rows, row, 5);
      if (is_temporary) {
        read_.contents.temporary_names.insert(relation.name);
        continue;
      }
      by_id_.emplace(relation.id, read_.contents.relations.size());
      read_.contents.relations.push_back(std::move(relation));
    }
    return true;
  }

  bool read_columns() {
    const ResultPtr rows = query(kColumns);
    if (rows == nullptr) return false;
    for (int row = 0; row < PQntuples(rows.get()); ++row) {
      const auto found = by_id_.find(number(rows, row, 0));
      CatalogueColumn column;
      column.number = static_cast<uint16_t>(number(rows, row, 1));
      column.name = cell(rows, row, 2);
      column.type_id = number(rows, row, 3);
      if (found != by_id_.end()) read_.contents.relations[found->second].columns.push_back(std::move(column));
    }
    return true;
  }

  bool read_functions() {
    const ResultPtr rows = query(kFunctions);
    if (rows == nullptr) return false;
    for (int row = 0; row < PQntuples(rows.get()); ++row) {
      const uint32_t id = number(rows, row, 0);
      CatalogueOverload function;
      function.schema = cell(rows, row, 1);
      function.name = cell(rows, row, 2);
      const bool is_volatile = cell(rows, row, 3) == "v";
      const std::string_view language = cell(rows, row, 4), kind = cell(rows, row, 5);
      const bool is_extension = truth(rows, row, 6);
      const std::string_view body = cell(rows, row, 7);
      if (function.schema == "pg_catalog" || function.schema == "information_schema") {
        function.only_reads = note_of_function("pg_catalog", function.name).is_cleared;
      } else if (!is_volatile && language == "c") {
        function.only_reads = is_extension;
      } else if (!is_volatile && language == "sql" && kind == "f") {
        function.only_reads = body_only_computes(body);
      }
      functions_.emplace(id, function.only_reads);
      read_.contents.functions.push_back(std::move(function));
    }
    return true;
  }
  bool body_only_computes(std::string_view body) const {
    std::string text(body);
    if (text.starts_with("RETURN ")) text.replace(0, 7, "SELECT ");  // The form of SQL-standard bodies.
    const ParsedFacts parsed = parse_facts(text, nullptr, "pg_catalog", true, limits_);
    const StatementFacts& facts = *parsed.facts;
    return !facts.is_opaque && !facts.is_syntax_error && facts.verbs == bit(Verb::kRead) && facts.shapes == 0 && facts.relations.empty() &&
           !facts.has_unknown_function;
  }

  bool read_operators() {
    const ResultPtr rows = query(kOperators);
    if (rows == nullptr) return false;
    for (int row = 0; row < PQntuples(rows.get()); ++row) {
      CatalogueOverload made;
      made.schema = cell(rows, row, 0);
      made.name = cell(rows, row, 1);
      const auto function = functions_.find(number(rows, row, 2));
      made.only_reads = made.schema == "pg_catalog" || (function != functions_.end() && function->second);
      read_.contents.functions.push_back(std::move(made));
    }
    return true;
  }

  PGconn* connection_;
  const Limits& limits_;
  CatalogueRead read_;
  std::string error_;
  std::unordered_map<uint32_t, std::size_t> by_id_;
  std::unordered_map<uint32_t, bool> functions_;
};

}  // namespace

Result<CatalogueRead> read_catalogue(PGconn* connection, const Limits& limits) { return Reader(connection, limits).run(); }

}  // namespace weir::postgres

#include "parse/postgres/facts_fuzz.h"

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include <vector>

#include "base/check.h"
#include "parse/postgres/facts_source.h"
#include "parse/postgres/sql_lexer.h"

namespace weir::postgres {

namespace {

SqlTokenKind kind_of(const PgQuery__ScanToken& token, std::string_view text) {
  switch (token.token) {
    case PG_QUERY__TOKEN__ICONST: return SqlTokenKind::kInteger;
    case PG_QUERY__TOKEN__FCONST: return SqlTokenKind::kFloat;
    case PG_QUERY__TOKEN__BCONST: return SqlTokenKind::kBitString;
    case PG_QUERY__TOKEN__XCONST: return SqlTokenKind::kHexString;
    case PG_QUERY__TOKEN__PARAM: return SqlTokenKind::kParameter;
    case PG_QUERY__TOKEN__USCONST: return SqlTokenKind::kUnicodeString;
    case PG_QUERY__TOKEN__UIDENT: return SqlTokenKind::kUnicodeIdentifier;
    case PG_QUERY__TOKEN__SCONST: {
      const char first = text[static_cast<std::size_t>(token.start)];
      return first == '\'' ? SqlTokenKind::kString : first == '$' ? SqlTokenKind::kDollarString : SqlTokenKind::kEscapeString;
    }
    default: return SqlTokenKind::kEnd;  // Told apart by place alone.
  }
}

bool is_comment(const PgQuery__ScanToken& token) {
  return token.token == PG_QUERY__TOKEN__SQL_COMMENT || token.token == PG_QUERY__TOKEN__C_COMMENT;
}

Limits fuzz_limits() {
  Limits limits;
  limits.statement_size_max = 64u << 10;
  limits.facts_cache_entries = 64;
  return limits;
}

}  // namespace

std::string lexer_difference(std::string_view view) {
  const std::string text(view);
  const PgQueryScanResult scanned = pg_query_scan(text.c_str());
  std::string difference;
  if (scanned.error == nullptr) {
    PgQuery__ScanResult* const result = pg_query__scan_result__unpack(
        nullptr, scanned.pbuf.len, reinterpret_cast<const uint8_t*>(scanned.pbuf.data));
    WEIR_CHECK(result != nullptr);
    SqlLexer lexer(text);
    for (std::size_t i = 0; i < result->n_tokens && difference.empty(); ++i) {
      const PgQuery__ScanToken& theirs = *result->tokens[i];
      if (is_comment(theirs)) continue;
      const SqlToken ours = lexer.next();
      const SqlTokenKind kind = kind_of(theirs, text);
      const bool kind_differs = kind != SqlTokenKind::kEnd ? kind != ours.kind : is_constant(ours.kind);
      // Their end of some literals is not the token's (U&'', U&"", the last part of a continued one): the start of the
      // token that follows is compared then.
      const bool end_differs = theirs.end > theirs.start && !is_constant(ours.kind) && ours.kind != SqlTokenKind::kUnicodeIdentifier &&
                               ours.end != static_cast<uint32_t>(theirs.end);
      if (ours.start != static_cast<uint32_t>(theirs.start) || end_differs || kind_differs) {
        difference = "token " + std::to_string(i) + ": theirs " + std::to_string(theirs.start) + "-" + std::to_string(theirs.end) +
                     " (" + std::to_string(theirs.token) + "), ours " + std::to_string(ours.start) + "-" + std::to_string(ours.end) +
                     " (" + std::to_string(static_cast<int>(ours.kind)) + ")" + (lexer.error() ? lexer.error() : "");
      }
    }
    if (difference.empty() && (lexer.next().kind != SqlTokenKind::kEnd || lexer.error() != nullptr)) difference = "ours goes on";
    pg_query__scan_result__free_unpacked(result, nullptr);
  }
  pg_query_free_scan_result(scanned);
  return difference;
}

// What must hold of any facts, whatever the text.
void check_facts(const StatementFacts& facts) {
  for (const ColumnRef& column : facts.columns) WEIR_CHECK(column.relation < facts.relations.size());
  for (const OutputColumn& output : facts.outputs) {
    for (const uint16_t origin : output.origins) WEIR_CHECK(origin < facts.columns.size());
  }
  for (const FunctionRef& function : facts.functions) WEIR_CHECK(function.is_cleared || facts.has_unknown_function || facts.is_opaque);
  WEIR_CHECK(facts.verbs != 0 || facts.is_opaque || facts.is_syntax_error);
  WEIR_CHECK((!facts.is_opaque && !facts.is_syntax_error) || !facts.why.empty());
}

int fuzz_postgres_facts(const uint8_t* data, std::size_t size) {
  static const std::unique_ptr<PostgresFactsSource> source = make_inline_facts(fuzz_limits());  // Its thread's stack is made once.
  FactsQuery query;
  query.text = as_bytes(std::string_view(reinterpret_cast<const char*>(data), size));
  query.database = "d";
  const FactsAnswer first = source->facts(query);
  if (first.state != FactsAnswer::State::kReady) return 0;
  check_facts(*first.facts);
  const FactsAnswer again = source->facts(query);
  WEIR_CHECK(again.facts == first.facts);  // From the cache, under the same key.
  return 0;
}

int fuzz_postgres_lexer(const uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::byte> buffer(2 * size + 2);
  const SqlKey key = sql_key(text, buffer);
  WEIR_CHECK(key.size <= 2 * size + 1);
  (void)sql_survey(text);
  (void)sql_normalized(text);
  if (text.find('\0') == std::string_view::npos) WEIR_CHECK(lexer_difference(text).empty());
  return 0;
}

}  // namespace weir::postgres

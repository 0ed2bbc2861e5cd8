#include "parse/postgres/facts_parse.h"

#include <pg_query.h>

#include <algorithm>

#include "parse/postgres/facts_walker.h"
#include "parse/postgres/sql_lexer.h"

// libpg_query's scanner reads this thread-local of its own, as the server's does; no function of the library sets it.
extern "C" __thread bool standard_conforming_strings;

namespace weir::postgres {

namespace {

constexpr uint32_t kDepthMax = 20'000;               // Tokens on one path of a tree: a chain of 10,000 additions.
constexpr std::size_t kStackPerToken = 6u << 10;     // Measured: at most 2.9 KiB (sub-select, pack and unpack), 1.9 KiB a term; the lineage walk adds up to 2.5 KiB.
// Units of work are nodes visited and origins copied, 50 to 100 ns each.
constexpr uint64_t kQuickWork = 50'000, kFullWork = 2'000'000, kWorkPerByte = 4;
constexpr std::size_t kFewerRowsFrom = 512;
constexpr std::size_t kStackReserve = 8u << 20;

struct Tree {
  PgQuery__ParseResult* root = nullptr;
  Tree() = default;
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;
  ~Tree() {
    if (root != nullptr) pg_query__parse_result__free_unpacked(root, nullptr);
  }
};

// One reading of the text.
struct Reading {
  std::shared_ptr<StatementFacts> facts = std::make_shared<StatementFacts>();
  bool depends_on_constants = true;
  bool ran_out = false;
};

void parse_into(const std::string& text, bool conforming, Tree& tree, StatementFacts& facts) {
  ::standard_conforming_strings = conforming;
  const PgQueryProtobufParseResult parsed = pg_query_parse_protobuf(text.c_str());
  ::standard_conforming_strings = true;
  if (parsed.error != nullptr) {
    facts.is_syntax_error = true;
    facts.why = parsed.error->message != nullptr ? parsed.error->message : "syntax error";
    facts.position = parsed.error->cursorpos > 0 ? static_cast<uint32_t>(parsed.error->cursorpos) : 0;
  } else {
    tree.root = pg_query__parse_result__unpack(nullptr, parsed.parse_tree.len, reinterpret_cast<const uint8_t*>(parsed.parse_tree.data));
    if (tree.root == nullptr) {
      facts.is_opaque = true;
      facts.why = "the parser's tree cannot be read";
    }
  }
  pg_query_free_protobuf_parse_result(parsed);
}

Reading read(const std::string& text, bool conforming, const Catalogue* catalogue, std::string_view search_path, const Limits& limits,
             Effort effort) {
  Reading reading;
  Tree tree;
  parse_into(text, conforming, tree, *reading.facts);
  if (tree.root == nullptr) return reading;
  FactsWalker::Limits walk_limits;
  walk_limits.work_max = (effort == Effort::kQuick ? kQuickWork : kFullWork) + kWorkPerByte * text.size();
  walk_limits.depth_max = 4 * depth_limit(limits);  // Several levels of recursion a token.
  const std::vector<uint32_t> integers_in_key = sql_integers_in_key(text);
  FactsWalker walker(*reading.facts, catalogue, search_path, integers_in_key, walk_limits);
  walker.walk(*tree.root);
  reading.depends_on_constants = walker.depends_on_constants();
  reading.ran_out = walker.ran_out();
  return reading;
}

bool same(const RelationRef& a, const RelationRef& b) {
  return a.schema == b.schema && a.name == b.name && a.id == b.id && a.is_read == b.is_read && a.is_written == b.is_written && a.is_resolved == b.is_resolved;
}
bool same(const FunctionRef& a, const FunctionRef& b) { return a.schema == b.schema && a.name == b.name && a.is_cleared == b.is_cleared; }
bool same(const ColumnRef& a, const ColumnRef& b) {
  return a.relation == b.relation && a.name == b.name && a.in_filter == b.in_filter && a.is_written == b.is_written;
}
bool same(const OutputColumn& a, const OutputColumn& b) {
  return a.name == b.name && a.origins == b.origins && a.is_exact == b.is_exact && a.is_sure == b.is_sure;
}
template <class T>
bool all_same(const std::vector<T>& a, const std::vector<T>& b) {
  return std::ranges::equal(a, b, [](const T& x, const T& y) { return same(x, y); });
}
bool same(const StatementFacts& a, const StatementFacts& b) {
  return a.verbs == b.verbs && a.shapes == b.shapes && a.statement_count == b.statement_count && a.is_opaque == b.is_opaque &&
         a.is_syntax_error == b.is_syntax_error && a.is_fence == b.is_fence && a.has_unknown_function == b.has_unknown_function &&
         a.has_output == b.has_output && a.outputs_are_known == b.outputs_are_known && a.kinds == b.kinds && a.roles == b.roles &&
         all_same(a.relations, b.relations) && all_same(a.functions, b.functions) && all_same(a.columns, b.columns) && all_same(a.outputs, b.outputs);
}

template <class T>
std::size_t bytes_of(const std::vector<T>& list) { return list.capacity() * sizeof(T); }

std::size_t bytes_of(const StatementFacts& facts) {
  std::size_t bytes = sizeof facts + facts.normalized.capacity() + facts.why.capacity() + bytes_of(facts.kinds) + bytes_of(facts.relations) +
                      bytes_of(facts.functions) + bytes_of(facts.columns) + bytes_of(facts.outputs);
  for (const OutputColumn& output : facts.outputs) bytes += bytes_of(output.origins);
  return bytes;
}

std::shared_ptr<StatementFacts> opaque(std::string why) {
  auto facts = std::make_shared<StatementFacts>();
  facts->is_opaque = true;
  facts->why = std::move(why);
  return facts;
}

}  // namespace

uint32_t depth_limit(const Limits& limits) {
  return std::min(kDepthMax, limits.statement_size_max / 2 + 1);  // A level takes two bytes at least.
}

std::size_t parser_stack_size(const Limits& limits) {
  const std::size_t size = depth_limit(limits) * kStackPerToken + kStackReserve;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return 4 * size;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  return 4 * size;
#endif
#endif
  return size;
}

ParsedFacts parse_facts(std::string_view text, const Catalogue* catalogue, std::string_view search_path, bool conforming, const Limits& limits,
                        Effort effort) {
  ParsedFacts parsed;
  const auto done = [&parsed](std::shared_ptr<StatementFacts> facts) {
    parsed.bytes = bytes_of(*facts);
    parsed.facts = std::move(facts);
    return std::move(parsed);
  };
  if (text.size() > limits.statement_size_max) return done(opaque("the statement is larger than statement_size_max"));
  const SqlSurvey survey = sql_survey(text);
  if (survey.has_nul) return done(opaque("the statement holds a zero byte"));
  if (!survey.names_are_utf8) return done(opaque("a name in the statement is not valid UTF-8"));
  if (survey.depth_bound > depth_limit(limits)) return done(opaque("the statement is nested too deeply"));
  std::string copy = text.size() >= kFewerRowsFrom ? sql_fewer_rows(text) : std::string{};
  const bool is_shorter = !copy.empty();
  if (!is_shorter) copy = text;
  Reading reading = read(copy, conforming, catalogue, search_path, limits, effort);
  if (is_shorter && reading.facts->is_syntax_error) {  // Its place is that of the whole text.
    copy = text;
    reading = read(copy, conforming, catalogue, search_path, limits, effort);
  }
  parsed.ran_out = reading.ran_out;
  if (survey.has_plain_backslash) {
    Reading other = read(copy, !conforming, catalogue, search_path, limits, effort);
    parsed.ran_out |= other.ran_out;
    if (!same(*reading.facts, *other.facts)) {
      StatementFacts& facts = *reading.facts;
      facts.is_opaque = true;
      facts.is_syntax_error = false;
      facts.position = 0;
      facts.why = "a backslash in a literal: what the statement does depends on standard_conforming_strings";
      facts.verbs = static_cast<VerbSet>(facts.verbs | other.facts->verbs);
      facts.shapes |= other.facts->shapes;
      facts.has_unknown_function |= other.facts->has_unknown_function;
      facts.is_fence |= other.facts->is_fence;
      return done(std::move(reading.facts));
    }
  }
  reading.facts->normalized = sql_normalized(copy);
  parsed.holds_for_key = !reading.depends_on_constants && !survey.has_plain_backslash && !reading.facts->is_opaque && !reading.facts->is_syntax_error;
  return done(std::move(reading.facts));
}

}  // namespace weir::postgres

// Facts of a statement: a hit (lexed, looked up, compared) and a miss (parsed by libpg_query), by statement.
#include <benchmark/benchmark.h>

#include <array>
#include <string>

#include "core/limits.h"
#include "parse/postgres/facts_source.h"

namespace weir {
namespace {

FactsQuery query_of(const std::string& text) {
  FactsQuery query;
  query.text = as_bytes(text);
  query.database = "shop";
  return query;
}

constexpr std::array kStatements = {
    "select abalance from pgbench_accounts where aid = ",
    "select o.id, p.name, sum(l.quantity * l.price) from orders o join people p on p.id = o.person_id join order_lines l "
    "on l.order_id = o.id where o.placed_at > now() - interval '30 days' group by o.id, p.name order by 3 desc limit ",
};

// Every text is new, as from a simple-protocol client; the cache answers since the constant is lexed out.
void hit_of_a_new_text(benchmark::State& state) {
  const auto source = postgres::make_inline_facts(Limits{});
  const std::string head = kStatements[static_cast<std::size_t>(state.range(0))];
  uint64_t number = 0;
  std::string text;
  text.reserve(head.size() + 24);
  for (auto _ : state) {
    text.assign(head).append(std::to_string(++number));
    benchmark::DoNotOptimize(source->facts(query_of(text)));
  }
  state.counters["hits"] = static_cast<double>(source->stats().hits);
}
BENCHMARK(hit_of_a_new_text)->Arg(0)->Arg(1);

// Every text has its own shape: nothing is found, all is parsed on the helper's stack.
void miss(benchmark::State& state) {
  const auto source = postgres::make_inline_facts(Limits{});
  const std::string head = kStatements[static_cast<std::size_t>(state.range(0))];
  uint64_t number = 0;
  for (auto _ : state) {
    const std::string text = "select t.* from (" + head + "1) as t_" + std::to_string(++number);
    benchmark::DoNotOptimize(source->facts(query_of(text)));
  }
  state.counters["misses"] = static_cast<double>(source->stats().misses);
}
BENCHMARK(miss)->Arg(0)->Arg(1);

}  // namespace
}  // namespace weir

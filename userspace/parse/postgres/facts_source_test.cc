// The cache and the parser threads: keys, coalescing, limits, eviction, no allocation on a hit.
#include "parse/postgres/facts_source.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

#include "base/counting_new_test_support.h"
#include "parse/postgres/catalogue.h"
#include "parse/postgres/facts_cache.h"
#include "parse/postgres/facts_pool.h"
#include "parse/postgres/facts_test_support.h"

namespace weir::postgres {
namespace {

FactsQuery query_of(std::string_view text, uint64_t session = 1) {
  FactsQuery query;
  query.text = as_bytes(text);
  query.database = "shop";
  query.session = session;
  return query;
}

// A pool and one source; wait() sleeps until the pool calls wake().
struct Bench {
  explicit Bench(Limits limits = {}, std::shared_ptr<const CatalogueProvider> catalogue = nullptr)
      : pool(limits), source(make_postgres_facts(pool, limits, std::move(catalogue), [this] { wakes.fetch_add(1); wakes.notify_all(); })) {}
  std::vector<uint64_t> wait() {
    for (;;) {
      const uint64_t seen = wakes.load();
      const auto ready = source->collect();
      if (!ready.empty()) return {ready.begin(), ready.end()};
      wakes.wait(seen);
    }
  }
  FactsPtr get(std::string_view text) {
    for (;;) {
      FactsAnswer answer = source->facts(query_of(text));
      if (answer.state != FactsAnswer::State::kPending) return answer.facts;
      wait();
    }
  }
  std::atomic<uint64_t> wakes{0};
  SqlParserPool pool;
  std::unique_ptr<PostgresFactsSource> source;
};

TEST(FactsSource, AMissIsPendingAndThenReady) {
  Bench bench;
  EXPECT_EQ(bench.source->facts(query_of("select 1", 7)).state, FactsAnswer::State::kPending);
  EXPECT_EQ(bench.wait(), std::vector<uint64_t>{7});
  const FactsAnswer answer = bench.source->facts(query_of("select 1", 7));
  EXPECT_EQ(answer.state, FactsAnswer::State::kReady);
  EXPECT_EQ(testing::verbs_of(*answer.facts), "read");
}

TEST(FactsSource, OtherConstantsShareTheFacts) {
  Bench bench;
  const FactsPtr first = bench.get("select a from t where b = 'x' and c = 1");
  EXPECT_EQ(bench.get("SELECT a FROM t WHERE b = 'it''s' AND c=2 /* c */"), first);
  EXPECT_EQ(bench.source->stats().misses, 1U);
  EXPECT_NE(bench.get("select a from t where b = 'x' and c = '1'"), first);
}

TEST(FactsSource, ColumnNumbersArePartOfTheKey) {
  Bench bench;
  const FactsPtr first = bench.get("select a, b from t where c = 1 order by 1 limit 10");
  EXPECT_EQ(bench.get("select a, b from t where c = 2 order by 1 limit 20"), first);
  const FactsPtr second = bench.get("select a, b from t where c = 1 order by 2 limit 10");
  EXPECT_EQ(testing::filters_of(*first), "t.a t.c");
  EXPECT_EQ(testing::filters_of(*second), "t.b t.c");
}

TEST(FactsSource, ConstantsThatMatterAreNotShared) {
  Bench bench;
  EXPECT_EQ(bench.get("set role 'a'")->roles, std::vector<std::string>{"a"});
  EXPECT_EQ(bench.get("set role 'b'")->roles, std::vector<std::string>{"b"});
  EXPECT_EQ(bench.get("set role 'a'")->roles, std::vector<std::string>{"a"});
  EXPECT_EQ(bench.source->stats().misses, 2U);
  EXPECT_EQ(bench.source->stats().exact_hits, 3U);  // Two answers as they came in, and one more.
  EXPECT_TRUE(bench.get("select 'a\\' , 'b; drop table dd; --'")->is_opaque);
  EXPECT_FALSE(bench.get("select 'a\\d' , 'b'")->is_opaque);
}

TEST(FactsSource, AskingForWhatIsBeingParsedJoinsIt) {
  Bench bench;
  // The large statement keeps no lane of the small ones; all three ask for one key before it is answered.
  std::string text = "select a from t where b in (1";
  for (int i = 0; i < 200'000; ++i) text += ",1";
  text += ")";
  for (const uint64_t session : {1U, 2U, 3U, 2U}) EXPECT_EQ(bench.source->facts(query_of(text, session)).state, FactsAnswer::State::kPending);
  EXPECT_EQ(bench.wait(), (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_EQ(bench.source->stats().misses, 1U);
  EXPECT_EQ(bench.source->stats().joined, 3U);
  EXPECT_EQ(bench.source->facts(query_of(text)).state, FactsAnswer::State::kReady);
}

TEST(FactsSource, ContextsAreApart) {
  const auto source = make_inline_facts(Limits{}, testing::small_catalogue());
  FactsQuery query = query_of("select person_id from salaries");
  query.search_path = "hr";
  const FactsPtr first = source->facts(query).facts;
  query.search_path = "public";
  const FactsPtr second = source->facts(query).facts;
  EXPECT_EQ(testing::relations_of(*first), "hr.salaries:r");
  EXPECT_EQ(testing::relations_of(*second), "salaries:r?");
}

// A backslash ends the string, or hides its end.
TEST(FactsSource, SettingsOfStringsAreApart) {
  const std::string text = "select '\\' from people --'";
  const auto ask = [&](PostgresFactsSource& source, bool conforming, const std::function<void()>& wait) {
    FactsQuery query = query_of(text);
    query.standard_conforming_strings = conforming;
    FactsAnswer answer = source.facts(query);
    while (answer.state == FactsAnswer::State::kPending) {
      wait();
      answer = source.facts(query);
    }
    return testing::relations_of(*answer.facts);
  };
  const auto lone = make_inline_facts(Limits{}, testing::small_catalogue());
  Bench pooled({}, testing::small_catalogue());
  for (const bool conforming : {true, false, true}) {
    const std::string wanted = conforming ? "public.people:r" : "";
    EXPECT_EQ(ask(*lone, conforming, [] {}), wanted);
    EXPECT_EQ(ask(*pooled.source, conforming, [&] { pooled.wait(); }), wanted);
  }
}

class ChangingCatalogue final : public CatalogueProvider {
 public:
  uint64_t version() const override { return version_; }
  std::shared_ptr<const Catalogue> snapshot(std::string_view) const override { return catalogue_; }
  void change() {
    CatalogueContents contents;
    contents.generation = ++version_;
    CatalogueRelation& relation = contents.relations.emplace_back();
    relation.id = 1;
    relation.schema = "public";
    relation.name = "t";
    relation.columns.push_back({"a" + std::to_string(version_), 25, 1});
    catalogue_ = make_catalogue(std::move(contents));
  }

 private:
  uint64_t version_ = 0;
  std::shared_ptr<const Catalogue> catalogue_;
};

TEST(FactsSource, ANewCatalogueMakesOldFactsUnfindable) {
  const auto catalogue = std::make_shared<ChangingCatalogue>();
  Bench bench({}, catalogue);
  EXPECT_EQ(testing::outputs_of(*bench.get("select * from t")), "*(t.*)=? ...");
  catalogue->change();
  bench.source->collect();
  EXPECT_EQ(testing::outputs_of(*bench.get("select * from t")), "a1(t.a1)=");
  catalogue->change();
  bench.source->collect();
  EXPECT_EQ(testing::outputs_of(*bench.get("select * from t")), "a2(t.a2)=");
  EXPECT_EQ(bench.source->stats().misses, 3U);
}

// Reads again when it is told to.
class AskedCatalogue final : public CatalogueProvider {
 public:
  uint64_t version() const override { return inner_.version(); }
  std::shared_ptr<const Catalogue> snapshot(std::string_view database) const override { return inner_.snapshot(database); }
  uint64_t ask_round() const override { return asked = rounds_ + 1; }
  uint64_t rounds() const override { return rounds_; }
  void end_round(bool has_changed) {
    if (has_changed) inner_.change();
    ++rounds_;
  }
  mutable uint64_t asked = 0;

 private:
  ChangingCatalogue inner_;
  uint64_t rounds_ = 0;
};

// collect() until the parser is done with everything.
void settle(Bench& bench, const AskedCatalogue& catalogue) {
  while (catalogue.asked == 0) bench.source->collect();
}

TEST(FactsSource, ANameThatTheCatalogueDoesNotKnowWaitsForItToBeReadAgain) {
  const auto catalogue = std::make_shared<AskedCatalogue>();
  Bench bench({}, catalogue);
  catalogue->end_round(true);
  bench.source->collect();
  EXPECT_EQ(testing::relations_of(*bench.get("select 1")), "");
  EXPECT_EQ(catalogue->asked, 0U) << "no name, no reading";
  EXPECT_EQ(bench.source->facts(query_of("select * from made_later")).state, FactsAnswer::State::kPending);
  settle(bench, *catalogue);
  EXPECT_TRUE(bench.source->collect().empty()) << "the round is not over";
  catalogue->end_round(false);
  EXPECT_EQ(bench.wait(), std::vector<uint64_t>{1});
  EXPECT_EQ(testing::relations_of(*bench.source->facts(query_of("select * from made_later")).facts), "made_later:r?");
  EXPECT_EQ(bench.source->stats().caught_up, 1U);
}

TEST(FactsSource, BeforeTheFirstReadingOfTheCatalogueANameWaitsForIt) {
  const auto catalogue = std::make_shared<AskedCatalogue>();
  Bench bench({}, catalogue);
  EXPECT_EQ(bench.source->facts(query_of("select * from t")).state, FactsAnswer::State::kPending);
  settle(bench, *catalogue);
  EXPECT_TRUE(bench.source->collect().empty()) << "nobody knows yet what t is";
  catalogue->end_round(true);
  EXPECT_EQ(bench.wait(), std::vector<uint64_t>{1});
  const FactsAnswer answer = bench.source->facts(query_of("select * from t"));
  ASSERT_EQ(answer.state, FactsAnswer::State::kReady);
  EXPECT_EQ(testing::relations_of(*answer.facts), "public.t:r");
}

TEST(FactsSource, WhatTheFirstReadingDoesNotKnowIsWorthAnotherOne) {
  const auto catalogue = std::make_shared<AskedCatalogue>();
  Bench bench({}, catalogue);
  EXPECT_EQ(bench.source->facts(query_of("select * from made_meanwhile")).state, FactsAnswer::State::kPending);
  settle(bench, *catalogue);
  catalogue->asked = 0;
  catalogue->end_round(true);  // It had begun before the table was made.
  settle(bench, *catalogue);
  EXPECT_EQ(bench.source->facts(query_of("select * from made_meanwhile")).state, FactsAnswer::State::kPending);
  catalogue->end_round(false);
  EXPECT_EQ(bench.wait(), std::vector<uint64_t>{1});
  EXPECT_EQ(testing::relations_of(*bench.source->facts(query_of("select * from made_meanwhile")).facts), "made_meanwhile:r?");
}

TEST(FactsSource, ADatabaseThatIsNotReadIsNotWaitedFor) {
  const auto catalogue = std::make_shared<AskedCatalogue>();
  Bench bench({}, catalogue);
  catalogue->end_round(false);  // The first reading failed, or this database is not in the list.
  EXPECT_EQ(testing::relations_of(*bench.get("select * from t")), "t:r?");
  EXPECT_EQ(catalogue->asked, 0U);
}

TEST(FactsSource, AfterTheCatalogueCaughtUpItIsReadUnderTheNewOne) {
  const auto catalogue = std::make_shared<AskedCatalogue>();
  Bench bench({}, catalogue);
  catalogue->end_round(true);
  bench.source->collect();
  EXPECT_EQ(bench.source->facts(query_of("select * from t, u")).state, FactsAnswer::State::kPending);
  settle(bench, *catalogue);
  catalogue->end_round(true);
  EXPECT_EQ(bench.wait(), std::vector<uint64_t>{1});
  const FactsAnswer answer = bench.source->facts(query_of("select * from t, u"));
  ASSERT_EQ(answer.state, FactsAnswer::State::kReady) << "it is found under the new catalogue's context";
  EXPECT_EQ(testing::relations_of(*answer.facts), "public.t:r u:r?");
}

TEST(FactsSource, ASessionThatChangedTheSchemaWaitsForTheRoundThatSeesIt) {
  const auto catalogue = std::make_shared<AskedCatalogue>();
  Bench bench({}, catalogue);
  catalogue->end_round(true);
  bench.source->collect();
  bench.get("select * from t");
  FactsQuery query = query_of("select * from t", 5);
  query.catalogue_round = bench.source->catalogue_changed();
  EXPECT_EQ(bench.source->facts(query).state, FactsAnswer::State::kPending) << "what is cached may be wrong";
  EXPECT_TRUE(bench.source->collect().empty());
  catalogue->end_round(false);
  EXPECT_EQ(bench.wait(), std::vector<uint64_t>{5});
  EXPECT_EQ(bench.source->facts(query).state, FactsAnswer::State::kReady);
}

TEST(FactsSource, PendingIsBounded) {
  Limits limits;
  limits.facts_pending_max = 2;
  Bench bench(limits);
  int refused = 0;
  for (int i = 0; i < 10; ++i) {
    const std::string text = "select a" + std::to_string(i);
    refused += bench.source->facts(query_of(text)).state == FactsAnswer::State::kRefused;  // Nothing is collected meanwhile.
  }
  EXPECT_EQ(refused, 8);
  EXPECT_EQ(bench.source->stats().refused_full, 8U);
  bench.wait();
}

TEST(FactsSource, TheLeastRecentlyUsedLeavesBetweenTurns) {
  Limits limits;
  limits.facts_cache_entries = 3;
  Bench bench(limits);
  for (const char* text : {"select a", "select b", "select c"}) bench.get(text);
  bench.get("select a");
  bench.get("select d");
  bench.source->collect();
  EXPECT_EQ(bench.source->stats().entries, 3U);
  const uint64_t misses = bench.source->stats().misses;
  bench.get("select a");
  EXPECT_EQ(bench.source->stats().misses, misses);
  bench.get("select b");
  EXPECT_EQ(bench.source->stats().misses, misses + 1);
}

TEST(FactsSource, AHitAllocatesNothing) {
  Bench bench;
  const std::string text = "select id, name from public.orders where id = 4711 and x = 'y'";
  bench.get(text);
  bench.get("set role 'someone'");
  const std::string exact = "set role 'someone'";
  const FactsQuery first = query_of(text), second = query_of(exact);
  const uint64_t before = weir::testing::g_news;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(bench.source->facts(first).state, FactsAnswer::State::kReady);
    ASSERT_EQ(bench.source->facts(second).state, FactsAnswer::State::kReady);
  }
  EXPECT_EQ(weir::testing::g_news, before);
}

TEST(FactsSource, GoesAwayWhileItsStatementsAreParsed) {
  const Limits limits;
  SqlParserPool pool(limits);
  for (int i = 0; i < 20; ++i) {
    auto source = make_postgres_facts(pool, limits, nullptr, [] {});
    for (int k = 0; k < 10; ++k) {
      const std::string text = "select a" + std::to_string(k);
      (void)source->facts(query_of(text));
    }
  }
}

TEST(FactsSource, DeepStatementsGoRoundTheQuickLane) {
  Bench bench;
  std::string deep = "select 1";
  for (int i = 0; i < 3000; ++i) deep += "+-1";
  ASSERT_LE(deep.size(), Limits{}.statement_inline_max);
  EXPECT_FALSE(bench.get(deep)->is_opaque);
}

TEST(FactsCache, KeepsItsBoundsAndItsOrder) {
  FactsCache cache(2, 10'000);
  const auto facts = std::make_shared<const StatementFacts>();
  using Kind = FactsCache::Kind;
  cache.put(Kind::kByKey, 1, 5, "a", facts, 10);
  cache.put(Kind::kByKey, 1, 5, "b", facts, 10);   // The same hash.
  cache.put(Kind::kByText, 1, 5, "a", facts, 10);
  EXPECT_TRUE(cache.find(Kind::kByKey, 1, 5, "a").is_there);
  cache.trim();
  EXPECT_FALSE(cache.find(Kind::kByKey, 1, 5, "b").is_there);
  EXPECT_TRUE(cache.find(Kind::kByText, 1, 5, "a").is_there);
  EXPECT_FALSE(cache.find(Kind::kByKey, 2, 5, "a").is_there);
  EXPECT_FALSE(cache.find(Kind::kByKey, 1, 6, "a").is_there);
  cache.put(Kind::kByKey, 1, 7, "large", facts, 20'000);
  EXPECT_TRUE(cache.find(Kind::kByKey, 1, 7, "large").is_there);  // Until the turn is over.
  cache.trim();
  EXPECT_EQ(cache.entries(), 0U);
  EXPECT_EQ(cache.bytes(), 0U);
}

}  // namespace
}  // namespace weir::postgres

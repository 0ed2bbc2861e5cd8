// Statements built to break the parser: an answer or a refusal, never a crash, never a hang.
#include <gtest/gtest.h>

#include <string>

#include "base/prng.h"
#include "parse/postgres/facts_fuzz.h"
#include "parse/postgres/facts_test_support.h"

namespace weir::postgres {
namespace {

using namespace testing;

std::string repeat(std::string_view head, std::string_view piece, int count, std::string_view middle = {}, std::string_view tail = {}) {
  std::string text(head);
  for (int i = 0; i < count; ++i) text += piece;
  text += middle;
  for (int i = 0; i < count; ++i) text += tail;
  return text;
}

TEST(FactsRobust, DeepChainsAreReadToTheLimitAndOpaqueBeyond) {
  EXPECT_FALSE(facts_with(repeat("select 1", "+-1", 6000))->is_opaque);
  EXPECT_TRUE(facts_with(repeat("select 1", "+-1", 30'000))->is_opaque);
  EXPECT_FALSE(facts_with(repeat("select 1", "+1", 9990))->is_opaque);
  EXPECT_FALSE(facts_with(repeat("select 1", "::a", 9990))->is_opaque);
  EXPECT_TRUE(facts_with(repeat("select 1", "::a", 300'000))->is_opaque);
  EXPECT_FALSE(facts_with(repeat("select 1", " union select 1", 5000))->is_opaque);
  EXPECT_FALSE(facts_with(repeat("select * from people a0", " natural join people", 200))->is_syntax_error);
  EXPECT_TRUE(facts_with(repeat("select * from people", " natural join people", 50'000))->is_opaque);
  EXPECT_FALSE(facts_with(repeat("select ", "- ", 8000, "1"))->is_opaque);
  EXPECT_FALSE(facts_with(repeat("select ", "not ", 8000, "true"))->is_opaque);
}

TEST(FactsRobust, ParenthesesAndSubselectsNestToTheParsersOwnLimit) {
  EXPECT_FALSE(facts_with(repeat("select ", "(", 5000, "1", ")"))->is_opaque);
  const FactsPtr many = facts_with(repeat("select ", "(", 10'000, "1", ")"));
  EXPECT_TRUE(many->is_syntax_error || many->is_opaque);  // The server's parser gives up there as well.
  EXPECT_FALSE(facts_with(repeat("", "select (", 2000, "select 1", ")"))->is_opaque);
  EXPECT_FALSE(facts_with(repeat("select * from ", "(select * from ", 1500, "people", ") x"))->is_syntax_error);
  EXPECT_FALSE(facts_with(repeat("", "explain ", 1))->is_opaque);
  EXPECT_FALSE(facts_with(repeat("select ", "case when true then ", 1500, "1", " end"))->is_opaque);
  EXPECT_FALSE(facts_with(repeat("select ", "row(", 3000, "1", ")"))->is_opaque);
}

TEST(FactsRobust, LongListsAreReadWhole) {
  const FactsPtr insert = facts_with(repeat("insert into people (id, name) values (1,'a')", ",(1,'a')", 100'000));
  EXPECT_FALSE(insert->is_opaque);
  EXPECT_EQ(verbs_of(*insert), "write");
  std::string parameters = "select * from people where id in ($1";
  for (int i = 2; i <= 65'535; ++i) parameters += ",$" + std::to_string(i);
  EXPECT_FALSE(facts_with(parameters + ")")->is_opaque);
  EXPECT_FALSE(facts_with(repeat("select 1", ";select 1", 20'000))->is_opaque);
  EXPECT_FALSE(facts_with(repeat("select * from people where id = 1", " or id = 1", 20'000))->is_opaque);
}

TEST(FactsRobust, ASevenMegabyteInsertIsRead) {
  const FactsPtr insert = facts_with(repeat("insert into people (id, name) values (1,'a')", ",(1,'abcd')", 640'000));
  EXPECT_FALSE(insert->is_opaque) << insert->why;
  EXPECT_EQ(relations_of(*insert), "public.people:w");
}

TEST(FactsRobust, LineageThatMultipliesIsRefused) {
  std::string text = "select * from people";
  for (int i = 0; i < 14; ++i) text = "select * from (" + text + ") a, (" + text + ") b";
  const FactsPtr facts = facts_with(text);
  EXPECT_TRUE(facts->is_opaque);
  EXPECT_EQ(facts->why, "more output columns than the server allows");
  std::string wide = "select id as a, id as b, id as c from people";
  for (int i = 0; i < 12; ++i) wide = "select x.*, y.a as d" + std::to_string(i) + " from (" + wide + ") x, (" + wide + ") y";
  EXPECT_EQ(facts_with(wide)->why, "");
  std::string recursive = "select 1 as x";
  for (int i = 0; i < 40; ++i) recursive = "with recursive r as (select 1 as x union all (" + recursive + ") union all select x from r) select x from r";
  const FactsPtr doubled = facts_with(recursive);
  EXPECT_TRUE(doubled->is_opaque || doubled->is_syntax_error);
}

TEST(FactsRobust, AboveTheSizeLimitIsRefusedUnread) {
  Limits limits;
  limits.statement_size_max = 100;
  const auto source = make_inline_facts(limits);
  const std::string text = repeat("select 1", "+1", 100);
  FactsQuery query;
  query.text = as_bytes(text);
  EXPECT_EQ(source->facts(query).state, FactsAnswer::State::kRefused);
  EXPECT_EQ(source->stats().refused_size, 1U);
}

TEST(FactsRobust, RandomMixturesOfGrammarKeepTheInvariants) {
  const char* const pieces[] = {"select", "from", "where", "people", "p", ".", "*", ",", "(", ")", "email", "as", "with", "recursive", "union", "all", "insert into",
                                "values", "update", "set", "=", "1", "'x'", "'a\\'", "returning", "join", "on", "using", "natural", "lateral", "order by", "group by",
                                "case when", "then", "end", "delete from", "copy", "to stdout", "explain", "analyze", "$1", "::text", "[1]", "lower", "set_config",
                                "row_to_json", ";", "limit", "for update", "exists", "in", "not", "and", "or", "create view v as", "prepare q as", "merge into"};
  Prng random(99);
  for (int i = 0; i < 20'000; ++i) {
    std::string text = random.one_in(2) ? "select " : "";
    const uint64_t count = 1 + random.below(16);
    for (uint64_t k = 0; k < count; ++k) text += std::string(pieces[random.below(std::size(pieces))]) + " ";
    fuzz_postgres_facts(reinterpret_cast<const uint8_t*>(text.data()), text.size());
    (void)facts_with(text);
  }
}

}  // namespace
}  // namespace weir::postgres

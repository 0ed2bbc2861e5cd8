// Which held statements may be planned for their reviewer.  That the target is asked, and what it says: tests/e2e/cases/holds.py.
#include "parse/postgres/estimate.h"

#include <gtest/gtest.h>

#include "parse/postgres/facts_test_support.h"

namespace weir::postgres {
namespace {

using namespace testing;

Result<void> may(const char* text) {
  const FactsPtr facts = facts_with(text);
  return may_estimate(*facts, small_catalogue()->snapshot("").get());
}

TEST(Estimate, IsOfPlainStatementsOnTablesThatAreKnown) {
  for (const char* text : {"select id from people where name = 'x'", "update people set name = 'x' where id = 1", "delete from people where id = 1",
                           "insert into people (id) values (1)", "values (1), (2)", "select lower(name), count(*) from people group by 1",
                           "with x as (select id from orders where total > 3) select * from x join people using (id)"}) {
    const auto allowed = may(text);
    EXPECT_TRUE(allowed) << text << ": " << (allowed ? "" : allowed.error().message);
  }
}

TEST(Estimate, IsNotMadeWherePlanningMayRunMore) {
  struct Case { const char* text; const char* why; };
  for (const Case& one : std::initializer_list<Case>{
           {"select dirty()", "dirty()"},
           {"select public.clean('x')", "public.clean()"},         // Proven, but it may be replaced before it is planned.
           {"select unknown_function(1)", "unknown_function()"},
           {"select id from people_v", "view"},
           {"select 1 from not_there", "not_there"},
           {"select 1; select 2", "2 statements"},
           {"create table t (a int)", "SELECT, INSERT"},
           {"explain analyze delete from people", "SELECT, INSERT"},
           {"copy people to stdout", "SELECT, INSERT"},
           {"set role postgres", "SELECT, INSERT"},
           {"select from from", "cannot be read"}}) {
    const auto refused = may(one.text);
    ASSERT_FALSE(refused) << one.text;
    EXPECT_EQ(refused.error().kind, Error::Kind::kDenied) << one.text;
    EXPECT_NE(refused.error().message.find(one.why), std::string::npos) << one.text << ": " << refused.error().message;
  }
}

TEST(Estimate, IsNotMadeWithoutACatalogue) { EXPECT_FALSE(may_estimate(*facts_without("select id from people"), nullptr)); }

}  // namespace
}  // namespace weir::postgres

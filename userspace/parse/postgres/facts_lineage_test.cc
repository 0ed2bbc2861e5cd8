// Relations, columns and outputs: where values come from and where they may be guessed.
#include <gtest/gtest.h>

#include <string>

#include "parse/postgres/facts_test_support.h"

namespace weir::postgres {
namespace {

using namespace testing;

struct Case { const char* text; const char* outputs; };

void expect_outputs(std::initializer_list<Case> cases) {
  for (const Case& one : cases) {
    const FactsPtr facts = facts_with(one.text);
    ASSERT_FALSE(facts->is_syntax_error) << one.text << ": " << facts->why;
    EXPECT_FALSE(facts->is_opaque) << one.text << ": " << facts->why;
    EXPECT_EQ(outputs_of(*facts), one.outputs) << one.text;
  }
}

TEST(Lineage, FollowsAColumnThroughNamesAndShapes) {
  expect_outputs({
      {"select email from people", "email(people.email)="},
      {"select people.email from people", "email(people.email)="},
      {"select public.people.email from public.people", "email(people.email)="},
      {"select p.email as e from people p", "e(people.email)="},
      {"select e from people p(i, n, e)", "e(people.email)="},
      {"select email::text from people", "email(people.email)"},
      {"select cast(email as varchar(5)) x from people", "x(people.email)"},
      {"select email || name from people", "?column?(people.email+people.name)"},
      {"select upper(reverse(email)), substr(email, 1, 3), encode(email::bytea, 'base64') from people",
       "upper(people.email) substr(people.email) encode(people.email)"},
      {"select count(email), max(email), string_agg(email, ',') from people", "count(people.email) max(people.email) string_agg(people.email)"},
      {"select count(*), 1, 'x', now(), $1 from people", "count() ?column?() ?column?() now() ?column?()"},
      {"select coalesce(name, email), greatest(1, id), nullif(email, 'x') from people",
       "coalesce(people.email+people.name) greatest(people.id) ?column?(people.email)"},
      {"select case when id = 1 then email else name end from people", "name(people.email+people.id+people.name)"},
      {"select array[email, name], row(email, 1), (array[email])[1] from people", "array(people.email+people.name) row(people.email) array(people.email)"},
      {"select email = 'x', email is null, email in ('a', 'b'), email like 'a%' from people",
       "?column?(people.email) ?column?(people.email) ?column?(people.email) ?column?(people.email)"},
      {"select ctid, xmin, email collate \"C\" from people", "ctid() xmin() email(people.email)"},
      {"select first_value(email) over (order by id) from people", "first_value(people.email)"},
  });
}

TEST(Lineage, ExpandsStarsAndWholeRows) {
  expect_outputs({
      {"select * from people", "id(people.id)= name(people.name)= email(people.email)= note(people.note)="},
      {"select p.*, 1 from people p", "id(people.id)= name(people.name)= email(people.email)= note(people.note)= ?column?()"},
      {"table orders", "id(orders.id)= person_id(orders.person_id)= total(orders.total)="},
      {"select people from people", "people(people.email+people.id+people.name+people.note)"},
      {"select row_to_json(p) from people p", "row_to_json(people.email+people.id+people.name+people.note)"},
      {"select to_jsonb(p.*) - 'email' from people p", "?column?(people.email+people.id+people.name+people.note)"},
      {"select (p).email from people p", "email(people.email+people.id+people.name+people.note)"},
      {"select row(p.*) from people p", "row(people.email+people.id+people.name+people.note)"},
      {"select (p).* from people p", "p(people.email+people.id+people.name+people.note) ..."},
      {"select * from orders o join people p on o.person_id = p.id",
       "id(orders.id)= person_id(orders.person_id)= total(orders.total)= id(people.id)= name(people.name)= email(people.email)= note(people.note)="},
      {"select * from orders join people using (id)",
       "id(orders.id+people.id)= person_id(orders.person_id)= total(orders.total)= name(people.name)= email(people.email)= note(people.note)="},
      {"select id from orders natural join people", "id(orders.id+people.id)="},
      {"select j.email from (orders join people using (id)) as j", "email(people.email)="},
      {"select x.* from (select email, 1 as one from people) x", "email(people.email)= one()"},
      {"select * from people, (values (1, 'a')) v", "id(people.id)= name(people.name)= email(people.email)= note(people.note)= column1() column2()"},
  });
}

TEST(Lineage, FollowsSubqueriesTablesInWithAndSetOperations) {
  expect_outputs({
      {"select m from (select email as m from people) s", "m(people.email)="},
      {"select (select email from people where id = 1)", "email(people.email)="},
      {"select array(select email from people)", "array(people.email)"},
      {"select exists (select email from people)", "exists()"},
      {"select 'x' in (select email from people)", "?column?(people.email)"},
      {"with c as (select email e from people) select e from c", "e(people.email)="},
      {"with c(z) as (select email from people) select c.z, upper(z) from c", "z(people.email)= upper(people.email)"},
      {"with people as (select 1 as email) select email from people", "email()"},
      {"with c as (select email from people), d as (select * from c) select * from d", "email(people.email)="},
      {"with c as (delete from people returning email) select * from c", "email(people.email)="},
      {"with recursive r(a, b) as (select email, name from people union all select b, a from r) select a, b from r",
       "a(people.email+people.name) b(people.email+people.name)"},
      {"with recursive r as (select 1 as n union all select n + 1 from r where n < 5) select n from r", "n()"},
      {"select email from people union select name from people", "email(people.email+people.name)"},
      {"select 'x' as a union all select email from people order by a", "a(people.email)"},
      {"(select email from people limit 1) union all (select name from people limit 1)", "email(people.email+people.name)"},
      {"select 1, email from people except select id, note from people", "?column?(people.id) email(people.email+people.note)"},
      {"values (1, (select email from people limit 1)), (2, 'x')", "column1() column2(people.email)"},
      {"select l.x from people p, lateral (select p.email as x) l", "x(people.email)="},
      {"select l.x from people p cross join lateral (select p.email as x) l", "x(people.email)="},
      {"select (select p.email) from people p", "email(people.email)="},
      {"select g, u from people p, generate_series(1, 3) g, unnest(array[p.email]) u", "g() u(people.email)"},
      {"select * from rows from (generate_series(1, 2), unnest(array['a'])) as t(a, b)", "a() b() *() ..."},
      {"select x from xmltable('/r' passing ((select email from people limit 1)::xml) columns x text) t", "x(people.email)"},
  });
}

TEST(Lineage, FollowsChangesAndUtilityStatements) {
  expect_outputs({
      {"insert into people (email) values ('x') returning email, id", "email(people.email)= id(people.id)="},
      {"update people set name = 'x' where id = 1 returning people.*, upper(email) u",
       "id(people.id)= name(people.name)= email(people.email)= note(people.note)= u(people.email)"},
      {"delete from people p using orders o where p.id = o.id returning o.total, p.email", "total(orders.total)= email(people.email)="},
      {"delete from people", "none"},
      {"copy people to stdout", "id(people.id)= name(people.name)= email(people.email)= note(people.note)="},
      {"copy people (note, email) to stdout (format csv)", "note(people.note)= email(people.email)="},
      {"copy (select upper(email) from people) to stdout", "upper(people.email)"},
      {"copy people to '/tmp/x'", "none"}, {"copy people from stdin", "none"},
      {"explain select email from people", "QUERY PLAN()"}, {"show search_path", "search_path()"},
      {"declare c cursor for select email from people", "none"}, {"prepare p as select email from people", "none"},
      {"fetch all from c", "..."}, {"execute p", "..."}, {"move c", "none"}, {"call p()", "..."},
      {"create table public.t as select email from people", "none"},
  });
}

TEST(Lineage, ReadsThroughViews) {
  expect_outputs({
      {"select mail from people_v", "mail(people.email+people_v.mail)="},
      {"select * from people_v", "id(people.id+people_v.id)= mail(people.email+people_v.mail)="},
      {"select shout from people_vv", "shout(people.email+people_v.mail+people_vv.shout)"},
      {"select x from bad_v", "x(bad_v.x)?"},
      {"select x from loop_v", "x(loop_v.x)?"},
  });
  const FactsPtr facts = facts_with("select id from people_v where mail = 'x'");
  EXPECT_EQ(relations_of(*facts), "public.people:- public.people_v:r");  // The view is read; what it stands on is for lineage.
  EXPECT_EQ(filters_of(*facts), "people.email people_v.mail");           // And not people.note, which the view's own text filters by.
}

TEST(Lineage, IsUnsureWhereTheCatalogueCannotTell) {
  expect_outputs({
      {"select a from nowhere", "a(nowhere.a)=?"},
      {"select * from nowhere", "*(nowhere.*)=? ..."},
      {"select x from scratch", "x(scratch.x)=?"},             // Somebody's temporary table has that name.
      {"select x from pg_temp.people", "x(pg_temp.people.x)=?"},
      {"select dirty(), dirty(email) from people", "dirty()? dirty(people.email)?"},
      {"select clean(email) from people", "clean(people.email)?"},  // It computes, but outside pg_catalog nothing is sure.
      {"select email =~= 'x', email <=> 'x' from people", "?column?(people.email)? ?column?(people.email)?"},
      {"select a from nowhere, people", "a(nowhere.a)=?"},
      {"select note from people, nowhere", "note(people.note)="},
      {"select x from private", "x(private.x)=?"},             // "$user" may be alice, or not.
  });
  EXPECT_EQ(outputs_of(*facts_with("select x from private", "\"alice\", \"public\"")), "x(alice.private.x)=");
  EXPECT_EQ(relations_of(*facts_with("select x from private", "\"alice\", \"public\"")), "alice.private:r");
  EXPECT_EQ(outputs_of(*facts_with("select email from people", "hr")), "email(people.email)=?");
  EXPECT_EQ(outputs_of(*facts_with("select amount from salaries", "hr, public")), "amount(hr.salaries.amount)=");
  EXPECT_EQ(outputs_of(*facts_without("select email, upper(p.name) from people p")), "email(people.email)=? upper(people.name)?");
  EXPECT_EQ(outputs_of(*facts_without("select * from people")), "*(people.*)=? ...");
}

TEST(Lineage, ANameThatAnEarlierStatementMayHaveMovedIsUnsure) {
  for (const char* text : {"create temp table people (email text); select email from people", "set search_path = hr; select email from people",
                           "alter table orders rename to people; select email from people", "do 'x'; select email from people",
                           "discard temp; select email from people", "rollback; select email from people"}) {
    const FactsPtr facts = facts_with(text);
    ASSERT_EQ(facts->outputs.size(), 1U) << text;
    EXPECT_FALSE(facts->outputs[0].is_sure) << text;
  }
  EXPECT_TRUE(facts_with("begin; select email from people")->outputs[0].is_sure);
}

TEST(Lineage, MarksWhatCanBeGuessed) {
  const auto filters = [](const char* text) { return filters_of(*facts_with(text)); };
  EXPECT_EQ(filters("select name from people where email = 'x'"), "people.email");
  EXPECT_EQ(filters("select upper(email) from people"), "");
  EXPECT_EQ(filters("select name from people order by email"), "people.email");
  EXPECT_EQ(filters("select name, email from people order by 2"), "people.email");
  EXPECT_EQ(filters("select name, email from people order by 1"), "people.name");
  EXPECT_EQ(filters("select email as e from people order by e"), "people.email");
  EXPECT_EQ(filters("select count(*) from people group by email having max(note) > 'a'"), "people.email people.note");
  EXPECT_EQ(filters("select 1 from people group by rollup (email)"), "people.email");
  EXPECT_EQ(filters("select email, note, count(*) from people group by (1, 2)"), "people.email people.note");
  EXPECT_EQ(filters("select email, note, count(*) from people group by grouping sets ((1), (2))"), "people.email people.note");
  EXPECT_EQ(filters("select case when email like 'a%' then 1 else 0 end from people"), "people.email");
  EXPECT_EQ(filters("select 1 from orders o join people p on o.id = p.id and p.email = 'x'"), "orders.id people.email people.id");
  EXPECT_EQ(filters("select 1 from orders join people using (id)"), "orders.id people.id");
  EXPECT_EQ(filters("select 1 from orders natural join people"), "orders.id people.id");
  EXPECT_EQ(filters("select 1 limit (select ascii(email) from people)"), "people.email");
  EXPECT_EQ(filters("select 1 from people, generate_series(1, ascii(email))"), "people.email");
  EXPECT_EQ(filters("select distinct on (email) name from people"), "people.email");
  EXPECT_EQ(filters("select rank() over (partition by email order by note) from people"), "people.email people.note");
  EXPECT_EQ(filters("select rank() over w from people window w as (order by email)"), "people.email");
  EXPECT_EQ(filters("select count(*) filter (where email = 'x') from people"), "people.email");
  EXPECT_EQ(filters("select name from people where id in (select id from orders where total > 1)"), "orders.id orders.total people.id");
  EXPECT_EQ(filters("select name from people p where exists (select 1 from orders o where o.id = p.id)"), "orders.id people.id");
  EXPECT_EQ(filters("select email from people intersect select 'x'"), "people.email");
  EXPECT_EQ(filters("select email from people union select 'x'"), "");
  EXPECT_EQ(filters("select dirty(email) from people"), "people.email");
  EXPECT_EQ(filters("select clean(email) from people"), "");
  EXPECT_EQ(filters("select m from (select email as m from people) s where m = 'x'"), "people.email");
  EXPECT_EQ(filters("with c as (select email as m from people) select 1 from c where m = 'x'"), "people.email");
  EXPECT_EQ(filters("update people set name = 'x' where email = 'y'"), "people.email");
  EXPECT_EQ(filters("delete from people where email = 'y'"), "people.email");
  EXPECT_EQ(filters("with recursive r as (select email as e from people union all select e from r where e > 'm') select 1 from r"), "people.email");
}

TEST(Lineage, MarksWhatIsCopiedOutOfTheMasksReach) {
  const auto filters = [](const char* text) { return filters_of(*facts_with(text)); };
  EXPECT_EQ(filters("create table public.t as select email from people"), "people.email");
  EXPECT_EQ(filters("select email into t from people"), "people.email");
  EXPECT_EQ(filters("create view public.v as select email from people"), "people.email");
  EXPECT_EQ(filters("create materialized view public.v as select lower(email) from people"), "people.email");
  EXPECT_EQ(filters("insert into orders (total) select email from people"), "people.email");
  EXPECT_EQ(filters("insert into orders (total) values ((select email from people limit 1))"), "people.email");
  EXPECT_EQ(filters("update people set note = email"), "people.email");
  EXPECT_EQ(filters("update people set email = lower(email)"), "");
  EXPECT_EQ(filters("update people set (note, name) = (select email, name)"), "people.email people.name");
  EXPECT_EQ(filters("insert into people (id, note) values (1, 'x') on conflict (id) do update set note = excluded.note || people.email"), "people.email");
  EXPECT_EQ(filters("copy people (email) to '/tmp/x'"), "people.email");
  EXPECT_EQ(filters("copy (select email from people) to program 'cat'"), "people.email");
  EXPECT_EQ(filters("copy people (email) to stdout"), "");
  EXPECT_EQ(filters("create index on people (lower(email))"), "people.email");
  EXPECT_EQ(filters("merge into orders o using people p on o.person_id = p.id when matched then update set total = p.email when not matched then insert (id) values (p.note)"),
            "orders.person_id people.email people.id people.note");
}

TEST(Lineage, NamesWhatIsWritten) {
  const auto written = [](const char* text) { return written_of(*facts_with(text)); };
  EXPECT_EQ(written("insert into people (email) values ('x')"), "people.email");
  EXPECT_EQ(written("insert into people values (1)"), "people.email people.id people.name people.note");
  EXPECT_EQ(written("insert into nowhere values (1)"), "nowhere.*");
  EXPECT_EQ(written("update people set email = 'x', note = default"), "people.email people.note");
  EXPECT_EQ(written("copy people (email) from stdin"), "people.email");
  EXPECT_EQ(written("copy people from stdin"), "people.email people.id people.name people.note");
  EXPECT_EQ(written("select email from people"), "");
}

TEST(Lineage, NamesRelationsAndWhatIsDoneToThem) {
  const auto relations = [](const char* text) { return relations_of(*facts_with(text)); };
  EXPECT_EQ(relations("select 1 from people p join hr.salaries s on true"), "hr.salaries:r public.people:r");
  EXPECT_EQ(relations("insert into people (id) select person_id from hr.salaries"), "hr.salaries:r public.people:w");
  EXPECT_EQ(relations("update people set id = 1 where id in (select id from orders)"), "public.orders:r public.people:w");
  EXPECT_EQ(relations("delete from people where id = 1 returning *"), "public.people:rw");
  EXPECT_EQ(relations("truncate people, orders"), "public.orders:w public.people:w");
  EXPECT_EQ(relations("lock people"), "public.people:w");
  EXPECT_EQ(relations("drop table people, hr.salaries"), "hr.salaries:w public.people:w");
  EXPECT_EQ(relations("alter table people add x int"), "public.people:rw");
  EXPECT_EQ(relations("create table public.t (a int references people)"), "public.people:rw public.t:w");
  EXPECT_EQ(relations("create table t (a int)"), "t:w?");
  EXPECT_EQ(relations("create temp table people (a int)"), "people:w?");
  EXPECT_EQ(relations("select id from people for update"), "public.people:rw");
  EXPECT_EQ(relations("select p.id from people p, orders o where p.id = o.id for update of p"), "public.orders:r public.people:rw");
  EXPECT_EQ(relations("select nextval('orders_id_seq')"), "public.orders_id_seq:w");
  EXPECT_EQ(relations("select nextval('public.orders_id_seq'::regclass)"), "public.orders_id_seq:w");
  EXPECT_EQ(relations("select nextval($1)"), "*:rw?");
  EXPECT_EQ(relations("do 'x'"), "*:rw?");
  EXPECT_EQ(relations("drop schema hr"), "*:rw?");
  EXPECT_EQ(relations("execute p"), "*:rw?");
  EXPECT_EQ(relations("select lo_get(1)"), "*:r?");
  EXPECT_EQ(relations("grant select on people to x"), "public.people:rw");
  EXPECT_EQ(relations("create trigger t before insert on people execute function f()"), "public.people:rw");
  EXPECT_EQ(relations("explain delete from people"), "public.people:w");
  EXPECT_EQ(relations("with c as (select 1) select * from c"), "");
  EXPECT_EQ(relations("with c as (select 1) select * from public.c"), "public.c:r?");
}

}  // namespace
}  // namespace weir::postgres

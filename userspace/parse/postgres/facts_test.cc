// Verbs, shapes, functions, settings, errors: what a statement does.
#include <gtest/gtest.h>

#include <string>

#include "parse/postgres/facts_test_support.h"

namespace weir::postgres {
namespace {

using namespace testing;

struct Case { const char* text; const char* verbs; const char* shapes; };

void expect_all(std::initializer_list<Case> cases) {
  for (const Case& one : cases) {
    const FactsPtr facts = facts_with(one.text);
    ASSERT_NE(facts, nullptr) << one.text;
    EXPECT_FALSE(facts->is_syntax_error) << one.text << ": " << facts->why;
    EXPECT_FALSE(facts->is_opaque) << one.text << ": " << facts->why;
    EXPECT_EQ(verbs_of(*facts), one.verbs) << one.text;
    EXPECT_EQ(shapes_of(*facts), one.shapes) << one.text;
  }
}

TEST(Facts, NameTheVerbsOfPlainStatements) {
  expect_all({
      {"select 1", "read", ""},
      {"values (1), (2)", "read", ""},
      {"table people limit 1", "read", ""},
      {"select id from people where id = 1", "read", ""},
      {"insert into people (id) values (1)", "write", ""},
      {"insert into people (id) values (1) returning id", "read write", ""},
      {"insert into people select * from people where id = 1", "read write", ""},
      {"update people set name = 'x' where id = 1", "write", ""},
      {"delete from people where id = 1 returning *", "read write", ""},
      {"merge into people p using orders o on p.id = o.person_id when matched then delete", "read write", ""},
      {"begin", "session", ""}, {"commit and chain", "session", ""}, {"savepoint a", "session", ""},
      {"show all", "session", ""}, {"deallocate all", "session", ""}, {"close all", "session", ""},
      {"set statement_timeout = 100", "session", ""}, {"set application_name to 'x'", "session", ""},
      {"set transaction read only", "session", ""}, {"set time zone 'UTC'", "session", ""}, {"reset all", "session", ""},
      {"", "session", ""}, {"; ;", "session", ""}, {"-- nothing\n", "session", ""},
      {"create table public.t (a int)", "ddl", ""}, {"create index on people (id)", "ddl", ""},
      {"comment on table people is 'x'", "ddl", ""},
      {"create database x", "admin", ""}, {"checkpoint", "admin", "maintenance"},
  });
}

TEST(Facts, FindWhatIsNestedAnywhere) {
  expect_all({
      {"with x as (delete from people where id = 1 returning *) select id from x", "read write", ""},
      {"with x as (update people set id = 1 returning *), y as (insert into orders select id from x returning *) select 1 from y", "read write", "update-without-where"},
      {"select (select (select count(*) from (with z as (select 1) select * from z limit 1) q))", "read", ""},
      {"prepare p as delete from people", "write", "delete-without-where dynamic-sql"},
      {"explain analyze delete from people where id = 1", "read write", "explain-analyze"},
      {"explain (costs off, analyze) delete from people where id = 1", "read write", "explain-analyze"},
      {"explain delete from people", "read", ""},
      {"explain select pg_read_file('/x')", "read", "server-file"},
      {"copy (select id from people) to stdout", "read", "copy-out"},
      {"copy (delete from people where id = 1 returning *) to stdout", "read write", "copy-out"},
      {"create table public.t as select id from people", "read write ddl", ""},
      {"select id into t from people", "read write ddl", ""},
      {"create materialized view public.m as select id from people", "read write ddl", ""},
      {"declare c cursor for select id from people", "read", ""},
      {"create view public.v as select id from people", "read ddl", ""},
      {"create rule r as on insert to people do also delete from orders", "write ddl", "delete-without-where create-function"},
      {"create function public.f() returns void language sql as 'delete from people'", "write ddl", "delete-without-where create-function"},
      {"create function public.f() returns void begin atomic delete from people; end", "write ddl", "delete-without-where create-function"},
      {"create function public.f() returns void language plpgsql as 'begin end'", "ddl", "create-function"},
      {"create schema s create table t (a int) create view v as select pg_sleep(1)", "read ddl", "sleep"},
      {"select id from people for update", "read write", ""},
      {"select id from people where id = 1 for share of people", "read write", ""},
      {"select 1; delete from people; commit", "read write session", "delete-without-where"},
      {"select 1 where exists (select 1 from people where id = 1 and pg_sleep(1) is not null)", "read", "sleep"},
      {"select case when true then (select lo_export(1, '/tmp/x')) end", "read write file", "server-file"},
  });
}

TEST(Facts, ShapesMatchAndDoNotMatch) {
  expect_all({
      {"update people set name = 'x'", "write", "update-without-where"},
      {"update people set name = 'x' where true", "write", "update-without-where"},
      {"update people set name = 'x' where 1 = 1", "write", "update-without-where"},
      {"update people set name = 'x' where id = 1 or 1 = 1", "write", "update-without-where"},
      {"update people set name = 'x' where id = id", "write", "update-without-where"},
      {"update people set name = 'x' where not false", "write", "update-without-where"},
      {"update people set name = 'x' where $1", "write", "update-without-where"},
      {"update people set name = 'x' where id = $1", "write", ""},
      {"update people set name = 'x' where id = 1 and true", "write", ""},
      {"delete from people", "write", "delete-without-where"},
      {"delete from people where '1' is not null", "write", "delete-without-where"},
      {"delete from people using orders", "write", "delete-without-where"},
      {"delete from people where exists (select 1 from orders where orders.id = people.id)", "read write", ""},
      {"delete from people where current of c", "write", ""},
      {"truncate people", "write ddl", "truncate"},
      {"drop table people", "ddl", "drop-table"}, {"drop view people_v", "ddl", "drop-table"}, {"drop index i", "ddl", "drop-table"},
      {"drop type t", "ddl", "drop-table"}, {"drop sequence orders_id_seq", "ddl", "drop-table"},
      {"drop function f", "ddl", "create-function"}, {"drop extension e", "read write ddl", "create-extension"},
      {"drop schema s", "read write ddl", "drop-schema"}, {"drop database d", "read write admin", "drop-database"},
      {"drop role r", "admin", "drop-role"}, {"drop user r", "admin", "drop-role"}, {"drop owned by r", "read write ddl admin", "drop-role"},
      {"alter table people add x int", "ddl", "alter-table"}, {"alter table people rename to p", "ddl", "alter-table"},
      {"alter table people owner to x", "ddl", "alter-table"}, {"alter sequence orders_id_seq restart", "ddl", "alter-table"},
      {"alter system set work_mem = 1", "admin session", "alter-system"},
      {"alter system set log_statement = 'none'", "admin", "alter-system security-off"},
      {"create role r password 'x'", "admin", "alter-role"}, {"alter user r superuser", "admin", "alter-role"},
      {"alter role r set search_path = x", "admin session", "alter-role set-search-path"},
      {"grant select on people to r", "admin", "grant-revoke"}, {"revoke r from s", "admin", "grant-revoke"},
      {"alter default privileges grant select on tables to r", "read write admin", "grant-revoke"},
      {"copy people to program 'cat'", "read shell", "copy-program"}, {"copy people from program 'cat'", "write shell", "copy-program"},
      {"copy people to '/tmp/x'", "read file", "copy-file"}, {"copy people from '/tmp/x'", "write file", "copy-file"},
      {"copy people to stdout", "read", "copy-out"}, {"copy people from stdin", "write", "copy-in"},
      {"select pg_read_file('/etc/passwd')", "read admin file", "server-file"},
      {"select pg_ls_dir('/')", "read admin file", "server-file"},
      {"select lo_import('/etc/passwd')", "read write file", "server-file"},
      {"do $$ begin end $$", "read write ddl admin exec", "do-block"},
      {"call p()", "read write exec", "call"},
      {"execute p(1)", "read write exec", "dynamic-sql"},
      {"select query_to_xml('select 1', true, true, '')", "read write exec", "dynamic-sql"},
      {"select table_to_xml('people', true, true, '')", "read write exec", "dynamic-sql"},
      {"select * from ts_stat('select 1') limit 1", "read write exec", "dynamic-sql"},
      {"create trigger t before insert on people execute function f()", "ddl", "create-function"},
      {"create policy p on people", "ddl admin", "create-function"}, {"create aggregate a(int) (sfunc = f, stype = int)", "ddl", "create-function"},
      {"create extension dblink", "read write ddl admin exec", "create-extension"}, {"load 'x'", "admin exec", "create-extension"},
      {"create foreign table f (a int) server s", "ddl forward", "foreign-access"},
      {"create server s foreign data wrapper w", "admin forward", "create-extension foreign-access"},
      {"create subscription s connection 'x' publication p", "admin forward replicate", "foreign-access"},
      {"select * from dblink('host=x', 'select 1') as t(a int) where a = 1", "read write exec forward", "dynamic-sql foreign-access"},
      {"set row_security = off", "admin", "security-off"}, {"set log_statement to 'none'", "admin", "security-off"},
      {"set session_replication_role = replica", "admin", "security-off"}, {"set pgaudit.log = ''", "admin", "security-off"},
      {"select pg_terminate_backend(1)", "read admin", "terminate-backend"}, {"select pg_catalog.pg_reload_conf()", "read admin", "terminate-backend"},
      {"select passwd from pg_shadow where usename = 'x'", "read", "catalog-secrets"},
      {"select passwd from pg_catalog.pg_authid where true", "read", "catalog-secrets"},
      {"select query from pg_stat_activity where pid = 1", "read", "catalog-secrets"},
      {"select most_common_vals from pg_stats where tablename = 'people'", "read", "catalog-secrets"},
      {"select relname from pg_class where oid = 1", "read", ""},
      {"lock table people", "write", "lock-table"}, {"select pg_advisory_lock(1)", "read", "lock-table"},
      {"select pg_advisory_xact_lock(1)", "read", ""},
      {"select pg_sleep(10)", "read", "sleep"}, {"select pg_sleep_for('1 s')", "read", "sleep"},
      {"select 1 from people, orders", "read", "cross-join"}, {"select 1 from people cross join orders", "read", "cross-join"},
      {"select 1 from people join orders on true", "read", "cross-join"},
      {"select 1 from people, orders where people.id = orders.person_id", "read", ""},
      {"select 1 from people join orders using (id)", "read", ""}, {"select 1 from people natural join orders", "read", ""},
      {"select 1 from people, generate_series(1, 2)", "read", ""}, {"select 1 from people p, lateral (select 1 from orders o where o.id = p.id) x", "read", ""},
      {"select * from people", "read", "select-star"}, {"select p.* from people p", "read", "select-star"}, {"table people", "read", "select-star"},
      {"select * from people limit all", "read", "select-star"},
      {"select * from people limit 10", "read", ""}, {"select * from people where id = 1", "read", ""}, {"select * from (values (1)) x", "read", ""},
      {"select * from people fetch first 5 rows only", "read", ""}, {"with c as (select 1) select * from c", "read", ""},
      {"listen x", "session", "listen-notify"}, {"notify x, 'y'", "write", "listen-notify"}, {"select pg_notify('a', 'b')", "read write", "listen-notify"},
      {"vacuum people", "admin", "maintenance"}, {"analyze people", "admin", "maintenance"}, {"reindex table people", "admin", "maintenance"},
      {"prepare transaction 'x'", "write session", "prepare-transaction"}, {"commit prepared 'x'", "write session", "prepare-transaction"},
  });
}

TEST(Facts, SettingsThatChangeTheGrammarAreFences) {
  for (const char* text : {"set standard_conforming_strings = off", "set \"Standard_Conforming_Strings\" to off", "reset standard_conforming_strings",
                           "set local standard_conforming_strings to default", "set client_encoding = 'SJIS'", "set names 'latin1'",
                           "set backslash_quote = on", "select set_config('standard_conforming_strings', 'off', false)",
                           "select set_config('CLIENT_ENCODING', $1, false)", "with x as (select set_config('backslash_quote', 'on', true)) select 1 from x"}) {
    const FactsPtr facts = facts_with(text);
    EXPECT_TRUE(facts->is_fence) << text;
    EXPECT_NE(shapes_of(*facts).find("set-grammar"), std::string::npos) << text;
  }
  for (const char* text : {"select set_config($1, 'off', false)", "select set_config('stand' || 'ard_conforming_strings', 'off', false)",
                           "update pg_settings set setting = 'off' where name = 'x'"}) {
    const FactsPtr facts = facts_with(text);
    EXPECT_TRUE(facts->is_fence) << text;
    EXPECT_EQ(shapes_of(*facts), "set-role set-grammar set-search-path security-off") << text;
    EXPECT_EQ(facts->roles, std::vector<std::string>{"*"}) << text;
  }
  for (const char* text : {"set search_path = a, b", "set schema 'a'", "copy people from stdin", "discard all", "reset all", "do 'x'", "call p()",
                           "execute p", "select dirty()", "select no_such_function()"}) {
    EXPECT_TRUE(facts_with(text)->is_fence) << text;
  }
  for (const char* text : {"select 1", "set work_mem = '1MB'", "begin", "copy people to stdout", "select lower('x')", "select set_config('work_mem', '1MB', false)"}) {
    EXPECT_FALSE(facts_with(text)->is_fence) << text;
  }
}

TEST(Facts, RolesThatAreAskedForAreNamed) {
  const auto roles = [](const char* text) { return facts_with(text)->roles; };
  EXPECT_EQ(roles("set role bob"), std::vector<std::string>{"bob"});
  EXPECT_EQ(roles("set role 'bob'"), std::vector<std::string>{"bob"});
  EXPECT_EQ(roles("set role 'eve'"), std::vector<std::string>{"eve"});  // Not the cached facts of bob.
  EXPECT_EQ(roles("set session authorization bob"), std::vector<std::string>{"bob"});
  EXPECT_EQ(roles("set local role bob"), std::vector<std::string>{"bob"});
  EXPECT_EQ(roles("select set_config('role', 'bob', true)"), std::vector<std::string>{"bob"});
  EXPECT_EQ(roles("set role none"), std::vector<std::string>{});
  EXPECT_EQ(roles("reset role"), std::vector<std::string>{});
  EXPECT_EQ(verbs_of(*facts_with("set role bob")), "impersonate");
  EXPECT_EQ(verbs_of(*facts_with("reset session authorization")), "session");
  EXPECT_EQ(shapes_of(*facts_with("set role none")), "set-role");
}

// What changes the role from inside of code, or may: refused to whom no grant lets act as anybody ("*").
TEST(Facts, CodeThatMayChangeTheRoleAsksForAnyRole) {
  for (const char* text :
       {"do $$ begin set role boss; end $$", "do $$ begin perform set_config('role', 'boss', false); end $$", "do $$ begin SET SESSION AUTHORIZATION boss; end $$",
        "do $$ begin execute 'set ro' || 'le boss'; end $$", "do $$ begin update pg_settings set setting = 'boss' where name = 'ro' || 'le'; end $$",
        "do $$ begin perform u&\"set\\005fconfig\"('ro' || 'le', 'boss', false); end $$", "do language plpgsql $x$ begin set local role boss; end $x$",
        "create function f() returns void language plpgsql as $$ begin set role boss; end $$", "create procedure p() language plpgsql as 'begin execute x; end'",
        "create function f() returns text language sql as $$ select set_config('ro' || 'le', $1, false) $$"}) {
    const FactsPtr facts = facts_with(text);
    EXPECT_NE(verbs_of(*facts).find("impersonate"), std::string::npos) << text;
    EXPECT_EQ(facts->roles, std::vector<std::string>{"*"}) << text;
  }
  for (const char* text : {"create function f() returns text language sql as $$ select set_config('role', 'boss', false) $$",
                           "create function f() returns int language plpgsql set role = 'boss' as $$ begin return 1; end $$",
                           "prepare p as select set_config('role', 'boss', false)", "explain analyze select set_config('role', 'boss', false)",
                           "select 1; set role boss", "copy (select set_config('role', 'boss', false)) to stdout"}) {
    const FactsPtr facts = facts_with(text);
    EXPECT_NE(verbs_of(*facts).find("impersonate"), std::string::npos) << text;
    EXPECT_EQ(facts->roles, std::vector<std::string>{"boss"}) << text;
  }
  EXPECT_EQ(facts_with("prepare p(text) as select set_config('role', $1, false)")->roles, std::vector<std::string>{"*"});
  for (const char* text : {"do $$ begin insert into payroles values (1); end $$", "do $$ begin perform 1; end $$", "create function f() returns int language plpgsql as 'begin return 1; end'",
                           "create trigger t before insert on people for each row execute function f()"}) {
    EXPECT_EQ(verbs_of(*facts_with(text)).find("impersonate"), std::string::npos) << text;
  }
}

TEST(Facts, FunctionsAreClearedByTheSafeListOrTheCatalogueAlone) {
  const auto functions = [](const char* text) { return functions_of(*facts_with(text)); };
  EXPECT_EQ(functions("select lower(name), now(), count(*), max(id), extract(year from now()), coalesce(name, 'x') from people"), "count extract lower max now");
  EXPECT_EQ(functions("select clean('x'), public.clean('y')"), "clean public.clean");
  EXPECT_EQ(functions("select dirty()"), "dirty!");
  EXPECT_EQ(functions("select length('x')"), "length!");                // public.length may be the better match.
  EXPECT_EQ(functions("select pg_catalog.length('x')"), "length");
  EXPECT_EQ(functions("select no_such('x')"), "no_such!");
  EXPECT_EQ(functions("select pg_switch_wal()"), "pg_switch_wal");      // Known, and not a read: its verb says so.
  EXPECT_EQ(functions("select pg_read_file('x')"), "pg_read_file!");
  EXPECT_EQ(functions("select 1 =~= 2"), "=~=!");
  EXPECT_EQ(functions("select 1 operator(public.<=>) 2, 3 <=> 4, 5 + 6, 'a' like 'b', 7 between 1 and 9"), "<=> public.<=>");
  EXPECT_TRUE(facts_with("select dirty()")->has_unknown_function);
  EXPECT_FALSE(facts_with("select clean('x')")->has_unknown_function);
  EXPECT_EQ(functions_of(*facts_without("select length('x'), clean('x')")), "clean! length");
}

TEST(Facts, SyntaxErrorsCarryTheParsersMessageAndCharacterPosition) {
  FactsPtr facts = facts_with("selec 1");
  EXPECT_TRUE(facts->is_syntax_error);
  EXPECT_EQ(facts->why, "syntax error at or near \"selec\"");
  EXPECT_EQ(facts->position, 1U);
  facts = facts_with("select 'äöü', from");  // Characters, not bytes.
  EXPECT_TRUE(facts->is_syntax_error);
  EXPECT_EQ(facts->position, 15U);
  facts = facts_with("select 1; select (");
  EXPECT_TRUE(facts->is_syntax_error);
  EXPECT_EQ(facts->statement_count, 0);
  facts = facts_with("select 'open");
  EXPECT_TRUE(facts->is_syntax_error);
  EXPECT_EQ(facts->normalized, "");
}

TEST(Facts, ABackslashInAPlainLiteralIsReadBothWays) {
  // One SELECT with the setting on, a DROP with it off.
  for (const bool conforming : {true, false}) {
    const FactsPtr facts = facts_with("select 'a\\' , 'b; drop table dd; --'", {}, conforming);
    EXPECT_TRUE(facts->is_opaque);
    EXPECT_NE(facts->why.find("standard_conforming_strings"), std::string::npos);
    EXPECT_EQ(verbs_of(*facts), "read ddl");
    EXPECT_EQ(shapes_of(*facts), "drop-table");
    EXPECT_EQ(facts->normalized, "");
  }
  const FactsPtr harmless = facts_with("select id from people where name ~ '^\\d+$'");
  EXPECT_FALSE(harmless->is_opaque);
  EXPECT_EQ(harmless->normalized, "select id from people where name ~ $1");
  EXPECT_FALSE(facts_with("select E'a\\'b'")->is_opaque);
  EXPECT_TRUE(facts_with("select '\\', '; insert into t values (1); --'")->is_opaque);
  EXPECT_TRUE(facts_with("set role 'a\\142'")->is_opaque);
}

TEST(Facts, WhatCannotBeReadIsOpaque) {
  EXPECT_TRUE(facts_with(std::string_view("select 1\0; drop table t", 22))->is_opaque);
  EXPECT_TRUE(facts_with("select \"\xc0\xaf\" from people")->is_opaque);
  EXPECT_TRUE(facts_with("select \xff from people")->is_opaque);
  EXPECT_FALSE(facts_with("select 'é', '\xff'")->is_opaque);  // LATIN1 clients; a constant's bytes part no tokens.
}

TEST(Facts, StackedStatementsAreAllCounted) {
  const FactsPtr facts = facts_with("begin; update people set id = 2 where id = 1; copy orders to stdout; commit");
  EXPECT_EQ(facts->statement_count, 4);
  EXPECT_EQ(facts->kinds, (std::vector<std::string>{"TransactionStmt", "UpdateStmt", "CopyStmt"}));
}

TEST(Facts, NormalizedTextHoldsNoConstant) {
  EXPECT_EQ(facts_with("select 'secret', 17, E'x', $$y$$ from people where id = $1 -- note")->normalized, "select $2, $3, $4, $5 from people where id = $1");
}

}  // namespace
}  // namespace weir::postgres

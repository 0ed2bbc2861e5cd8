// Claims about commands: the order of a decision, grants, rules, patterns.
#include <gtest/gtest.h>

#include "decide/judge_fixture.h"

namespace weir::decide {
namespace {

using Action = Verdict::Action;

TEST(Grants, WithoutOneNothingPasses) {
  Judge judge;
  judge.grant().who.groups = {"others"};
  const Verdict verdict = judge.query("select 1");
  EXPECT_EQ(verdict.action, Action::kBlock);
  EXPECT_EQ(verdict.rule_name, "no-grant");
  EXPECT_NE(verdict.reason.find("orders-db"), std::string_view::npos);
}

TEST(Grants, AnUnboundSessionIsTold) {
  Judge judge;
  judge.identity = nullptr;
  EXPECT_EQ(judge.query("select 1").rule_name, "no-identity");
  EXPECT_EQ(judge.judge(judge.codec.other(Direction::kToTarget, UnitKind::kLogin, "login")).rule_name, "no-identity");
  EXPECT_EQ(judge.judge(judge.codec.other(Direction::kToTarget, UnitKind::kHandshake, "ssl-request")).action, Action::kAllow);
}

TEST(Grants, WhoIsUnboundIsToldWhereToSignIn) {
  Judge judge;
  judge.identity = nullptr;
  EXPECT_NE(judge.query("select 1").reason.find(": sign in first (weir bind)"), std::string_view::npos);
  Judge with_portal;
  with_portal.config.identity.portal.url = "https://gw.example:8443";
  with_portal.identity = nullptr;
  EXPECT_NE(with_portal.query("select 1").reason.find(": sign in at https://gw.example:8443/portal"), std::string_view::npos);
}

TEST(Grants, ALoginIsJudgedByLoginAndDatabase) {
  Judge judge;
  judge.grant().logins = {"report_*"};
  judge.grant().databases = {"shop"};
  const Unit& login = judge.codec.other(Direction::kToTarget, UnitKind::kLogin, "login");
  EXPECT_EQ(judge.judge(login).action, Action::kAllow);
  judge.codec.login_facts.login = "postgres";
  EXPECT_EQ(judge.judge(login).rule_name, "no-grant");
  judge.codec.login_facts = {"report_ro", "payroll", "", "", true};
  EXPECT_NE(judge.judge(login).reason.find("payroll"), std::string_view::npos);
}

TEST(Grants, EveryVerbOfAStatementMustBeCoveredByOneGrant) {
  Judge judge;
  judge.source.set("with x as (delete from t returning 1) select * from x").verbs = Verb::kRead | Verb::kWrite;
  judge.source.set("begin").verbs = bit(Verb::kSession);
  EXPECT_EQ(judge.query("begin").action, Action::kAllow);
  const Verdict verdict = judge.query("with x as (delete from t returning 1) select * from x");
  EXPECT_EQ(verdict.rule_name, "no-grant");
  EXPECT_NE(verdict.reason.find("write"), std::string_view::npos);
}

TEST(Grants, AnExclamationMarkTakesAway) {
  Judge judge;
  judge.grant().objects = {"public.*", "!public.staff_pay"};
  judge.source.set("orders").relations = {{"public", "orders", 1, true, false, true}};
  judge.source.set("pay").relations = {{"public", "staff_pay", 2, true, false, true}};
  judge.source.set("other").relations = {{"secret", "t", 3, true, false, true}};
  judge.source.set("unresolved").relations = {{"", "orders", 0, true, false, false}};
  judge.source.set("catalog").relations = {{"pg_catalog", "pg_class", 0, true, false, false}};
  judge.source.set("authid").relations = {{"pg_catalog", "pg_authid", 0, true, false, true}};
  EXPECT_EQ(judge.query("orders").action, Action::kAllow);
  EXPECT_EQ(judge.query("pay").rule_name, "no-grant");
  EXPECT_EQ(judge.query("other").rule_name, "no-grant");
  EXPECT_EQ(judge.query("unresolved").rule_name, "no-grant") << "a name that the catalogue does not know matches * only";
  EXPECT_EQ(judge.query("catalog").action, Action::kAllow) << "psql's \\d must work";
  EXPECT_EQ(judge.query("authid").rule_name, "no-grant");
}

TEST(Grants, AnUnknownFunctionIsClosedUnderAReadOnlyGrant) {
  Judge judge;
  StatementFacts& facts = judge.source.set("select f()");
  facts.verbs = bit(Verb::kRead);
  facts.has_unknown_function = true;
  facts.functions = {{"public", "f", false}};
  EXPECT_EQ(judge.query("select f()").rule_name, "unknown-function");
  judge.config.targets[0].unknown_functions_block = false;
  judge.open();
  EXPECT_EQ(judge.query("select f()").action, Action::kAllow);
}

TEST(Grants, ActingAsARoleNeedsTheVerbAndTheRole) {
  Judge judge;
  StatementFacts& facts = judge.source.set("set role boss");
  facts.verbs = bit(Verb::kImpersonate);
  facts.roles = {"boss"};
  EXPECT_EQ(judge.query("set role boss").rule_name, "no-grant");
  judge.grant().verbs = Verb::kRead | Verb::kImpersonate;
  judge.grant().impersonate = {"clerk"};
  judge.open();
  EXPECT_EQ(judge.query("set role boss").rule_name, "no-grant");
  judge.grant().impersonate = {"bos*"};
  judge.open();
  EXPECT_EQ(judge.query("set role boss").action, Action::kAllow);
}

TEST(Grants, HoursAreOfTheGrantsOwnZone) {
  Judge judge;
  judge.grant().hours = {"Europe/Berlin", {{0, 4, 7 * 60, 19 * 60}}};
  EXPECT_EQ(judge.query("select 1").action, Action::kAllow);  // Monday 11:00 there.
  judge.wall += std::chrono::hours(7) + std::chrono::minutes(59);
  EXPECT_EQ(judge.query("select 1").action, Action::kAllow);  // 18:59.
  judge.wall += std::chrono::minutes(1);
  const Verdict verdict = judge.query("select 1");
  EXPECT_EQ(verdict.rule_name, "no-grant");
  EXPECT_NE(verdict.reason.find("Mon-Fri 07:00-19:00 Europe/Berlin"), std::string_view::npos) << verdict.reason;
}

TEST(Grants, AnEndEndsALiveSession) {
  Judge judge;
  judge.grant().until = std::chrono::floor<std::chrono::seconds>(judge.wall) + std::chrono::seconds(5);
  EXPECT_EQ(judge.query("select 1").action, Action::kAllow);
  judge.wall += std::chrono::seconds(5);
  EXPECT_EQ(judge.query("select 1").rule_name, "no-grant");
}

TEST(Grants, AnApprovalHoldsWhatItCoversButNotATransaction) {
  Judge judge;
  judge.grant().approval = "two-eyes";
  judge.source.set("begin").verbs = bit(Verb::kSession);
  EXPECT_EQ(judge.query("begin").action, Action::kAllow);
  EXPECT_EQ(judge.query("select 1").action, Action::kHold);
}

TEST(Holds, TheVerdictNamesEveryApprovalAndWhatTheCommandDoes) {
  Judge judge;
  judge.grant().approval = "two-eyes";
  RuleConfig& rule = judge.rule("really", RuleAction::kHold);
  rule.what.shapes = bit(Shape::kTruncate);
  rule.approval = "security";
  StatementFacts& facts = judge.source.set("truncate orders");
  facts.verbs = bit(Verb::kRead);
  facts.shapes = bit(Shape::kTruncate);
  facts.relations = {{"public", "orders", 1, false, true, true}, {"", "later", 0, false, false, false}};
  const Verdict verdict = judge.query("truncate orders");
  EXPECT_EQ(verdict.action, Action::kHold);
  EXPECT_EQ(std::vector<std::string_view>(verdict.approvals.begin(), verdict.approvals.end()), (std::vector<std::string_view>{"two-eyes", "security"}));
  EXPECT_EQ(verdict.objects, "public.orders") << "what it neither reads nor writes is not named";
  EXPECT_EQ(verdict.verbs, bit(Verb::kRead));
}

TEST(Holds, MoreApprovalsThanACommandMayAskForBlockIt) {
  Judge judge;
  for (int i = 0; i < 5; ++i) {
    RuleConfig& rule = judge.rule("r" + std::to_string(i), RuleAction::kHold);
    rule.what.verbs = bit(Verb::kRead);
    rule.what.words = {"word"};
    rule.approval = "a" + std::to_string(i);
  }
  const Verdict verdict = judge.query("select 'word'");
  EXPECT_EQ(verdict.action, Action::kBlock);
  EXPECT_EQ(verdict.rule_name, "approvals");
}

TEST(Holds, WhatOnlyPreparesIsNotHeldTheRunIs) {
  Judge judge;
  judge.grant().approval = "two-eyes";
  judge.codec.statements[5] = "select $1";
  const Verdict verdict = judge.judge(judge.codec.query("select $1", "parse"));
  EXPECT_EQ(verdict.action, Action::kAllow);
  EXPECT_EQ(verdict.approvals.size(), 1U) << "the session keeps what the run will be made of";
  EXPECT_EQ(judge.judge(judge.codec.bind(5, {"x"})).action, Action::kAllow);
  EXPECT_EQ(judge.judge(judge.codec.execute(5)).action, Action::kHold);
}

TEST(Holds, SqlsOwnPrepareIsRefusedSinceItsRunsWouldNotAsk) {
  Judge judge;
  judge.grant().approval = "two-eyes";
  StatementFacts& facts = judge.source.set("prepare x as select 1");
  facts.verbs = bit(Verb::kRead);
  facts.kinds = {"PrepareStmt", "SelectStmt"};
  const Verdict verdict = judge.query("prepare x as select 1");
  EXPECT_EQ(verdict.action, Action::kBlock);
  EXPECT_NE(verdict.reason.find("send it itself"), std::string_view::npos);
}

TEST(Holds, AnObservedHoldHoldsNothing) {
  Judge judge;
  RuleConfig& rule = judge.rule("r", RuleAction::kHold);
  rule.what.words = {"word"};
  rule.approval = "two-eyes";
  rule.observe = true;
  const Verdict verdict = judge.query("select 'word'");
  EXPECT_TRUE(verdict.observed);
  EXPECT_TRUE(verdict.approvals.empty());
}

TEST(Readable, ASyntaxErrorIsTheParsersOwn) {
  Judge judge;
  StatementFacts& facts = judge.source.set("selec 1");
  facts.is_syntax_error = true;
  facts.why = "syntax error at or near \"selec\"";
  facts.position = 1;
  const Verdict verdict = judge.query("selec 1");
  EXPECT_EQ(verdict.action, Action::kBlock);
  EXPECT_TRUE(verdict.grammar_error);
  EXPECT_EQ(verdict.position, 1u);
  EXPECT_EQ(verdict.reason, facts.why);
}

TEST(Readable, WhatCannotBeReadIsTheTargetsSetting) {
  Judge judge;
  judge.source.set("?").is_opaque = true;
  EXPECT_EQ(judge.query("?").rule_name, "opaque");
  EXPECT_EQ(judge.judge(judge.codec.other(Direction::kToTarget, UnitKind::kOpaque, "query")).rule_name, "opaque");
  EXPECT_EQ(judge.judge(judge.codec.execute(99)).rule_name, "opaque") << "a statement nobody saw";
  judge.source.refuses = true;
  EXPECT_EQ(judge.query("select 1").rule_name, "opaque");
  judge.source.refuses = false;
  judge.config.targets[0].opaque = Opaque::kHold;
  judge.open();
  EXPECT_EQ(judge.query("?").action, Action::kHold);
  judge.config.targets[0].opaque = Opaque::kAllow;
  judge.open();
  EXPECT_EQ(judge.query("?").action, Action::kAllow);
  judge.codec.grammar_facts.encoding_is_safe = false;
  judge.config.targets[0].opaque = Opaque::kBlock;
  judge.open();
  EXPECT_EQ(judge.query("select 1").rule_name, "opaque");
}

TEST(Readable, PendingFactsWait) {
  Judge judge;
  judge.source.is_pending = true;
  EXPECT_EQ(judge.query("select 1").action, Action::kWait);
  judge.source.is_pending = false;
  EXPECT_EQ(judge.query("select 1").action, Action::kAllow);
}

TEST(Readable, FunctionCallMessagesAreClosed) {
  Judge judge;
  EXPECT_EQ(judge.judge(judge.codec.other(Direction::kToTarget, UnitKind::kCommand, "function-call")).rule_name,
            "function-call");
}

TEST(Rules, TheStrictestWinsAndTheFirstOfEqualsIsNamed) {
  Judge judge;
  judge.rule("holds", RuleAction::kHold).what.verbs = bit(Verb::kRead);
  judge.rule("blocks-first", RuleAction::kBlock).what.verbs = bit(Verb::kRead);
  judge.rule("blocks-second", RuleAction::kBlock).what.verbs = bit(Verb::kRead);
  judge.rule("tells", RuleAction::kAlert).what.verbs = bit(Verb::kRead);
  const Verdict verdict = judge.query("select 1");
  EXPECT_EQ(verdict.action, Action::kBlock);
  EXPECT_EQ(verdict.rule_name, "blocks-first");
  ASSERT_EQ(verdict.alerts.size(), 1u);
  EXPECT_EQ(judge.policy->rule_name(verdict.alerts[0]), "tells");
  judge.rule("ends", RuleAction::kTerminate).what.verbs = bit(Verb::kRead);
  judge.open();
  EXPECT_EQ(judge.query("select 1").rule_name, "ends");
}

TEST(Rules, AlertsFireAlsoWhereNoGrantAdmits) {
  Judge judge;
  judge.rule("tells", RuleAction::kAlert).what.shapes = bit(Shape::kTruncate);
  judge.rule("blocks", RuleAction::kBlock).what.shapes = bit(Shape::kTruncate);
  StatementFacts& facts = judge.source.set("truncate t");
  facts.verbs = bit(Verb::kWrite);
  facts.shapes = bit(Shape::kTruncate);
  const Verdict verdict = judge.query("truncate t");
  EXPECT_EQ(verdict.rule_name, "no-grant");
  EXPECT_EQ(verdict.alerts.size(), 1u);
}

TEST(Rules, FactsAndFunctionsAreAlternativesVerbsAndObjectsNarrow) {
  Judge judge;
  judge.grant().verbs = Verb::kRead | Verb::kWrite;
  RuleConfig& programs = judge.rule("no-server-programs", RuleAction::kBlock);
  programs.what.shapes = bit(Shape::kCopyProgram);
  programs.what.functions = {"pg_read_file", "dblink*"};
  RuleConfig& narrow = judge.rule("no-writes-to-pay", RuleAction::kBlock);
  narrow.what.verbs = bit(Verb::kWrite);
  narrow.what.objects = {"public.pay"};
  judge.source.set("copy").shapes = bit(Shape::kCopyProgram);
  judge.source.set("dblink").functions = {{"", "dblink_exec", true}};
  judge.source.set("harmless").functions = {{"", "lower", true}};
  EXPECT_EQ(judge.query("copy").rule_name, "no-server-programs");
  EXPECT_EQ(judge.query("dblink").rule_name, "no-server-programs");
  EXPECT_EQ(judge.query("harmless").action, Action::kAllow);
  StatementFacts& reads = judge.source.set("insert into t select * from pay");
  reads.verbs = Verb::kRead | Verb::kWrite;
  reads.relations = {{"public", "t", 1, false, true, true}, {"public", "pay", 2, true, false, true}};
  EXPECT_EQ(judge.query("insert into t select * from pay").action, Action::kAllow) << "it reads pay and writes another";
  reads.relations[1].is_written = true;
  judge.open();
  EXPECT_EQ(judge.query("insert into t select * from pay").rule_name, "no-writes-to-pay");
}

TEST(Rules, AnAllowRuleExemptsFromWhatItNamesOnly) {
  Judge judge;
  judge.rule("no-truncate", RuleAction::kBlock).what.shapes = bit(Shape::kTruncate);
  judge.rule("no-read", RuleAction::kBlock).what.shapes = bit(Shape::kSelectStar);
  RuleConfig& allow = judge.rule("agents-may-truncate", RuleAction::kAllow);
  allow.where.who.groups = {"agents"};
  allow.what.verbs = bit(Verb::kRead);
  allow.except_rules = {"no-truncate"};
  judge.source.set("truncate").shapes = bit(Shape::kTruncate);
  judge.source.set("star").shapes = bit(Shape::kSelectStar);
  judge.source.by_text["truncate"]->verbs = judge.source.by_text["star"]->verbs = bit(Verb::kRead);
  EXPECT_EQ(judge.query("truncate").action, Action::kAllow);
  EXPECT_EQ(judge.query("star").rule_name, "no-read");
  judge.grant().who.groups = {"nobody"};
  judge.open();
  EXPECT_EQ(judge.query("truncate").rule_name, "no-grant") << "an allow rule opens nothing that a grant closed";
}

TEST(Rules, ObserveIsToldAndNotDone) {
  Judge judge;
  RuleConfig& observed = judge.rule("watch", RuleAction::kBlock);
  observed.what.shapes = bit(Shape::kTruncate);
  observed.observe = true;
  judge.source.set("t").shapes = bit(Shape::kTruncate);
  judge.source.by_text["t"]->verbs = bit(Verb::kRead);
  Verdict verdict = judge.query("t");
  EXPECT_EQ(verdict.action, Action::kBlock);
  EXPECT_TRUE(verdict.observed);
  judge.rule("really", RuleAction::kHold).what.shapes = bit(Shape::kTruncate);
  judge.open();
  verdict = judge.query("t");
  EXPECT_EQ(verdict.rule_name, "really") << "an observed rule must not hide what is carried out";
  EXPECT_FALSE(verdict.observed);
  ASSERT_EQ(verdict.alerts.size(), 1u);
  judge.config.targets[0].observe = true;
  judge.open();
  EXPECT_TRUE(judge.query("t").observed);
}

TEST(Words, ABlockedWordIsFoundAtItsBoundariesOnly) {
  Judge judge;
  judge.rule("no-word", RuleAction::kBlock).what.words = {"xyzzy", "drop  everything"};
  EXPECT_EQ(judge.query("select 'XyZZy'").rule_name, "no-word");
  EXPECT_EQ(judge.query("xyzzy").rule_name, "no-word") << "also where the length byte before it is a letter";
  EXPECT_EQ(judge.query("select xyzzyx").action, Action::kAllow);
  EXPECT_EQ(judge.query("select axyzzy").action, Action::kAllow);
  EXPECT_EQ(judge.query("select 'drop \n\t everything'").rule_name, "no-word");
}

TEST(Words, EveryLengthOfTextFindsItsFirstWord) {
  Judge judge;
  judge.rule("no-word", RuleAction::kBlock).what.words = {"xyzzy"};
  for (std::size_t size = 0; size < 256; ++size) {
    EXPECT_EQ(judge.query("xyzzy " + std::string(size, ' ')).rule_name, "no-word") << size;
  }
}

TEST(Words, AReloadReachesStatementsPreparedBefore) {
  Judge judge;
  judge.codec.statements[5] = "select plugh from t";
  const Unit& execute = judge.codec.execute(5);
  EXPECT_EQ(judge.judge(execute).action, Action::kAllow);
  EXPECT_EQ(judge.judge(execute).action, Action::kAllow);
  judge.rule("no-plugh", RuleAction::kBlock).what.words = {"plugh"};
  judge.open();
  EXPECT_EQ(judge.judge(judge.codec.bind(5, {"1"})).rule_name, "no-plugh");
  EXPECT_EQ(judge.judge(execute).rule_name, "no-plugh");
}

TEST(Words, ParametersAreLookedAtToo) {
  Judge judge;
  judge.rule("no-word", RuleAction::kBlock).what.words = {"xyzzy"};
  judge.codec.statements[5] = "insert into t values ($1, $2)";
  EXPECT_EQ(judge.judge(judge.codec.bind(5, {"a", "xyzzy"})).rule_name, "no-word");
  EXPECT_EQ(judge.judge(judge.codec.bind(5, {"a", "xyzz", "y"})).action, Action::kAllow);
  EXPECT_EQ(judge.judge(judge.codec.bind(5, {"eHl6enkgaXMgaGVyZQ"})).rule_name, "no-word") << "base64";
}

TEST(Words, EncodingsArePeeled) {
  Judge judge;
  judge.rule("no-word", RuleAction::kBlock).what.words = {"open sesame"};
  EXPECT_EQ(judge.query("select decode('b3BlbiBzZXNhbWUgbm93', 'base64')").rule_name, "no-word");
  EXPECT_EQ(judge.query("select '\\x6f70656e20736573616d65'::bytea").rule_name, "no-word");
  EXPECT_EQ(judge.query("select 'open%20sesame'").rule_name, "no-word");
  EXPECT_EQ(judge.query("select 'YjNCbGJpQnpaWE5oYldVZ2JtOTM='").rule_name, "no-word") << "base64 of base64";
}

TEST(Words, ManyUnitsOfOneChunkAreToldApart) {
  Judge judge;
  judge.rule("no-word", RuleAction::kBlock).what.words = {"xyzzy"};
  judge.open();
  const std::vector<Unit> units = {judge.codec.query("select 1"), judge.codec.query("select xyzzy"),
                                   judge.codec.query("select 2")};
  std::vector<Verdict> verdicts(3);
  DecideContext context = judge.context();
  judge.policy->decide(context, judge.codec, as_bytes(judge.codec.stream(Direction::kToTarget)), 0, units, verdicts);
  EXPECT_EQ(verdicts[0].action, Action::kAllow);
  EXPECT_EQ(verdicts[1].rule_name, "no-word");
  EXPECT_EQ(verdicts[2].action, Action::kAllow);
}

TEST(Text, RegularExpressionsSeeTheStatementAlone) {
  Judge judge;
  judge.rule("no-vacation", RuleAction::kBlock).what.text = {"^select\\s+vacation", "(?i)secret_[0-9]{4}$"};
  EXPECT_EQ(judge.query("select  vacation from t").rule_name, "no-vacation");
  EXPECT_EQ(judge.query("(select vacation)").action, Action::kAllow);
  EXPECT_EQ(judge.query("select SECRET_1234").rule_name, "no-vacation");
  judge.codec.statements[5] = "select vacation";
  EXPECT_EQ(judge.judge(judge.codec.execute(5)).rule_name, "no-vacation");
}

TEST(Names, BothMeaningsOfANameInFlightAreJudged) {
  Judge judge;
  judge.rule("no-word", RuleAction::kBlock).what.words = {"xyzzy"};
  judge.codec.statements = {{5, "select 1"}, {6, "select xyzzy"}};
  EXPECT_EQ(judge.judge(judge.codec.execute(5, 6)).rule_name, "no-word");
  EXPECT_EQ(judge.judge(judge.codec.execute(5)).action, Action::kAllow);
}

TEST(CopyData, AWordThatTwoMessagesShareIsFound) {
  Judge judge;
  judge.rule("no-word", RuleAction::kBlock).what.words = {"xyzzy"};
  EXPECT_EQ(judge.judge(judge.codec.copy_data("1\txyz")).action, Action::kAllow);
  EXPECT_EQ(judge.judge(judge.codec.copy_data("zy\n")).rule_name, "no-word");
  EXPECT_EQ(judge.judge(judge.codec.copy_data("x\\yzzy\n")).rule_name, "no-word") << "escaped for COPY";
}

TEST(SearchPath, AfterAChangeNamesWithoutASchemaAreNotResolved) {
  Judge judge;
  judge.source.set("set search_path = evil").shapes = bit(Shape::kSetSearchPath);
  judge.query("select 1");
  EXPECT_TRUE(judge.source.last_search_path.empty());
  judge.query("set search_path = evil");
  judge.query("select 1");
  EXPECT_FALSE(judge.source.last_search_path.empty());
}

TEST(SearchPath, OneThatTheLoginBringsCountsAsAChange) {
  Judge judge;
  judge.codec.grammar_facts.search_path_is_default = false;
  judge.query("select 1");
  EXPECT_FALSE(judge.source.last_search_path.empty());
}

TEST(Grammar, TextIsReadAsTheSessionHasItsStrings) {
  Judge judge;
  judge.query("select 1");
  EXPECT_TRUE(judge.source.last_conforming);
  judge.codec.grammar_facts.standard_conforming_strings = false;
  judge.query("select 1");
  EXPECT_FALSE(judge.source.last_conforming);
}

TEST(SearchPath, AChangeOutlivesAReload) {
  Judge judge;
  judge.source.set("set search_path = evil").shapes = bit(Shape::kSetSearchPath);
  judge.query("set search_path = evil");
  judge.open();
  judge.query("select 1");
  EXPECT_FALSE(judge.source.last_search_path.empty());
}

TEST(Schema, AfterAChangeTheCatalogueIsReadAgainOnceTheSessionIsSettled) {
  Judge judge;
  judge.grant().verbs = Verb::kRead | Verb::kDdl;
  judge.source.set("create view v as select 1").verbs = bit(Verb::kDdl);
  judge.query("select 1");
  EXPECT_EQ(judge.source.last_round, 0u);
  judge.codec.grammar_facts.is_settled = false;
  judge.query("create view v as select 1");
  judge.query("select 1");
  EXPECT_EQ(judge.source.last_round, 0u) << "nobody else can see it yet";
  judge.codec.grammar_facts.is_settled = true;
  judge.query("select 1");
  EXPECT_EQ(judge.source.last_round, 1u);
  judge.query("select 1");
  EXPECT_EQ(judge.source.round, 1u) << "once a change";
}

TEST(Schema, ARefusedChangeChangesNothing) {
  Judge judge;
  judge.source.set("create view v as select 1").verbs = bit(Verb::kDdl);
  EXPECT_EQ(judge.query("create view v as select 1").action, Action::kBlock);
  judge.query("select 1");
  EXPECT_EQ(judge.source.round, 0u);
}

TEST(Stream, AnAnswerCannotComeFromAClient) {
  Judge judge;
  EXPECT_EQ(judge.judge(judge.codec.other(Direction::kToTarget, UnitKind::kRows, "row")).action, Action::kBlock);
}

TEST(Counters, TellWhichRulesDecided) {
  Judge judge;
  judge.rule("no-word", RuleAction::kBlock).what.words = {"xyzzy"};
  judge.query("select xyzzy");
  judge.query("select 1");
  const std::vector<RuleCount> counts = judge.policy->counts();
  ASSERT_EQ(counts.size(), 1u);
  EXPECT_EQ(counts[0].rule, "no-word");
  EXPECT_EQ(counts[0].decided, 1u);
}

}  // namespace
}  // namespace weir::decide

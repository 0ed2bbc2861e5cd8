// Claims about what comes back: column masks by lineage and description, masks by value, error texts, and the guards.
#include <gtest/gtest.h>

#include "decide/judge_fixture.h"

namespace weir::decide {
namespace {

using Action = Verdict::Action;
using namespace std::string_literals;

Column text_column(uint32_t table, uint16_t number) { return {"", table, number, 25, ValueFormat::kText}; }

class Columns : public ::testing::Test, public Judge {
 protected:
  // Judges a command, then a row of its reply.
  Verdict row(const std::string& text, const std::vector<std::string>& cells, ValueFormat format = ValueFormat::kText) {
    const Unit& command = codec.query(text);
    command_verdict = judge(command);
    unit = &codec.row(command.id, cells, format);
    return judge(*unit);
  }
  const Unit& copies_people() {
    reads_people("copy people to stdout", {"id", "email"}).shapes = bit(Shape::kCopyOut);
    const Unit& command = codec.query("copy people to stdout");
    EXPECT_EQ(judge(command).action, Action::kAllow);
    return command;
  }
  std::string out(const Verdict& verdict) { return codec.edited(*unit, verdict); }
  Verdict command_verdict;
  const Unit* unit = nullptr;
};

TEST_F(Columns, AMaskedColumnIsMaskedAndItsNeighbourIsNot) {
  mask_people();
  reads_people("q", {"id", "email"});
  codec.described = {text_column(20001, 1), text_column(20001, 2)};
  const Verdict verdict = row("q", {"7", "alice@example.test"});
  EXPECT_EQ(verdict.action, Action::kMask);
  EXPECT_EQ(verdict.rule_name, "mask-people");
  ASSERT_EQ(verdict.edits.size(), 1u);
  EXPECT_EQ(verdict.edits[0].field, 1u);
  EXPECT_EQ(out(verdict).find("alice"), std::string::npos);
}

TEST_F(Columns, AnExpressionIsMaskedByItsOrigins) {
  mask_people();
  StatementFacts& facts = reads_people("select upper(email) from people", {"email"});
  facts.outputs[0].is_exact = false;
  codec.described = {text_column(0, 0)};
  EXPECT_EQ(row("select upper(email) from people", {"ALICE"}).action, Action::kMask);
}

TEST_F(Columns, WhatLineageCannotTellIsClosedWhole) {
  mask_people();
  StatementFacts& facts = reads_people("select row_to_json(p) from people p", {});
  facts.columns = {{0, "*", false}};
  facts.outputs = {{"row_to_json", {}, false, false}};
  codec.described = {text_column(0, 0)};
  EXPECT_EQ(row("select row_to_json(p) from people p", {"{\"email\":\"a\"}"}).action, Action::kMask);
}

TEST_F(Columns, UnsureValuesMasksByPatternOnly) {
  mask_people().mask.unsure_strict = false;
  StatementFacts& facts = reads_people("q", {});
  facts.outputs = {{"x", {}, false, false}};
  codec.described = {text_column(0, 0)};
  EXPECT_EQ(row("q", {"alice"}).action, Action::kAllow);
}

TEST_F(Columns, TheServersDescriptionSettlesWhatIsUnsure) {
  mask_people();
  StatementFacts& facts = reads_people("fetch all from c", {});
  facts.relations.clear();
  facts.outputs_are_known = false;
  codec.described = {text_column(20002, 2), text_column(20001, 3), text_column(20003, 1)};
  const Verdict verdict = row("fetch all from c", {"note", "4111", "mail"});
  ASSERT_EQ(verdict.edits.size(), 2u) << "orders.note is free, people.card masked, the view contacts unsure";
  EXPECT_EQ(verdict.edits[0].field, 1u);
  EXPECT_EQ(verdict.edits[1].field, 2u);
}

TEST_F(Columns, StatementsThatCannotTouchMaskedColumnsAreFree) {
  mask_people();
  StatementFacts& facts = reads_people("select count(*) from orders", {});
  facts.relations = {{"public", "orders", 20002, true, false, true}};
  facts.outputs = {{"count", {}, false, false}};
  codec.described = {text_column(0, 0)};
  EXPECT_EQ(row("select count(*) from orders", {"4"}).action, Action::kAllow);
  EXPECT_EQ(row("select 1", {"1"}).action, Action::kAllow);
  StatementFacts& catalog = source.set("\\d");
  catalog.verbs = bit(Verb::kRead);
  catalog.has_output = catalog.outputs_are_known = true;
  catalog.outputs = {{"relname", {}, false, false}};
  catalog.relations = {{"pg_catalog", "pg_class", 0, true, false, false}};
  EXPECT_EQ(row("\\d", {"orders"}).action, Action::kAllow);
}

TEST_F(Columns, UnresolvedNamesAreClosedUnderStrict) {
  mask_people();
  has_catalogue = false;
  StatementFacts& facts = reads_people("select x from somewhere", {});
  facts.relations = {{"", "somewhere", 0, true, false, false}};
  facts.outputs = {{"x", {}, false, false}};
  codec.described = {text_column(20009, 1)};
  EXPECT_EQ(row("select x from somewhere", {"alice"}).action, Action::kMask);
}

TEST_F(Columns, AReplyWhoseCommandIsForgottenIsClosed) {
  mask_people();
  codec.described = {text_column(0, 0)};
  unit = &codec.row(0, {"alice"});
  EXPECT_EQ(judge(*unit).action, Action::kMask);
}

TEST_F(Columns, AfterAReloadTheReplyIsReadFromItsStatement) {
  mask_people();
  reads_people("q", {"email"});
  codec.statements[3] = "q";
  codec.meanings = {3, 0};
  codec.described = {text_column(20001, 2)};
  row("q", {"a"});
  open();
  source.is_pending = true;
  EXPECT_EQ(judge(*unit).action, Action::kWait);
  source.is_pending = false;
  EXPECT_EQ(judge(*unit).action, Action::kMask);
}

TEST_F(Columns, CopyIsMaskedWithoutADescription) {
  mask_people();
  const Unit& command = copies_people();
  unit = &codec.copy_row(command.id, {"7", "alice"});
  const Verdict verdict = judge(*unit);
  ASSERT_EQ(verdict.edits.size(), 1u);
  EXPECT_EQ(out(verdict).substr(5), "7\t*****\n");
}

TEST_F(Columns, CopiedCellsThatCannotBeToldApartAreAllMasked) {
  mask_people();
  const Unit& command = copies_people();
  unit = &codec.copy_line(command.id, "7|alice");
  EXPECT_EQ(out(judge(*unit)).find("alice"), std::string::npos);
}

TEST_F(Columns, AnExemptedRuleDoesNotMask) {
  mask_people();
  RuleConfig& allow = rule("auditors-see", RuleAction::kAllow);
  allow.what.verbs = bit(Verb::kRead);
  allow.except_rules = {"mask-people"};
  reads_people("q", {"email"});
  codec.described = {text_column(20001, 2)};
  EXPECT_EQ(row("q", {"alice"}).action, Action::kAllow);
}

TEST_F(Columns, ObservedMasksAreToldAndNotDone) {
  mask_people().observe = true;
  reads_people("q", {"email"});
  codec.described = {text_column(20001, 2)};
  const Verdict verdict = row("q", {"alice"});
  EXPECT_EQ(verdict.action, Action::kMask);
  EXPECT_TRUE(verdict.observed);
}

TEST_F(Columns, AValueThatCannotBeMaskedIsNotSent) {
  mask_people();
  masker->refuses = true;
  reads_people("q", {"email"});
  codec.described = {text_column(20001, 2)};
  const Verdict verdict = row("q", {"alice"});
  EXPECT_EQ(verdict.action, Action::kBlock);
  EXPECT_EQ(verdict.rule_name, "unmaskable");
}

TEST_F(Columns, MoreMasksThanTheArenaHoldsBlock) {
  mask_people();
  reads_people("q", {"email"});
  codec.described = {text_column(20001, 2)};
  open();
  const Unit& command = codec.query("q");
  judge(command);
  unit = &codec.row(command.id, {std::string(1000, 'a')});
  Arena small(64);
  DecideContext made{session_facts = session(), *state, source, &catalogue, small, wall, scratch.get()};
  Verdict verdict;
  policy->decide(made, codec, as_bytes(codec.stream(Direction::kToClient)), 0, std::span(unit, 1), std::span(&verdict, 1));
  EXPECT_EQ(verdict.action, Action::kBlock);
}

TEST_F(Columns, ComparingAMaskedColumnIsRefused) {
  mask_people();
  StatementFacts& facts = reads_people("select id from people where email like 'a%'", {"id"});
  facts.columns.push_back({0, "email", true});
  const Verdict verdict = query("select id from people where email like 'a%'");
  EXPECT_EQ(verdict.action, Action::kBlock);
  EXPECT_EQ(verdict.rule_name, "masked-column-in-filter");
  EXPECT_NE(verdict.reason.find("people.email"), std::string_view::npos);
  config.rules[0].mask.in_filters = Guess::kAlert;
  open();
  const Verdict alerted = query("select id from people where email like 'a%'");
  EXPECT_EQ(alerted.action, Action::kAllow);
  EXPECT_EQ(alerted.alerts.size(), 1u);
  config.rules[0].mask.in_filters = Guess::kAllow;
  open();
  EXPECT_TRUE(query("select id from people where email like 'a%'").alerts.empty());
}

TEST_F(Columns, CopyingAMaskedColumnElsewhereIsRefused) {
  mask_people();
  grant().verbs = Verb::kRead | Verb::kWrite;
  StatementFacts& facts = reads_people("insert into notes select email from people", {"email"});
  facts.verbs = Verb::kRead | Verb::kWrite;
  facts.relations.push_back({"public", "notes", 5, false, true, true});
  EXPECT_EQ(query("insert into notes select email from people").rule_name, "masked-column-copied");
}

TEST_F(Columns, SamplesOfMaskedColumnsAreClosed) {
  mask_people();
  StatementFacts& stats = source.set("select * from pg_stats");
  stats.verbs = bit(Verb::kRead);
  stats.relations = {{"pg_catalog", "pg_stats", 0, true, false, true}};
  EXPECT_EQ(query("select * from pg_stats").rule_name, "masked-column-samples");
}

TEST_F(Columns, WritingAMaskBackIsRefused) {
  mask_people();
  grant().verbs = Verb::kRead | Verb::kWrite;
  source.set("update people set email = '*****' where id = 1").verbs = bit(Verb::kWrite);
  source.set("update people set name = 'x' where id = 1").verbs = bit(Verb::kWrite);
  EXPECT_EQ(query("update people set email = '*****' where id = 1").rule_name, "write-back");
  EXPECT_EQ(query("update people set name = 'x' where id = 1").action, Action::kAllow);
  codec.statements[9] = "update people set name = 'x' where id = 1";
  EXPECT_EQ(judge(codec.bind(9, {"******"})).rule_name, "write-back");
  EXPECT_EQ(judge(codec.bind(9, {"fine"})).action, Action::kAllow);
  EXPECT_EQ(judge(codec.copy_data("1\t*****\n")).rule_name, "write-back");
  EXPECT_EQ(query("select '*****'").action, Action::kAllow) << "reading destroys nothing";
}

// A view of the same name may be another one by now, and so may a table behind a name in a text that makes it.
TEST_F(Columns, WhileTheSchemaIsBeingChangedNothingIsSure) {
  mask_people();
  grant().verbs = Verb::kRead | Verb::kDdl;
  source.set("create view orders as select email as note from people").verbs = bit(Verb::kDdl);
  StatementFacts& reads = source.set("select note from orders");
  reads.verbs = bit(Verb::kRead);
  reads.has_output = reads.outputs_are_known = true;
  reads.relations = {{"public", "orders", 20002, true, false, true}};
  reads.columns = {{0, "note", false, false}};
  reads.outputs = {{"note", {0}, true, true}};
  EXPECT_EQ(row("select note from orders", {"alice"}).action, Action::kAllow);
  codec.grammar_facts.is_settled = false;
  query("create view orders as select email as note from people");
  EXPECT_EQ(row("select note from orders", {"alice"}).action, Action::kMask);
  codec.grammar_facts.is_settled = true;
  EXPECT_EQ(row("select note from orders", {"alice"}).action, Action::kAllow);
  StatementFacts& both = source.set("create view orders as select 1; select note from orders");
  both = reads;
  both.verbs = Verb::kRead | Verb::kDdl;
  both.statement_count = 2;
  EXPECT_EQ(row("create view orders as select 1; select note from orders", {"alice"}).action, Action::kMask);
}

TEST_F(Columns, ErrorsOfACommandOnMaskedColumnsLoseTheirValues) {
  mask_people();
  reads_people("q", {"email"});
  const Unit& command = codec.query("q");
  judge(command);
  unit = &codec.error(command.id, {{'S', "ERROR"},
                                   {'C', "23505"},
                                   {'M', "invalid input syntax for type integer: \"alice\""},
                                   {'D', "Key (email)=(alice) already exists."},
                                   {'W', "COPY people, line 1, column email: \"alice\""}});
  const std::string text = out(judge(*unit));
  EXPECT_EQ(text.find("alice"), std::string::npos) << text;
  EXPECT_NE(text.find("invalid input syntax"), std::string::npos);
  EXPECT_NE(text.find("(email)"), std::string::npos);
  EXPECT_NE(text.find("23505"), std::string::npos);
  unit = &codec.error(command.id, {{'S', "ERROR"}, {'C', "P0001"}, {'M', "no mail to alice"}, {'H', "ask alice"}, {'W', "PL/pgSQL function tell()"}});
  const std::string raised = out(judge(*unit));
  EXPECT_EQ(raised.find("alice"), std::string::npos) << "a function raises what it likes: " << raised;
  EXPECT_NE(raised.find("P0001"), std::string::npos);
  unit = &codec.error(command.id, {{'S', "NOTICE"}, {'M', "alice"}}, "notice");
  EXPECT_EQ(out(judge(*unit)).find("alice"), std::string::npos);
  EXPECT_EQ(redact(*unit), "") << "nor does the record show it";
}

class Values : public Columns {
 protected:
  void SetUp() override {
    kind("token", "TOK-[0-9]{6}", 10);
    RuleConfig& made = rule("mask-tokens", RuleAction::kMask);
    made.where.direction = Direction::kToClient;
    made.what.data = {"token"};
  }
};

TEST_F(Values, AreMaskedWhereverTheyStand) {
  const Verdict verdict = row("select 1", {"a", "see TOK-123456, and TOK-654321.", "b"});
  EXPECT_EQ(verdict.action, Action::kMask);
  ASSERT_EQ(verdict.edits.size(), 2u);
  EXPECT_EQ(out(verdict).find("TOK"), std::string::npos);
  EXPECT_NE(out(verdict).find("see **********, and **********."), std::string::npos);
}

TEST_F(Values, AreFoundAtEveryFieldLength) {
  for (std::size_t before = 0; before < 246; ++before) {
    for (const char pad : {'x', '7'}) {
      const Verdict verdict = row("select 1", {std::string(before, pad) + "TOK-123456"});
      ASSERT_EQ(verdict.action, Action::kMask) << before;
      ASSERT_EQ(verdict.edits[0].within.size, 10u);
    }
  }
}

TEST_F(Values, DoNotReachFromOneFieldIntoTheNext) {
  EXPECT_EQ(row("select 1", {"TOK-123", "456"}).action, Action::kAllow);
  EXPECT_EQ(row("select 1", {"TOK-", "123456"}).action, Action::kAllow);
}

TEST_F(Values, InCopyAreFoundBehindEscapes) {
  const Unit& command = codec.query("copy t to stdout");
  judge(command);
  unit = &codec.copy_row(command.id, {"TOK\\-123456", "fine\\n"});
  const Verdict verdict = judge(*unit);
  ASSERT_EQ(verdict.edits.size(), 1u);
  EXPECT_EQ(out(verdict).find("123456"), std::string::npos);
}

TEST_F(Values, ACutCellLosesWhatNobodyCanSeeWhole) {
  judge(codec.query("select 1"));
  unit = &codec.cut_row(1, std::string(50, 'a') + "TOK-12");
  const Verdict verdict = judge(*unit);
  ASSERT_EQ(verdict.edits.size(), 1u) << "the end of the piece may begin a match";
  EXPECT_EQ(verdict.edits[0].within.size, 9u);
  EXPECT_EQ(verdict.edits[0].within.end(), unit->wire.end());
}

TEST_F(Values, OtherActionsActOnReplies) {
  config.rules.clear();
  RuleConfig& ends = rule("ends", RuleAction::kTerminate);
  ends.where.direction = Direction::kToClient;
  ends.what.data = {"token"};
  EXPECT_EQ(row("select 1", {"TOK-123456"}).action, Action::kTerminate);
  EXPECT_EQ(row("select 1", {"nothing"}).action, Action::kAllow);
}

TEST_F(Values, InErrorsAreMasked) {
  judge(codec.query("select 1"));
  unit = &codec.error(1, {{'M', "bad value TOK-123456"}});
  const Verdict verdict = judge(*unit);
  EXPECT_EQ(verdict.action, Action::kMask);
  EXPECT_EQ(out(verdict).find("TOK-1"), std::string::npos);
}

TEST_F(Values, OverlappingMasksJoinAndTheStricterWins) {
  kind("digits", "[0-9]{6}", 6);
  RuleConfig& more = rule("hash-digits", RuleAction::kMask);
  more.what.data = {"digits"};
  more.mask.spec.as = MaskSpec::As::kHash;
  const Verdict verdict = row("select 1", {"TOK-123456"});
  ASSERT_EQ(verdict.edits.size(), 1u);
  EXPECT_NE(out(verdict).find("**********"), std::string::npos);
}

TEST_F(Values, LeaveTheRecordWithoutThem) {
  const Unit& command = codec.query("insert into t values ('TOK-123456', 'x')");
  judge(command);
  EXPECT_EQ(redact(command), "insert into t values ('****', 'x')");
  const Unit& plain = codec.query("insert into t values ('x')");
  judge(plain);
  EXPECT_EQ(redact(plain), "insert into t values ('x')");
  codec.statements[4] = "insert into t values ($1)";
  const Unit& bind = codec.bind(4, {"x TOK-123456", "y"});
  judge(bind);
  EXPECT_EQ(redact_field(bind, 0), "x ****");
  EXPECT_EQ(redact_field(bind, 1), "y");
  const Unit& hidden = codec.query("select 'VE9LLTEyMzQ1NiBoZXJl'");
  judge(hidden);
  EXPECT_EQ(redact(hidden), "select '****'") << "base64 of it";
}

TEST(Passwords, StandOnNoRecordWhateverTheRulesSay) {
  Judge judge;
  judge.grant().verbs = Verb::kRead | Verb::kAdmin;
  StatementFacts& facts = judge.source.set("alter role bob password 'hunter2'");
  facts.verbs = bit(Verb::kAdmin);
  facts.shapes = bit(Shape::kAlterRole);
  facts.normalized = "alter role bob password $1";
  const Unit& command = judge.codec.query("alter role bob password 'hunter2'");
  judge.judge(command);
  EXPECT_EQ(judge.redact(command), facts.normalized);
}

TEST_F(Columns, RecordsOfCommandsOnMaskedColumnsShowNoLiteral) {
  mask_people();
  StatementFacts& facts = reads_people("select id from people where email = 'alice'", {"id"});
  facts.columns.push_back({0, "email", true});
  facts.normalized = "select id from people where email = $1";
  const Unit& command = codec.query("select id from people where email = 'alice'");
  judge(command);
  EXPECT_EQ(redact(command), facts.normalized);
  codec.statements[4] = "select id from people where email = 'alice'";
  const Unit& bind = codec.bind(4, {"alice"});
  judge(bind);
  EXPECT_EQ(redact_field(bind, 0), "****");
}

TEST_F(Columns, DigestsStandInForParametersWhereTheTargetSaysSo) {
  config.targets[0].record.parameters = RecordParameters::kDigest;
  const Unit& command = codec.query("q");
  source.set("q").normalized = "select $1";
  judge(command);
  EXPECT_EQ(redact(command), "select $1 -- hmac-sha256:0");
}

}  // namespace
}  // namespace weir::decide

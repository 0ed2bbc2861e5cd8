// Claims about compiling: all mistakes in one run with their places, the digest, examples, explanations, zones, peeling.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "decide/judge_fixture.h"
#include "decide/peel.h"
#include "decide/rule_table.h"
#include "decide/time_zone.h"

namespace weir::decide {
namespace {

// The issues of a configuration that must not compile, as one text.
std::string issues_of(Judge& judge) {
  std::vector<CompileIssue> issues;
  const Result<std::shared_ptr<const CompiledPolicy>> made =
      compile_policy(judge.config, judge.masker, {1, judge.zone_folder}, &issues);
  EXPECT_FALSE(made.has_value());
  return made ? "" : made.error().message;
}

TEST(Compile, TellsAllMistakesWithTheirPlaces) {
  Judge judge;
  judge.kind("card", "[0-9]{13,19}", 19);
  RuleConfig& first = judge.rule("first", RuleAction::kBlock);
  first.what.data = {"crad"};
  first.where.targets = {"orders-bd"};
  judge.rule("second", RuleAction::kBlock).what.text = {"(unclosed"};
  RuleConfig& third = judge.rule("third", RuleAction::kAllow);
  third.what.verbs = bit(Verb::kRead);
  third.except_rules = {"frist"};
  const std::string text = issues_of(judge);
  EXPECT_NE(text.find("rules.yaml:1:5: rule \"first\": no data kind is named \"crad\"; did you mean \"card\"?"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("no target is named \"orders-bd\"; did you mean \"orders-db\"?"), std::string::npos) << text;
  EXPECT_NE(text.find("rules.yaml:2:5: rule \"second\": text \"(unclosed\""), std::string::npos) << text;
  EXPECT_NE(text.find("rules.yaml:3:5: rule \"third\": except_rules: no rule is named \"frist\"; did you mean \"first\"?"),
            std::string::npos)
      << text;
}

TEST(Compile, DataPatternsHaveNoAnchorsAndAnEnd) {
  for (const std::string pattern : {"\\bAKIA[A-Z]{16}", "^x", "x$", "x\\B", "\\Ax", "(?:a|^b)c"}) {
    Judge judge;
    judge.kind("k", pattern, 20);
    EXPECT_NE(issues_of(judge).find("looks at protocol bytes"), std::string::npos) << pattern;
  }
  for (const auto& [pattern, says] : std::vector<std::pair<std::string, std::string>>{{"x+", "no longest match"},
                                                                                      {"x{1,30}", "more than width_max 20"},
                                                                                      {"x{0,5}", "matches the empty string"},
                                                                                      {"(", "data kind"}}) {
    Judge judge;
    judge.kind("k", pattern, 20);
    EXPECT_NE(issues_of(judge).find(says), std::string::npos) << pattern;
  }
  Judge judge;
  judge.kind("k", "[^\\s$^]x[\\]^]", 20);
  judge.open();
}

TEST(Compile, RefusesWhatCannotBeCarriedOut) {
  const auto says = [](const std::function<void(Judge&)>& change, std::string_view expected) {
    Judge judge;
    change(judge);
    const std::string text = issues_of(judge);
    EXPECT_NE(text.find(expected), std::string::npos) << text;
  };
  says([](Judge& j) { j.kind("k", "x", 1).validator = "lunh"; }, "no validator is named");
  says([](Judge& j) { j.rule("m", RuleAction::kMask); }, "needs columns or data kinds");
  says([](Judge& j) { j.rule("m", RuleAction::kMask).what.columns = {"people.email"}; }, "not schema.table.column");
  says([](Judge& j) { j.mask_people().where.direction = Direction::kToTarget; }, "masks are for what comes back");
  says(
      [](Judge& j) {
        j.masker->keyed = false;
        j.mask_people().mask.spec.as = MaskSpec::As::kHash;
      },
      "hash_key_file");
  says(
      [](Judge& j) {
        j.masker->keyed = false;
        j.config.targets[0].record.parameters = RecordParameters::kDigest;
      },
      "hash_key_file");
  says([](Judge& j) { j.rule("a", RuleAction::kAllow).what.verbs = 1; }, "needs except_rules");
  says([](Judge& j) { j.rule("a", RuleAction::kBlock).what.words = {" "}; }, "words has an empty one");
  says([](Judge& j) { j.rule("a", RuleAction::kBlock).what.text = {"x*"}; }, "matches the empty string");
  says(
      [](Judge& j) {
        j.rule("a", RuleAction::kBlock).what.verbs = 1;
        j.rule("a", RuleAction::kBlock).what.verbs = 1;
      },
      "is there twice");
  says([](Judge& j) { j.config.grants.push_back(j.grant()); }, "is there twice");
  says([](Judge& j) { j.grant().verbs = 0; }, "grants nothing");
  says([](Judge& j) { j.grant().impersonate = {"boss"}; }, "the verb impersonate is not granted");
  says([](Judge& j) { j.grant().hours = {"Europe/Berlim", {{0, 4, 0, 60}}}; }, "Europe/Berlim");
  says([](Judge& j) { j.grant().hours = {"../../etc/passwd", {{0, 4, 0, 60}}}; }, "is not a time zone");
}

TEST(Compile, TheDigestFollowsMeaningNotPlace) {
  Judge judge;
  judge.rule("a", RuleAction::kBlock).what.words = {"x"};
  judge.open();
  const std::string before(judge.policy->digest());
  EXPECT_EQ(before.size(), 64u);
  judge.config.rules[0].place.line = 99;
  judge.open();
  EXPECT_EQ(judge.policy->digest(), before);
  judge.config.rules[0].what.words = {"y"};
  judge.open();
  EXPECT_NE(judge.policy->digest(), before);
}

TEST(Examples, AreRunForRulesAndKinds) {
  Judge judge;
  DataKindConfig& kind = judge.kind("token", "TOK-[0-9]{6}", 10);
  kind.match_examples = {"a TOK-123456", "nothing"};
  kind.no_match_examples = {"TOK-1"};
  RuleConfig& words = judge.rule("words", RuleAction::kBlock);
  words.what.words = {"xyzzy"};
  words.match_examples = {"select xyzzy"};
  words.no_match_examples = {"select plugh", "select xyzzy"};
  RuleConfig& shapes = judge.rule("shapes", RuleAction::kBlock);
  shapes.what.shapes = bit(Shape::kTruncate);
  shapes.match_examples = {"truncate t"};
  shapes.no_match_examples = {"select 1"};
  judge.source.set("truncate t").shapes = bit(Shape::kTruncate);
  RuleConfig& mask = judge.mask_people();
  mask.match_examples = {"select email from people"};
  mask.no_match_examples = {"select id from people"};
  judge.reads_people("select email from people", {"email"});
  judge.reads_people("select id from people", {"id"});
  judge.open();
  const std::vector<ExampleFailure> failures = judge.policy->test_examples(judge.source);
  ASSERT_EQ(failures.size(), 2u);
  EXPECT_EQ(failures[0].rule, "words");
  EXPECT_FALSE(failures[0].should_match);
  EXPECT_EQ(failures[1].rule, "token");
  EXPECT_EQ(failures[1].example, "nothing");
}

TEST(Explain, TellsEachStep) {
  Judge judge;
  judge.mask_people();
  RuleConfig& block = judge.rule("no-word", RuleAction::kBlock);
  block.what.words = {"xyzzy"};
  RuleConfig& other = judge.rule("for-others", RuleAction::kBlock);
  other.where.who.groups = {"nobody"};
  other.what.words = {"xyzzy"};
  GrantConfig second = judge.grant();
  second.name = "writes";
  second.logins = {"orders_app"};
  judge.config.grants.push_back(second);
  judge.reads_people("select email from people", {"email"});
  judge.open();
  ExplainQuery query{judge.session(), "report_ro", "shop", as_bytes("select email from people"), judge.wall};
  Explanation told = judge.policy->explain(query, judge.source, &judge.catalogue);
  EXPECT_EQ(told.action, "allow");
  EXPECT_NE(told.identity.find("svc:agent"), std::string::npos);
  ASSERT_EQ(told.grants.size(), 2u);
  EXPECT_TRUE(told.grants[0].admits);
  EXPECT_FALSE(told.grants[1].admits);
  EXPECT_NE(told.grants[1].why.find("report_ro"), std::string::npos);
  ASSERT_EQ(told.masks.size(), 1u);
  EXPECT_EQ(told.masks[0], "email: masked by mask-people");
  EXPECT_EQ(told.grant, "reads");
  query.parameters = {"1", "a xyzzy b"};
  told = judge.policy->explain(query, judge.source, &judge.catalogue);
  EXPECT_EQ(told.rule, "no-word") << "a parameter is looked at as the statement is";
  query.parameters = {};
  query.statement = as_bytes("select xyzzy");
  told = judge.policy->explain(query, judge.source, &judge.catalogue);
  EXPECT_EQ(told.action, "block");
  EXPECT_EQ(told.rule, "no-word");
  EXPECT_TRUE(told.rules[1].matches);
  EXPECT_FALSE(told.rules[2].applies);
  query.statement = {};
  query.login = "postgres";
  judge.grant().logins = {"report_ro"};
  judge.open();
  EXPECT_EQ(judge.policy->explain(query, judge.source, &judge.catalogue).rule, "no-grant");
}

TEST(Explain, AsksForARequestIdAndForTheTime) {
  Judge judge;
  judge.grant().request_id_required = true;
  judge.grant().until = std::chrono::floor<std::chrono::seconds>(judge.wall) + std::chrono::hours(1);
  judge.open();
  ExplainQuery query{judge.session(), "report_ro", "shop", as_bytes("select 1"), judge.wall};
  query.has_request_id = false;
  EXPECT_EQ(judge.policy->explain(query, judge.source, nullptr).rule, "request-id");
  query.has_request_id = true;
  EXPECT_EQ(judge.policy->explain(query, judge.source, nullptr).action, "allow");
  query.wall = judge.wall + std::chrono::hours(1);
  const Explanation later = judge.policy->explain(query, judge.source, nullptr);
  EXPECT_EQ(later.rule, "no-grant");
  EXPECT_NE(later.grants.at(0).why.find("has ended"), std::string::npos) << later.grants.at(0).why;
  EXPECT_EQ(later.grant, "");
}

TEST(Profile, TellsWhatEachPatternCosts) {
  Judge judge;
  judge.kind("token", "TOK-[0-9]{6}", 10);
  judge.rule("a", RuleAction::kBlock).what.data = {"token"};
  judge.rule("b", RuleAction::kBlock).what.words = {"xyzzy"};
  judge.open();
  const std::vector<PatternCost> costs = judge.policy->profile(as_bytes("select TOK-123456 xyzzy xyzzy"));
  ASSERT_EQ(costs.size(), 2u);
  const auto token =
      std::find_if(costs.begin(), costs.end(), [](const PatternCost& cost) { return cost.pattern == "data token"; });
  ASSERT_NE(token, costs.end());
  EXPECT_EQ(token->matches, 1u);
  EXPECT_EQ(token->rules, std::vector<std::string>{"a"});
}

int64_t at(int year, unsigned month, unsigned day, int hour) {
  namespace c = std::chrono;
  return c::sys_seconds(c::sys_days(c::year(year) / c::month(month) / c::day(day)) + c::hours(hour)).time_since_epoch().count();
}

TEST(TimeZone, KnowsSummerBeforeAndAfterTheTable) {
  const Result<TimeZone> berlin = TimeZone::load("/usr/share/zoneinfo", "Europe/Berlin");
  ASSERT_TRUE(berlin.has_value()) << berlin.error().message;
  EXPECT_EQ(berlin->offset_at(at(2026, 1, 15, 12)), 3600);
  EXPECT_EQ(berlin->offset_at(at(2026, 7, 15, 12)), 7200);
  EXPECT_EQ(berlin->offset_at(at(2026, 3, 29, 0)), 3600);
  EXPECT_EQ(berlin->offset_at(at(2026, 3, 29, 1)), 7200) << "01:00 UTC on the last Sunday of March";
  EXPECT_EQ(berlin->offset_at(at(2060, 7, 15, 12)), 7200) << "by the footer's rule";
  EXPECT_EQ(berlin->offset_at(at(2060, 12, 15, 12)), 3600);
  EXPECT_EQ(berlin->offset_at(at(2060, 10, 31, 0)), 7200);
  EXPECT_EQ(berlin->offset_at(at(2060, 10, 31, 1)), 3600);
  const Result<TimeZone> sydney = TimeZone::load("/usr/share/zoneinfo", "Australia/Sydney");
  ASSERT_TRUE(sydney.has_value());
  EXPECT_EQ(sydney->offset_at(at(2060, 1, 15, 12)), 11 * 3600) << "summer over the turn of the year";
  EXPECT_EQ(sydney->offset_at(at(2060, 7, 15, 12)), 10 * 3600);
  EXPECT_EQ(TimeZone().offset_at(0), 0);
  EXPECT_EQ(TimeZone::load("/usr/share/zoneinfo", "Asia/Kathmandu")->offset_at(at(2060, 1, 1, 0)), 20700);
}

TEST(TimeZone, RefusesWhatIsNotOne) {
  EXPECT_FALSE(TimeZone::parse(as_bytes("TZif")).has_value());
  EXPECT_FALSE(TimeZone::parse({}).has_value());
  EXPECT_FALSE(TimeZone::load("/usr/share/zoneinfo", "No/Such").has_value());
  EXPECT_FALSE(TimeZone::load("/usr/share/zoneinfo", "/etc/passwd").has_value());
}

TEST(Hours, MayReachOverMidnight) {
  Hours hours;
  hours.spans = {{4, 4, 22 * 60, 6 * 60}};  // Friday night.
  EXPECT_FALSE(hours.admits(at(2026, 3, 6, 21)));
  EXPECT_TRUE(hours.admits(at(2026, 3, 6, 22)));
  EXPECT_TRUE(hours.admits(at(2026, 3, 7, 5)));
  EXPECT_FALSE(hours.admits(at(2026, 3, 7, 6)));
  EXPECT_FALSE(hours.admits(at(2026, 3, 6, 5))) << "Thursday night";
}

// Local times are what the clock on the wall there shows: the hour that a change leaves out is in nothing, and the one that comes
// twice is in it twice.
TEST(Hours, FollowTheClocksOfTheirZoneOverAChange) {
  Hours hours;
  hours.zone = *TimeZone::load("/usr/share/zoneinfo", "Europe/Berlin");
  hours.spans = {{0, 6, 2 * 60, 3 * 60}};  // 02:00 to 03:00.
  const int64_t spring = at(2026, 3, 29, 1);  // 02:00 becomes 03:00.
  EXPECT_FALSE(hours.admits(spring - 1)) << "01:59:59";
  EXPECT_FALSE(hours.admits(spring)) << "03:00:00: there is no 02:00 on that day";
  const int64_t autumn = at(2026, 10, 25, 0);  // 02:00 summer time; at 01:00 UTC it is 02:00 again.
  EXPECT_FALSE(hours.admits(autumn - 1));
  EXPECT_TRUE(hours.admits(autumn));
  EXPECT_TRUE(hours.admits(autumn + 3599)) << "02:59:59, the first time";
  EXPECT_TRUE(hours.admits(autumn + 3600)) << "02:00:00, the second time";
  EXPECT_TRUE(hours.admits(autumn + 7199));
  EXPECT_FALSE(hours.admits(autumn + 7200)) << "03:00:00";
}

TEST(Hours, EndWithTheSecondBeforeTheirEnd) {
  Hours hours;
  hours.spans = {{0, 4, 7 * 60, 19 * 60}, {5, 5, 23 * 60, 24 * 60}};
  EXPECT_FALSE(hours.admits(at(2026, 3, 2, 7) - 1));
  EXPECT_TRUE(hours.admits(at(2026, 3, 2, 7)));
  EXPECT_TRUE(hours.admits(at(2026, 3, 2, 19) - 1)) << "18:59:59";
  EXPECT_FALSE(hours.admits(at(2026, 3, 2, 19)));
  EXPECT_TRUE(hours.admits(at(2026, 3, 8, 0) - 1)) << "24:00 is the end of the day";
  EXPECT_FALSE(hours.admits(at(2026, 3, 8, 0)));
}

TEST(Glob, StarsMatchRuns) {
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_TRUE(glob_matches("public.*", "public.orders"));
  EXPECT_TRUE(glob_matches("a*b*c", "aXXbYYbZc"));
  EXPECT_FALSE(glob_matches("a*b", "aXbc"));
  EXPECT_FALSE(glob_matches("", "x"));
  EXPECT_TRUE(NamePatterns(std::vector<std::string>{"!x"}).admits("y"));
  EXPECT_FALSE(NamePatterns(std::vector<std::string>{"!x"}).admits_all());
}

TEST(Peel, LeavesIdentifiersAndNumbersAlone) {
  Arena arena(1 << 16);
  const auto peeled = [&](std::string_view text) { return as_text(peel_next(as_bytes(text), 0, arena).decoded); };
  EXPECT_EQ(peeled("select abalance from pgbench_accounts where aid = 123456"), "");
  EXPECT_EQ(peeled("select customer_identifier, SHIPPING_ADDRESS_LINE from orders"), "");
  EXPECT_EQ(peeled("b3BlbiBzZXNhbWU"), "open sesame");
  EXPECT_EQ(peeled("0x6f70656e20736573616d65"), "open sesame");
  EXPECT_EQ(peeled("like '%ab'"), "");
  EXPECT_EQ(peeled("'%6fpen%20s%65same'"), "open sesame");
  Arena tiny(4);
  EXPECT_TRUE(peel_next(as_bytes("b3BlbiBzZXNhbWU"), 0, tiny).decoded.empty()) << "and ends where the memory does";
}

}  // namespace
}  // namespace weir::decide

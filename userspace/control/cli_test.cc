#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/cli_test_support.h"
#include "control/version.h"

namespace weir::control {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST_F(Cli, AloneItListsEveryVerbOnceByGroup) {
  const Outcome outcome = weir({});
  EXPECT_EQ(outcome.code, kExitDone);
  for (const Verb& verb : verbs_) EXPECT_THAT(outcome.out, HasSubstr("\n  " + std::string(verb.name) + " "));
  EXPECT_EQ(weir({"help"}).out, outcome.out);
  EXPECT_THAT(outcome.out, Not(HasSubstr("\x1b[")));
}

TEST_F(Cli, EveryVerbHasHelpWithAnExampleAndExitCodes) {
  for (const Verb& verb : verbs_) {
    const Outcome outcome = weir({std::string(verb.name), "--help"});
    EXPECT_EQ(outcome.code, kExitDone) << verb.name;
    for (const char* section : {"NAME\n  weir ", "SYNOPSIS\n  weir ", "DESCRIPTION\n  ", "OPTIONS\n  ", "EXIT STATUS\n  0 ", "EXAMPLE\n  "}) EXPECT_THAT(outcome.out, HasSubstr(section)) << verb.name;
    EXPECT_THAT(outcome.out, HasSubstr("--json")) << verb.name;
    EXPECT_THAT(std::string(verb.example), HasSubstr("weir " + std::string(verb.name))) << verb.name;
    EXPECT_EQ(weir({"help", std::string(verb.name)}).out, outcome.out);
    std::istringstream lines(outcome.out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 130u) << verb.name << ": " << line;
  }
}

TEST_F(Cli, AWrongVerbOrOptionIsToldWithTheNearest) {
  const Outcome verb = weir({"chekc"});
  EXPECT_EQ(verb.code, kExitUsage);
  EXPECT_THAT(verb.err, HasSubstr("there is no verb \"chekc\"; did you mean \"check\"?"));
  const Outcome option = weir({"check", "--limit"});
  EXPECT_EQ(option.code, kExitUsage);
  EXPECT_THAT(option.err, HasSubstr("did you mean --limits?"));
  EXPECT_EQ(weir({"help", "fish"}).code, kExitUsage);
}

TEST_F(Cli, CheckOfARightFileSaysSoAndWhatCanBeSeen) {
  const Outcome outcome = weir({"check"});
  EXPECT_EQ(outcome.code, kExitDone) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("is right: 1 target, 2 grants, 1 rule;"));
  EXPECT_THAT(outcome.out, HasSubstr("orders-db: "));
  const json answer = json::parse(weir({"check", "--json"}).out);
  EXPECT_EQ(answer["ok"], true);
  EXPECT_EQ(answer["targets"][0]["name"], "orders-db");
}

TEST_F(Cli, CheckOfAWrongFileHasExitCode2AndEveryPlace) {
  write(kConfig + "logg: {}\ncontrol: {metrics: x}\n");
  const Outcome outcome = weir({"check"});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_THAT(outcome.err, HasSubstr("weir.yaml:16:1: error: unknown key \"logg\" (did you mean \"log\"?)"));
  EXPECT_THAT(outcome.err, HasSubstr("weir.yaml:17:20: error: control.metrics"));
  EXPECT_THAT(outcome.err, HasSubstr("2 errors in "));
  const json answer = json::parse(weir({"check", "--json"}).out);
  EXPECT_EQ(answer["ok"], false);
  EXPECT_EQ(answer["problems"][0]["line"], 16);
}

TEST_F(Cli, CheckFindsWhatOnlyTheRuleCompilerSees) {
  write(kConfig.substr(0, kConfig.find("record:")) + "  - {id: broken, what: {text: [\"(unclosed\"]}, then: block}\n" + kConfig.substr(kConfig.find("record:")));
  const Outcome outcome = weir({"check"});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_THAT(outcome.err, HasSubstr("weir.yaml:15:5: error: rule \"broken\""));
}

TEST_F(Cli, CheckLimitsPrintsThemWithTheSum) {
  const Outcome outcome = weir({"check", "--limits", "--set", "engine.limits.sessions_max=500"});
  EXPECT_EQ(outcome.code, kExitDone);
  EXPECT_THAT(outcome.out, HasSubstr("engine.limits.sessions_max                  500    10000     3.9 MiB  new flows are refused"));
  EXPECT_THAT(outcome.out, HasSubstr("Memory on 1 core: 16.0 MiB at start-up, "));
}

TEST_F(Cli, AMissingConfigurationIsNamed) {
  environment_.clear();
  const Outcome outcome = weir({"check", "--config", folder_ + "/none.yaml"});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_THAT(outcome.err, HasSubstr("none.yaml cannot be read: No such file or directory"));
}

TEST_F(Cli, ColourIsForTerminalsWithoutNoColor) {
  is_terminal_ = true;
  EXPECT_THAT(weir({"grants"}).out, HasSubstr("\x1b["));
  environment_["NO_COLOR"] = "1";
  EXPECT_THAT(weir({"grants"}).out, Not(HasSubstr("\x1b[")));
}

TEST_F(Cli, GrantsAreListedAndFiltered) {
  EXPECT_THAT(weir({"grants"}).out, HasSubstr("write  groups team"));
  const json without_end = json::parse(weir({"grants", "--no-end", "--json"}).out);
  ASSERT_EQ(without_end.size(), 1u);
  EXPECT_EQ(without_end[0]["name"], "write");
  EXPECT_EQ(without_end[0]["hours"], "Mon-Fri 08:00-18:00 UTC");
  EXPECT_EQ(without_end[0]["until"], nullptr);
  EXPECT_EQ(json::parse(weir({"grants", "--group", "agents", "--json"}).out).size(), 1u);
  EXPECT_EQ(without_end[0]["uses"], nullptr) << "no engine counts";
  EXPECT_EQ(weir({"grants", "--ending", "soon"}).code, kExitUsage);
  EXPECT_EQ(weir({"grants", "--unused", "90d"}).code, kExitNoEngine);
}

TEST_F(Cli, RulesAreProvenByTheirExamples) {
  const Outcome outcome = weir({"rules", "test"});
  EXPECT_EQ(outcome.code, kExitDone) << outcome.out << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("2 examples of 1 rule and 0 data kinds: all hold"));
  write(kConfig.substr(0, kConfig.find("drop table t")) + "select 2" + kConfig.substr(kConfig.find("drop table t") + 12));
  const Outcome failing = weir({"rules", "test"});
  EXPECT_EQ(failing.code, kExitFinding);
  EXPECT_THAT(failing.out, HasSubstr("no-drop should match: "));
  EXPECT_EQ(weir({"rules"}).code, kExitUsage);
}

TEST_F(Cli, ExplainSaysWhatWouldBecomeOfACommand) {
  const json blocked = json::parse(weir({"explain", "--json", "--target", "orders-db", "--address", "198.18.1.2", "--login", "x", "drop table orders"}).out);
  EXPECT_EQ(blocked["verdict"], "block");
  const json allowed = json::parse(weir({"explain", "--json", "--target", "orders-db", "--as", "user:x", "--group", "agents", "--login", "x", "-"}, "select 1").out);
  EXPECT_EQ(allowed["verdict"], "allow") << allowed.dump();
  EXPECT_EQ(weir({"explain", "--target", "orders-db", "--address", "198.18.1.9", "select 1"}).code, kExitFinding);
  EXPECT_EQ(weir({"explain", "--target", "order-db", "--as", "x", "select 1"}).code, kExitUsage);
  EXPECT_EQ(weir({"explain", "select 1"}).code, kExitUsage);
  const json by_who = json::parse(weir({"explain", "--json", "--target", "orders-db", "--who", "198.18.1.2", "--login", "x", "--sql", "drop table orders", "--param", "y"}).out);
  EXPECT_EQ(by_who["verdict"], "block");
  EXPECT_EQ(by_who["by"]["source"], "disk");
  EXPECT_EQ(by_who["request_id"], "");
  const json traced = json::parse(weir({"explain", "--json", "--target", "orders-db", "--who", "user:x", "--group", "agents", "--application-name", "ticket-7", "select 1"}).out);
  EXPECT_EQ(traced["request_id"], "ticket-7");
  const json late = json::parse(weir({"explain", "--json", "--target", "orders-db", "--who", "user:x", "--group", "agents", "--login", "x", "--at", "2099-01-01T00:00:00Z", "select 1"}).out);
  EXPECT_EQ(late["by"]["at"], "2099-01-01T00:00:00Z");
  EXPECT_THAT(weir({"explain", "--target", "orders-db", "--who", "198.18.1.2", "--login", "x", "select 1"}).out, HasSubstr("the configuration on disk"));
  EXPECT_EQ(weir({"explain", "--target", "orders-db", "--who", "198.18.1.2", "--at", "noon", "select 1"}).code, kExitUsage);
  EXPECT_EQ(weir({"explain", "--target", "orders-db", "--who", "198.18.1.2", "--live", "select 1"}).code, kExitNoEngine);
  EXPECT_EQ(weir({"explain", "--target", "orders-db", "--who", "198.18.1.2", "--live", "--offline", "select 1"}).code, kExitUsage);
  EXPECT_EQ(weir({"explain", "--target", "orders-db", "--who", "198.18.1.2", "--sql", "select 1", "select 2"}).code, kExitUsage);
}

TEST_F(Cli, WithoutAnEngineTheVerbsThatNeedItSaySo) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"reload", "--reason", "x"}, {"bindings"}, {"revoke", "svc:report", "--reason", "x"}, {"cut", "1", "--reason", "x"}, {"rules", "profile"}, {"bypass", "orders-db", "--for", "5s", "--reason", "x"}, {"bypass", "--list"}, {"tickets"}, {"changes"}, {"changes", "approve", "1", "--reason", "x"}, {"alerts", "list"}, {"alerts", "test"}, {"approve", "1", "--reason", "x"}, {"deny", "1", "--reason", "x"}}) {
    const Outcome outcome = weir(arguments);
    EXPECT_EQ(outcome.code, kExitNoEngine) << arguments[0];
    EXPECT_THAT(outcome.err, HasSubstr("start it with `weir run`")) << arguments[0];
  }
  EXPECT_EQ(weir({"bind", "--address", "198.18.1.7"}, "token").code, kExitNoEngine);
}

TEST_F(Cli, StatusWorksWithoutAnEngine) {
  const Outcome outcome = weir({"status", "--json"});
  EXPECT_EQ(outcome.code, kExitNoEngine);
  const json status = json::parse(outcome.out);
  EXPECT_EQ(status["engine"]["running"], false);
  EXPECT_TRUE(status.contains("kernel"));
  EXPECT_THAT(weir({"status"}).out, HasSubstr("engine   not running"));
}

TEST_F(Cli, StatusWorksWhileTheFileIsBroken) {
  write(kConfig + "logg: {}\n");
  EXPECT_EQ(weir({"status"}).code, kExitNoEngine);
}

TEST_F(Cli, ATokenOnTheCommandLineIsRefused) {
  const Outcome outcome = weir({"bind", "--address", "198.18.1.7", "eyJhbGciOi"});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_THAT(outcome.err, Not(HasSubstr("eyJhbGciOi")));
  EXPECT_EQ(weir({"bind", "--address", "198.18.1.7"}, " \n").code, kExitUsage);
  EXPECT_EQ(weir({"bind", "--address", "somewhere"}, "x").code, kExitUsage);
}

TEST_F(Cli, RevokeAndCutNeedAReasonAndOneThing) {
  EXPECT_THAT(weir({"revoke", "user:x"}).err, HasSubstr("a reason is required"));
  EXPECT_EQ(weir({"revoke"}).code, kExitUsage);
  EXPECT_EQ(weir({"cut"}).code, kExitUsage);
  EXPECT_EQ(weir({"cut", "abc", "--reason", "x"}).code, kExitUsage);
  EXPECT_EQ(weir({"cut", "1", "--binding", "2", "--reason", "x"}).code, kExitUsage);
}

TEST_F(Cli, BypassNeedsAReasonAndOneThing) {
  EXPECT_THAT(weir({"bypass", "orders-db", "--for", "5s"}).err, HasSubstr("a reason is required"));
  EXPECT_THAT(weir({"bypass", "orders-db", "--end"}).err, HasSubstr("a reason is required"));
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{
           {"bypass"}, {"bypass", "orders-db", "--reason", "x"}, {"bypass", "--for", "5s", "--reason", "x"}, {"bypass", "orders-db", "--for", "5s", "--end", "--reason", "x"},
           {"bypass", "a", "b", "--for", "5s", "--reason", "x"}, {"bypass", "--list", "orders-db"}, {"bypass", "--list", "--end"}}) {
    EXPECT_EQ(weir(wrong).code, kExitUsage) << wrong.back();
  }
}

TEST_F(Cli, CheckReadsThePairOfTheApi) {
  const std::string issuer = "identity={issuers: [{name: i, url: https://i, audience: a, jwks_file: keys/ca.crt, algorithms: [RS256]}]}";
  const Outcome outcome = weir({"check", "--set", issuer, "--set", "api={listen: [\"127.0.0.1:8443\"], certificate_file: keys/ca.crt, key_file: keys/ca.key}"});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_THAT(outcome.err, HasSubstr("error: api: " + folder_ + "/keys/ca.crt"));
}

TEST_F(Cli, WhatWaitsForASecondPersonIsSaidShownAndAnswered) {
  FakeEngine engine;
  const Served served(folder_, engine);
  engine.waits = true;
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"cut", "17", "--reason", "x"}, {"revoke", "user:x", "--reason", "x"}}) {
    const Outcome outcome = weir(arguments);
    EXPECT_EQ(outcome.code, kExitFinding);
    EXPECT_THAT(outcome.out, HasSubstr("nothing is done yet: change 7 waits for a second person until 2037-01-01T01:00:00Z"));
    EXPECT_THAT(outcome.out, HasSubstr("weir changes approve 7 --reason TEXT"));
  }
  EXPECT_EQ(json::parse(weir({"cut", "17", "--reason", "x", "--json"}).out)["pending"], 7);
  const Outcome list = weir({"changes"});
  EXPECT_EQ(list.code, kExitDone);
  for (const char* line : {"change 7  pending\n", "\n  what        reload: rule r\\x1b[31m added\n", "\n  asked by    uid 0, login uid 1000 at 2037-01-01T00:00:00Z\n", "\n  reason      CHG-1\n",
                           "\n  digest      abcd\n", "\n  file        /etc/a: 11 -> 22\n"}) {
    EXPECT_THAT(list.out, HasSubstr(line));
  }
  EXPECT_EQ(json::parse(weir({"changes", "7", "--json"}).out)["number"], 7);
  EXPECT_EQ(weir({"changes", "approve", "7", "--reason", "CHG-2"}).code, kExitDone);
  EXPECT_EQ(engine.asked.back(), std::pair(std::string("change-approve"), json{{"change", 7}, {"reason", "CHG-2"}}));
  EXPECT_EQ(weir({"changes", "deny", "7", "--reason", "no"}).code, kExitDenied);
  weir({"sessions", "--text", "drop staff"});
  EXPECT_EQ(engine.asked.back(), std::pair(std::string("view"), json{{"act", "sessions"}, {"object", "text drop staff"}})) << "it tells of what was said";
  const std::size_t asked = engine.asked.size();
  EXPECT_THAT(weir({"changes", "approve", "7"}).err, HasSubstr("a reason is required"));
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"changes", "approve", "--reason", "x"}, {"changes", "approve", "abc", "--reason", "x"}, {"changes", "approve", "0", "--reason", "x"}, {"changes", "7", "8"}}) {
    EXPECT_EQ(weir(wrong).code, kExitUsage) << wrong[1];
  }
  EXPECT_EQ(engine.asked.size(), asked);
}

TEST_F(Cli, TheVerbsAskTheEngineAndShowItsAnswers) {
  FakeEngine engine;
  const Served served(folder_, engine);
  EXPECT_THAT(weir({"status"}).out, HasSubstr("pid 4711, 2 live sessions\nconfig   generation 3, on_disk configuration on disk refused\nrecord   accepting true\n"));
  EXPECT_EQ(json::parse(weir({"status", "--json"}).out)["engine"]["pid"], 4711);
  const Outcome reload = weir({"reload", "--reason", "CHG-1"});
  EXPECT_EQ(reload.code, kExitUsage);
  EXPECT_THAT(reload.err, HasSubstr("weir.yaml:1:1: error: no"));
  EXPECT_THAT(weir({"bind", "--address", "198.18.1.7"}, "the-token\n").out, HasSubstr("198.18.1.7 is user:ann, binding 9, until 2037-01-01T00:00:00Z"));
  EXPECT_EQ(engine.asked.back().second["token"], "the-token");
  EXPECT_THAT(weir({"bindings"}).out, HasSubstr("user:ann\\x1b[31m"));
  EXPECT_THAT(weir({"cut", "17", "--reason", "x"}).out, HasSubstr("1 flow cut"));
  EXPECT_EQ(engine.asked.back().second["session"], 17);
  EXPECT_EQ(weir({"revoke", "user:x", "--reason", "x"}).code, kExitFinding);
  EXPECT_EQ(weir({"replay", "17"}).code, kExitFinding) << "there is none, and that somebody looked stands on the record";
  EXPECT_EQ(engine.asked.back(), std::pair(std::string("view"), json{{"act", "replay"}, {"object", "session 17"}}));
  const std::size_t asked = engine.asked.size();
  weir({"replay", "17", "--state", folder_ + "/state"});
  EXPECT_EQ(engine.asked.size(), asked) << "a copy is nobody's to ask about";
  engine.can_record = false;
  EXPECT_THAT(weir({"replay", "17"}).err, HasSubstr("this look is not on the record: the record is full"));
}

TEST_F(Cli, ReviewersSeeWhatTheyDecideByAndAnswer) {
  FakeEngine engine;
  const Served served(folder_, engine);
  const Outcome list = weir({"tickets"});
  EXPECT_EQ(list.code, kExitDone);
  EXPECT_THAT(list.out, testing::MatchesRegex("ticket 17  open, [0-9]+d [0-9]+h left\n(.|\n)*"));
  for (const char* line : {"\n  who         svc:agent, groups agents, acting for user:carl, assurance network\n", "\n  approval    two-eyes, needs 2 reviewers\n", "\n  verbs       write\n",
                           "\n  objects     public.orders\n", "\n  statement   delete from orders\n", "\n  parameters  [1]\n", "\n  digest      abcd\n", "\n  session     3, unit 4\n",
                           "\n  approve     user:ann at 2037-01-01T00:01:00Z: fine\n"}) {
    EXPECT_THAT(list.out, HasSubstr(line));
  }
  EXPECT_THAT(list.out, HasSubstr("\n                digest      \\x1b[31mfake\n")) << "a statement cannot look like a line of ours";
  EXPECT_EQ(engine.asked.back().second, (json{{"all", false}}));
  EXPECT_EQ(json::parse(weir({"tickets", "--all", "--json"}).out)[0]["number"], 17);
  EXPECT_EQ(engine.asked.back().second, (json{{"all", true}}));
  EXPECT_THAT(weir({"tickets", "17"}).out, HasSubstr("ticket 17  open"));
  EXPECT_EQ(engine.asked.back().second, (json{{"ticket", 17}}));

  const Outcome approved = weir({"approve", "17", "--reason", "CHG-1"});
  EXPECT_EQ(approved.code, kExitDone) << approved.err;
  EXPECT_EQ(approved.out, "ticket 17: approved, as local:ann\n");
  EXPECT_EQ(engine.asked.back().second, (json{{"ticket", 17}, {"reason", "CHG-1"}}));
  EXPECT_EQ(weir({"approve", "17", "--reason", "x", "--until", "2037-01-01T02:00:00+02:00", "--token-file", "-"}, "the-token\n").code, kExitDone);
  EXPECT_EQ(engine.asked.back().second, (json{{"ticket", 17}, {"reason", "x"}, {"until", "2037-01-01T00:00:00Z"}, {"token", "the-token"}}));
  EXPECT_EQ(weir({"approve", "17", "--reason", "x", "--for", "30m"}).code, kExitDone);
  EXPECT_TRUE(engine.asked.back().second.contains("until"));
  engine.is_changed = false;
  EXPECT_EQ(weir({"approve", "17", "--reason", "x"}).code, kExitFinding);
  const Outcome denied = weir({"deny", "17", "--reason", "x"});
  EXPECT_EQ(denied.code, kExitDenied);
  EXPECT_THAT(denied.err, HasSubstr("was denied by user:bob"));
}

TEST_F(Cli, AlertsAreListedClosedAndTheSinksTested) {
  FakeEngine engine;
  const Served served(folder_, engine);
  const Outcome list = weir({"alerts", "list"});
  EXPECT_EQ(list.code, kExitDone) << list.err;
  EXPECT_THAT(list.out, HasSubstr("alert 17  high alert, open, 3 times, last 2037-01-01T00:00:00Z\n"));
  EXPECT_THAT(list.out, HasSubstr("user:ann\\x1b[31m")) << "a peer's bytes are escaped";
  EXPECT_EQ(engine.asked.back().second, (json{{"all", false}}));
  EXPECT_EQ(json::parse(weir({"alerts", "list", "--all", "--json"}).out)[0]["number"], 17);
  EXPECT_EQ(engine.asked.back().second, (json{{"all", true}}));
  const Outcome closed = weir({"alerts", "close", "17", "--as", "benign", "--reason", "CHG-1"});
  EXPECT_EQ(closed.out, "alert 17: closed as benign, by local:ann\n") << closed.err;
  EXPECT_EQ(engine.asked.back(), std::pair(std::string("close-alert"), json{{"alert", 17}, {"as", "benign"}, {"reason", "CHG-1"}}));
  engine.test_looks = 2;
  const Outcome tested = weir({"alerts", "test", "--sink", "siem"});
  EXPECT_EQ(tested.code, kExitFinding);
  EXPECT_EQ(tested.out, "siem  not sent: cannot connect\n");
  EXPECT_EQ(engine.asked.back(), std::pair(std::string("sink-tests"), json{{"tests", {{{"sink", "siem"}, {"id", "n1"}}}}})) << "the engine waits for nobody: it is asked again";
  EXPECT_EQ(engine.asked[engine.asked.size() - 4], std::pair(std::string("test-sinks"), json{{"sink", "siem"}}));
  engine.test_looks = 1000;
  EXPECT_EQ(weir({"alerts", "test"}).out, "siem  still on its way\n");
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{
           {"alerts"}, {"alerts", "open"}, {"alerts", "list", "17"}, {"alerts", "list", "--all", "--open"}, {"alerts", "close", "--as", "benign", "--reason", "x"},
           {"alerts", "close", "x", "--as", "benign", "--reason", "x"}, {"alerts", "close", "17", "--as", "fine", "--reason", "x"}, {"alerts", "close", "17", "--as", "benign"}}) {
    EXPECT_EQ(weir(wrong).code, kExitUsage) << wrong.back();
  }
}

TEST_F(Cli, AnAnswerNeedsATicketAReasonAndNoTokenOnTheCommandLine) {
  EXPECT_EQ(weir({"approve", "--reason", "x"}).code, kExitUsage);
  EXPECT_EQ(weir({"approve", "abc", "--reason", "x"}).code, kExitUsage);
  EXPECT_THAT(weir({"deny", "17"}).err, HasSubstr("a reason is required"));
  EXPECT_EQ(weir({"approve", "17", "--reason", "x", "--for", "1h", "--until", "2037-01-01T00:00:00Z"}).code, kExitUsage);
  EXPECT_EQ(weir({"approve", "17", "--reason", "x", "--for", "soon"}).code, kExitUsage);
  EXPECT_EQ(weir({"approve", "17", "--reason", "x", "--token-file", "-"}, " \n").code, kExitUsage);
  const Outcome outcome = weir({"approve", "17", "eyJhbGciOi", "--reason", "x"});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_THAT(outcome.err, Not(HasSubstr("eyJhbGciOi")));
}

TEST_F(Cli, BindWaitsForKeysThatAreOnTheirWayButNotForEver) {
  FakeEngine engine;
  const Served served(folder_, engine);
  engine.late = 2;
  EXPECT_EQ(weir({"bind", "--address", "198.18.1.7"}, "the-token\n").code, kExitDone);
  EXPECT_EQ(waited_, std::chrono::seconds(2));
  engine.late = 100;
  const Outcome late = weir({"bind", "--address", "198.18.1.7"}, "the-token\n");
  EXPECT_EQ(late.code, kExitNoEngine);
  EXPECT_THAT(late.err, HasSubstr("being fetched again"));
  EXPECT_EQ(waited_, std::chrono::seconds(7));
}

TEST_F(Cli, CaInitMakesWhatIsMissingAndNeverOverwrites) {
  EXPECT_EQ(weir({"ca", "init"}).code, kExitUsage) << "the files are there";
  for (const char* file : {"ca.crt", "ca.key", "log.key"}) std::filesystem::remove(folder_ + "/keys/" + file);
  const Outcome made = weir({"ca", "init", "--keys", "--permit", "db.example", "--json"});
  EXPECT_EQ(made.code, kExitDone) << made.err;
  const json answer = json::parse(made.out);
  EXPECT_EQ(answer["made"].size(), 1u);
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/keys/log.key.pub"));
  EXPECT_THAT(answer["pem"].get<std::string>(), HasSubstr("BEGIN CERTIFICATE"));
  EXPECT_EQ(weir({"ca", "show", "--json"}).code, kExitDone);
  EXPECT_EQ(weir({"check"}).code, kExitDone);
}

TEST_F(Cli, AnEmptyRecordListsNothing) {
  EXPECT_EQ(json::parse(weir({"sessions", "--json"}).out), json::array());
  EXPECT_EQ(json::parse(weir({"events", "--json"}).out), json::array());
  EXPECT_EQ(weir({"events", "--since", "yesterday"}).code, kExitUsage);
  EXPECT_EQ(weir({"replay", "1"}).code, kExitFinding);
  EXPECT_EQ(weir({"replay"}).code, kExitUsage);
  EXPECT_EQ(weir({"sessions", "--since", "yesterday"}).code, kExitUsage);
  EXPECT_EQ(json::parse(weir({"sessions", "--who", "user:ann", "--group", "dba", "--target", "orders-db", "--verb", "write", "--object", "orders", "--rule", "r", "--verdict", "block", "--text", "drop", "--limit", "3", "--before", "9", "--json"}).out), json::array());
  EXPECT_EQ(weir({"sessions", "--text", "%'"}).code, kExitUsage) << "no word: it would find all";
  EXPECT_EQ(weir({"sessions", "--who", "user:ann", "--subject", "user:bob"}).code, kExitUsage);
  EXPECT_EQ(weir({"index"}).code, kExitFinding) << "there is none yet";
  EXPECT_EQ(weir({"index", "--rebuild"}).code, kExitFinding) << "nor a record";
  std::filesystem::create_directories(folder_ + "/copy/archive");
  EXPECT_EQ(weir({"index", "--state", folder_ + "/copy", "--rebuild"}).code, kExitDone);
  EXPECT_EQ(json::parse(weir({"index", "--state", folder_ + "/copy", "--json"}).out)["sessions"], 0);
  EXPECT_THAT(weir({"sessions", "--request", "ticket-7"}).out, HasSubstr("0 events with that request"));
  EXPECT_EQ(json::parse(weir({"sessions", "--request", "ticket-7", "--json"}).out), json::array());
  EXPECT_EQ(weir({"verify", "--key", folder_ + "/none.pub"}).code, kExitUsage);
  EXPECT_EQ(weir({"prove"}).code, kExitUsage);
  EXPECT_EQ(weir({"prove", "1"}).code, kExitFinding);
  EXPECT_EQ(weir({"verify", "--proof", folder_ + "/none.tlog-proof"}).code, kExitUsage);
  EXPECT_EQ(weir({"verify", "--witness", folder_ + "/none.pub"}).code, kExitUsage);
}

TEST_F(Cli, APackIsRefusedBeforeAnythingIsWrittenWhereItCannotBeMade) {
  const auto refused = [&](std::vector<std::string> arguments, const char* words) {
    arguments.insert(arguments.begin(), "evidence");
    arguments.insert(arguments.end(), {"--output", folder_ + "/pack"});
    const Outcome outcome = weir(arguments);
    EXPECT_EQ(outcome.code, kExitUsage) << words;
    EXPECT_THAT(outcome.err, HasSubstr(words));
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/pack"));
  };
  refused({}, "--from is needed");
  refused({"--from", "yesterday"}, "--from");
  refused({"--from", "2027-02-01T00:00:00Z", "--to", "2027-01-01T00:00:00Z"}, "--to is not after --from");
  refused({"--from", "1d", "--framework", "pci"}, "soc2 is the only one");
  refused({"--from", "1d", "--proofs", "some"}, "exceptions, all, none");
  refused({"--from", "1d", "--state", folder_}, "has no evidence log");
  refused({"--from", "1d", "word"}, "named by --output");
}

TEST_F(Cli, TheVersionIsThatOfTheBuild) {
  std::ifstream in(std::filesystem::path(WEIR_SOURCE_FOLDER) / "CMakeLists.txt");
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_THAT(text.str(), HasSubstr(std::string("project(weir VERSION ") + kVersion + " "));
  EXPECT_EQ(json::parse(weir({"version", "--json"}).out)["version"], kVersion);
  EXPECT_EQ(weir({"--version"}).out, weir({"version"}).out);
}

TEST(CliText, ColumnsAreAlignedAndCellsEscaped) {
  TextTable table({{"NAME"}, {"COUNT", TextTable::Align::kRight}, {"WHY"}});
  table.add({"a\n", uint64_t{7}, ""});
  table.add({"gr\xc3\xbcn", uint64_t{1234}, "x"});
  std::ostringstream out;
  table.print(out, false);
  EXPECT_EQ(out.str(), "NAME  COUNT  WHY\na\\n       7\ngr\xc3\xbcn   1234  x\n");
}

TEST(CliText, LongTextIsWrappedAtWords) {
  EXPECT_EQ(wrapped("one two three", 2, 10), "  one two\n  three\n");
  EXPECT_EQ(wrapped("averyveryverylongword x", 2, 10), "  averyveryverylongword\n  x\n");
  EXPECT_EQ(wrapped("a\n\nb", 2, 10), "  a\n\n  b\n");
}

}  // namespace
}  // namespace weir::control

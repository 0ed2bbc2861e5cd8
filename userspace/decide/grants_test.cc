// Claims about grants: their edges in time, assurance, request ids, and who may not act as somebody else.
#include <gtest/gtest.h>

#include <array>
#include <span>
#include <vector>

#include "decide/judge_fixture.h"
#include "decide/session_state.h"

namespace weir::decide {
namespace {

using Action = Verdict::Action;

// In a live session, without a new login: hours are looked at again with each minute, an end at its second.
TEST(Grants, HoursEndALiveSessionWithTheirMinute) {
  Judge judge;
  judge.grant().hours = {"UTC", {{0, 4, 10 * 60, 10 * 60 + 1}}};
  judge.wall += std::chrono::seconds(59);
  EXPECT_EQ(judge.query("select 1").action, Action::kAllow) << "10:00:59";
  judge.wall += std::chrono::milliseconds(999);
  EXPECT_EQ(judge.query("select 1").action, Action::kAllow);
  judge.wall += std::chrono::milliseconds(1);
  const Verdict late = judge.query("select 1");
  EXPECT_EQ(late.rule_name, "no-grant") << "10:01:00";
  EXPECT_NE(late.reason.find("Mon-Fri 10:00-10:01"), std::string_view::npos) << late.reason;
  judge.wall -= std::chrono::seconds(1);
  EXPECT_EQ(judge.query("select 1").action, Action::kAllow) << "the clock was set back";
}

TEST(Grants, AnAssuranceIsALeast) {
  for (const Assurance has : {Assurance::kStatic, Assurance::kNetwork, Assurance::kCredential, Assurance::kWorkload}) {
    for (const Assurance needs : {Assurance::kStatic, Assurance::kNetwork, Assurance::kCredential, Assurance::kWorkload}) {
      Judge judge;
      auto identity = std::make_shared<Identity>(*judge.identity);
      identity->assurance = has;
      judge.identity = identity;
      judge.grant().assurance = needs;
      EXPECT_EQ(judge.query("select 1").action == Action::kAllow, has >= needs) << name_of(has) << " for " << name_of(needs);
    }
  }
}

TEST(Grants, AssuranceAndRequestIdAreDemanded) {
  Judge judge;
  judge.grant().assurance = Assurance::kCredential;
  EXPECT_NE(judge.query("select 1").reason.find("credential"), std::string_view::npos);
  judge.grant().assurance = Assurance::kStatic;
  judge.grant().request_id_required = true;
  judge.open();
  const Verdict without = judge.query("select 1");
  EXPECT_EQ(without.action, Action::kBlock);
  EXPECT_EQ(without.rule_name, "request-id");
  EXPECT_NE(without.reason.find("traceparent='00-...'*/ or another sqlcommenter comment, or set application_name"), std::string_view::npos) << without.reason;
  judge.request_id = "00-aa-bb-01";
  EXPECT_EQ(judge.query("select 1").action, Action::kAllow);
  judge.request_id = "";
  EXPECT_EQ(judge.query("select 1").rule_name, "request-id") << "the one before it had one";
}

// By statement and by id, both ways, in one session: a plan that was made for one with an id is not another one's.
TEST(Grants, ARequestIdIsEachCommandsOwn) {
  Judge judge;
  judge.grant().request_id_required = true;
  judge.source.set("begin").verbs = bit(Verb::kSession);
  judge.source.set("set application_name = 'x'").verbs = bit(Verb::kSession);
  EXPECT_EQ(judge.query("begin").action, Action::kAllow);
  EXPECT_EQ(judge.query("set application_name = 'x'").action, Action::kAllow) << "a way to give one";
  EXPECT_EQ(judge.judge(judge.codec.other(Direction::kToTarget, UnitKind::kLogin, "login")).action, Action::kAllow) << "it is no command";
  judge.codec.statements[5] = "select 1";
  const Unit execute = judge.codec.execute(5);
  EXPECT_EQ(judge.judge(execute).rule_name, "request-id");
  judge.request_id = "ticket-1";
  EXPECT_EQ(judge.judge(execute).action, Action::kAllow);
  EXPECT_EQ(judge.judge(execute).grant, "reads");
  judge.request_id = "";
  EXPECT_EQ(judge.judge(execute).rule_name, "request-id");
}

// One grant needs an id, another covers the same without: the other admits.
TEST(Grants, ARequestIdIsOfTheGrantThatNeedsIt) {
  Judge judge;
  judge.grant().request_id_required = true;
  GrantConfig free = judge.grant();
  free.name = "free";
  free.request_id_required = false;
  judge.config.grants.push_back(free);
  EXPECT_EQ(judge.query("select 1").grant, "free");
  judge.request_id = "ticket-1";
  EXPECT_EQ(judge.query("select 1").grant, "reads");
  EXPECT_EQ(judge.query("select 1").grant_number, 1u);
}

TEST(Grants, WhoIsRefusedToActAsAnotherIsNamedSo) {
  Judge judge;
  StatementFacts& facts = judge.source.set("set role boss");
  facts.verbs = bit(Verb::kImpersonate);
  facts.roles = {"boss"};
  const Verdict refused = judge.query("set role boss");
  EXPECT_EQ(refused.action, Action::kBlock);
  EXPECT_EQ(refused.impersonation, Impersonation::kSetRole);
  EXPECT_EQ(judge.query("select 1").impersonation, Impersonation::kNone);
  judge.grant().verbs |= bit(Verb::kImpersonate);
  judge.grant().impersonate = {"deputy"};
  judge.open();
  EXPECT_EQ(judge.query("set role boss").impersonation, Impersonation::kSetRole);
  judge.grant().impersonate = {"boss"};
  judge.open();
  EXPECT_EQ(judge.query("set role boss").action, Action::kAllow);
  EXPECT_EQ(judge.query("set role boss").impersonation, Impersonation::kNone);
  judge.rule("no-roles", RuleAction::kBlock).what.verbs = bit(Verb::kImpersonate);
  judge.config.rules.back().what.shapes = bit(Shape::kSetRole);
  facts.shapes = bit(Shape::kSetRole);
  judge.open();
  EXPECT_EQ(judge.query("set role boss").impersonation, Impersonation::kSetRole) << "a rule refuses it as well";
}

TEST(Grants, ALoginThatNoGrantListsIsAnImpersonation) {
  Judge judge;
  judge.grant().logins = {"somebody_else"};
  judge.codec.login_facts.login = "report_ro";
  EXPECT_EQ(judge.judge(judge.codec.other(Direction::kToTarget, UnitKind::kLogin, "login")).impersonation, Impersonation::kLogin);
  judge.grant().logins = {"report_ro"};
  judge.open();
  const Verdict admitted = judge.judge(judge.codec.other(Direction::kToTarget, UnitKind::kLogin, "login"));
  EXPECT_EQ(admitted.impersonation, Impersonation::kNone);
  EXPECT_EQ(admitted.grant, "reads");
  judge.grant().targets = {"*", "!orders-db"};
  judge.open();
  EXPECT_EQ(judge.judge(judge.codec.other(Direction::kToTarget, UnitKind::kLogin, "login")).impersonation, Impersonation::kNone) << "no grant for this target at all: not as somebody else";
}

TEST(Grants, AGrantForPeopleIsNoAgents) {
  Judge judge;
  judge.grant().is_for_people = true;
  EXPECT_EQ(judge.query("select 1").action, Action::kAllow);
  auto delegated = std::make_shared<Identity>(*judge.identity);
  delegated->acting_for = {"svc:assistant"};
  judge.identity = delegated;
  judge.open();
  EXPECT_EQ(judge.judge(judge.codec.other(Direction::kToTarget, UnitKind::kLogin, "login")).impersonation, Impersonation::kAgent);
  EXPECT_EQ(judge.query("select 1").rule_name, "no-grant");
  auto workload = std::make_shared<Identity>(*judge.identity);
  workload->acting_for.clear();
  workload->assurance = Assurance::kWorkload;
  judge.identity = workload;
  judge.open();
  EXPECT_EQ(judge.judge(judge.codec.other(Direction::kToTarget, UnitKind::kLogin, "login")).impersonation, Impersonation::kAgent);
  judge.grant().is_for_people = false;
  judge.open();
  EXPECT_EQ(judge.judge(judge.codec.other(Direction::kToTarget, UnitKind::kLogin, "login")).impersonation, Impersonation::kNone);
}

// Wherever their facts lie in memory: a plan that is made anew for each command is work, and memory, of the hot path.
TEST(Plans, OfAFewStatementsThatTakeTurnsAreMadeOnce) {
  Judge judge;
  ASSERT_EQ(judge.query("select 1").action, Action::kAllow);
  auto& state = static_cast<SessionState&>(*judge.state);
  std::vector<FactsPtr> all;  // Kept, so that the next ones lie elsewhere.
  for (int trial = 0; trial < 200; ++trial) {
    std::array<PlanPtr, 4> made;
    for (std::size_t i = 0; i < made.size(); ++i) {
      auto facts = std::make_shared<StatementFacts>();
      facts->statement_count = 1;
      all.push_back(facts);
    }
    const std::span<const FactsPtr> turn(all.end() - 4, all.end());
    for (std::size_t i = 0; i < made.size(); ++i) made[i] = state.plan_for(turn[i]);
    for (std::size_t i = 0; i < made.size(); ++i) ASSERT_EQ(state.plan_for(turn[i]), made[i]) << "trial " << trial;
  }
}

}  // namespace
}  // namespace weir::decide

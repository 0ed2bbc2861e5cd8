#include "identify/bindings.h"

#include <gmock/gmock.h>

#include <thread>

#include "identify/token_test_support.h"
#include "store/memory_store.h"

namespace weir::identify::testing {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = BindOutcome::Kind;

Address at(const char* text) { return *Address::parse(text); }
VerifiedToken token_of(const std::string& subject, const std::string& id, std::vector<std::string> groups = {"agents"}) {
  VerifiedToken token;
  token.issuer = "lab-idp";
  token.subject = subject;
  token.groups = std::move(groups);
  token.token_id = id;
  token.key = "lab-idp jti:" + id;
  token.expires = kNow + hours(1);
  return token;
}
StaticBindingConfig static_of(const char* where, const std::string& subject, sys_seconds until = {}) {
  return {*Prefix::parse(where), subject, {"agents"}, "lab client", until, {}};
}

class Bindings : public ::testing::Test {
 protected:
  Bindings() { restart(); }
  void restart(sys_seconds now = kNow) {
    table.reset();
    options.gateway = "gw-1";
    options.earlier_file = folder / "bindings.json";
    auto opened = BindingTable::open(memory, options, now);
    ASSERT_TRUE(opened) << opened.error().message;
    table = std::move(*opened);
  }
  BindOutcome bind(const VerifiedToken& token, const char* where, sys_seconds now = kNow) {
    return *table->bind(token, at(where), now);
  }
  std::string subject_at(const char* where, sys_seconds now = kNow) const {
    const IdentityPtr identity = table->find(at(where), now);
    return identity ? identity->subject : "";
  }
  // As the store has it: what a restart would find.
  std::string stored() const {
    std::string all;
    for (const auto& [key, item] : shared->items) all += key.first + " " + key.second + " " + item.body + "\n";
    return all;
  }
  Folder folder;
  std::shared_ptr<store::SharedMemory> shared = std::make_shared<store::SharedMemory>();
  store::MemoryStore memory{"gw-1", shared}, other_memory{"gw-2", shared};
  BindingTable::Options options;
  std::unique_ptr<BindingTable> table;
};

// What a version without a store wrote.
constexpr const char* kEarlierFile = R"({"version": 1, "next_id": 9,
 "bindings": [{"id": 7, "where": "198.18.1.2", "static": false, "bound_at": 1, "subject": "alice", "groups": ["agents"], "issuer": "lab-idp",
               "token_id": "1", "email": "", "acting_for": [], "expires": 4000000000, "reason": ""},
              {"id": 8, "where": "198.18.3.0/24", "static": true, "bound_at": 1, "subject": "office", "groups": ["agents"], "issuer": "",
               "token_id": "", "email": "", "acting_for": [], "expires": 0, "reason": "lab client"}],
 "spent": [{"key": "lab-idp jti:1", "where": "198.18.1.2", "revoked": false, "until": 4000000000}]})";

TEST_F(Bindings, NobodyIsBoundAtFirst) {
  EXPECT_EQ(table->find(at("198.18.1.2"), kNow), nullptr);
  EXPECT_THAT(table->list(kNow), IsEmpty());
}

TEST_F(Bindings, ATokenBindsItsAddressUntilTheEarlierEnd) {
  const BindOutcome outcome = bind(token_of("alice", "1"), "198.18.1.2");
  EXPECT_EQ(outcome.kind, Kind::kBound);
  const IdentityPtr identity = table->find(at("198.18.1.2"), kNow);
  ASSERT_NE(identity, nullptr);
  EXPECT_EQ(identity->subject, "alice");
  EXPECT_EQ(identity->assurance, Assurance::kNetwork);
  EXPECT_EQ(identity->issuer, "lab-idp");
  EXPECT_EQ(identity->expires, kNow + hours(1));
  EXPECT_EQ(subject_at("198.18.1.3"), "");
  VerifiedToken endless = token_of("bob", "2");
  endless.expires = kNow + hours(24 * 365);
  EXPECT_EQ(bind(endless, "198.18.1.3").binding.identity->expires, kNow + options.ttl_max);
}

TEST_F(Bindings, AWorkloadsAssuranceIsKeptAndAnotherOneIsAnotherBinding) {
  VerifiedToken token = token_of("svc:agent", "1");
  const BindOutcome first = bind(token, "198.18.1.2");
  token.assurance = Assurance::kWorkload;
  const BindOutcome second = bind(token, "198.18.1.2");
  EXPECT_EQ(second.kind, Kind::kReplaced);
  EXPECT_NE(second.binding.identity->binding_id, first.binding.identity->binding_id);
  restart();
  EXPECT_EQ(table->find(at("198.18.1.2"), kNow)->assurance, Assurance::kWorkload);
  EXPECT_EQ(bind(token, "198.18.1.2").kind, Kind::kRenewed);
}

TEST_F(Bindings, TheFileOfAnEarlierVersionIsTakenOverOnce) {
  folder.write("bindings.json", kEarlierFile, 0600);
  restart();
  EXPECT_EQ(table->find(at("198.18.1.2"), kNow)->binding_id, 7u);
  EXPECT_EQ(table->find(at("198.18.1.2"), kNow)->assurance, Assurance::kNetwork);
  EXPECT_EQ(bind(token_of("alice", "1"), "198.18.1.9").kind, Kind::kTokenElsewhere);
  EXPECT_THAT(*table->set_static({static_of("198.18.3.0/24", "office")}, kNow), IsEmpty());
  EXPECT_EQ(table->find(at("198.18.3.1"), kNow)->binding_id, 8u);
  EXPECT_FALSE(std::filesystem::exists(folder / "bindings.json"));
  EXPECT_TRUE(std::filesystem::exists(folder / "bindings.json.taken-over"));
  table->revoke("alice", kNow).value();
  restart();
  EXPECT_EQ(subject_at("198.18.1.2"), "");
  // As after a crash in between: what the store has counts.
  folder.write("bindings.json", kEarlierFile, 0600);
  const BindOutcome bob = bind(token_of("bob", "2"), "198.18.1.2");
  restart();
  EXPECT_EQ(subject_at("198.18.1.2"), "bob");
  EXPECT_GT(bob.binding.identity->binding_id, 9u);
}

TEST_F(Bindings, AnEarlierFileIsNotTakenOverWhileTheStoreIsAway) {
  folder.write("bindings.json", kEarlierFile, 0600);
  shared->refuse_writes = true;
  EXPECT_FALSE(BindingTable::open(memory, options, kNow));
  EXPECT_TRUE(std::filesystem::exists(folder / "bindings.json"));
}

TEST_F(Bindings, ABindingEndsByItself) {
  bind(token_of("alice", "1"), "fd57:1::2");
  EXPECT_EQ(subject_at("fd57:1::2", kNow + hours(1) - seconds(1)), "alice");
  EXPECT_EQ(subject_at("fd57:1::2", kNow + hours(1)), "");
  EXPECT_THAT(table->list(kNow + hours(1)), IsEmpty());
  EXPECT_THAT(*table->expire(kNow + hours(1)), SizeIs(1));
  EXPECT_THAT(*table->expire(kNow + hours(1)), IsEmpty());
}

TEST_F(Bindings, WhatARevokeWouldEndIsToldBefore) {
  bind(token_of("alice", "1"), "198.18.1.2");
  const uint64_t id = bind(token_of("alice", "2"), "198.18.1.3").binding.identity->binding_id;
  EXPECT_THAT(table->fitting("alice"), SizeIs(2));
  EXPECT_THAT(table->fitting("198.18.1.3"), SizeIs(1));
  EXPECT_THAT(table->fitting(std::to_string(id)), SizeIs(1));
  EXPECT_THAT(table->fitting("bob"), IsEmpty());
  EXPECT_EQ(subject_at("198.18.1.3"), "alice");  // And nothing has happened.
}

TEST_F(Bindings, FromAnotherLinkItIsAnotherBindingAndTheOldOneEnds) {
  const LinkKey here{"eth0", uint16_t{0}, parse_mac("02:00:00:00:00:22").value()}, there{"eth0", uint16_t{0}, parse_mac("02:00:00:00:00:23").value()};
  const BindOutcome first = *table->bind(token_of("alice", "1"), at("198.18.1.2"), kNow, here);
  EXPECT_EQ(table->bind(token_of("alice", "2"), at("198.18.1.2"), kNow, here)->kind, Kind::kRenewed);
  const BindOutcome second = *table->bind(token_of("alice", "3"), at("198.18.1.2"), kNow, there);
  EXPECT_EQ(second.kind, Kind::kReplaced);
  ASSERT_THAT(second.ended, SizeIs(1));
  EXPECT_EQ(second.ended[0].identity->binding_id, first.binding.identity->binding_id);
  EXPECT_NE(second.binding.identity->binding_id, first.binding.identity->binding_id);
  EXPECT_EQ(table->bind(token_of("bob", "4"), at("198.18.1.2"), kNow, here)->kind, Kind::kAddressTaken);
  restart();
  ASSERT_THAT(table->list(kNow), SizeIs(1));
  EXPECT_EQ(table->list(kNow)[0].link, there);
}

TEST_F(Bindings, AStaticBindingThatIsTiedElsewhereIsAnother) {
  std::vector<StaticBindingConfig> configured = {static_of("198.18.1.2", "svc:agent")};
  ASSERT_TRUE(table->set_static(configured, kNow));
  EXPECT_THAT(*table->set_static(configured, kNow), IsEmpty());
  configured[0].link.vlan = 7;
  EXPECT_THAT(*table->set_static(configured, kNow), SizeIs(1));
  EXPECT_EQ(table->list(kNow)[0].link.vlan, 7);
}

TEST_F(Bindings, ATieThatIsNotUnderstoodIsRefused) {
  const LinkKey link{"eth0", uint16_t{7}, parse_mac("02:00:00:00:00:22").value()};
  ASSERT_TRUE(table->bind(token_of("alice", "1"), at("198.18.1.2"), kNow, link));
  StoreItem& item = shared->items.at({kBindingKind, "198.18.1.2"});
  const std::string good = item.body;
  const auto with = [&good](const json& tie) {
    json body = json::parse(good);
    body["link"] = tie;
    return body.dump();
  };
  for (const json& wrong : {json{{"port", 7}}, json{{"vlan", 4095}}, json{{"vlan", "7"}}, json{{"mac", "02:00"}}, json{{"interface", ""}}, json(7)}) {
    item.body = with(wrong);
    const auto opened = BindingTable::open(memory, options, kNow);
    ASSERT_FALSE(opened) << wrong.dump();
    EXPECT_EQ(opened.error().kind, Error::Kind::kCorrupt) << wrong.dump();
  }
  item.body = good;
  restart();
  EXPECT_EQ(table->list(kNow)[0].link, link);
  json before = json::parse(good);
  before.erase("link");  // Of before there were ties.
  item.body = before.dump();
  restart();
  EXPECT_TRUE(table->list(kNow)[0].link.is_empty());
}

TEST_F(Bindings, AnotherGatewayIsToldWhatABindingIsTiedTo) {
  BindingTable::Options others = options;
  others.gateway = "gw-2";
  others.earlier_file.clear();
  const auto other = BindingTable::open(other_memory, others, kNow).value();
  const LinkKey here{"eth0", uint16_t{0}, parse_mac("02:00:00:00:00:22").value()}, there{"eth0", uint16_t{0}, parse_mac("02:00:00:00:00:23").value()};
  ASSERT_TRUE(table->bind(token_of("alice", "1"), at("198.18.1.2"), kNow, here));
  const auto told = other->take_foreign();
  ASSERT_THAT(told.bound, SizeIs(1));
  EXPECT_EQ(told.bound[0].link, here);
  ASSERT_TRUE(table->bind(token_of("alice", "2"), at("198.18.1.2"), kNow, there));
  const auto moved = other->take_foreign();
  EXPECT_THAT(moved.ended, SizeIs(1));
  ASSERT_THAT(moved.bound, SizeIs(1));
  EXPECT_EQ(moved.bound[0].link, there);
}

TEST_F(Bindings, OneTokenBindsOneAddress) {
  bind(token_of("alice", "1"), "198.18.1.2");
  const BindOutcome elsewhere = bind(token_of("alice", "1"), "198.18.1.3");
  EXPECT_EQ(elsewhere.kind, Kind::kTokenElsewhere);
  EXPECT_FALSE(elsewhere.is_bound());
  EXPECT_EQ(subject_at("198.18.1.3"), "");
  restart();
  EXPECT_EQ(bind(token_of("alice", "1"), "198.18.1.3").kind, Kind::kTokenElsewhere);
  EXPECT_EQ(bind(token_of("alice", "2"), "198.18.1.3").kind, Kind::kBound);
}

TEST_F(Bindings, AUsedTokenIsRememberedAfterItsBindingEnded) {
  VerifiedToken token = token_of("alice", "1");
  token.expires = kNow + hours(24);
  bind(token, "198.18.1.2");
  const sys_seconds later = kNow + options.ttl_max;
  ASSERT_THAT(*table->expire(later), SizeIs(1));
  EXPECT_EQ(bind(token, "198.18.1.3", later).kind, Kind::kTokenElsewhere);
  EXPECT_EQ(bind(token, "198.18.1.2", later).kind, Kind::kBound);
}

TEST_F(Bindings, ASecondIdentityIsRefusedAndBothAreTold) {
  const uint64_t id = bind(token_of("alice", "1"), "198.18.1.2").binding.identity->binding_id;
  const BindOutcome outcome = bind(token_of("mallory", "2"), "198.18.1.2");
  EXPECT_EQ(outcome.kind, Kind::kAddressTaken);
  EXPECT_THAT(outcome.text, ::testing::Not(HasSubstr("alice")));
  EXPECT_THAT(outcome.text_for_holder, HasSubstr("mallory (lab-idp) tried to bind your address 198.18.1.2"));
  EXPECT_EQ(outcome.binding.identity->binding_id, id);
  ASSERT_THAT(table->list(kNow), SizeIs(1));
  EXPECT_EQ(table->list(kNow).front().refused_attempts, 1u);
  EXPECT_EQ(table->list(kNow).front().last_refused_subject, "mallory");
  EXPECT_EQ(subject_at("198.18.1.2"), "alice");
  EXPECT_EQ(bind(token_of("mallory", "2"), "198.18.1.9").kind, Kind::kBound);  // A refusal does not use the token up.
}

TEST_F(Bindings, TheSameSubjectOfAnotherIssuerIsSomebodyElse) {
  bind(token_of("alice", "1"), "198.18.1.2");
  VerifiedToken other = token_of("alice", "2");
  other.issuer = "other-idp";
  EXPECT_EQ(bind(other, "198.18.1.2").kind, Kind::kAddressTaken);
}

TEST_F(Bindings, ASecondIdentityReplacesTheFirstWhereThatIsConfigured) {
  options.one_identity_per_address = false;
  table->set_options(options);
  const uint64_t first = bind(token_of("alice", "1"), "198.18.1.2").binding.identity->binding_id;
  const BindOutcome outcome = bind(token_of("bob", "2"), "198.18.1.2");
  EXPECT_EQ(outcome.kind, Kind::kReplaced);
  ASSERT_THAT(outcome.ended, SizeIs(1));
  EXPECT_EQ(outcome.ended.front().identity->binding_id, first);
  EXPECT_EQ(subject_at("198.18.1.2"), "bob");
}

TEST_F(Bindings, ANewTokenOfTheSamePersonKeepsTheId) {
  const uint64_t id = bind(token_of("alice", "1"), "198.18.1.2").binding.identity->binding_id;
  VerifiedToken later = token_of("alice", "2");
  later.expires = kNow + hours(2);
  const BindOutcome outcome = bind(later, "198.18.1.2");
  EXPECT_EQ(outcome.kind, Kind::kRenewed);
  EXPECT_EQ(outcome.binding.identity->binding_id, id);
  EXPECT_EQ(table->find(at("198.18.1.2"), kNow)->expires, kNow + hours(2));
  EXPECT_EQ(table->find(at("198.18.1.2"), kNow)->token_id, "2");
}

TEST_F(Bindings, OtherGroupsAreAnotherBinding) {
  const uint64_t id = bind(token_of("alice", "1", {"dba"}), "198.18.1.2").binding.identity->binding_id;
  const BindOutcome outcome = bind(token_of("alice", "2", {"agents"}), "198.18.1.2");
  EXPECT_EQ(outcome.kind, Kind::kReplaced);
  EXPECT_NE(outcome.binding.identity->binding_id, id);
  ASSERT_THAT(outcome.ended, SizeIs(1));
  EXPECT_EQ(outcome.ended.front().identity->binding_id, id);
}

TEST_F(Bindings, IdsAreNeverUsedAgain) {
  std::vector<uint64_t> ids;
  for (int i = 0; i < 5; ++i) {
    ids.push_back(bind(token_of("alice", std::to_string(i)), "198.18.1.2").binding.identity->binding_id);
    table->revoke("alice", kNow).value();
    restart();
  }
  for (std::size_t i = 1; i < ids.size(); ++i) EXPECT_GT(ids[i], ids[i - 1]);
  shared->items.clear();  // Not even when the store is lost.
  shared->numbers.clear();
  restart(kNow + seconds(60));
  EXPECT_GT(bind(token_of("alice", "9"), "198.18.1.2").binding.identity->binding_id, ids.back());
}

TEST_F(Bindings, ARestartKeepsWhatWasBound) {
  VerifiedToken token = token_of("alice", "1", {"dba", "agents"});
  token.email = "alice@example.com";
  token.acting_for = {"svc:a", "svc:b"};
  const uint64_t id = bind(token, "198.18.1.2").binding.identity->binding_id;
  restart(kNow + seconds(10));
  const IdentityPtr identity = table->find(at("198.18.1.2"), kNow + seconds(10));
  ASSERT_NE(identity, nullptr);
  EXPECT_EQ(identity->binding_id, id);
  EXPECT_EQ(identity->subject, "alice");
  EXPECT_EQ(identity->groups, token.groups);
  EXPECT_EQ(identity->email, token.email);
  EXPECT_EQ(identity->acting_for, token.acting_for);
  EXPECT_EQ(identity->token_id, "1");
  EXPECT_EQ(identity->assurance, Assurance::kNetwork);
  restart(kNow + hours(1));
  EXPECT_EQ(subject_at("198.18.1.2", kNow + hours(1)), "");
}

TEST_F(Bindings, RevokingEndsTheBindingAndItsTokens) {
  const uint64_t id = bind(token_of("alice", "1"), "198.18.1.2").binding.identity->binding_id;
  bind(token_of("alice", "2"), "198.18.1.2");  // Renewed: both tokens are behind it.
  const auto ended = *table->revoke(std::to_string(id), kNow);
  ASSERT_THAT(ended, SizeIs(1));
  EXPECT_EQ(subject_at("198.18.1.2"), "");
  restart();
  EXPECT_EQ(bind(token_of("alice", "1"), "198.18.1.2").kind, Kind::kTokenRevoked);
  EXPECT_EQ(bind(token_of("alice", "2"), "198.18.1.2").kind, Kind::kTokenRevoked);
  EXPECT_EQ(bind(token_of("alice", "3"), "198.18.1.2").kind, Kind::kBound);
}

TEST_F(Bindings, RevokingTakesASubjectOrAnAddress) {
  bind(token_of("alice", "1"), "198.18.1.2");
  bind(token_of("alice", "2"), "198.18.1.3");
  bind(token_of("bob", "3"), "198.18.1.4");
  EXPECT_THAT(*table->revoke("nobody", kNow), IsEmpty());
  EXPECT_THAT(*table->revoke("198.18.1.4", kNow), SizeIs(1));
  EXPECT_THAT(*table->revoke("alice", kNow), SizeIs(2));
  EXPECT_THAT(table->list(kNow), IsEmpty());
}

TEST_F(Bindings, TheLongestStaticPrefixWins) {
  ASSERT_TRUE(table->set_static(
      {static_of("198.18.0.0/15", "wide"), static_of("198.18.1.0/24", "narrow"), static_of("198.18.1.2", "exact")}, kNow));
  EXPECT_EQ(subject_at("198.18.1.2"), "exact");
  EXPECT_EQ(subject_at("198.18.1.3"), "narrow");
  EXPECT_EQ(subject_at("198.19.0.1"), "wide");
  EXPECT_EQ(subject_at("10.0.0.1"), "");
  EXPECT_EQ(table->find(at("198.18.1.2"), kNow)->assurance, Assurance::kStatic);
  EXPECT_EQ(table->find(at("198.18.1.2"), kNow)->reason, "lab client");
}

TEST_F(Bindings, AStaticBindingEndsAtItsUntil) {
  ASSERT_TRUE(
      table->set_static({static_of("198.18.1.2", "agent", kNow + hours(1)), static_of("198.18.1.3", "past", kNow)}, kNow));
  EXPECT_EQ(subject_at("198.18.1.2"), "agent");
  EXPECT_EQ(subject_at("198.18.1.2", kNow + hours(1)), "");
  EXPECT_EQ(subject_at("198.18.1.3"), "");
}

TEST_F(Bindings, AReloadKeepsTheIdsOfWhatDidNotChange) {
  ASSERT_TRUE(table->set_static({static_of("198.18.1.2", "agent"), static_of("198.18.1.3", "old")}, kNow));
  const uint64_t id = table->find(at("198.18.1.2"), kNow)->binding_id;
  restart();
  const auto ended = *table->set_static({static_of("198.18.1.2", "agent"), static_of("198.18.1.3", "new")}, kNow);
  ASSERT_THAT(ended, SizeIs(1));
  EXPECT_EQ(ended.front().identity->subject, "old");
  EXPECT_EQ(table->find(at("198.18.1.2"), kNow)->binding_id, id);
  EXPECT_GT(table->find(at("198.18.1.3"), kNow)->binding_id, id + 1);
}

TEST_F(Bindings, AStaticBindingOfOneAddressTakesItAndOneOfAPrefixDoesNot) {
  ASSERT_TRUE(table->set_static({static_of("198.18.1.2", "svc:agent"), static_of("198.18.3.0/24", "office")}, kNow));
  EXPECT_EQ(bind(token_of("alice", "1"), "198.18.1.2").kind, Kind::kAddressTaken);
  EXPECT_EQ(bind(token_of("svc:agent", "2"), "198.18.1.2").kind, Kind::kBound);  // The same name, better proven.
  EXPECT_EQ(table->find(at("198.18.1.2"), kNow)->assurance, Assurance::kNetwork);
  EXPECT_EQ(bind(token_of("bob", "3"), "198.18.3.7").kind, Kind::kBound);
  EXPECT_EQ(subject_at("198.18.3.7"), "bob");
  EXPECT_EQ(subject_at("198.18.3.8"), "office");
}

TEST_F(Bindings, WhatIsInForceNamesNoPrefixTwice) {
  ASSERT_TRUE(table->set_static({static_of("198.18.1.2", "svc:agent"), static_of("198.18.1.0/24", "office")}, kNow));
  bind(token_of("svc:agent", "1"), "198.18.1.2");
  EXPECT_THAT(table->list(kNow), SizeIs(3));
  const auto in_force = table->in_force(kNow);
  ASSERT_THAT(in_force, SizeIs(2));
  for (const Binding& each : in_force) EXPECT_EQ(each.is_static, each.where.bits != 128);
  EXPECT_THAT(table->in_force(kNow + hours(1)), SizeIs(2));  // The static one shows again.
  EXPECT_TRUE(table->in_force(kNow + hours(1)).front().is_static);
}

TEST_F(Bindings, AFullTableRefusesNewOnesAndStillRenews) {
  options.bindings_max = 2;
  table->set_options(options);
  bind(token_of("a", "1"), "198.18.1.1");
  bind(token_of("b", "2"), "198.18.1.2");
  EXPECT_EQ(bind(token_of("c", "3"), "198.18.1.3").kind, Kind::kFull);
  EXPECT_EQ(bind(token_of("a", "4"), "198.18.1.1").kind, Kind::kRenewed);
}

TEST_F(Bindings, WhatCannotBeWrittenDoesNotHappen) {
  bind(token_of("alice", "1"), "198.18.1.2");
  shared->refuse_writes = true;
  const auto refused = table->bind(token_of("bob", "2"), at("198.18.1.3"), kNow);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Error::Kind::kUnavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("nothing has changed"));
  EXPECT_EQ(subject_at("198.18.1.3"), "");
  EXPECT_FALSE(table->revoke("alice", kNow));
  EXPECT_EQ(subject_at("198.18.1.2"), "alice");
  EXPECT_FALSE(table->set_static({static_of("198.18.1.9", "x")}, kNow));
}

TEST_F(Bindings, ABindingEndsInTimeWhileTheStoreIsAwayAndLeavesItLater) {
  bind(token_of("alice", "1"), "198.18.1.2");
  shared->refuse_writes = true;
  EXPECT_THAT(*table->expire(kNow + hours(2)), SizeIs(1));
  EXPECT_THAT(table->list(kNow), IsEmpty());
  EXPECT_THAT(stored(), HasSubstr("binding 198.18.1.2"));
  EXPECT_THAT(*table->expire(kNow + hours(2)), IsEmpty());
  shared->refuse_writes = false;
  EXPECT_THAT(*table->expire(kNow + hours(2)), IsEmpty());
  EXPECT_EQ(stored(), "");
}

TEST_F(Bindings, ADamagedFileIsAnErrorAndIsLeftAlone) {
  const std::string file = folder / "bindings.json", good = kEarlierFile;
  const auto replaced = [&](const std::string& what, const std::string& with) {
    std::string text = good;
    const std::size_t place = text.find(what);
    EXPECT_NE(place, std::string::npos) << what;
    return text.replace(place, what.size(), with);
  };
  for (const std::string& text :
       {std::string(), good.substr(0, good.size() / 2), std::string("[]"), replaced("\"version\": 1", "\"version\": 2"),
        replaced("\"where\": \"198.18.1.2\"", "\"where\": \"198.18.1.x\""), replaced("\"static\": false", "\"static\": 0"),
        replaced("\"next_id\": ", "\"next_id\": -"), replaced("\"next_id\": 9", "\"next_id\": 0.1"),
        replaced("\"subject\"", "\"subjekt\""), replaced("\"groups\": [", "\"groups\": [1,"), replaced("\"id\": 8", "\"id\": 7")}) {
    std::ofstream(file, std::ios::trunc) << text;
    const auto opened = BindingTable::open(memory, options, kNow);
    ASSERT_FALSE(opened) << text;
    EXPECT_EQ(opened.error().kind, Error::Kind::kCorrupt);
    EXPECT_THAT(opened.error().message, HasSubstr("move it away"));
    std::string after((std::istreambuf_iterator<char>(*std::make_unique<std::ifstream>(file))), {});
    EXPECT_EQ(after, text);
  }
}

TEST_F(Bindings, ADamagedItemIsAnErrorThatNamesIt) {
  bind(token_of("alice", "1"), "198.18.1.2");
  for (const char* body : {"{}", "[]", "x", R"({"id":5,"where":"198.18.1.3"})"}) {
    table.reset();
    shared->items[{"binding", "198.18.1.2"}].body = body;
    const auto opened = BindingTable::open(memory, options, kNow);
    ASSERT_FALSE(opened) << body;
    EXPECT_EQ(opened.error().kind, Error::Kind::kCorrupt);
    EXPECT_THAT(opened.error().message, HasSubstr("binding 198.18.1.2 is damaged"));
  }
}

TEST_F(Bindings, TheStoreHoldsNoToken) {
  Issuer issuer;
  const std::string token = issuer.token();
  bind(*verify_token(token, issuer.config, issuer.keys(), kNow), "198.18.1.2");
  EXPECT_THAT(stored(), HasSubstr("binding 198.18.1.2"));
  EXPECT_EQ(stored().find(token.substr(token.rfind('.') + 1)), std::string::npos);
}

TEST_F(Bindings, ATokenWithALongIdIsRememberedAsWell) {
  const std::string id(3000, 'j');
  bind(token_of("alice", id), "198.18.1.2");
  restart();
  EXPECT_EQ(bind(token_of("alice", id), "198.18.1.3").kind, Kind::kTokenElsewhere);
}

// Two gateways on one store.
class SharedBindings : public Bindings {
 protected:
  SharedBindings() {
    BindingTable::Options others = options;
    others.gateway = "gw-2";
    others.earlier_file.clear();
    other = BindingTable::open(other_memory, others, kNow).value();
  }
  static std::string subject_of(const BindingTable& where, const char* address) {
    const IdentityPtr identity = where.find(at(address), kNow);
    return identity ? identity->subject : "";
  }
  std::unique_ptr<BindingTable> other;
};

TEST_F(SharedBindings, ABindingOfOneIsTheOthersAndSoIsItsEnd) {
  int calls = 0;
  other->set_on_foreign([&] { ++calls; });
  const uint64_t id = bind(token_of("alice", "1"), "198.18.1.2").binding.identity->binding_id;
  EXPECT_EQ(subject_of(*other, "198.18.1.2"), "alice");
  auto foreign = other->take_foreign();
  ASSERT_THAT(foreign.bound, SizeIs(1));
  EXPECT_EQ(foreign.bound.front().identity->binding_id, id);
  EXPECT_THAT(foreign.ended, IsEmpty());
  EXPECT_GE(calls, 1);
  bind(token_of("alice", "2"), "198.18.1.2");  // Renewed: nobody is cut.
  EXPECT_THAT(other->take_foreign().ended, IsEmpty());
  table->revoke("alice", kNow).value();
  EXPECT_EQ(subject_of(*other, "198.18.1.2"), "");
  foreign = other->take_foreign();
  ASSERT_THAT(foreign.ended, SizeIs(1));
  EXPECT_EQ(foreign.ended.front().identity->binding_id, id);
  EXPECT_EQ(other->bind(token_of("alice", "1"), at("198.18.1.2"), kNow)->kind, Kind::kTokenRevoked);
  EXPECT_EQ(other->bind(token_of("alice", "2"), at("198.18.1.2"), kNow)->kind, Kind::kTokenRevoked);
}

TEST_F(SharedBindings, ATokenAndAnAddressAreTakenOverAllGateways) {
  EXPECT_EQ(bind(token_of("alice", "1"), "198.18.1.2").kind, Kind::kBound);
  EXPECT_EQ(other->bind(token_of("alice", "1"), at("198.18.1.3"), kNow)->kind, Kind::kTokenElsewhere);
  EXPECT_EQ(other->bind(token_of("bob", "2"), at("198.18.1.2"), kNow)->kind, Kind::kAddressTaken);
  const auto renewed = other->bind(token_of("alice", "3"), at("198.18.1.2"), kNow);
  EXPECT_EQ(renewed->kind, Kind::kRenewed);
  EXPECT_EQ(renewed->binding.identity->binding_id, table->find(at("198.18.1.2"), kNow)->binding_id);
}

TEST_F(SharedBindings, WhatWasNotToldOfIsSeenBeforeItIsDecided) {
  const auto watchers = std::exchange(shared->watchers, {});  // Nobody is told.
  EXPECT_EQ(bind(token_of("alice", "1"), "198.18.1.2").kind, Kind::kBound);
  EXPECT_EQ(subject_of(*other, "198.18.1.2"), "");
  EXPECT_EQ(other->bind(token_of("bob", "2"), at("198.18.1.2"), kNow)->kind, Kind::kAddressTaken);
  EXPECT_EQ(other->bind(token_of("alice", "1"), at("198.18.1.3"), kNow)->kind, Kind::kTokenElsewhere);
  // A revoke that finds another version looks again: it is not the binding that it meant any more, but it is that person's.
  EXPECT_EQ(other->bind(token_of("alice", "3"), at("198.18.1.2"), kNow)->kind, Kind::kRenewed);
  EXPECT_THAT(*table->revoke("alice", kNow), SizeIs(1));
  EXPECT_EQ(bind(token_of("alice", "3"), "198.18.1.2").kind, Kind::kTokenRevoked);
  EXPECT_EQ(stored().find("binding 198.18.1.2"), std::string::npos);
}

TEST_F(SharedBindings, IdsAndStaticBindingsAreEachGatewaysOwn) {
  ASSERT_TRUE(table->set_static({static_of("198.18.1.2", "agent")}, kNow));
  ASSERT_TRUE(other->set_static({static_of("198.18.1.2", "agent")}, kNow));
  const uint64_t one = table->find(at("198.18.1.2"), kNow)->binding_id, two = other->find(at("198.18.1.2"), kNow)->binding_id;
  EXPECT_NE(one, two);
  ASSERT_THAT(*table->set_static({}, kNow), SizeIs(1));
  EXPECT_EQ(subject_of(*other, "198.18.1.2"), "agent");
  restart();
  EXPECT_EQ(subject_at("198.18.1.2"), "");
}

TEST_F(SharedBindings, AStoreThatIsAwayLeavesWhatIsBound) {
  bind(token_of("alice", "1"), "198.18.1.2");
  shared->refuse_writes = true;
  EXPECT_EQ(subject_of(*other, "198.18.1.2"), "alice");
  EXPECT_FALSE(other->bind(token_of("alice", "3"), at("198.18.1.2"), kNow));
  EXPECT_THAT(*other->expire(kNow + hours(2)), SizeIs(1));
}

TEST_F(Bindings, ReadersAndWritersDoNotDisturbEachOther) {
  std::thread reader([&] {
    for (int i = 0; i < 2000; ++i) {
      const IdentityPtr identity = table->find(at("198.18.1.2"), kNow);
      EXPECT_TRUE(identity == nullptr || identity->subject == "alice");
      EXPECT_LE(table->list(kNow).size(), 1u);
    }
  });
  for (int i = 0; i < 20; ++i) {
    bind(token_of("alice", std::to_string(i)), "198.18.1.2");
    table->revoke("alice", kNow).value();
  }
  reader.join();
}

}  // namespace
}  // namespace weir::identify::testing

// What is kept, over a restart, without a client, and what other gateways answer.
#include "decide/ticket_fixture.h"

namespace weir::decide {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::sys_seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using State = TicketAnswer::State;
using Which = TicketBook::Which;


class StoredTickets : public TicketFixture {};

// The store.

TEST_F(StoredTickets, WhatCannotBeWrittenDoesNotHappen) {
  const uint64_t number = open(request("two-eyes"));
  ASSERT_TRUE(book->flush());
  refuse_writes(true);
  EXPECT_EQ(approve(number, person("ann")).error().kind, Error::Kind::kUnavailable);
  EXPECT_THAT(refusal(number, person("ann")), HasSubstr("nothing has changed"));
  EXPECT_EQ(book->deny(number, person("ann"), "no", kNow).error().kind, Error::Kind::kUnavailable);
  EXPECT_EQ(state(number), State::kOpen);
  EXPECT_THAT(book->find(number, kNow)->answers, IsEmpty());
  EXPECT_EQ(book->open(request("two-eyes"), kNow).error().kind, Error::Kind::kSystem) << "the last write failed: nobody is held for nothing";
  EXPECT_THAT(book->list(Which::kAll, kNow), SizeIs(1));
  EXPECT_THAT(told_after(0), IsEmpty());
  EXPECT_GE(book->counters().write_failures, 2u);
  EXPECT_EQ(state(number, kNow + minutes(10)), State::kExpired) << "what is over is over without a disk too";
  refuse_writes(false);
  ASSERT_TRUE(book->flush());
  EXPECT_EQ(stored(number).state, State::kExpired);
  EXPECT_GT(open(request("two-eyes")), number);
}

TEST_F(StoredTickets, WhatSessionsChangeIsWrittenSoonAndByNobodyWhoWaits) {
  const uint64_t open_one = open(request("two-eyes")), gone = open(request("two-eyes"));
  book->withdraw(gone, "gone", kNow);
  ASSERT_TRUE(book->flush());
  EXPECT_TRUE(stored(open_one).is_open());
  EXPECT_EQ(stored(gone).state, State::kWithdrawn);
  for (int i = 0; i < 1000 && text().find("one more") == std::string::npos; ++i) {  // The book's own thread does it as well.
    if (i == 0) {
      TicketRequest more = request("two-eyes");
      more.statement = "one more";
      open(more);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_NE(text().find("one more"), std::string::npos);
}

TEST_F(StoredTickets, NumbersOutrunTheStoreByALittleAtMost) {
  refuse_writes(true);  // No write works from here on, and none is known to have failed yet.
  options.open_max = options.open_per_identity_max = 5'000;
  uint64_t given = 0;
  while (book->open(request("two-eyes", "svc:" + std::to_string(given)), kNow)) ++given;
  EXPECT_LE(given, 1'000u);
}

TEST_F(StoredTickets, NumbersGoOnWhereTheStoreGivesMore) {
  options.kept_max = 10;
  restart();
  uint64_t last = 0;
  for (int i = 0; i < 1'200; ++i) {
    const uint64_t number = open(request("two-eyes"));
    EXPECT_GT(number, last);
    last = number;
    book->withdraw(number, "test", kNow);
    if (i % 100 != 0) continue;
    ASSERT_TRUE(book->flush());
  }
}

// What a version without a store wrote.
constexpr const char* kEarlierFile = R"({"version": 1, "next_number": 1900000000000, "tickets": [{"number": 1800000000001, "session": 3, "unit": 4, "subject": "svc:agent",
 "issuer": "lab-idp", "groups": ["agents"], "acting_for": [], "assurance": "network", "target": "orders-db", "login": "app", "database": "shop", "rule": "r",
 "approval": "two-eyes", "reason": "x", "statement": "delete", "parameters": "", "objects": "", "verbs": 2,
 "digest": "ab00000000000000000000000000000000000000000000000000000000000000", "opened": 1767225600, "deadline": 1767226600, "closed": 1767225700,
 "min_reviewers": 1, "state": "approved", "text": "", "window_ticket": 0,
 "answers": [{"by": "user:ann", "issuer": "lab-idp", "at": 1767225700, "approves": true, "reason": "ok", "until": 0}]}]})";

TEST_F(StoredTickets, TheFileOfAnEarlierVersionIsTakenOverOnce) {
  std::ofstream(file()) << kEarlierFile;
  restart();
  EXPECT_EQ(book->ask(1'800'000'000'001, kNow).by, "user:ann");
  EXPECT_FALSE(std::filesystem::exists(file()));
  EXPECT_TRUE(std::filesystem::exists(file() + ".taken-over"));
  EXPECT_GE(open(request("two-eyes")), 1'900'000'000'000u) << "the record has the older ones";
  restart();
  EXPECT_EQ(book->ask(1'800'000'000'001, kNow).by, "user:ann");
}

TEST_F(StoredTickets, ADamagedFileIsAnErrorAndIsLeftAlone) {
  const std::string good = kEarlierFile;
  const auto replaced = [&](const std::string& what, const std::string& with) {
    std::string changed = good;
    const std::size_t place = changed.find(what);
    EXPECT_NE(place, std::string::npos) << what;
    return changed.replace(place, what.size(), with);
  };
  for (const std::string& spoilt :
       {std::string(), good.substr(0, good.size() / 2), std::string("[]"), std::string("null"),
        replaced("\"version\": 1", "\"version\": 2"), replaced("\"next_number\": ", "\"next_number\": -"),
        replaced("\"next_number\": 1", "\"next_number\": 0.1"), replaced("\"subject\"", "\"subjekt\""),
        replaced("\"state\": \"approved\"", "\"state\": \"allowed\""), replaced("\"digest\": \"ab", "\"digest\": \"xb"),
        replaced("\"digest\": \"ab", "\"digest\": \""), replaced("\"approves\": true", "\"approves\": 1"),
        replaced("\"groups\": [", "\"groups\": [1,")}) {
    std::ofstream(file(), std::ios::trunc) << spoilt;
    const auto opened = TicketBook::open(memory, options, approvals, kNow);
    ASSERT_FALSE(opened) << spoilt;
    EXPECT_EQ(opened.error().kind, Error::Kind::kCorrupt);
    EXPECT_THAT(opened.error().message, HasSubstr("move it away"));
    std::ifstream in(file());
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), spoilt);
  }
}

TEST_F(StoredTickets, ADamagedItemIsAnErrorThatNamesIt) {
  const uint64_t number = open(request("two-eyes"));
  book.reset();
  shared->items[{"ticket", std::to_string(number)}].body = "{}";
  const auto opened = TicketBook::open(memory, options, approvals, kNow);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, Error::Kind::kCorrupt);
  EXPECT_THAT(opened.error().message, HasSubstr("ticket " + std::to_string(number) + " is damaged"));
}

// Over a restart, and without a client.
class KeptTickets : public TicketFixture {
 protected:
  KeptTickets() {
    approvals.push_back(approval_of("later", {{}, {"security"}}));
    approvals.back().is_resumed_at_restart = approvals.back().is_kept_without_client = true;
    restart();
  }
  TicketAnswer leave(uint64_t number, sys_seconds now = kNow) { return book->leave(number, TicketDesk::Leave::kClientLeft, "the client left", now); }
  // The same command of the next session.
  uint64_t again(uint64_t session = 42, sys_seconds now = kNow) {
    TicketRequest asked = request("later");
    asked.session = session;
    return open(asked, now);
  }
};

TEST_F(KeptTickets, ARestartKeepsThemAndAnApprovalLetsTheSameCommandThroughOnce) {
  const uint64_t number = open(request("later"));
  ASSERT_TRUE(book->flush());
  kill();
  EXPECT_EQ(state(number), State::kOpen);
  EXPECT_TRUE(book->find(number, kNow)->is_detached);
  EXPECT_EQ(book->find(number, kNow)->statement, "delete from orders");
  const auto outcome = approve(number, person("ann"));
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_THAT(outcome->text, HasSubstr("the same command passes once"));
  EXPECT_THAT(told_after(0), IsEmpty()) << "nobody waits";
  EXPECT_EQ(again(), number);
  ASSERT_TRUE(book->flush());
  EXPECT_EQ(state(number), State::kApproved);
  EXPECT_THAT(told_after(1), ElementsAre(42));
  const uint64_t second = again(43);
  EXPECT_NE(second, number);
  EXPECT_EQ(state(second), State::kOpen);
}

TEST_F(KeptTickets, AnApprovalIsUsedInTheStoreBeforeItLetsAnythingThrough) {
  const uint64_t number = open(request("later"));
  ASSERT_TRUE(book->flush());
  kill();
  ASSERT_TRUE(approve(number, person("ann")));
  refuse_writes(true);
  EXPECT_EQ(again(), number);
  EXPECT_FALSE(book->flush());
  EXPECT_EQ(state(number), State::kOpen) << "not written: not let through";
  kill();
  EXPECT_EQ(state(number), State::kApproved);
  EXPECT_EQ(again(), number) << "nothing had passed";
  ASSERT_TRUE(book->flush());
  kill();
  EXPECT_NE(again(), number) << "it may have passed";
}

TEST_F(KeptTickets, AnApprovalThatCannotBeWrittenDownInTimeIsOver) {
  const uint64_t number = open(request("later"));
  EXPECT_EQ(leave(number).state, State::kWithdrawn);
  ASSERT_TRUE(approve(number, person("ann")));
  refuse_writes(true);
  EXPECT_EQ(again(), number);
  EXPECT_EQ(state(number, kNow + minutes(10)), State::kExpired);
  refuse_writes(false);
}

TEST_F(KeptTickets, AClientThatLeavesMayComeBackWhileItIsOpen) {
  const uint64_t number = open(request("later"));
  const TicketAnswer left = leave(number);
  EXPECT_EQ(left.state, State::kWithdrawn);
  EXPECT_THAT(left.reason, HasSubstr("kept for the same command until"));
  EXPECT_EQ(again(), number);
  EXPECT_EQ(state(number), State::kOpen);
  ASSERT_TRUE(approve(number, person("ann")));
  EXPECT_THAT(told_after(1), ElementsAre(42));
  EXPECT_EQ(state(number), State::kApproved);
  EXPECT_NE(again(43), number);
  EXPECT_EQ(book->counters().kept, 1u);
  EXPECT_EQ(book->counters().resumed, 1u);
}

TEST_F(KeptTickets, NothingElsePassesByIt) {
  const uint64_t number = open(request("later"));
  (void)leave(number);
  ASSERT_TRUE(approve(number, person("ann")));
  std::vector<TicketRequest> others(7, request("later"));
  others[0].digest[31] = std::byte{1};
  others[1].target = "people-db";
  others[2].login = "postgres";
  others[3].database = "hr";
  others[4] = request("two-eyes");
  others[5] = request("later", "svc:other");
  Identity alone = *others[6].identity;
  alone.acting_for.clear();
  others[6].identity = std::make_shared<const Identity>(alone);
  for (const TicketRequest& other : others) {
    const uint64_t opened = open(other);
    EXPECT_NE(opened, number);
    EXPECT_EQ(state(opened), State::kOpen);
  }
  const sys_seconds late = kNow + minutes(10);
  EXPECT_NE(again(42, late), number);
}

TEST_F(KeptTickets, WhatIsNotToBeKeptIsNot) {
  const uint64_t number = open(request("two-eyes")), cancelled = open(request("later"));
  EXPECT_EQ(leave(number).reason, "the client left");
  EXPECT_EQ(state(number), State::kWithdrawn);
  book->withdraw(cancelled, "its client cancelled it", kNow);
  EXPECT_NE(again(), cancelled);
  approvals.back().is_resumed_at_restart = false;
  restart();
  TicketRequest other = request("later");
  other.digest[5] = std::byte{1};
  const uint64_t open_one = open(other);
  (void)leave(open_one);
  ASSERT_TRUE(book->flush());
  kill();
  EXPECT_EQ(book->ask(open_one, kNow).reason, "the gateway was restarted");
}

TEST_F(KeptTickets, ARevokedBindingTakesThemAlong) {
  const uint64_t number = open(request("later"));
  (void)leave(number);
  ASSERT_TRUE(approve(number, person("ann")));
  book->end_windows_of("svc:agent", kNow);
  EXPECT_NE(again(), number);
}

TEST_F(KeptTickets, AfterTheDeadlineARestartDenies) {
  const uint64_t number = open(request("later"));
  ASSERT_TRUE(book->flush());
  kill(kNow + minutes(10));
  EXPECT_EQ(state(number, kNow + minutes(10)), State::kDenied);
}

// Two gateways on one store.
class SharedTickets : public KeptTickets {
 protected:
  SharedTickets() {
    others = options;
    others.gateway = "gw-2";
    others.earlier_file.clear();
    other = TicketBook::open(other_memory, others, approvals, kNow).value();
    other->set_on_answer([this](uint64_t session) { told_there = session; });
  }
  ~SharedTickets() override { other.reset(); }
  // All that both have to do is done.
  void settle() {
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(book->flush());
      EXPECT_TRUE(other->flush());
    }
  }
  std::vector<store::SharedMemory::Watcher> set_watchers(std::vector<store::SharedMemory::Watcher> watchers) {
    const std::lock_guard lock(shared->mutex);
    return std::exchange(shared->watchers, std::move(watchers));
  }
  uint64_t open_here(const std::string& approval) {
    const uint64_t number = open(request(approval));
    settle();
    return number;
  }
  store::MemoryStore other_memory{"gw-2", shared};
  TicketBook::Options others;
  std::unique_ptr<TicketBook> other;
  std::atomic<uint64_t> told_there{0};
};

TEST_F(SharedTickets, OpenedHereListedThereApprovedThereReleasedHere) {
  const uint64_t number = open_here("two-eyes");
  ASSERT_THAT(other->list(Which::kOpen, kNow), SizeIs(1));
  EXPECT_EQ(other->find(number, kNow)->statement, "delete from orders");
  EXPECT_EQ(other->find(number, kNow)->gateway, "gw-1");
  const auto outcome = other->approve(number, person("ann"), "looked at it", {}, kNow);
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_THAT(outcome->text, HasSubstr("gw-1"));
  settle();
  EXPECT_EQ(state(number), State::kApproved);
  EXPECT_EQ(book->ask(number, kNow).by, "user:ann");
  EXPECT_THAT(told_after(1), ElementsAre(41));
  EXPECT_EQ(told_there, 0u) << "session 41 is somebody else there";
  EXPECT_EQ(other->counters().open, 0u);
}

TEST_F(SharedTickets, ADenialThereIsOneHere) {
  const uint64_t number = open_here("two-eyes");
  ASSERT_TRUE(other->deny(number, person("ann"), "no", kNow));
  settle();
  EXPECT_EQ(state(number), State::kDenied);
  EXPECT_EQ(book->ask(number, kNow).reason, "no");
  EXPECT_THAT(told_after(1), ElementsAre(41));
}

TEST_F(SharedTickets, OfTwoApprovalsAtOnceNoneIsLostOrCountedTwice) {
  const uint64_t number = open_here("four-eyes");
  const auto watchers = set_watchers({});  // Nobody is told of anything.
  ASSERT_TRUE(approve(number, person("ann")));
  const auto second = other->approve(number, person("ann"), "again", {}, kNow);
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->is_changed) << "seen there before it is decided";
  EXPECT_EQ(state(number), State::kOpen);
  ASSERT_TRUE(other->approve(number, person("bob"), "ok", {}, kNow));
  EXPECT_THAT(refusal(number, person("eve")), HasSubstr("approved by user:ann, user:bob already"));
  EXPECT_EQ(state(number), State::kApproved);
  set_watchers(watchers);
}

TEST_F(SharedTickets, TheSameRulesHoldThere) {
  const uint64_t number = open_here("two-eyes");
  for (const Reviewer& no : {person("carl"), Reviewer{"svc:agent", {"security"}, "lab-idp", {}}, person("dan", {"sales"})}) {
    EXPECT_FALSE(other->approve(number, no, "ok", {}, kNow)) << no.subject;
  }
  EXPECT_EQ(state(number), State::kOpen);
}

TEST_F(SharedTickets, AnApprovalThatOnlyAnotherConfigurationAllowsIsNone) {
  other->set_approvals({approval_of("two-eyes", {{"svc:*", "user:*"}, {}})});
  const uint64_t number = open_here("two-eyes");
  ASSERT_TRUE(other->approve(number, person("eve", {}), "ok", {}, kNow));
  settle();
  EXPECT_EQ(state(number), State::kDenied);
  EXPECT_THAT(book->ask(number, kNow).reason, HasSubstr("does not hold here"));
  EXPECT_EQ(stored(number).state, State::kDenied);
  other->set_approvals({});
  const uint64_t unknown = open_here("two-eyes");
  EXPECT_THAT(other->approve(unknown, person("ann"), "ok", {}, kNow).error().message, HasSubstr("answer it at gw-1"));
}

TEST_F(SharedTickets, WhoLeftHereLeavesNothingToApproveThere) {
  const uint64_t number = open_here("two-eyes");
  const auto watchers = set_watchers({});
  ASSERT_TRUE(other->approve(number, person("ann"), "ok", {}, kNow));
  book->withdraw(number, "the client left", kNow);  // Before it heard of it.
  set_watchers(watchers);
  settle();
  EXPECT_EQ(state(number), State::kWithdrawn);
  EXPECT_EQ(stored(number).state, State::kWithdrawn) << "so that nobody thinks it ran";
  EXPECT_THAT(stored(number).answers, SizeIs(1));
}

TEST_F(SharedTickets, AWindowThatIsGivenThereIsOpenHereAndEndsFromThere) {
  const uint64_t number = open_here("night");
  ASSERT_TRUE(other->approve(number, person("ann"), "ok", kNow + minutes(30), kNow));
  settle();
  EXPECT_EQ(state(open(request("night"))), State::kApproved);
  const auto ended = other->deny(number, person("bob"), "enough", kNow);
  ASSERT_TRUE(ended) << ended.error().message;
  settle();
  EXPECT_EQ(state(open(request("night"))), State::kOpen);
}

TEST_F(SharedTickets, AnApprovalWhileTheGatewayIsDownWaitsForItsClient) {
  const uint64_t number = open_here("later");
  refuse_writes(true);
  book.reset();
  refuse_writes(false);
  ASSERT_TRUE(other->approve(number, person("ann"), "ok", {}, kNow));
  restart();
  EXPECT_EQ(again(), number);
  ASSERT_TRUE(book->flush());
  EXPECT_EQ(state(number), State::kApproved);
  EXPECT_NE(again(43), number);
}

TEST_F(SharedTickets, AnApprovalOfALiveOneIsUsedInTheStoreFirst) {
  const uint64_t number = open_here("later");
  ASSERT_TRUE(other->approve(number, person("ann"), "ok", {}, kNow));
  settle();
  EXPECT_EQ(state(number), State::kApproved);
  EXPECT_TRUE(stored(number).is_used);
  kill();
  EXPECT_NE(again(), number);
}

TEST_F(SharedTickets, WhatWaitsElsewhereDoesNotFillThisGateway) {
  others.open_max = 1;
  other = TicketBook::open(other_memory, others, approvals, kNow).value();
  open_here("two-eyes");
  open_here("two-eyes");
  EXPECT_TRUE(other->open(request("two-eyes"), kNow));
  EXPECT_EQ(other->counters().open, 1u);
}

}  // namespace
}  // namespace weir::decide

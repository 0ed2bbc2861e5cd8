// Who may answer, once, and until when.
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


class Tickets : public TicketFixture {};

TEST_F(Tickets, AReviewersApprovalEndsTheWait) {
  const uint64_t number = open(request("two-eyes"));
  EXPECT_EQ(state(number), State::kOpen);
  const auto outcome = approve(number, person("ann"));
  ASSERT_TRUE(outcome) << outcome.error().message;
  const TicketAnswer answer = book->ask(number, kNow);
  EXPECT_EQ(answer.state, State::kApproved);
  EXPECT_EQ(answer.by, "user:ann");
  EXPECT_EQ(answer.reason, "looked at it");
  EXPECT_THAT(told_after(1), ElementsAre(41));
  EXPECT_EQ(state(number, kNow + hours(1)), State::kApproved) << "the deadline is for those that wait";
}

TEST_F(Tickets, ATicketShowsWhatAReviewerDecidesBy) {
  const TicketPtr ticket = book->find(open(request("two-eyes")), kNow);
  ASSERT_NE(ticket, nullptr);
  EXPECT_EQ(ticket->subject, "svc:agent");
  EXPECT_EQ(ticket->acting_for, std::vector<std::string>{"user:carl"});
  EXPECT_EQ(ticket->assurance, Assurance::kNetwork);
  EXPECT_EQ(ticket->statement, "delete from orders");
  EXPECT_EQ(ticket->parameters, "[1]");
  EXPECT_EQ(ticket->objects, "public.orders");
  EXPECT_EQ(ticket->deadline, kNow + minutes(10));
  EXPECT_EQ(hex_of(ticket->digest).substr(0, 4), "ab00");
  EXPECT_EQ(ticket->session, 41u);
  EXPECT_EQ(ticket->unit, 7u);
}

TEST_F(Tickets, OneDenialIsFinal) {
  const uint64_t number = open(request("four-eyes"));
  ASSERT_TRUE(approve(number, person("ann")));
  ASSERT_TRUE(book->deny(number, person("bob"), "not tonight", kNow));
  const TicketAnswer answer = book->ask(number, kNow);
  EXPECT_EQ(answer.state, State::kDenied);
  EXPECT_EQ(answer.by, "user:bob");
  EXPECT_EQ(answer.reason, "not tonight");
  EXPECT_THAT(refusal(number, person("eve")), HasSubstr("was denied by user:bob"));
  EXPECT_THAT(book->deny(number, person("eve"), "me too", kNow).error().message, HasSubstr("was denied"));
}

TEST_F(Tickets, NobodyApprovesTheirOwnNorWhatIsAskedInTheirName) {
  approvals = {approval_of("anybody", {{"*"}, {}})};
  restart();
  const uint64_t number = open(request("anybody", "user:ann"));
  EXPECT_THAT(refusal(number, person("ann")), HasSubstr("is your own"));
  EXPECT_THAT(refusal(number, {"user:ann", {}, "another-idp", {}}), HasSubstr("is your own"))
      << "a name is a name, whoever gave it";
  EXPECT_THAT(refusal(number, person("carl")), HasSubstr("in your name"));
  EXPECT_EQ(approve(number, person("ann")).error().kind, Error::Kind::kDenied);
  EXPECT_EQ(state(number), State::kOpen);
  EXPECT_THAT(told_after(0), IsEmpty());
  EXPECT_TRUE(approve(number, person("bob")));
}

TEST_F(Tickets, ADelegatedTokenReviewsNothing) {
  const uint64_t number = open(request("two-eyes"));
  Reviewer delegate = person("ann");
  delegate.acting_for = {"svc:agent"};
  EXPECT_THAT(refusal(number, delegate), HasSubstr("sign in yourself"));
  EXPECT_FALSE(book->deny(number, delegate, "no", kNow));
}

TEST_F(Tickets, OnlyTheApprovalsReviewersAnswer) {
  const uint64_t number = open(request("four-eyes"));
  EXPECT_THAT(refusal(number, person("ann", {"dba"})), HasSubstr("none of the reviewers of approval \"four-eyes\""));
  EXPECT_THAT(refusal(number, {"svc:ann", {"security"}, "lab-idp", {}}), HasSubstr("none of the reviewers"))
      << "subjects and groups: both needed";
  EXPECT_FALSE(book->deny(number, person("ann", {"dba"}), "no", kNow));
  EXPECT_EQ(book->counters().answers_refused, 3u);
}

TEST_F(Tickets, ALocalNameIsNoTokensAndTheOtherWayRound) {
  const uint64_t number = open(request("night"));
  EXPECT_THAT(refusal(number, {"local:root", {}, "lab-idp", {}}), HasSubstr("no token has one"));
  EXPECT_THAT(refusal(number, {"user:ann", {}, "", {}}), HasSubstr("no token has one"));
  EXPECT_TRUE(approve(number, {"local:root", {}, "", {}}));
}

TEST_F(Tickets, TwoReviewersAreTwoPeople) {
  const uint64_t number = open(request("four-eyes"));
  const auto first = approve(number, person("ann"));
  ASSERT_TRUE(first);
  EXPECT_THAT(first->text, HasSubstr("1 more must approve"));
  EXPECT_EQ(state(number), State::kOpen);
  const auto again = approve(number, person("ann"));
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->is_changed);
  EXPECT_THAT(again->text, HasSubstr("already"));
  Reviewer elsewhere = person("ann");
  elsewhere.issuer = "another-idp";
  EXPECT_FALSE(approve(number, elsewhere)->is_changed);
  EXPECT_EQ(state(number), State::kOpen);
  EXPECT_THAT(told_after(0), IsEmpty());
  ASSERT_TRUE(approve(number, person("bob")));
  EXPECT_EQ(book->ask(number, kNow).by, "user:ann, user:bob");
}

TEST_F(Tickets, AfterTheDeadlineItIsOverAlsoWhenTheClockIsSetBack) {
  const uint64_t number = open(request("two-eyes"));
  EXPECT_EQ(state(number, kNow + minutes(10) - seconds(1)), State::kOpen);
  EXPECT_THAT(refusal(number, person("ann"), {}, kNow + minutes(10)), HasSubstr("has expired"));
  EXPECT_THAT(told_after(1), ElementsAre(41));
  EXPECT_EQ(state(number, kNow), State::kExpired);
  EXPECT_THAT(refusal(number, person("ann")), HasSubstr("has expired"));
  EXPECT_FALSE(book->deny(number, person("ann"), "no", kNow));
}

TEST_F(Tickets, ExpiringTellsTheSessions) {
  open(request("two-eyes"));
  book->expire(kNow + minutes(10));
  EXPECT_THAT(told_after(1), ElementsAre(41));
  book->expire(kNow + minutes(11));
  EXPECT_THAT(told_after(1), SizeIs(1));
  EXPECT_EQ(book->counters().expired, 1u);
}

TEST_F(Tickets, WhatIsWithdrawnIsNotAnsweredAndWhatIsAnsweredIsNotWithdrawn) {
  const uint64_t number = open(request("two-eyes")), answered = open(request("two-eyes"));
  book->withdraw(number, "the client went away", kNow);
  EXPECT_THAT(refusal(number, person("ann")), HasSubstr("was withdrawn: the client went away"));
  ASSERT_TRUE(approve(answered, person("ann")));
  book->withdraw(answered, "the client went away", kNow);
  EXPECT_EQ(state(answered), State::kApproved);
  EXPECT_THAT(refusal(answered, person("bob")), HasSubstr("was approved by user:ann already"));
}

TEST_F(Tickets, NumbersThatNobodyGaveAreRefused) {
  const uint64_t number = open(request("two-eyes"));
  for (const uint64_t other : {uint64_t{0}, number - 1, number + 1}) {
    EXPECT_EQ(approve(other, person("ann")).error().kind, Error::Kind::kNotFound);
    EXPECT_EQ(book->deny(other, person("ann"), "no", kNow).error().kind, Error::Kind::kNotFound);
    EXPECT_EQ(state(other), State::kDenied);
    book->withdraw(other, "x", kNow);
  }
  EXPECT_EQ(state(number), State::kOpen);
}

TEST_F(Tickets, AReasonIsNeeded) {
  const uint64_t number = open(request("two-eyes"));
  EXPECT_EQ(book->approve(number, person("ann"), "", {}, kNow).error().kind, Error::Kind::kInvalid);
  EXPECT_EQ(book->deny(number, person("ann"), std::string(1025, 'x'), kNow).error().kind, Error::Kind::kInvalid);
}

TEST_F(Tickets, ARestartDeniesWhatWaitsAndKeepsWhatWasAnswered) {
  const uint64_t waiting = open(request("two-eyes")), approved = open(request("two-eyes"));
  ASSERT_TRUE(approve(approved, person("ann")));
  restart();
  const TicketAnswer answer = book->ask(waiting, kNow);
  EXPECT_EQ(answer.state, State::kDenied);
  EXPECT_EQ(answer.reason, "the gateway was restarted");
  EXPECT_EQ(answer.by, "");
  EXPECT_EQ(book->ask(approved, kNow).by, "user:ann");
  EXPECT_THAT(refusal(waiting, person("ann")), HasSubstr("the gateway was restarted"));
  const TicketPtr kept = book->find(approved, kNow);
  EXPECT_EQ(kept->statement, "delete from orders");
  EXPECT_EQ(kept->acting_for, std::vector<std::string>{"user:carl"});
  EXPECT_EQ(kept->digest[0], std::byte{0xab});
  EXPECT_EQ(kept->verbs, bit(Verb::kWrite));
}

TEST_F(Tickets, NumbersAreNeverGivenTwice) {
  std::vector<uint64_t> numbers;
  for (int i = 0; i < 4; ++i) {
    numbers.push_back(open(request("two-eyes")));
    restart();
  }
  book.reset();
  shared->items.clear();  // Not even when the store is lost.
  shared->numbers.clear();
  restart(kNow + minutes(1));
  numbers.push_back(open(request("two-eyes"), kNow + minutes(1)));
  for (std::size_t i = 1; i < numbers.size(); ++i) EXPECT_GT(numbers[i], numbers[i - 1]);
}

TEST_F(Tickets, AnApprovalThatIsNotThereOpensNothing) {
  EXPECT_EQ(book->open(request("nobodys"), kNow).error().kind, Error::Kind::kNotFound);
  EXPECT_EQ(book->counters().refused, 1u);
}

TEST_F(Tickets, TooManyAreRefusedForOneIdentityAndForAll) {
  options.open_max = 3;
  options.open_per_identity_max = 2;
  restart();
  const uint64_t first = open(request("two-eyes"));
  open(request("two-eyes"));
  const auto third = book->open(request("two-eyes"), kNow);
  EXPECT_EQ(third.error().kind, Error::Kind::kUnavailable);
  EXPECT_THAT(third.error().message, HasSubstr("too many commands of svc:agent"));
  open(request("two-eyes", "svc:other"));
  EXPECT_THAT(book->open(request("two-eyes", "svc:third"), kNow).error().message, HasSubstr("too many commands wait"));
  book->withdraw(first, "gone", kNow);
  open(request("two-eyes", "svc:third"));
}

TEST_F(Tickets, TooManyBytesAreRefused) {
  options.open_bytes_max = 4096;
  restart();
  TicketRequest large = request("two-eyes");
  large.statement = std::string(900, 'x');
  open(large);
  EXPECT_EQ(book->open(large, kNow).error().kind, Error::Kind::kUnavailable) << "a quarter is one identity's share";
  for (const char* other : {"a", "b", "c"}) {
    TicketRequest theirs = request("two-eyes", other);
    theirs.statement = large.statement;
    open(theirs);
  }
  TicketRequest last = request("two-eyes", "d");
  last.statement = large.statement;
  EXPECT_EQ(book->open(last, kNow).error().kind, Error::Kind::kUnavailable);
}

TEST_F(Tickets, AStatementIsWholeWhileItWaitsAndCutAfterwards) {
  TicketRequest large = request("two-eyes");
  for (int i = 0; i < 10'000; ++i) large.statement += "\xc3\xa4";
  const uint64_t number = open(large);
  EXPECT_EQ(book->find(number, kNow)->statement, large.statement);
  ASSERT_TRUE(book->flush());
  EXPECT_EQ(stored(number).statement, large.statement) << "whoever answers it at another gateway sees all of it";
  ASSERT_TRUE(approve(number, person("ann")));
  EXPECT_LT(text().size(), 10'000u);
  EXPECT_LE(book->find(number, kNow)->statement.size(), kTicketTextKept);
  EXPECT_THAT(book->find(number, kNow)->statement, HasSubstr("bytes in all"));
  restart();
  EXPECT_EQ(text().find("\xef\xbf\xbd"), std::string::npos) << "cut through a character";
}

TEST_F(Tickets, OldOnesLeaveByAgeAndByNumber) {
  options.kept_max = 3;
  restart();
  std::vector<uint64_t> numbers;
  for (int i = 0; i < 5; ++i) {
    numbers.push_back(open(request("two-eyes")));
    book->withdraw(numbers.back(), "x", kNow);
  }
  const uint64_t waiting = open(request("two-eyes"));
  EXPECT_EQ(book->find(numbers[0], kNow), nullptr);
  EXPECT_THAT(book->list(Which::kAll, kNow), SizeIs(4));
  EXPECT_THAT(book->list(Which::kOpen, kNow), SizeIs(1));
  EXPECT_EQ(book->list(Which::kAll, kNow).front()->number, waiting);
  open(request("two-eyes"), kNow + options.kept_for + seconds(1));
  EXPECT_EQ(book->find(numbers[4], kNow + options.kept_for + seconds(1)), nullptr);
}

TEST_F(Tickets, AReloadLeavesOpenTicketsTheirTerms) {
  const uint64_t number = open(request("two-eyes"));
  book->set_approvals({approval_of("two-eyes", {{"user:eve"}, {}}, 1)});
  EXPECT_THAT(refusal(number, person("eve", {})), HasSubstr("none of the reviewers"));
  EXPECT_TRUE(approve(number, person("ann")));
  const uint64_t later = open(request("two-eyes"));
  EXPECT_FALSE(approve(later, person("ann")));
  EXPECT_TRUE(approve(later, person("eve", {})));
}

// Windows.

TEST_F(Tickets, AWindowApprovesWhatTheSameSubjectAsksForNext) {
  const uint64_t first = open(request("night", "svc:agent", Verb::kRead | Verb::kWrite));
  ASSERT_TRUE(approve(first, person("ann"), kNow + minutes(30)));
  told.clear();
  const uint64_t next = open(request("night", "svc:agent", Verb::kWrite | Verb::kSession), kNow + minutes(29));
  const TicketAnswer answer = book->ask(next, kNow + minutes(29));
  EXPECT_EQ(answer.state, State::kApproved);
  EXPECT_EQ(answer.by, "user:ann");
  EXPECT_THAT(answer.reason, HasSubstr("ticket " + std::to_string(first)));
  EXPECT_EQ(book->find(next, kNow)->window_ticket, first);
  EXPECT_EQ(state(open(request("night"), kNow + minutes(30)), kNow + minutes(30)), State::kOpen) << "its end is absolute";
  EXPECT_EQ(state(open(request("night"), kNow), kNow), State::kOpen) << "and stays so when the clock is set back";
}

TEST_F(Tickets, AWindowIsForItsSubjectTargetApprovalAndVerbsAlone) {
  ASSERT_TRUE(approve(open(request("night")), person("ann"), kNow + minutes(30)));
  EXPECT_EQ(state(open(request("night", "svc:other"))), State::kOpen);
  EXPECT_EQ(state(open(request("night-pair"))), State::kOpen);
  EXPECT_EQ(state(open(request("night", "svc:agent", Verb::kWrite | Verb::kDdl))), State::kOpen);
  EXPECT_EQ(state(open(request("night", "svc:agent", 0))), State::kOpen) << "what nobody can read";
  TicketRequest elsewhere = request("night");
  elsewhere.target = "people-db";
  EXPECT_EQ(state(open(elsewhere)), State::kOpen);
  TicketRequest unshown = request("night");
  unshown.statement.clear();
  EXPECT_EQ(state(open(unshown)), State::kOpen);
  TicketRequest delegated = request("night");
  Identity identity = *delegated.identity;
  identity.acting_for = {"user:dora"};
  delegated.identity = std::make_shared<const Identity>(identity);
  EXPECT_EQ(state(open(delegated)), State::kOpen) << "for somebody else";
  EXPECT_EQ(state(open(request("night"))), State::kApproved);
}

TEST_F(Tickets, AWindowNeedsAnApprovalOfThatKindAndAnEndWithinItsBounds) {
  const uint64_t command = open(request("two-eyes")), window = open(request("night")),
                 opaque = open(request("night", "svc:agent", 0));
  EXPECT_THAT(refusal(command, person("ann"), kNow + minutes(1)), HasSubstr("bound to one command"));
  EXPECT_THAT(refusal(window, person("ann"), kNow), HasSubstr("ends after now"));
  EXPECT_THAT(refusal(window, person("ann"), kNow + hours(1) + seconds(1)), HasSubstr("2026-01-01T01:00:00Z at the latest"));
  EXPECT_THAT(refusal(opaque, person("ann"), kNow + minutes(1)), HasSubstr("nobody can read"));
  EXPECT_TRUE(approve(window, person("ann"), kNow + hours(1)));
}

TEST_F(Tickets, WithTwoReviewersBothGiveTheWindowAndTheEarlierEndCounts) {
  const uint64_t one = open(request("night-pair"));
  ASSERT_TRUE(approve(one, person("ann"), kNow + minutes(30)));
  ASSERT_TRUE(approve(one, person("bob")));
  EXPECT_EQ(state(open(request("night-pair"))), State::kOpen) << "one of them gave none";
  const uint64_t two = open(request("night-pair"));
  ASSERT_TRUE(approve(two, person("ann"), kNow + minutes(30)));
  ASSERT_TRUE(approve(two, person("bob"), kNow + minutes(5)));
  EXPECT_EQ(book->ask(open(request("night-pair")), kNow).by, "user:ann, user:bob");
  const sys_seconds later = kNow + minutes(5);
  EXPECT_EQ(state(open(request("night-pair"), later), later), State::kOpen);
}

TEST_F(Tickets, AWindowEndsByADenialARevokeAReloadAndARestart) {
  const auto give = [&] {
    const uint64_t number = open(request("night"));
    EXPECT_TRUE(approve(number, person("ann"), kNow + minutes(30)));
    EXPECT_EQ(state(open(request("night"))), State::kApproved);
    return number;
  };
  const auto is_over = [&] {
    const uint64_t number = open(request("night"));
    const bool is_open = state(number) == State::kOpen;
    book->withdraw(number, "test", kNow);
    return is_open;
  };
  const uint64_t number = give();
  const auto ended = book->deny(number, person("bob"), "enough", kNow);  // The ticket that opened it.
  ASSERT_TRUE(ended);
  EXPECT_THAT(ended->text, HasSubstr("has ended"));
  EXPECT_EQ(state(number), State::kApproved);
  EXPECT_TRUE(is_over());
  EXPECT_FALSE(book->deny(number, person("bob"), "enough", kNow));

  give();
  ASSERT_TRUE(
      book->deny(open(request("night", "svc:agent", bit(Verb::kDdl))), person("bob"), "no", kNow));  // Another of theirs.
  EXPECT_TRUE(is_over());

  give();
  book->end_windows_of("svc:agent", kNow);
  EXPECT_TRUE(is_over());

  give();
  book->set_approvals(approvals);  // As before: nothing changes.
  EXPECT_FALSE(is_over());
  approvals[2].window_max = minutes(5);
  book->set_approvals(approvals);
  EXPECT_TRUE(is_over());

  approvals[2].window_max = hours(1);
  book->set_approvals(approvals);
  give();
  restart();
  EXPECT_TRUE(is_over());
}

TEST_F(Tickets, BytesThatAreNoTextDoNotBreakTheStore) {
  TicketRequest odd = request("two-eyes");
  odd.statement = std::string("\xff\x00\xfe", 3);
  const uint64_t number = open(odd);
  restart();
  EXPECT_NE(book->find(number, kNow), nullptr);
}

TEST_F(Tickets, SessionsAndReviewersDoNotDisturbEachOther) {
  std::thread reviewer([&] {
    for (int i = 0; i < 200; ++i) {
      for (const TicketPtr& ticket : book->list(Which::kOpen, kNow))
        (void)book->approve(ticket->number, person("ann"), "ok", {}, kNow);
    }
  });
  for (int i = 0; i < 20; ++i) {
    const uint64_t number = open(request("two-eyes"));
    const State seen = state(number);
    EXPECT_TRUE(seen == State::kOpen || seen == State::kApproved);
    book->withdraw(number, "done", kNow);
    EXPECT_NE(state(number), State::kOpen);
  }
  reviewer.join();
}

TEST_F(Tickets, OfASessionThatIsNotKeptClosedOnesGoAndThoseThatWaitStay) {
  const uint64_t waits = open(request("two-eyes")), closed = open(request("two-eyes"));
  ASSERT_TRUE(book->deny(closed, person("ann"), "no", kNow));
  EXPECT_TRUE(book->has_waiting(41));
  EXPECT_FALSE(book->has_waiting(42));
  ASSERT_TRUE(book->forget({41, 42}));
  EXPECT_EQ(book->find(closed, kNow), nullptr);
  EXPECT_NE(book->find(waits, kNow), nullptr);
  ASSERT_TRUE(book->deny(waits, person("ann"), "no", kNow));
  EXPECT_FALSE(book->has_waiting(41));
  ASSERT_TRUE(book->forget({41}));
  EXPECT_EQ(book->find(waits, kNow), nullptr);
}

}  // namespace
}  // namespace weir::decide

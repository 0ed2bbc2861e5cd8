#include "decide/ticket_book.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

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

constexpr sys_seconds kNow{seconds(1'767'225'600)};

ApprovalConfig approval_of(const std::string& name, WhoConfig who, uint32_t count = 1, bool is_for_class = false) {
  ApprovalConfig config;
  config.name = name;
  config.reviewers = std::move(who);
  config.min_reviewers = count;
  config.deadline = minutes(10);
  config.is_for_class = is_for_class;
  config.window_max = hours(1);
  return config;
}
Reviewer person(const std::string& name, std::vector<std::string> groups = {"security"}) {
  return {"user:" + name, std::move(groups), "lab-idp", {}};
}

class Tickets : public testing::Test {
 protected:
  Tickets() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-tickets-XXXXXX").string();
    folder = mkdtemp(pattern.data());
    approvals = {approval_of("two-eyes", {{}, {"security"}}), approval_of("four-eyes", {{"user:*"}, {"security"}}, 2),
                 approval_of("night", {{"user:ann", "user:bob", "local:root"}, {}}, 1, true),
                 approval_of("night-pair", {{"user:*"}, {}}, 2, true)};
    restart();
  }
  ~Tickets() override {
    book.reset();  // It may be writing.
    std::filesystem::remove_all(folder);
  }

  void restart(sys_seconds now = kNow) {
    book.reset();
    auto opened = TicketBook::open(file(), options, approvals, now);
    ASSERT_TRUE(opened) << opened.error().message;
    book = std::move(*opened);
    book->set_on_answer([this](uint64_t session) { told.push_back(session); });
  }
  [[nodiscard]] std::string file() const { return folder + "/tickets.json"; }
  [[nodiscard]] std::string text() const {
    std::ifstream in(file());
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static TicketRequest request(const std::string& approval, const std::string& subject = "svc:agent",
                               VerbSet verbs = bit(Verb::kWrite)) {
    Identity identity;
    identity.subject = subject;
    identity.issuer = "lab-idp";
    identity.groups = {"agents"};
    identity.acting_for = {"user:carl"};
    identity.assurance = Assurance::kNetwork;
    TicketRequest made;
    made.session = 41;
    made.unit = 7;
    made.identity = std::make_shared<const Identity>(std::move(identity));
    made.target = "orders-db";
    made.login = "app";
    made.database = "shop";
    made.approval = approval;
    made.rule = "whole-table-change";
    made.reason = "waiting for a reviewer";
    made.statement = "delete from orders";
    made.parameters = "[1]";
    made.objects = "public.orders";
    made.verbs = verbs;
    made.digest[0] = std::byte{0xab};
    return made;
  }
  uint64_t open(const TicketRequest& asked, sys_seconds now = kNow) {
    const auto number = book->open(asked, now);
    EXPECT_TRUE(number) << number.error().message;
    return number.value_or(0);
  }
  State state(uint64_t number, sys_seconds now = kNow) { return book->ask(number, now).state; }
  auto approve(uint64_t number, const Reviewer& by, sys_seconds until = {}, sys_seconds now = kNow) {
    return book->approve(number, by, "looked at it", until, now);
  }
  std::string refusal(uint64_t number, const Reviewer& by, sys_seconds until = {}, sys_seconds now = kNow) {
    const auto outcome = approve(number, by, until, now);
    EXPECT_FALSE(outcome) << outcome->text;
    return outcome ? "" : outcome.error().message;
  }

  std::string folder;
  TicketBook::Options options;
  std::vector<ApprovalConfig> approvals;
  std::unique_ptr<TicketBook> book;
  std::vector<uint64_t> told;
};

TEST_F(Tickets, AReviewersApprovalEndsTheWait) {
  const uint64_t number = open(request("two-eyes"));
  EXPECT_EQ(state(number), State::kOpen);
  const auto outcome = approve(number, person("ann"));
  ASSERT_TRUE(outcome) << outcome.error().message;
  const TicketAnswer answer = book->ask(number, kNow);
  EXPECT_EQ(answer.state, State::kApproved);
  EXPECT_EQ(answer.by, "user:ann");
  EXPECT_EQ(answer.reason, "looked at it");
  EXPECT_THAT(told, ElementsAre(41));
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
  EXPECT_THAT(told, IsEmpty());
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
  EXPECT_THAT(told, IsEmpty());
  ASSERT_TRUE(approve(number, person("bob")));
  EXPECT_EQ(book->ask(number, kNow).by, "user:ann, user:bob");
}

TEST_F(Tickets, AfterTheDeadlineItIsOverAlsoWhenTheClockIsSetBack) {
  const uint64_t number = open(request("two-eyes"));
  EXPECT_EQ(state(number, kNow + minutes(10) - seconds(1)), State::kOpen);
  EXPECT_THAT(refusal(number, person("ann"), {}, kNow + minutes(10)), HasSubstr("has expired"));
  EXPECT_THAT(told, ElementsAre(41));
  EXPECT_EQ(state(number, kNow), State::kExpired);
  EXPECT_THAT(refusal(number, person("ann")), HasSubstr("has expired"));
  EXPECT_FALSE(book->deny(number, person("ann"), "no", kNow));
}

TEST_F(Tickets, ExpiringTellsTheSessions) {
  open(request("two-eyes"));
  book->expire(kNow + minutes(10));
  EXPECT_THAT(told, ElementsAre(41));
  book->expire(kNow + minutes(11));
  EXPECT_THAT(told, SizeIs(1));
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
  std::filesystem::remove(file());  // Not even when the file is lost.
  restart(kNow + seconds(1));
  numbers.push_back(open(request("two-eyes"), kNow + seconds(1)));
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
  EXPECT_LT(text().size(), 10'000u);
  ASSERT_TRUE(approve(number, person("ann")));
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
  book->end_windows_of("svc:agent");
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

// The file.

TEST_F(Tickets, WhatCannotBeWrittenDoesNotHappen) {
  const uint64_t number = open(request("two-eyes"));
  ASSERT_TRUE(book->flush());
  std::filesystem::remove_all(folder);
  EXPECT_EQ(approve(number, person("ann")).error().kind, Error::Kind::kSystem);
  EXPECT_EQ(book->deny(number, person("ann"), "no", kNow).error().kind, Error::Kind::kSystem);
  EXPECT_EQ(state(number), State::kOpen);
  EXPECT_THAT(book->find(number, kNow)->answers, IsEmpty());
  EXPECT_EQ(book->open(request("two-eyes"), kNow).error().kind, Error::Kind::kSystem) << "the last write failed: nobody is held for nothing";
  EXPECT_THAT(book->list(Which::kAll, kNow), SizeIs(1));
  EXPECT_THAT(told, IsEmpty());
  EXPECT_GE(book->counters().write_failures, 2u);
  EXPECT_EQ(state(number, kNow + minutes(10)), State::kExpired) << "what is over is over without a disk too";
  std::filesystem::create_directory(folder);
  ASSERT_TRUE(book->flush());
  EXPECT_GT(open(request("two-eyes")), number);
}

TEST_F(Tickets, WhatSessionsChangeIsWrittenSoonAndByNobodyWhoWaits) {
  const uint64_t open_one = open(request("two-eyes")), gone = open(request("two-eyes"));
  book->withdraw(gone, "gone", kNow);
  ASSERT_TRUE(book->flush());
  const TicketRecords written = read_tickets(file()).value();
  EXPECT_TRUE(written.tickets.at(open_one)->is_open());
  EXPECT_EQ(written.tickets.at(gone)->state, State::kWithdrawn);
  EXPECT_GT(written.next_number, gone + 100) << "a kill a moment later must not lead to numbers that were given since";
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

TEST_F(Tickets, NumbersOutrunTheFileByALittleAtMost) {
  std::filesystem::remove_all(folder);  // No write works from here on, and none is known to have failed yet.
  options.open_max = options.open_per_identity_max = 5'000;
  uint64_t given = 0;
  while (book->open(request("two-eyes", "svc:" + std::to_string(given)), kNow)) ++given;
  EXPECT_LE(given, 500u);
}

TEST_F(Tickets, ADamagedFileIsAnErrorAndIsLeftAlone) {
  ASSERT_TRUE(approve(open(request("two-eyes")), person("ann")));
  const std::string good = text();
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
    const auto opened = TicketBook::open(file(), options, approvals, kNow);
    ASSERT_FALSE(opened) << spoilt;
    EXPECT_EQ(opened.error().kind, Error::Kind::kCorrupt);
    EXPECT_THAT(opened.error().message, HasSubstr("move it away"));
    EXPECT_EQ(text(), spoilt);
  }
}

TEST_F(Tickets, TheFileIsForItsOwnerAlone) {
  open(request("two-eyes"));
  ASSERT_TRUE(book->flush());
  struct stat status {};
  ASSERT_EQ(stat(file().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  EXPECT_FALSE(std::filesystem::exists(file() + ".new"));
}

TEST_F(Tickets, BytesThatAreNoTextDoNotBreakTheFile) {
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

}  // namespace
}  // namespace weir::decide

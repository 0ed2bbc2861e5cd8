// The pack against what was put into it: nothing is lost, nothing is added, and no text of a client becomes markup or a formula.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "report/criteria.h"
#include "report/evidence_pack.h"
#include "report/pack_page.h"
#include "report/pack_test_support.h"
#include "report/pack_tables.h"

namespace weir::report {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using std::chrono::sys_seconds;

TEST_F(Pack, CountsOfASessionAreThoseOfItsEvents) {
  EvidencePack pack = begin();
  pack.set_verifier(verified());
  pack.add_grant({{"name", "agents-read"}, {"until", "2028-01-01T00:00:00Z"}, {"who", {{"groups", {"agents"}}}}});
  pack.add_grant({{"name", "nobody-uses"}, {"until", "2028-01-01T00:00:00Z"}});
  pack.begin_session(session(7));
  pack.add_event(note("TLS on the client leg: TLSv1.3 X"));
  pack.add_event(note("TLS on the target leg: TLSv1.3 Y, verified"));
  pack.add_event({{"kind", "login"}, {"verdict", "allow"}, {"grant", "agents-read"}});
  pack.add_event(command(3, "allow", "passed"));
  pack.add_event(command(4, "block", "blocked", "no-drop"));
  pack.add_event(command(5, "allow", "error:22012"));
  pack.add_event({{"kind", "response"}, {"rows", 12u}, {"masked", 3u}, {"rule", "mask-people"}});
  EXPECT_TRUE(pack.end_session()) << "a refusal is worth a proof";
  pack.begin_session(session(8));
  pack.add_event(command(3, "allow", "passed"));
  EXPECT_FALSE(pack.end_session()) << "nothing happened in it";
  const PackSummary summary = finish(pack);
  EXPECT_EQ(summary.sessions, 2u);
  EXPECT_EQ(summary.commands, 4u);
  EXPECT_EQ(summary.refused, 1u);
  EXPECT_EQ(summary.identities, 1u);
  EXPECT_EQ(summary.exceptions, 3u) << read(folder_ + "/tables/exceptions.csv");
  const json first = rows("sessions")[0];
  EXPECT_EQ(first["commands"], "3");
  EXPECT_EQ(first["refused"], "1");
  EXPECT_EQ(first["rows"], "12");
  EXPECT_EQ(first["masked"], "3");
  EXPECT_EQ(first["target_leg"], "TLSv1.3 Y, verified");
  EXPECT_EQ(rows("refusals")[0]["rule"], "no-drop");
  const auto grants = rows("grants");
  ASSERT_EQ(grants.size(), 2u);
  EXPECT_EQ(grants[0]["state"], "used");
  EXPECT_EQ(grants[0]["commands"], "3") << "what was refused is no use of a grant; an error at the target is";
  EXPECT_EQ(grants[0]["last_used"], "2027-03-01T08:00:05.5Z");
  EXPECT_EQ(grants[1]["state"], "unused in the period");
  EXPECT_EQ(rows("identities")[0]["sessions"], "2");
  EXPECT_TRUE(rows("plaintext").empty()) << "both legs had TLS, and the other session no login";
}

TEST_F(Pack, WhatNeedsAnExplanationIsAnException) {
  EvidencePack pack = begin();
  json odd = session(1);
  odd["is_interrupted"] = true;
  odd["account"] = "differs";
  odd["gaps"] = 2u;
  odd["facts"]["mode"] = "observe";
  odd["bytes"]["to_client"]["opaque"] = 40u;
  pack.begin_session(odd);
  pack.add_event({{"kind", "login"}, {"verdict", "allow"}});
  pack.add_event(command(2, "allow", "unknown"));
  pack.add_event({{"kind", "alert"}, {"seq", 3}, {"at", "2027-03-01T08:00:03Z"}, {"rule", "impersonation"}, {"text", "set-role"}, {"verdict", "block"}, {"reason", "not yours"}});
  EXPECT_TRUE(pack.end_session());
  json other = session(2, "user:ann");
  pack.begin_session(other);
  pack.add_event({{"kind", "login"}, {"verdict", "allow"}});
  (void)pack.end_session();
  pack.add_grant({{"name", "for-ever"}});
  pack.add_act({{"act", "bypass"}, {"at", "2027-03-02T08:00:00Z"}, {"by", {{"uid", 0}, {"via", "socket"}}}, {"object", "orders-db"}, {"outcome", "done"}, {"reason", "CHG-1"}});
  pack.add_act({{"act", "approve"}, {"at", "2027-03-02T08:00:00Z"}, {"by", {{"subject", "user:ann"}, {"issuer", "idp"}, {"via", "api"}}}, {"object", "ticket 3"}, {"outcome", "denied: it is your own"}});
  VerifierResult broken;
  broken.findings = {{"broken", "archive-changed", "archive/1.weir", "it is not what was sealed"}, {"note", "list-torn", "log", "it goes on"}};
  pack.set_verifier(broken);
  const PackSummary summary = finish(pack);
  EXPECT_EQ(exceptions(), (std::multiset<std::string>{"session-interrupted", "bytes-differ", "sequence-gap", "not-enforced", "not-read", "impersonation", "grant-without-end", "bypass", "answer-refused",
                                                       "verifier: archive-changed", "not-verified", "shared-login", "alerts-not-judged"}));
  EXPECT_EQ(summary.exceptions, 16u) << "with the access lists that are not there, and the review";
  EXPECT_EQ(rows("impersonation").size(), 1u);
  EXPECT_EQ(rows("plaintext").size(), 3u) << "the client legs of both, and the target leg of the one with a command";
  EXPECT_EQ(rows("answers")[0]["by"], "user:ann of idp by api");
  EXPECT_EQ(rows("findings").size(), 2u) << "a note is told, and is no exception";
  EXPECT_THAT(read(folder_ + "/index.html"), HasSubstr("does not verify"));
}

TEST_F(Pack, TicketsAreToldWithWhoAnsweredThem) {
  EvidencePack pack = begin();
  pack.begin_session(session(1));
  pack.add_event(note("ticket 17 asks for approval local"));
  pack.add_event(note("ticket 17 was approved by local:root: CHG-17: urgent"));
  pack.add_event(note("ticket 18 asks for approval two"));
  pack.add_event(note("ticket 18 was expired: nobody answered in time"));
  pack.add_event(note("ticket 19 asks for approval two"));
  pack.add_event(command(3, "hold", "passed", "asks"));
  EXPECT_TRUE(pack.end_session());
  finish(pack);
  const auto tickets = rows("approvals");
  ASSERT_EQ(tickets.size(), 3u);
  EXPECT_EQ(tickets[0]["answer"], "approved");
  EXPECT_EQ(tickets[0]["by"], "local:root");
  EXPECT_EQ(tickets[0]["reason"], "CHG-17: urgent");
  EXPECT_EQ(tickets[1]["answer"], "expired");
  EXPECT_EQ(tickets[1]["by"], "");
  EXPECT_EQ(tickets[2]["answer"], "none on the record");
  EXPECT_EQ(rows("sessions")[0]["held"], "1");
}

TEST_F(Pack, ASessionThatCannotBeReadIsTold) {
  EvidencePack pack = begin();
  pack.set_verifier(verified());
  pack.begin_session(session(1));
  pack.note_unreadable_session("a chunk was changed");
  EXPECT_TRUE(pack.end_session());
  pack.note_unreadable("acts", "their keys are not there");
  finish(pack);
  EXPECT_EQ(exceptions(), (std::multiset<std::string>{"not-readable", "not-readable"}));
  EXPECT_EQ(rows("sessions").size(), 1u) << "it is still one of the population";
}

// Who can write a record can write a note of any size and form.
TEST_F(Pack, NotesOfNoFormAndOfAnySizeAreNoTickets) {
  EvidencePack pack = begin();
  pack.begin_session(session(1));
  const std::string much(4u << 20, 'x');
  for (const std::string& text : {std::string("ticket"), std::string("ticket "), std::string("ticket x was approved: y"), std::string("ticket 1 was"), std::string("ticket 2 was approved by"),
                                  std::string("ticket 3 was approved by ann"), std::string("ticket 4 was : y"), "ticket 5 was approved by " + much, "nothing " + much}) {
    pack.add_event(note(text));
  }
  pack.add_event(note("ticket 6 was denied by user:ann, user:bob: " + much));
  (void)pack.end_session();
  finish(pack);
  const auto tickets = rows("approvals");
  ASSERT_EQ(tickets.size(), 1u);
  EXPECT_EQ(tickets[0]["by"], "user:ann, user:bob");
  EXPECT_EQ(tickets[0]["reason"].get<std::string>().size(), much.size());
}

// Texts come from clients.
TEST_F(Pack, HostileTextIsNoMarkupNoFormulaAndNoSecondRow) {
  EvidencePack pack = begin();
  json hostile = session(1, "<script>alert(1)</script>");
  hostile["login"] = "=cmd|' /C calc'!A0";
  hostile["facts"]["issuer"] = "line\r\nbreak,\"quoted\"";
  hostile["target"] = std::string("\xff\xfe broken");
  pack.begin_session(hostile);
  pack.add_event({{"kind", "login"}, {"verdict", "block"}, {"reason", "</td></table><img src=x onerror=y>"}, {"rule", "no-login"}});
  (void)pack.end_session();
  pack.set_verifier(verified());
  finish(pack);
  const std::string page = read(folder_ + "/index.html"), csv = read(folder_ + "/tables/sessions.csv");
  EXPECT_THAT(page, AllOf(Not(HasSubstr("<script")), Not(HasSubstr("<img")), HasSubstr("&lt;script&gt;"), HasSubstr("default-src 'none'")));
  EXPECT_THAT(csv, AllOf(HasSubstr(",'=cmd"), HasSubstr("\"line\r\nbreak,\"\"quoted\"\"\"")));
  EXPECT_EQ(rows("sessions").size(), 1u);
  EXPECT_EQ(rows("sessions")[0]["login"], "=cmd|' /C calc'!A0") << "JSON needs no care";
}

TEST_F(Pack, NoStatementStandsInIt) {
  EvidencePack pack = begin();
  pack.begin_session(session(1));
  pack.add_event(command(3, "block", "blocked", "no-drop"));
  (void)pack.end_session();
  finish(pack);
  for (const auto& file : std::filesystem::recursive_directory_iterator(folder_)) {
    if (!file.is_regular_file()) continue;
    EXPECT_THAT(read(file.path()), Not(HasSubstr("secret_statement"))) << file.path();
  }
}

TEST_F(Pack, ThePeriodEndsBeforeItsEndAndTakesActsAndEntriesOfItAlone) {
  EvidencePack pack = begin();
  const auto act = [&](const char* at) { pack.add_act({{"act", "revoke"}, {"at", at}, {"by", {{"uid", 0}, {"via", "socket"}}}, {"object", "x"}, {"outcome", "done"}}); };
  act("2027-02-28T23:59:59.999999999Z");
  act("2027-03-01T00:00:00.000000000Z");
  act("2027-03-02T23:59:59.999999999Z");
  act("2027-03-03T00:00:00.000000000Z");
  finish(pack);
  EXPECT_EQ(rows("bindings").size(), 2u);
}

json beat(const char* at, uint64_t number, uint64_t steered, uint64_t unbound, const char* program = "steer a1") {
  return {{"kind", "heartbeat"}, {"at", at}, {"number", number}, {"steered", steered}, {"passed", 0}, {"dropped", {{"unbound", unbound}}}, {"programs", {program}}, {"accepting", true}, {"pieces_lost", 0},
          {"clock", {{"synchronised", true}, {"offset_us", -20}}}};
}

TEST_F(Pack, CountersAreTakenByHowMuchTheyRoseInThePeriod) {
  EvidencePack pack = begin();
  pack.set_verifier(verified());
  pack.add_log_entry({{"kind", "start"}, {"at", "2027-02-28T10:00:00.0Z"}, {"version", "1"}});
  pack.add_log_entry(beat("2027-02-28T23:59:00.0Z", 1, 1000, 10));
  pack.add_log_entry(beat("2027-03-01T00:00:00.0Z", 2, 1005, 11));
  pack.add_log_entry({{"kind", "gap"}, {"at", "2027-03-01T02:00:00.0Z"}, {"from", "2027-03-01T01:00:00.0Z"}, {"why", "killed"}});
  pack.add_log_entry({{"kind", "start"}, {"at", "2027-03-01T02:00:00.0Z"}, {"version", "2"}, {"config", "d1"}});
  pack.add_log_entry(beat("2027-03-01T02:00:00.0Z", 3, 7, 2));
  pack.add_log_entry(beat("2027-03-02T00:00:00.0Z", 4, 107, 2));
  pack.add_log_entry(beat("2027-03-03T00:00:00.0Z", 5, 999, 999));
  finish(pack);
  const auto days = rows("coverage");
  ASSERT_EQ(days.size(), 2u);
  EXPECT_EQ(days[0]["day"], "2027-03-01");
  EXPECT_EQ(days[0]["steered"], "12") << "5 before the gap, and 7 of a kernel side that began anew";
  EXPECT_EQ(days[0]["reasons"], "unbound=3");
  EXPECT_EQ(days[0]["heartbeats"], "2");
  EXPECT_EQ(days[0]["clock_worst_offset_us"], "-20");
  EXPECT_EQ(days[1]["steered"], "100");
  EXPECT_EQ(days[1]["dropped"], "0");
  EXPECT_EQ(exceptions(), (std::multiset<std::string>{"gateway-killed"}));
  EXPECT_EQ(rows("gaps").size(), 1u);
  EXPECT_EQ(rows("runs").size(), 2u) << "the start in the period, and the programs that it ran";
}

// A population that policy has made smaller says so.
TEST_F(Pack, WhatWasDestroyedByPolicyIsToldWithThePolicy) {
  EvidencePack pack = begin();
  pack.set_verifier(verified());
  const auto seal = [&](const char* at, uint64_t number) { pack.add_log_entry({{"kind", "seal"}, {"at", at}, {"seal", number}, {"session", number}}); };
  const auto bury = [&](const char* at, uint64_t number) {
    pack.add_log_entry({{"kind", "tombstone"}, {"at", at}, {"seal", number}, {"session", number}, {"part", 1u}, {"digest", "d"}, {"policy", "short"}, {"keep_s", 86'400u}});
  };
  pack.add_log_entry({{"kind", "retention"}, {"at", "2027-01-01T00:00:00.0Z"}, {"policies", {{"default", 1u}}}});
  pack.add_log_entry({{"kind", "retention"}, {"at", "2027-02-01T00:00:00.0Z"}, {"policies", {{"default", 86'400u}}}});
  seal("2027-02-27T00:00:00.0Z", 1);
  seal("2027-02-27T00:00:00.0Z", 2);
  bury("2027-02-28T00:00:00.0Z", 1);
  seal("2027-03-01T10:00:00.0Z", 3);
  bury("2027-03-01T11:00:00.0Z", 2);
  pack.add_log_entry({{"kind", "retention"}, {"at", "2027-03-01T12:00:00.0Z"}, {"policies", {{"default", 172'800u}, {"short", 60u}}}});
  bury("2027-04-02T00:00:00.0Z", 3);
  finish(pack);
  const auto gone = rows("expired");
  ASSERT_EQ(gone.size(), 2u) << "destroyed in the period; of the period, and destroyed since";
  EXPECT_EQ(gone[0]["session"], "2");
  EXPECT_EQ(gone[1]["session"], "3");
  EXPECT_EQ(gone[1]["policy"], "short");
  const auto policies = rows("retention");
  ASSERT_EQ(policies.size(), 3u) << "what was in force when it began, and the change in it";
  EXPECT_EQ(policies[0]["keep_seconds"], "86400");
  EXPECT_EQ(policies[2]["policy"], "short");
}

TEST_F(Pack, ProgramsThatChangeWithoutAStartAreAnException) {
  EvidencePack pack = begin();
  pack.set_verifier(verified());
  pack.add_log_entry(beat("2027-03-01T00:00:00.0Z", 1, 0, 0, "steer a1"));
  json second = beat("2027-03-01T00:01:00.0Z", 2, 0, 0, "steer b2");
  second["accepting"] = false;
  second["pieces_lost"] = 1u;
  second["clock"]["synchronised"] = false;
  pack.add_log_entry(second);
  finish(pack);
  EXPECT_EQ(exceptions(), (std::multiset<std::string>{"programs-changed", "kernel-piece-lost", "not-accepting", "clock-not-synchronised"}));
}

TEST_F(Pack, EveryFileStandsInTheSumsWithItsDigest) {
  EvidencePack pack = begin();
  std::ofstream(folder_ + "/proofs/checkpoint") << "abc";
  finish(pack, {"proofs/checkpoint"});
  const std::string sums = read(folder_ + "/SHA256SUMS");
  EXPECT_THAT(sums, HasSubstr("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  proofs/checkpoint")) << "SHA-256 of abc, FIPS 180-2";
  std::size_t files = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(folder_)) {
    if (!file.is_regular_file() || file.path().filename() == "SHA256SUMS") continue;
    ++files;
    EXPECT_THAT(sums, HasSubstr(sha256_hex(read(file.path())) + "  " + std::filesystem::relative(file.path(), folder_).string() + "\n"));
  }
  EXPECT_EQ(files, 2 * pack_tables().size() + 3);
}

TEST_F(Pack, TablesOfThePageStandInThePackWithTheirCounts) {
  EvidencePack pack = begin();
  for (uint64_t i = 1; i <= PackTable::kShownMax + 5; ++i) {
    pack.begin_session(session(i));
    (void)pack.end_session();
  }
  finish(pack);
  const std::string page = read(folder_ + "/index.html");
  const json described = json::parse(read(folder_ + "/pack.json"));
  EXPECT_EQ(described["tables"].size(), pack_tables().size());
  for (const json& table : described["tables"]) {
    EXPECT_EQ(rows(table["name"]).size(), table["rows"].get<std::size_t>());
    EXPECT_THAT(page, AllOf(HasSubstr("id=\"table-" + table["name"].get<std::string>() + "\""), HasSubstr(table["csv_sha256"].get<std::string>())));
  }
  EXPECT_THAT(page, HasSubstr("The first 50 of 55 rows"));
}

// What a report must not claim.
TEST_F(Pack, NoWordPromisesMoreThanTheDataShows) {
  EvidencePack pack = begin();
  pack.set_verifier(verified());
  finish(pack);
  std::string page = read(folder_ + "/index.html") + read(folder_ + "/pack.json");
  for (char& c : page) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const char* word : {"compliant", "complies", "compliance", "satisf", "guarantee", "immutable", "certified", "out-of-band", "tamper-proof"}) EXPECT_THAT(page, Not(HasSubstr(word)));
  EXPECT_THAT(page, AllOf(HasSubstr("does not prove"), HasSubstr("could have rewritten"))) << "and it says what it had no protection against";
}

TEST(Criteria, NameTablesThatThereAre) {
  std::set<std::string_view> names;
  for (const TableInfo& info : pack_tables()) names.insert(info.name);
  std::set<std::string_view> ids;
  for (const Criterion& each : soc2_criteria()) {
    ids.insert(each.id);
    EXPECT_FALSE(each.not_proved.empty());
    for (const std::string_view table : each.tables) EXPECT_TRUE(names.contains(table)) << each.id << " " << table;
  }
  EXPECT_EQ(ids, (std::set<std::string_view>{"CC6.1", "CC6.2", "CC6.3", "CC6.6", "CC6.7", "CC6.8", "CC7.2", "CC7.3", "CC7.4", "CC8.1"}));
}

TEST_F(Pack, AFolderThatIsThereAndAPeriodThatIsNoneAreRefused) {
  std::filesystem::create_directory(folder_);
  EXPECT_THAT(EvidencePack::begin(folder_, scope()).error().message, HasSubstr("is there already"));
  Scope backwards = scope();
  std::swap(backwards.from, backwards.until);
  EXPECT_FALSE(EvidencePack::begin(root_ + "/other", backwards));
  EXPECT_FALSE(EvidencePack::begin("/proc/weir-pack", scope()));
}

// A file as large as a process may write is a disk that is full.
TEST_F(Pack, WhatCannotBeWrittenIsAnErrorAndNoPack) {
  auto file = DigestedFile::create(root_ + "/file");
  ASSERT_TRUE(file);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  const rlimit little{4096, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &little), 0);
  file->write(std::string(100'000, 'x'));
  const auto closed = file->close();
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  ASSERT_FALSE(closed);
  EXPECT_THAT(closed.error().message, HasSubstr("could not be written whole"));
}

}  // namespace
}  // namespace weir::report

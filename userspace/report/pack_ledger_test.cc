// What people did, held against what happened: reviews, judgements, revocations, legal holds.
#include "report/pack_ledger.h"

#include <gmock/gmock.h>

#include "report/access_list.h"
#include "report/pack_test_support.h"

namespace weir::report {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

json act_of(const char* name, const std::string& at, json change = json::object(), const std::string& object = "", const std::string& outcome = "done") {
  return json::parse(json{{"act", name}, {"at", at}, {"by", {{"uid", 0u}, {"login_uid", 1000u}, {"via", "socket"}}}, {"object", object}, {"reason", "REV-7"}, {"outcome", outcome}, {"session", 1u}, {"seq", 5u}, {"change", change}}.dump());
}

json list_of(const json& entries, const std::string& at) { return act_of("access-list", at, access_pieces(entries, "c1").front()); }

json grant(const std::string& name, const std::string& verb = "read") {
  return {{"kind", "grant"}, {"name", name}, {"who", {{"subjects", json::array()}, {"groups", {"agents"}}}}, {"targets", {"orders-db"}}, {"verbs", {verb}}, {"until", "2028-01-01T00:00:00Z"}};
}

json sign_off(const json& entry, const std::string& at, const char* decision = "keep") {
  return act_of("sign-off", at, {{"decision", decision}, {"list", "l1"}, {"grants", json::array({{{"name", entry["name"]}, {"digest", access_entry_digest(entry)}}})}});
}

class Ledger : public Pack {
 protected:
  // All exceptions, with those that the other tests leave out.
  std::multiset<std::string> all_exceptions() const {
    std::multiset<std::string> kinds;
    for (const json& row : rows("exceptions")) kinds.insert(row["kind"]);
    return kinds;
  }
};

TEST_F(Ledger, GrantsAreThoseOfTheRecordAtBothEndsOfThePeriod) {
  EvidencePack pack = begin();
  pack.set_verifier(verified());
  pack.add_grant(grant("of-another-day"));
  pack.add_act(list_of(json::array({grant("read"), grant("write")}), "2027-03-02T00:00:00.000000001Z"));
  pack.add_act(list_of(json::array({grant("read")}), "2027-02-01T00:00:00.000000001Z"));
  finish(pack);
  const auto access = rows("access");
  ASSERT_EQ(access.size(), 3u);
  EXPECT_EQ(access[0]["when"], "begin");
  EXPECT_EQ(access[2]["when"], "end");
  EXPECT_EQ(access[2]["name"], "write");
  EXPECT_EQ(access[0]["who"], "group:agents");
  std::multiset<std::string> names;
  for (const json& row : rows("grants")) names.insert(row["grant"]);
  EXPECT_EQ(names, (std::multiset<std::string>{"read", "write"})) << "the configuration of today is not asked";
  EXPECT_THAT(all_exceptions(), Not(Contains("access-not-known")));
  EXPECT_THAT(read(folder_ + "/index.html"), HasSubstr("that is on the record since 2027-03-02"));
}

TEST_F(Ledger, GrantsThatNobodyReviewedAreToldWithTheirCount) {
  EvidencePack pack = begin();
  pack.set_verifier(verified());
  pack.add_act(list_of(json::array({grant("kept"), grant("stale"), grant("never"), grant("changed", "write"), grant("to-go")}), "2027-03-01T00:00:00.000000001Z"));
  pack.add_act(sign_off(grant("kept"), "2027-02-20T00:00:00.000000001Z"));
  pack.add_act(sign_off(grant("stale"), "2026-11-01T00:00:00.000000001Z"));
  pack.add_act(sign_off(grant("changed", "read"), "2027-02-20T00:00:00.000000001Z"));
  pack.add_act(sign_off(grant("to-go"), "2027-02-20T00:00:00.000000001Z", "remove"));
  pack.add_act(sign_off(grant("never"), "2027-03-05T00:00:00.000000001Z"));
  finish(pack);
  EXPECT_EQ(all_exceptions(), (std::multiset<std::string>{"access-not-known", "changed-since-review", "grants-not-reviewed", "review-not-carried-out"}));
  EXPECT_THAT(read(folder_ + "/tables/exceptions.csv"), HasSubstr("2 of 5 grants"));
  EXPECT_EQ(rows("reviews").size(), 3u) << "neither too old nor after the period";
  for (const json& row : rows("grants")) {
    if (row["grant"] == "kept") {
      EXPECT_EQ(row["reviewed_by"], "uid 0, login uid 1000 by socket");
    }
    if (row["grant"] == "never") {
      EXPECT_EQ(row["reviewed"], "") << "that was later";
    }
  }
  EXPECT_TRUE(rows("views").empty()) << "neither a list nor a sign-off is a look";
}

TEST_F(Ledger, AlertsStandWithTheirJudgementAndTheTimeItTook) {
  EvidencePack pack = begin();
  pack.set_verifier(verified());
  const json judged = {{"number", 17u}, {"event", "alert"}, {"rule", "odd-hour"}, {"subject", "svc:report"}, {"target", "orders-db"}, {"session", 7u}, {"count", 2u}, {"first", "2027-03-01T08:00:04Z"}, {"last", "2027-03-01T08:05:00Z"}, {"as", "benign"}};
  pack.add_act(act_of("close-alert", "2027-03-05T08:00:04.500000000Z", judged));
  pack.add_act(act_of("close-alert", "2027-03-05T08:00:04.500000000Z", judged, "", "denied: closed already"));
  pack.begin_session(session(7));
  for (const char* at : {"2027-03-01T08:00:03.900000000Z", "2027-03-01T08:05:00.900000000Z", "2027-03-01T09:00:00.000000000Z"}) {
    pack.add_event({{"kind", "alert"}, {"seq", 3u}, {"at", at}, {"rule", "odd-hour"}, {"verdict", "allow"}});
  }
  (void)pack.end_session();
  finish(pack);
  const auto alerts = rows("alerts");
  ASSERT_EQ(alerts.size(), 3u);
  EXPECT_EQ(alerts[0]["judged_as"], "benign");
  EXPECT_EQ(alerts[1]["alert"], "17");
  EXPECT_EQ(alerts[0]["seconds_to_judge"], std::to_string(4 * 86'400));
  EXPECT_EQ(alerts[2]["judged_as"], "none on the record");
  ASSERT_EQ(rows("dispositions").size(), 1u) << "judged after the period, raised in it; what was refused is none";
  EXPECT_THAT(read(folder_ + "/tables/exceptions.csv"), HasSubstr("1 of 3 alerts"));
}

TEST_F(Ledger, TheTimeFromARevocationToSilenceIsThatOfItsLastSession) {
  EvidencePack pack = begin();
  pack.set_verifier(verified());
  pack.add_act(act_of("revoke", "2027-03-01T08:00:07.000000001Z", {{"revoked", json::array({{{"id", 4u}, {"subject", "svc:report"}}, {{"id", 5u}, {"subject", "svc:other"}}})}, {"cut", 2u}}));
  const auto add = [&](uint64_t id, uint64_t binding, const char* opened, const char* closed, const char* command_at) {
    json one = session(id);
    one["opened"] = opened;
    one["closed"] = closed;
    one["facts"]["binding"] = binding;
    pack.begin_session(one);
    json event = command(3, "allow", "passed");
    event["at"] = command_at;
    if (*command_at != 0) pack.add_event(event);
    (void)pack.end_session();
  };
  add(1, 4, "2027-03-01T08:00:00.000000001Z", "2027-03-01T08:00:07.250000001Z", "2027-03-01T08:00:06.000000001Z");
  add(2, 4, "2027-03-01T07:00:00.000000001Z", "2027-03-01T07:30:00.000000001Z", "2027-03-01T07:10:00.000000001Z");
  add(3, 9, "2027-03-01T09:00:00.000000001Z", "2027-03-01T09:30:00.000000001Z", "2027-03-01T09:10:00.000000001Z");
  finish(pack);
  const auto silent = rows("revocations");
  ASSERT_EQ(silent.size(), 2u);
  EXPECT_EQ(silent[0]["sessions_open"], "1") << "one had ended before";
  EXPECT_EQ(silent[0]["seconds_to_silence"], "0.250");
  EXPECT_EQ(silent[0]["last_command"], "2027-03-01T08:00:06.000000001Z");
  EXPECT_EQ(silent[0]["sessions_after"], "0");
  EXPECT_EQ(silent[0]["sessions_under_later_bindings"], "1");
  EXPECT_EQ(silent[0]["sessions_looked_at"], "3");
  EXPECT_EQ(silent[1]["seconds_to_silence"], "nothing was open");
  EXPECT_TRUE(exceptions().empty());
}

TEST_F(Ledger, WhatComesAfterARevocationIsAnException) {
  EvidencePack pack = begin();
  pack.set_verifier(verified());
  pack.add_act(act_of("revoke", "2027-03-01T08:00:02.000000001Z", {{"revoked", json::array({{{"id", 4u}, {"subject", "svc:report"}}})}, {"cut", 1u}}));
  json live = session(1);
  live["closed"] = nullptr;
  live["facts"]["binding"] = 4u;
  pack.begin_session(live);
  pack.add_event(command(3, "allow", "passed"));
  (void)pack.end_session();
  json after = session(2);
  after["opened"] = "2027-03-01T08:10:00.000000001Z";
  after["facts"]["binding"] = 4u;
  pack.begin_session(after);
  (void)pack.end_session();
  finish(pack);
  EXPECT_EQ(exceptions(), (std::multiset<std::string>{"command-after-revocation", "live-after-revocation", "session-after-revocation"}));
  EXPECT_EQ(rows("revocations")[0]["seconds_to_silence"], "not yet");
}

TEST_F(Ledger, LegalHoldsStandWithWhoSetAndWhoLiftedThem) {
  EvidencePack pack = begin();
  pack.set_verifier(verified());
  pack.add_act(act_of("hold-add", "2027-02-01T00:00:00.000000001Z", json::object(), "hold-1: target orders-db"));
  pack.add_act(act_of("hold-remove", "2027-03-01T00:00:00.000000001Z", json::object(), "hold-1: target orders-db"));
  pack.add_act(act_of("hold-add", "2027-01-01T00:00:00.000000001Z", json::object(), "hold-2: session 7"));
  pack.add_act(act_of("hold-remove", "2027-02-01T00:00:00.000000001Z", json::object(), "hold-2: session 7"));
  pack.add_act(act_of("hold-add", "2027-03-01T00:00:00.000000001Z", json::object(), "hold-3: user:ann"));
  pack.add_act(act_of("hold-add", "2027-03-01T00:00:00.000000001Z", json::object(), "a legal hold", "invalid: no"));
  pack.add_hold({{"id", "hold-0"}, {"what", "user:bob"}, {"by", "local:root"}, {"at", "2026-01-01T00:00:00Z"}, {"reason", "CASE-1"}, {"configured", false}});
  pack.note_holds_known();
  finish(pack);
  const auto holds = rows("holds");
  ASSERT_EQ(holds.size(), 3u) << "not the one that was lifted before";
  EXPECT_EQ(holds[0]["state"], "in force at the end");
  EXPECT_EQ(holds[1]["hold"], "hold-1");
  EXPECT_EQ(holds[1]["state"], "lifted");
  EXPECT_EQ(holds[1]["what"], "target orders-db");
  EXPECT_EQ(exceptions(), (std::multiset<std::string>{"hold-gone"})) << "hold-3 is in nobody's list, and nobody lifted it";
}

TEST_F(Ledger, GrantsHeldStandBesideGrantsUsed) {
  EvidencePack pack = begin();
  pack.set_verifier(verified());
  const auto held_by = [](const std::string& name, json subjects, json groups) {
    json one = grant(name);
    one["who"] = {{"subjects", std::move(subjects)}, {"groups", std::move(groups)}};
    return one;
  };
  pack.add_act(list_of(json::array({held_by("agents-read", json::array(), json::array({"agents"})), held_by("of-all", json::array(), json::array()), held_by("of-reports", json::array({"svc:*port"}), json::array()),
                                    held_by("both", json::array({"svc:*"}), json::array({"dba"})), held_by("of-ann", json::array({"user:ann"}), json::array())}),
                       "2027-03-01T00:00:00.000000001Z"));
  pack.begin_session(session(1));
  pack.add_event(command(3, "allow", "passed"));
  (void)pack.end_session();
  pack.add_proof(1, 1, 7, "d1", "proofs/session-1.tlog-proof");
  finish(pack);
  EXPECT_EQ(rows("identities")[0]["grants_held"], "agents-read of-all of-reports");
  EXPECT_EQ(rows("identities")[0]["grants_used"], "agents-read");
  EXPECT_EQ(rows("proofs")[0]["seal"], "7");
}

TEST_F(Ledger, ThePageTellsOfTheClockAndHasChartsWithoutScripts) {
  EvidencePack pack = begin();
  pack.set_verifier(verified());
  pack.begin_session(session(1));
  pack.add_event(command(3, "allow", "passed"));
  pack.add_event(command(4, "block", "blocked", "no-drop"));
  (void)pack.end_session();
  for (const auto& [at, number, offset] : {std::tuple{"2027-03-01T00:00:00.0Z", 1u, -20}, {"2027-03-01T00:01:00.0Z", 2u, 900}}) {
    pack.add_log_entry({{"kind", "heartbeat"}, {"at", at}, {"number", number}, {"steered", 0u}, {"passed", 0u}, {"dropped", {{"unbound", number * 10u}, {"fragment", 0u}}}, {"programs", {"p"}}, {"accepting", true},
                        {"pieces_lost", 0u}, {"clock", {{"synchronised", number == 1u}, {"offset_us", offset}, {"error_max_us", 4'000u}}}});
  }
  finish(pack);
  const std::string page = read(folder_ + "/index.html");
  EXPECT_THAT(page, HasSubstr("worst offset 900 us, largest error it allows for 4000 us, not synchronised in 1 of 2 heartbeats"));
  EXPECT_THAT(page, AllOf(HasSubstr("aria-label=\"Commands\""), HasSubstr("aria-label=\"Verdicts\""), HasSubstr("aria-label=\"Drops by reason\""), HasSubstr("1 refused"), Not(HasSubstr("<script"))));
  EXPECT_THAT(page, Not(HasSubstr(">fragment<"))) << "none was dropped for it";
  EXPECT_EQ(rows("coverage")[0]["clock_error_max_us"], "4000");
}

TEST_F(Ledger, ThePageSaysWhetherItStandsThereAsPdf) {
  EvidencePack pack = begin();
  pack.set_printer([](const std::string& html, const std::string& path) -> Result<void> {
    EXPECT_THAT(html, HasSubstr("report.pdf"));
    std::ofstream(path) << "%PDF-1.7 fake";
    return {};
  });
  const PackSummary with = finish(pack);
  EXPECT_TRUE(with.has_pdf);
  EXPECT_THAT(read(folder_ + "/SHA256SUMS"), HasSubstr(sha256_hex("%PDF-1.7 fake") + "  report.pdf"));
  folder_ = root_ + "/second";
  EvidencePack without = begin();
  without.set_printer([](const std::string&, const std::string&) -> Result<void> { return fail(Error::Kind::kNotFound, "no browser is there"); });
  EXPECT_FALSE(finish(without).has_pdf);
  EXPECT_THAT(read(folder_ + "/index.html"), HasSubstr("There is no PDF of this page: no browser is there"));
  EXPECT_THAT(read(folder_ + "/SHA256SUMS"), Not(HasSubstr("report.pdf")));
}

}  // namespace
}  // namespace weir::report

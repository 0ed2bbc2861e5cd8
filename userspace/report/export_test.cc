// What goes out against what went in: every event once, with its proof; nothing obeyed by a spreadsheet; fingerprints that can be made again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "report/export.h"
#include "report/pack_table.h"

namespace weir::report {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// As a reader of JSON text has it: whole numbers are unsigned.
json as_read(const json& value) { return json::parse(value.dump(-1, ' ', false, json::error_handler_t::replace)); }

json a_session() {
  return as_read({{"id", 17}, {"target", "orders-db"}, {"subject", "user:ann"}, {"opened", "2027-03-01T08:00:00.000000001Z"}, {"login", "app"}, {"database", "shop"},
          {"facts", {{"client", "198.18.1.2:50566"}, {"server", "[2001:db8::5]:5432"}, {"policy", "abcd"}, {"groups", {"dba"}}, {"issuer", "idp"}, {"token_id", "t1"}, {"proof", "token"}, {"assurance", "credential"}}}});
}
Proof a_proof() { return {"2027/03/01/17.weir", 1, 42, "d1", 1'803'888'010'000'000'000}; }

json command(uint64_t seq, uint64_t unit, const std::string& text, const std::string& outcome, const std::string& verdict = "allow", const std::string& rule = "") {
  json event = {{"seq", seq}, {"at", "2027-03-01T08:00:01.5Z"}, {"kind", "command"}, {"verb", "query"}, {"text", text}, {"verdict", verdict}, {"rule", rule}, {"outcome", outcome}, {"unit", unit}, {"grant", "read"}};
  return as_read(event);
}
json answer(uint64_t seq, uint64_t unit, uint64_t rows, uint64_t masked, const std::string& sqlstate = "") {
  json event = {{"seq", seq}, {"at", "2027-03-01T08:00:02Z"}, {"kind", "response"}, {"verb", "ready"}, {"text", ""}, {"verdict", masked != 0 ? "mask" : "allow"}, {"rule", masked != 0 ? "mask-people" : ""},
                {"outcome", sqlstate.empty() ? "passed" : "error:" + sqlstate}, {"in_reply_to", unit}, {"rows", rows}, {"masked", masked}, {"bytes", 88u}};
  if (!sqlstate.empty()) event["sqlstate"] = sqlstate;
  return as_read(event);
}

class Export : public testing::Test {
 protected:
  std::unique_ptr<Exporter> make(ExportFormat format) {
    return make_exporter(format, [this](std::string_view text) { out_ += text; }, "9.9");
  }
  std::vector<json> lines() const {
    std::vector<json> all;
    std::istringstream in(out_);
    for (std::string line; std::getline(in, line);) all.push_back(json::parse(line));
    return all;
  }
  std::string out_;
};

TEST_F(Export, JsonLinesAreTheEventsAndLeadToTheirProof) {
  const auto exporter = make(ExportFormat::kJsonLines);
  exporter->begin_session(a_session(), "gw");
  exporter->add(command(6, 5, "select 1", "passed"), a_proof());
  exporter->add(answer(7, 5, 1, 0), {});
  exporter->end_session();
  const auto all = lines();
  ASSERT_EQ(all.size(), 2u);
  json first = all[0];
  const json added = {{"gateway", "gw"}, {"session", 17}, {"target", "orders-db"}, {"subject", "user:ann"}, {"archive", "2027/03/01/17.weir"}, {"part", 1}, {"seal", 42}, {"digest", "d1"}};
  for (const auto& [key, value] : added.items()) {
    EXPECT_EQ(first[key], value) << key;
    first.erase(key);
  }
  EXPECT_EQ(first, command(6, 5, "select 1", "passed")) << "nothing is lost, nothing is added";
  EXPECT_TRUE(all[1]["seal"].is_null() && all[1]["archive"].is_null()) << "not sealed yet";
}

TEST_F(Export, CsvHasOneHeadAndRunsNothing) {
  const auto exporter = make(ExportFormat::kCsv);
  exporter->begin_session(a_session(), "");
  exporter->add(command(6, 5, "=cmd|' /C calc'!A0", "passed"), a_proof());
  exporter->add(command(7, 6, "select 'a;b,\"c\"\nd\x1b[2J'", "blocked", "block", "no-drop"), a_proof());
  json two = command(8, 7, "\xef\xbc\x9d" "1+1", "passed");
  two["verbs"] = {"read", "write"};
  two["objects"] = {"public.a", "public.b"};
  exporter->add(two, {});
  exporter->end_session();
  EXPECT_EQ(out_.substr(0, out_.find('\r')), "gateway,session,target,subject,seq,at,kind,verb,verbs,objects,verdict,observed,rule,outcome,reason,text,params,rows,masked,bytes,sqlstate,head,grant,request_id,unit,stream,in_reply_to,account,archive,part,seal,digest");
  EXPECT_THAT(out_, HasSubstr("\r\n,17,orders-db,user:ann,6,")) << "an empty cell is a cell";
  EXPECT_THAT(out_, HasSubstr(",'=cmd|' /C calc'!A0,"));
  EXPECT_THAT(out_, HasSubstr(",\"select 'a;b,\"\"c\"\"\nd\\x1b[2J'\","));
  EXPECT_THAT(out_, HasSubstr(",2027/03/01/17.weir,1,42,d1\r\n"));
  EXPECT_THAT(out_, HasSubstr(",query,\"read; write\",\"public.a; public.b\",allow,,,passed,,'\xef\xbc\x9d" "1+1,"));
  EXPECT_THAT(out_, HasSubstr(",,,,\r\n")) << "not sealed yet";
  EXPECT_THAT(out_, Not(HasSubstr("\x1b")));
}

TEST_F(Export, ASpreadsheetRunsNoCell) {
  for (const char* text : {"=1", "+1", "-1", "@x", "\t=1", "\n=1"}) EXPECT_EQ(csv_cell(text).find('\''), csv_cell(text)[0] == '"' ? 1u : 0u) << text;
  EXPECT_EQ(csv_cell("a;=1"), "\"a;=1\"") << "some programs split at semicolons";
}

TEST_F(Export, AnOcsfEventOfACommandHasWhatItsAnswerSaid) {
  const auto exporter = make(ExportFormat::kOcsf);
  exporter->begin_session(a_session(), "gw");
  json read = command(6, 5, "select email from people", "passed");
  read["verbs"] = {"read", "session"};
  read["objects"] = {"public.people"};
  exporter->add(read, a_proof());
  exporter->add(answer(7, 5, 2, 2), a_proof());
  json blocked = command(8, 6, "delete from people", "blocked", "block", "whole-table");
  blocked["verbs"] = {"write"};
  blocked["reason"] = "closed here";
  exporter->add(blocked, a_proof());
  exporter->add(command(9, 7, "select nope", "error:42703"), a_proof());
  exporter->add(answer(10, 7, 2, 0, "42703"), a_proof());
  exporter->end_session();
  const auto all = lines();
  ASSERT_EQ(all.size(), 3u) << "answers are no events of their own";
  EXPECT_EQ(all[0]["type_uid"], 600504);
  EXPECT_EQ(all[0]["disposition"], "Masked");
  EXPECT_EQ(all[0]["action_id"], 4);
  EXPECT_EQ(all[0]["status"], "Success");
  EXPECT_EQ(all[0]["firewall_rule"]["uid"], "mask-people");
  EXPECT_EQ(all[0]["table"]["name"], "public.people");
  EXPECT_EQ(all[0]["query_info"]["bytes"], 88);
  EXPECT_EQ(all[0]["unmapped"]["weir"]["masked"], 2);
  EXPECT_EQ(all[0]["unmapped"]["weir"]["proof"], (json{{"archive", "2027/03/01/17.weir"}, {"part", 1}, {"seal", 42}, {"digest", "d1"}}));
  EXPECT_EQ(all[0]["metadata"]["uid"], "gw/17/6");
  EXPECT_EQ(all[0]["time"], 1'803'888'001'500);
  EXPECT_EQ(all[0]["src_endpoint"], (json{{"ip", "198.18.1.2"}, {"port", 50566}}));
  EXPECT_EQ(all[0]["dst_endpoint"]["ip"], "2001:db8::5");
  EXPECT_EQ(all[0]["actor"]["user"]["account"]["name"], "app");
  EXPECT_EQ(all[1]["type_uid"], 600505);
  EXPECT_EQ(all[1]["disposition_id"], 2) << "blocked";
  EXPECT_EQ(all[1]["action_id"], 2);
  EXPECT_EQ(all[1]["status_id"], 2);
  EXPECT_EQ(all[1]["status_detail"], "closed here");
  EXPECT_EQ(all[1]["authorizations"][0]["decision"], "Denied");
  EXPECT_EQ(all[2]["status_code"], "42703");
  EXPECT_EQ(all[2]["disposition_id"], 1) << "the gateway let it pass; the target did not";
  EXPECT_FALSE(all[2]["unmapped"]["weir"].contains("rows")) << "an error returns none";
}

TEST_F(Export, ALoginIsWhatBecameOfIt) {
  const auto exporter = make(ExportFormat::kOcsf);
  const auto login = [](uint64_t seq, const char* verdict) {
    return as_read({{"seq", seq}, {"at", "2027-03-01T08:00:01Z"}, {"kind", "login"}, {"verb", "login"}, {"text", R"({"login":"boss","database":"hr"})"}, {"verdict", verdict}, {"rule", ""}, {"outcome", ""}, {"unit", 2}});
  };
  for (int turn = 0; turn < 3; ++turn) {
    exporter->begin_session(a_session(), "gw");
    exporter->add(as_read({{"seq", 1}, {"at", "2027-03-01T08:00:00Z"}, {"kind", "opened"}, {"text", "{}"}, {"outcome", ""}}), a_proof());
    exporter->add(login(2, turn == 0 ? "block" : "allow"), a_proof());
    if (turn == 1) exporter->add(answer(3, 2, 0, 0, "28P01"), a_proof());
    if (turn == 2) exporter->add(answer(3, 2, 0, 0), a_proof());
    exporter->add(as_read({{"seq", 4}, {"at", "2027-03-01T08:00:09Z"}, {"kind", "closed"}, {"text", ""}, {"outcome", ""}, {"reason", "client closed"}, {"account", {{"to_target", {{"kernel", 7u}}}, {"to_client", {{"kernel", 9u}}}}}}), a_proof());
    exporter->end_session();
  }
  const auto all = lines();
  ASSERT_EQ(all.size(), 9u);
  EXPECT_EQ(all[0]["type_uid"], 400101);
  EXPECT_EQ(all[1]["type_uid"], 300201);
  EXPECT_EQ(all[1]["disposition"], "Blocked");
  EXPECT_EQ(all[4]["status_code"], "28P01");
  EXPECT_EQ(all[7]["status"], "Success");
  EXPECT_EQ(all[7]["user"]["account"]["name"], "boss");
  EXPECT_EQ(all[8]["traffic"], (json{{"bytes", 16}, {"bytes_out", 7}, {"bytes_in", 9}}));
}

TEST_F(Export, FingerprintsAreOfTheEventAndNameTheOneBefore) {
  std::string first;
  for (int turn = 0; turn < 2; ++turn) {
    out_.clear();
    const auto exporter = make(ExportFormat::kOcsf);
    exporter->begin_session(a_session(), "gw");
    for (uint64_t seq = 1; seq <= 3; ++seq) exporter->add(command(seq, seq, "select '\x1f \xe2\x82\xac \x7f'", "skipped"), a_proof());
    exporter->end_session();
    if (turn == 0) first = out_;
  }
  EXPECT_EQ(out_, first) << "who makes it again from the archive gets the same";
  json before;
  for (json event : lines()) {
    json& attestation = event["attestation_list"][0];
    EXPECT_EQ(attestation.value("prev_event", json()), before);
    const json fingerprint = attestation["fingerprint"];
    attestation.erase("fingerprint");
    EXPECT_EQ(fingerprint["value"], sha256_hex(event.dump()));
    before = {{"uid", event["metadata"]["uid"]}, {"type_uid", event["type_uid"]}, {"fingerprint", fingerprint}};
  }
}

// What waits for an answer that never comes is bounded, and comes out all the same, each once and in order.
TEST_F(Export, MemoryIsBoundedWhateverTheSessionIsLike) {
  uint64_t written = 0, last = 0, behind_most = 0, added = 0;
  const auto exporter = make_exporter(ExportFormat::kOcsf, [&](std::string_view line) {
    const json event = json::parse(line);
    EXPECT_EQ(event["metadata"]["sequence"], ++last);
    ++written;
  }, "9.9");
  exporter->begin_session(a_session(), "gw");
  for (uint64_t seq = 1; seq <= 1'500; ++seq) {
    exporter->add(command(seq, seq, "select 1", "passed"), a_proof());
    behind_most = std::max(behind_most, ++added - written);
  }
  EXPECT_LE(behind_most, 1'024u);
  exporter->end_session();
  EXPECT_EQ(written, 1'500u);
  const std::string large(1u << 20, 'x');
  exporter->begin_session(a_session(), "gw");
  last = 0;
  for (uint64_t seq = 1; seq <= 12; ++seq) {
    exporter->add(command(seq, seq, large, "passed"), a_proof());
    EXPECT_LE(seq - last, 8u) << "some MiB wait, and no more";
  }
  exporter->end_session();
  EXPECT_EQ(last, 12u);
}

}  // namespace
}  // namespace weir::report

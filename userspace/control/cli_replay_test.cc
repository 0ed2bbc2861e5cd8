// replay and export on a record that stands in a folder: what is shown, what is written, and what reaches a terminal.
#include <gmock/gmock.h>

#include "control/cli_test_support.h"
#include "record/record_test_gateway.h"

namespace weir::control {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kEvil = "select '\x1b]0;owned\x07\x1b[2J\x9b\xc2\x9b\r\b\x7f'";

class Replays : public Cli {
 protected:
  Replays() {
    gateway_.start();
    gateway_.open(1, "orders-db", "user:ann");
    gateway_.command(1, 1, "select One from t");
    gateway_.respond(1, 1, 0);
    gateway_.advance(std::chrono::seconds(60));
    gateway_.command(1, 2, "drop table t", Verdict::Action::kBlock, "no-drop");
    gateway_.advance(std::chrono::seconds(1));
    gateway_.command(1, 3, kEvil);
    gateway_.respond(1, 3, 2, "42703");
    gateway_.close(1);
    gateway_.seal();
    gateway_.open(2, "other-db", "user:bob");
    gateway_.command(2, 1, "select 2");
    gateway_.flush();
  }
  Outcome on_record(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--state", gateway_.state()});
    return weir(arguments);
  }
  static std::vector<json> lines_of(const std::string& text) {
    std::vector<json> all;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) all.push_back(json::parse(line));
    return all;
  }
  static std::vector<uint64_t> sequences(const std::string& text) {
    std::vector<uint64_t> all;
    for (const json& event : json::parse(text)) all.push_back(event["seq"]);
    return all;
  }
  record::test::Gateway gateway_;
};

bool has_control(const std::string& text, std::string_view kept) {
  return std::any_of(text.begin(), text.end(), [&](char c) { return (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) && kept.find(c) == std::string_view::npos; }) || text.find("\xc2\x9b") != std::string::npos;
}

TEST_F(Replays, NoTerminalObeysWhatWasRecorded) {
  const std::string plain = on_record({"replay", "1", "--plain"}).out, people = on_record({"replay", "1"}).out, csv = on_record({"export", "1", "--format", "csv"}).out;
  EXPECT_FALSE(has_control(plain, "\n\t")) << plain;
  EXPECT_FALSE(has_control(people, "\n")) << people;
  EXPECT_FALSE(has_control(csv, "\r\n")) << csv;
  for (const std::string& text : {plain, people, csv}) EXPECT_THAT(text, HasSubstr("\\x1b]0;owned\\x07\\x1b[2J"));
  for (const char* format : {"jsonl", "ocsf"}) EXPECT_FALSE(has_control(on_record({"export", "1", "--format", format}).out, "\n")) << format;
  EXPECT_FALSE(has_control(on_record({"replay", "1", "--json"}).out, "\n"));
  is_terminal_ = true;
  std::string coloured = on_record({"replay", "1"}).out;
  for (const char* own : {"\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"}) {
    for (std::size_t at = 0; (at = coloured.find(own)) != std::string::npos;) coloured.erase(at, std::string_view(own).size());
  }
  EXPECT_FALSE(has_control(coloured, "\n")) << "no escape sequence but our own colours";
  EXPECT_FALSE(has_control(on_record({"replay", "1", "--plain"}).out, "\n\t")) << "no colours either";
}

TEST_F(Replays, PlainIsOneLineAnEvent) {
  const std::string out = on_record({"replay", "1", "--plain"}).out;
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 7);
  EXPECT_EQ(std::count(out.begin(), out.end(), '\t'), 7 * 7);
  EXPECT_THAT(out, HasSubstr("\t4\tcommand\tquery\tblock\tno-drop\tblocked\tdrop table t\n"));
}

TEST_F(Replays, ASearchShowsWhatSaysIt) {
  EXPECT_THAT(sequences(on_record({"replay", "1", "--search", "SELECT oNE", "--json"}).out), ElementsAre(2));
  EXPECT_THAT(sequences(on_record({"replay", "1", "--search", "error:42703", "--json"}).out), ElementsAre(5)) << "outcomes too";
  EXPECT_THAT(on_record({"replay", "1", "--search", "drop"}).out, HasSubstr("#4  "));
  const Outcome nothing = on_record({"replay", "1", "--search", "not there", "--json"});
  EXPECT_EQ(nothing.code, kExitFinding);
  EXPECT_EQ(json::parse(nothing.out), json::array());
  EXPECT_EQ(on_record({"replay", "1", "--search", ""}).code, kExitUsage);
}

TEST_F(Replays, ATimeOfTheSessionIsSoughtOut) {
  EXPECT_THAT(sequences(on_record({"replay", "1", "--from", "+1m", "--json"}).out), ElementsAre(4, 5, 6, 7));
  EXPECT_THAT(sequences(on_record({"replay", "1", "--from", "+59s", "--to", "+1m500ms", "--json"}).out), ElementsAre(4));
  const std::string at = json::parse(on_record({"replay", "1", "--json"}).out)[3]["at"];
  EXPECT_THAT(sequences(on_record({"replay", "1", "--to", at, "--json"}).out), ElementsAre(1, 2, 3));
  EXPECT_THAT(sequences(on_record({"replay", "1", "--from", at, "--json"}).out), ElementsAre(4, 5, 6, 7));
  EXPECT_EQ(on_record({"replay", "1", "--from", "+1h"}).code, kExitDone) << "nothing then is no mistake";
  for (const char* wrong : {"+", "+1", "+1x", "+m", "yesterday"}) EXPECT_EQ(on_record({"replay", "1", "--from", wrong}).code, kExitUsage) << wrong;
}

TEST_F(Replays, APaceWaitsAsItHappenedAndNeverLong) {
  on_record({"replay", "1"});
  EXPECT_EQ(waited_.count(), 0);
  on_record({"replay", "1", "--pace", "real"});
  EXPECT_EQ(waited_, std::chrono::milliseconds(4'000)) << "a minute is three seconds, a second is one";
  waited_ = {};
  on_record({"replay", "1", "--pace", "10", "--idle-max", "5s"});
  EXPECT_EQ(waited_, std::chrono::milliseconds(5'100));
  for (const char* wrong : {"0", "-1", "fast", "nan", "1x"}) EXPECT_EQ(on_record({"replay", "1", "--pace", wrong}).code, kExitUsage) << wrong;
  EXPECT_EQ(on_record({"replay", "1", "--idle-max", "3s"}).code, kExitUsage);
}

TEST_F(Replays, AnExportHasEveryEventOnceAndItsProof) {
  const Outcome all = on_record({"export", "--format", "jsonl"});
  EXPECT_EQ(all.code, kExitDone) << all.err;
  const auto lines = lines_of(all.out);
  ASSERT_EQ(lines.size(), 9u);
  EXPECT_EQ(lines[0]["session"], 2) << "the highest number first, live ones too";
  EXPECT_TRUE(lines[1]["seal"].is_null());
  const json replayed = json::parse(on_record({"replay", "1", "--json"}).out);
  for (std::size_t i = 0; i < replayed.size(); ++i) {
    json line = lines[i + 2];
    EXPECT_EQ(line["session"], 1);
    EXPECT_EQ(line["subject"], "user:ann");
    EXPECT_EQ(line["gateway"], "gw");
    EXPECT_EQ(line["seal"], 1);
    EXPECT_EQ(line["digest"].get<std::string>().size(), 64u);
    EXPECT_TRUE(std::filesystem::exists(gateway_.state() + "/archive/" + line["archive"].get<std::string>()));
    for (const char* key : {"session", "target", "subject", "gateway", "archive", "part", "seal", "digest"}) line.erase(key);
    EXPECT_EQ(line, replayed[i]);
  }
  EXPECT_EQ(lines_of(on_record({"export", "--format", "jsonl", "--who", "user:bob"}).out).size(), 2u);
  EXPECT_EQ(lines_of(on_record({"export", "--format", "jsonl", "--closed"}).out).size(), 7u);
  EXPECT_EQ(lines_of(on_record({"export", "--format", "jsonl", "--blocked", "--target", "orders-db"}).out).size(), 7u);
  EXPECT_EQ(lines_of(on_record({"export", "--format", "jsonl", "--from", "2037-01-01T00:00:00Z"}).out).size(), 0u);
  EXPECT_EQ(lines_of(on_record({"export", "--format", "ocsf", "1"}).out).size(), 5u) << "opened, three commands, closed";
}

TEST_F(Replays, WhatCannotBeExportedIsTold) {
  EXPECT_EQ(on_record({"export"}).code, kExitUsage);
  EXPECT_EQ(on_record({"export", "--format", "xml"}).code, kExitUsage);
  EXPECT_EQ(on_record({"export", "--format", "csv", "abc"}).code, kExitUsage);
  EXPECT_EQ(on_record({"export", "--format", "csv", "1", "--who", "user:ann"}).code, kExitUsage);
  EXPECT_EQ(on_record({"export", "--format", "csv", "--json"}).code, kExitUsage);
  const Outcome missing = on_record({"export", "--format", "jsonl", "1", "99"});
  EXPECT_EQ(missing.code, kExitFinding);
  EXPECT_THAT(missing.err, HasSubstr("session 99 is not in this record"));
  EXPECT_EQ(lines_of(missing.out).size(), 7u) << "the other is written";
  const std::string archive = gateway_.state() + "/archive/" + lines_of(missing.out)[0]["archive"].get<std::string>();
  std::filesystem::resize_file(archive, std::filesystem::file_size(archive) - 1);
  const Outcome damaged = on_record({"export", "--format", "jsonl"});
  EXPECT_EQ(damaged.code, 3);
  EXPECT_THAT(damaged.err, HasSubstr("session 1 cannot be read"));
  EXPECT_THAT(damaged.err, HasSubstr("1 session of 2 could not be read whole"));
  EXPECT_EQ(lines_of(damaged.out).size(), 2u);
}

TEST_F(Replays, AFileIsThereOnceItIsWhole) {
  const std::string file = folder_ + "/out.csv";
  const Outcome done = on_record({"export", "1", "--format", "csv", "--output", file, "--json"});
  EXPECT_EQ(done.code, kExitDone) << done.err;
  EXPECT_EQ(json::parse(done.out), (json{{"output", file}, {"format", "csv"}, {"sessions", 1}, {"events", 7}, {"unread", 0}, {"missing", 0}}));
  EXPECT_EQ(std::filesystem::status(file).permissions(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_FALSE(std::filesystem::exists(file + ".new"));
  EXPECT_EQ(on_record({"export", "1", "--format", "csv", "--output", folder_ + "/no/such/out"}).code, kExitSystem);
  const Outcome full = on_record({"export", "1", "--format", "csv", "--output", "/dev/full/x"});
  EXPECT_EQ(full.code, kExitSystem);
}

TEST_F(Cli, AnExportIsALookAndOnTheRecord) {
  FakeEngine engine;
  const Served served(folder_, engine);
  EXPECT_EQ(weir({"export", "--format", "ocsf", "--who", "user:ann", "--blocked"}).code, kExitDone);
  EXPECT_EQ(engine.asked.back(), std::pair(std::string("view"), json{{"act", "export"}, {"object", "sessions who user:ann, blocked as ocsf"}}));
  weir({"export", "17", "18", "--format", "csv"});
  EXPECT_EQ(engine.asked.back().second["object"], "sessions 17, 18 as csv");
}

}  // namespace
}  // namespace weir::control

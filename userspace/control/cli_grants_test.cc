// Who could do what at a date, from a record in a folder; and a reviewer's word, as the engine is asked for it.
#include <gmock/gmock.h>

#include "control/access_entries.h"
#include "control/cli_test_support.h"
#include "core/time_text.h"
#include "record/record_test_gateway.h"
#include "report/access_list.h"

namespace weir::control {
namespace {

using testing::HasSubstr;
using testing::Not;

class Access : public Cli {
 protected:
  Access() {
    gateway_.sealer_options.start = {{"config", "c1"}};
    gateway_.start();
    gateway_.seal();   // So that the leaf of the start stands at its time.
    gateway_.put(record::test::event_of(RecordEvent::Kind::kOpened, 1, 0, R"({"about":"gateway","gateway":"gw"})"));
  }
  void put(const json& entries, const std::string& config, const char* by) {
    for (const json& piece : report::access_pieces(entries, config)) act(std::string(report::kAccessListAct), {{"by", {{"via", by}}}, {"outcome", "done"}, {"change", piece}});
  }
  void act(const std::string& name, json text) {
    text["salt"] = "aa";
    const std::string dumped = text.dump();
    RecordEvent event = record::test::event_of(RecordEvent::Kind::kAct, 1, 0, dumped);
    event.verb = name;
    gateway_.put(event);
    gateway_.flush();
  }
  std::string now() const { return utc(gateway_.time_ns()); }
  static std::string utc(int64_t ns) { return utc_text(std::chrono::sys_seconds(std::chrono::seconds(ns / 1'000'000'000))); }
  Outcome at(const std::string& time, std::vector<std::string> more = {"--json"}) {
    more.insert(more.begin(), {"grants", "--at", time, "--state", gateway_.state()});
    return weir(more);
  }
  record::test::Gateway gateway_;
};

json grant(const std::string& name) { return {{"kind", "grant"}, {"name", name}, {"who", {{"subjects", json::array()}, {"groups", {"agents"}}}}, {"targets", {"orders-db"}}, {"verbs", {"read"}}, {"until", nullptr}, {"hours", "always"}}; }

TEST_F(Access, TheListOfADateIsShownWithTheEntryThatProvesIt) {
  const std::string before = now();
  gateway_.advance(std::chrono::seconds(5));
  put(json::array({grant("read")}), "c1", "start");
  gateway_.advance(std::chrono::seconds(10));
  const std::string middle = now();
  gateway_.advance(std::chrono::seconds(10));
  act("reload", {{"by", {{"via", "socket"}}}, {"outcome", "done"}, {"change", {{"digest", {{"before", "c1"}, {"after", "c2"}}}}}});
  put(json::array({grant("read"), grant("write\x1b[31m")}), "c2", "reload");
  gateway_.close(1);
  gateway_.seal();
  gateway_.advance(std::chrono::seconds(10));
  ASSERT_EQ(at(middle).code, kExitDone) << at(middle).out << at(middle).err;
  const json then = json::parse(at(middle).out), later = json::parse(at(now()).out), none = json::parse(at(before).out);
  EXPECT_EQ(then["known"], true);
  EXPECT_EQ(then["entries"].size(), 1u);
  EXPECT_EQ(then["entries"][0]["digest"], report::access_entry_digest(grant("read")));
  EXPECT_EQ(then["config"], "c1");
  EXPECT_TRUE(then["log_entry"].is_number());
  ASSERT_EQ(later["known"], true) << later["why"];
  EXPECT_EQ(later["entries"].size(), 2u);
  EXPECT_EQ(later["put_by"], "reload");
  EXPECT_GT(later["log_entry"], then["log_entry"]);
  EXPECT_EQ(none["known"], false);
  EXPECT_EQ(at(before, {}).code, kExitFinding);
  EXPECT_THAT(at(before, {}).err, HasSubstr("is not known"));
  const Outcome shown = at(now(), {});
  EXPECT_THAT(shown.out, HasSubstr("of the evidence log"));
  EXPECT_THAT(shown.out, Not(HasSubstr("\x1b[31m"))) << "what stood in a file is not obeyed";
  EXPECT_EQ(gateway_.verify().exit_code(), 0);
}

TEST_F(Access, AListThatWasChangedIsFoundByVerifyAndNotShown) {
  put(json::array({grant("read")}), "c1", "start");
  gateway_.close(1);
  gateway_.seal();
  std::string file;
  for (const auto& each : std::filesystem::recursive_directory_iterator(gateway_.state() + "/archive")) {
    if (each.path().extension() == ".weir") file = each.path();
  }
  std::fstream archive(file, std::ios::in | std::ios::out | std::ios::binary);
  archive.seekg(200);
  const char byte = static_cast<char>(archive.get());
  archive.seekp(200);
  archive.put(static_cast<char>(byte ^ 1));
  archive.close();
  EXPECT_EQ(gateway_.verify().exit_code(), 1);
  EXPECT_NE(at(now()).code, kExitDone);
}

TEST_F(Access, TheListOfAConfigurationNamesNoSecretAndNoFile) {
  const auto loaded = load_config(folder_ + "/weir.yaml", {});
  const json entries = access_entries(loaded.config);
  std::multiset<std::string> kinds;
  for (const json& entry : entries) kinds.insert(entry["kind"]);
  EXPECT_EQ(kinds, (std::multiset<std::string>{"grant", "grant", "static", "target"}));
  EXPECT_THAT(entries.dump(), Not(HasSubstr("key")));
  EXPECT_THAT(entries.dump(), Not(HasSubstr(folder_)));
  EXPECT_EQ(entries[0]["who"]["groups"], json::array({"agents"}));
}

TEST_F(Access, OptionsThatDoNotFitTogetherAreRefused) {
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{
           {"grants", "--at", "yesterday"}, {"grants", "--at", "now", "--no-end"}, {"grants", "list"}, {"grants", "--all"}, {"grants", "sign-off"}, {"grants", "sign-off", "read", "--all", "--decision", "keep", "--reason", "x"},
           {"grants", "sign-off", "--all", "--decision", "fine", "--reason", "x"}, {"grants", "sign-off", "--all", "--decision", "keep"}, {"grants", "sign-off", "--all", "--decision", "keep", "--reason", "x", "--at", "now"}}) {
    EXPECT_EQ(weir(wrong).code, kExitUsage) << wrong.back();
  }
  EXPECT_EQ(weir({"grants", "sign-off", "--all", "--decision", "keep", "--reason", "x"}).code, kExitNoEngine);
}

TEST_F(Access, ASignOffIsAskedOfTheEngineWithWhatWasReviewed) {
  FakeEngine engine;
  const Served served(folder_, engine);
  const Outcome done = weir({"grants", "sign-off", "read", "write", "--decision", "remove", "--reason", "REV-7", "--list", "ab"});
  EXPECT_EQ(done.code, kExitDone) << done.err;
  EXPECT_THAT(done.out, HasSubstr("remove: read, write"));
  EXPECT_EQ(engine.asked.back(), std::pair(std::string("sign-off"), json{{"grants", {"read", "write"}}, {"decision", "remove"}, {"reason", "REV-7"}, {"list", "ab"}}));
  EXPECT_EQ(weir({"grants", "sign-off", "--all", "--decision", "keep", "--reason", "REV-7"}).code, kExitDone);
  EXPECT_EQ(engine.asked.back().second, (json{{"all", true}, {"decision", "keep"}, {"reason", "REV-7"}}));
}

}  // namespace
}  // namespace weir::control

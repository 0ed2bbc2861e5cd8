// record.log: who signs the evidence log beside the gateway.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/config_test_support.h"

namespace weir::control {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string with_log(const std::string& log) { return changed("record: {signing", "record: {log: {" + log + "}, signing"); }

// Of errors alone.
std::vector<std::string> errors_of(const std::string& log, const std::string& witness_key = {}) {
  MemoryFiles files;
  files.every_file_exists = true;
  if (!witness_key.empty()) files.files["/etc/weir/keys/w.pub"].text = witness_key;
  std::vector<std::string> lines = lines_of(load_text(with_log(log), {}, &files).problems);
  std::erase_if(lines, [](const std::string& line) { return line.find(": warning: ") != std::string::npos; });
  return lines;
}

constexpr const char* kWitnessKey = "witness.example/w1+07601d94+BJzJRJfNq16ZnIMWCnJN6IeZ4R7Jk8knRtpZvI58ILJc";

TEST(ConfigEvidence, WitnessesAndTimeStampsAreRead) {
  const Config config = load_text(with_log("checkpoint_every: 5s, witnesses: [{url: \"https://w.example\", key_file: keys/w.pub}, {url: \"http://v.example/x\", key_file: keys/v.pub}], "
                                           "timestamps: {url: \"http://tsa.example\", ca_file: keys/tsa.crt, every: 2h}")).config;
  EXPECT_EQ(config.record.checkpoint_every, std::chrono::seconds(5));
  ASSERT_EQ(config.record.witnesses.size(), 2u);
  EXPECT_EQ(config.record.witnesses[1].url, "http://v.example/x");
  EXPECT_EQ(config.record.witnesses[1].key_file, "/etc/weir/keys/v.pub");
  EXPECT_EQ(config.record.timestamps.url, "http://tsa.example");
  EXPECT_EQ(config.record.timestamps.ca_file, "/etc/weir/keys/tsa.crt");
  EXPECT_EQ(config.record.timestamps.every, std::chrono::hours(2));
  EXPECT_TRUE(load_text(kSmallConfig).config.record.timestamps.url.empty());
}

TEST(ConfigEvidence, EachMistakeIsTold) {
  EXPECT_THAT(errors_of("witnesses: [{url: \"ftp://w\", key_file: keys/w.pub}]"), ElementsAre(HasSubstr("does not begin with https:// or http://")));
  EXPECT_THAT(errors_of("witnesses: [{url: \"https://w\"}]"), ElementsAre(HasSubstr("key_file is missing")));
  EXPECT_THAT(errors_of("timestamps: {url: \"https://t\"}"), ElementsAre(HasSubstr("ca_file is missing")));
  EXPECT_THAT(errors_of("timestamps: {ca_file: keys/tsa.crt}"), ElementsAre(HasSubstr("url is missing")));
  EXPECT_THAT(errors_of("checkpoint_every: 2d"), ElementsAre(HasSubstr("record.log.checkpoint_every")));
}

TEST(ConfigEvidence, TheKeyOfAWitnessIsLookedAt) {
  const std::string log = "witnesses: [{url: \"https://w\", key_file: keys/w.pub}]";
  EXPECT_THAT(errors_of(log, std::string(kWitnessKey) + "\n"), IsEmpty());
  EXPECT_THAT(errors_of(log, "no key"), ElementsAre(HasSubstr("not a verifier key")));
}

TEST(ConfigEvidence, WhoSignsBesideTakesEffectAtAStart) {
  const Config running = load_text(kSmallConfig).config;
  const Config wanted = load_text(with_log("checkpoint_every: 5s, witnesses: [{url: \"https://w\", key_file: keys/w.pub}], timestamps: {url: \"http://t\", ca_file: keys/t}")).config;
  EXPECT_THAT(lines_of(restart_needed(running, wanted)),
              ElementsAre(HasSubstr("record.log.checkpoint_every"), HasSubstr("record.log.witnesses"), HasSubstr("record.log.timestamps")));
}

}  // namespace
}  // namespace weir::control

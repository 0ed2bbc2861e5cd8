// retention: how long the record is kept.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/config_test_support.h"

namespace weir::control {
namespace {

using std::chrono::hours;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string with_retention(const std::string& text) { return std::string(kSmallConfig) + "\nretention: {" + text + "}\n"; }

std::vector<std::string> told(const std::string& retention) {
  std::vector<std::string> lines = lines_of(load_text(with_retention(retention)).problems);
  std::erase_if(lines, [](const std::string& line) { return line.find("retention") == std::string::npos; });
  return lines;
}

TEST(ConfigRetention, IsReadAndWithoutItTheDefaultIs400Days) {
  EXPECT_EQ(load_text(kSmallConfig).config.retention.keep, hours(400 * 24));
  const RetentionConfig config = load_text(with_retention("default: 500d, rules: [{name: cards, where: {targets: [\"orders-*\"], tags: [pci], rules: [mask-cards], groups: [agents], subjects: [\"svc:*\"]}, keep: 7y}], "
                                                          "holds: [{name: case-17, where: {subject: \"user:mallory\", session: \"17\"}, set_by: legal, reason: x}]")).config.retention;
  EXPECT_EQ(config.keep, hours(500 * 24));
  ASSERT_EQ(config.rules.size(), 1U);
  EXPECT_EQ(config.rules[0].keep, hours(7 * 365 * 24));
  EXPECT_THAT(config.rules[0].tags, ElementsAre("pci"));
  EXPECT_THAT(config.rules[0].subjects, ElementsAre("svc:*"));
  ASSERT_EQ(config.holds.size(), 1U);
  EXPECT_EQ(config.holds[0].session, 17U);
}

TEST(ConfigRetention, WhatIsShorterThanTheFloorIsRefused) {
  EXPECT_THAT(told("default: 400s"), ElementsAre(HasSubstr("retention.default: 400s is shorter than retention.minimum (1d)")));
  EXPECT_THAT(told("rules: [{name: a, where: {groups: [x]}, keep: 1h}]"), ElementsAre(HasSubstr("keep: 1h is shorter than")));
  EXPECT_THAT(told("minimum: 30d, default: 29d"), ElementsAre(HasSubstr("is shorter than retention.minimum (30d)")));
  EXPECT_THAT(told("minimum: 1s, default: 2s"), ElementsAre(HasSubstr("warning"), HasSubstr("below 365d")));
  EXPECT_THAT(told("default: 90d"), ElementsAre(HasSubstr("below 365d")));
}

TEST(ConfigRetention, EachMistakeIsTold) {
  EXPECT_THAT(told("rules: [{name: default, where: {groups: [x]}, keep: 500d}]"), ElementsAre(HasSubstr("\"default\" is what counts where no rule fits")));
  EXPECT_THAT(told("rules: [{name: a, where: {groups: [x]}}]"), testing::Contains(HasSubstr("keep is missing")));
  EXPECT_THAT(told("rules: [{name: a, keep: 500d}]"), ElementsAre(HasSubstr("where is missing")));
  EXPECT_THAT(told("rules: [{name: a, where: {}, keep: 500d}]"), ElementsAre(HasSubstr("names nothing")));
  EXPECT_THAT(told("rules: [{name: a, where: {groups: [x]}, keep: 500d}, {name: a, where: {groups: [y]}, keep: 500d}]"), ElementsAre(HasSubstr("two of the name")));
  EXPECT_THAT(told("rules: [{name: a, where: {tags: [no-such-tag]}, keep: 500d}]"), ElementsAre(HasSubstr("is no tag of a rule here")));
  EXPECT_THAT(told("holds: [{name: hold-1, where: {subject: x}, set_by: y, reason: z}]"), ElementsAre(HasSubstr("names that begin with hold-")));
  EXPECT_THAT(told("holds: [{name: a, where: {session: many}, set_by: y, reason: z}]"), ElementsAre(HasSubstr("is no session's number")));
  EXPECT_THAT(told("holds: [{name: a, where: {}, set_by: y, reason: z}]"), ElementsAre(HasSubstr("names nothing")));
  EXPECT_THAT(told("defualt: 400d"), ElementsAre(HasSubstr("defualt")));
}

TEST(ConfigRetention, AReloadChangesIt) {
  EXPECT_THAT(lines_of(restart_needed(load_text(kSmallConfig).config, load_text(with_retention("default: 500d")).config)), IsEmpty());
}

}  // namespace
}  // namespace weir::control

// A reload says what it changed: no change of the text stays unnamed, and no layout is called a change.
#include "control/config_parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/config_test_support.h"

namespace weir::control {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;

const std::string kRules = "grants:\n"
                           "  - {name: read, who: {groups: [a]}, targets: [orders-db], verbs: [read]}\n"
                           "  - {name: write, who: {groups: [b]}, targets: [orders-db], verbs: [write]}\n"
                           "rules:\n"
                           "  - {id: no-drop, what: {facts: [drop-table]}, then: block}\n"
                           "  - {id: no-shell, what: {verbs: [shell]}, then: block}\n";

Config config_of(const std::string& text, std::vector<std::string> overrides = {}) {
  LoadedConfig loaded = load_text(text, std::move(overrides));
  EXPECT_TRUE(loaded.is_usable()) << testing::PrintToString(lines_of(loaded.problems));
  return loaded.config;
}

std::vector<std::string> parts_of(const json& change) {
  std::vector<std::string> all;
  for (const json& part : change["parts"]) all.push_back(part["kind"].get<std::string>() + " " + part["name"].get<std::string>() + " " + part["how"].get<std::string>());
  return all;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ConfigParts, RulesAndGrantsAreNamedThatWereAddedRemovedOrChanged) {
  const std::string before = kSmallConfig + kRules;
  std::string after = replaced(before, "verbs: [read]", "verbs: [read, write]");
  after = replaced(after, "  - {id: no-shell, what: {verbs: [shell]}, then: block}\n", "  - {id: no-file, what: {verbs: [file]}, then: block}\n");
  const json change = change_between(config_of(before), config_of(after));
  EXPECT_THAT(parts_of(change), ElementsAre("grant read changed", "rule no-file added", "rule no-shell removed"));
  EXPECT_EQ(change_text(change), "grant read changed, rule no-file added, rule no-shell removed");
  ASSERT_EQ(change["files"].size(), 1u);
  EXPECT_EQ(change["files"][0]["file"], "/etc/weir/weir.yaml");
  EXPECT_EQ(change["files"][0]["before"], sha256_text(before));
  EXPECT_EQ(change["files"][0]["after"], sha256_text(after));
  EXPECT_NE(change["digest"]["before"], change["digest"]["after"]);
}

TEST(ConfigParts, EverythingElseIsASettingByItsPath) {
  const std::string before = kSmallConfig + "log: {level: info}\nengine: {limits: {sessions_max: 100}}\nidentity: {static: [{address: 198.18.1.2, subject: a, reason: r}]}\n";
  const auto changes = [&](const std::string& from, const std::string& to) { return parts_of(change_between(config_of(before), config_of(replaced(before, from, to)))); };
  EXPECT_THAT(changes("level: info", "level: debug"), ElementsAre("setting log.level changed"));
  EXPECT_THAT(changes("sessions_max: 100", "sessions_max: 200"), ElementsAre("setting engine.limits.sessions_max changed"));
  EXPECT_THAT(changes("subject: a", "subject: b"), ElementsAre("static binding 198.18.1.2 changed"));
  EXPECT_THAT(changes("ports: [5432]", "ports: [5433]"), ElementsAre("target orders-db changed"));
  EXPECT_THAT(changes("log: {level: info}\n", ""), ElementsAre("setting log.level removed"));
}

TEST(ConfigParts, LayoutIsNoChangeAndOrderIsOne) {
  const std::string before = kSmallConfig + kRules;
  const json layout = change_between(config_of(before), config_of("# a comment\n" + before));
  EXPECT_THAT(parts_of(layout), IsEmpty());
  EXPECT_EQ(change_text(layout), "nothing but layout");
  EXPECT_EQ(layout["files"].size(), 1u);
  EXPECT_EQ(change_text(change_between(config_of(before), config_of(before))), "nothing");
  std::string swapped = replaced(before, "id: no-drop, what: {facts: [drop-table]}", "id: X, what: {verbs: [shell]}");
  swapped = replaced(swapped, "id: no-shell, what: {verbs: [shell]}", "id: no-drop, what: {facts: [drop-table]}");
  swapped = replaced(swapped, "id: X", "id: no-shell");
  EXPECT_THAT(parts_of(change_between(config_of(before), config_of(swapped))), ElementsAre("order of rules changed"));
}

TEST(ConfigParts, RuleFilesAndOverridesCount) {
  MemoryFiles files;
  files.every_file_exists = true;
  files.files["/etc/weir/a.yaml"].text = "- {id: one, what: {verbs: [shell]}, then: block}\n";
  files.files["/etc/weir/b.yaml"].text = "version: 1\nrules:\n  - {id: two, what: {verbs: [file]}, then: block}\n";
  const std::string text = kSmallConfig + "rule_files: [a.yaml, b.yaml]\n";
  const Config before = load_text(text, {}, &files).config;
  files.files["/etc/weir/b.yaml"].text = "version: 1\nrules:\n  - {id: two, what: {verbs: [file]}, then: terminate}\n";
  const Config after = load_text(text, {"log.level=debug"}, &files).config;
  const json change = change_between(before, after);
  EXPECT_THAT(parts_of(change), ElementsAre("rule two changed", "setting log.level added"));
  ASSERT_EQ(change["files"].size(), 2u);
  EXPECT_EQ(change["files"][0]["file"], "/etc/weir/b.yaml");
  EXPECT_EQ(change["files"][1], (json{{"file", "--set"}, {"before", nullptr}, {"after", sha256_text("log.level=debug\n")}}));
}

TEST(ConfigParts, AListOfMoreThanFitsSaysHowManyAreLeftOut) {
  Config before, after;
  for (int i = 0; i < 1000; ++i) after.parts.push_back({"rule", "r" + std::to_string(i), "d"});
  sort_parts(after.parts);
  const json change = change_between(before, after);
  EXPECT_EQ(change["parts"].size(), 500u);
  EXPECT_EQ(change["more"], 500);
  EXPECT_NE(change_text(change).find(" and 988 more"), std::string::npos) << change_text(change);
}

}  // namespace
}  // namespace weir::control

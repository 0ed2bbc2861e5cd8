// The example file is documentation that must not drift from the loader: it has every key, and every key is checked.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "control/config_test_support.h"
#include "control/yaml_tree.h"

namespace weir::control {
namespace {

using testing::IsEmpty;

std::string example_text() {
  const auto path = std::filesystem::path(WEIR_SOURCE_FOLDER) / "scripts/weir.example.yaml";
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

MemoryFiles example_files() {
  MemoryFiles files;
  files.every_file_exists = true;
  files.files["/etc/weir/rules/secrets.yaml"].text = "rules: []\n";
  return files;
}

LoadedConfig load_example(std::vector<std::string> overrides = {}) {
  MemoryFiles files = example_files();
  return load_text(example_text(), std::move(overrides), &files);
}

// Every key of the tree twice over: as the schema names it ("targets[].ports") and as --set does ("targets[0].ports").
void walk(const YamlNode& node, const std::string& schema, const std::string& path, std::set<std::string>& keys, std::vector<std::string>& paths) {
  for (const YamlNode::Entry& entry : node.entries) {
    const std::string dot = schema.empty() ? "" : ".";
    keys.insert(schema + dot + entry.key);
    paths.push_back(path + dot + entry.key);
    walk(entry.value, schema + dot + entry.key, path + dot + entry.key, keys, paths);
  }
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    walk(node.items[i], schema + "[]", path + "[" + std::to_string(i) + "]", keys, paths);
  }
}

TEST(ConfigExample, LoadsWithWarningsOnly) {
  const LoadedConfig loaded = load_example();
  EXPECT_TRUE(loaded.is_usable());
  std::vector<std::string> unexpected;
  std::size_t without_effect = 0;
  for (const ConfigProblem& problem : loaded.problems) {
    const std::string line = text_of(problem);
    const bool is_later = line.find("has no effect in this version") != std::string::npos;
    if (is_later) ++without_effect;
    else unexpected.push_back(line);
  }
  EXPECT_THAT(unexpected, IsEmpty());
  EXPECT_GE(without_effect, 1u);
}

TEST(ConfigExample, HasEveryKeyOfTheSchema) {
  YamlNode tree;
  std::vector<ConfigProblem> problems;
  ASSERT_TRUE(parse_yaml(example_text(), "example", {}, tree, problems));
  std::set<std::string> keys;
  std::vector<std::string> paths;
  walk(tree, "", "", keys, paths);
  // In a comment, since the example has the other form of the same setting.
  const std::set<std::string> in_comments = {"targets[].names", "targets[].opaque_approval", "targets[].on_failure.engine", "targets[].on_failure.record", "targets[].on_failure.identity",
                                             "targets[].on_failure.reviewers", "store.password_file"};
  std::vector<std::string> missing;
  for (const std::string& key : load_example({"targets[0].on_failure={engine: closed}"}).keys) {
    const bool is_who = key.ends_with(".subjects");  // Explained once, at grants[].who.
    if (!keys.contains(key) && !in_comments.contains(key) && !is_who) missing.push_back(key);
  }
  EXPECT_THAT(missing, IsEmpty());
}

TEST(ConfigExample, EveryKeyOfItIsCheckedForItsType) {
  YamlNode tree;
  std::vector<ConfigProblem> problems;
  ASSERT_TRUE(parse_yaml(example_text(), "example", {}, tree, problems));
  std::set<std::string> keys;
  std::vector<std::string> paths;
  walk(tree, "", "", keys, paths);
  ASSERT_GT(paths.size(), 250u);
  std::vector<std::string> unchecked;
  for (const std::string& path : paths) {
    const LoadedConfig loaded = load_example({path + "={zzz: [1]}"});
    const bool is_told = std::any_of(loaded.problems.begin(), loaded.problems.end(), [](const ConfigProblem& p) {
      return p.severity == ConfigProblem::Severity::kError && p.place.file.starts_with("--set");
    });
    if (!is_told) unchecked.push_back(path);
  }
  EXPECT_THAT(unchecked, IsEmpty());
}

TEST(ConfigExample, TheShippedRulePacksLoadWithoutAProblem) {
  MemoryFiles files;
  files.every_file_exists = true;
  std::string list;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(WEIR_SOURCE_FOLDER) / "rules")) {
    if (entry.path().extension() != ".yaml") continue;
    std::ifstream in(entry.path());
    std::stringstream text;
    text << in.rdbuf();
    files.files["/etc/weir/rules/" + entry.path().filename().string()].text = text.str();
    list += "  - rules/" + entry.path().filename().string() + "\n";
  }
  const LoadedConfig loaded = load_text(kSmallConfig + "rule_files:\n" + list, {}, &files);
  EXPECT_THAT(lines_of(loaded.problems), IsEmpty());
  EXPECT_GE(loaded.config.rules.size(), 40u);
}

TEST(ConfigExample, ItsValuesArriveInTheTypedConfiguration) {
  const Config config = load_example().config;
  EXPECT_EQ(config.name, "gw-example");
  EXPECT_EQ(config.engine.limits.idle_timeout, std::chrono::hours(8));
  EXPECT_EQ(config.steer.mark_mask, 0xffff0000u);
  EXPECT_EQ(config.identity.static_bindings.at(1).address.text(), "fd57:1::/64");
  EXPECT_EQ(config.identity.static_bindings.at(2).link.text(), "eth0 02:00:5e:10:00:01");
  EXPECT_EQ(config.identity.static_bindings.at(2).link.vlan, 0);
  EXPECT_TRUE(config.identity.bind_mac);
  EXPECT_EQ(config.bypass_max, std::chrono::hours(1));
  const IssuerConfig& issuer = config.identity.issuers.at(0);
  EXPECT_EQ(issuer.hosts, (std::vector<std::string>{"keys.idp.example", "login.idp.example:8443"}));
  EXPECT_EQ(issuer.jwks_refresh, std::chrono::minutes(10));
  EXPECT_EQ(issuer.jwks_expire, std::chrono::hours(1));
  EXPECT_EQ(issuer.assurance, Assurance::kNetwork);
  EXPECT_EQ(issuer.workload_claim, "gty");
  EXPECT_EQ(issuer.workload_values, std::vector<std::string>{"client-credentials"});
  EXPECT_EQ(issuer.claim_groups, "realm_access.roles");
  EXPECT_EQ(issuer.client_secret_file, "/etc/weir/keys/idp-client.secret");
  EXPECT_EQ(config.identity.issuers.at(1).jwks_file, "/etc/weir/keys/jwks.json");
  const TargetConfig& target = config.targets.at(0);
  EXPECT_TRUE(target.inject);
  EXPECT_EQ(target.logins.at(1).user, "orders_owner");
  EXPECT_EQ(target.catalogue->databases, std::vector<std::string>{"shop"});
  EXPECT_EQ(config.grants.at(1).verbs, bit(Verb::kRead) | bit(Verb::kWrite) | bit(Verb::kImpersonate));
  EXPECT_EQ(config.grants.at(1).hours.spans.size(), 2u);
  EXPECT_EQ(config.grants.at(0).until, std::chrono::sys_days{std::chrono::year{2027} / 12 / 31});
  EXPECT_TRUE(config.grants.at(1).request_id_required);
  EXPECT_TRUE(config.grants.at(1).is_for_people);
  EXPECT_FALSE(config.grants.at(0).is_for_people);
  EXPECT_EQ(config.rules.at(0).what.shapes, bit(Shape::kUpdateWithoutWhere) | bit(Shape::kDeleteWithoutWhere));
  EXPECT_EQ(config.rules.at(3).mask.spec.as, MaskSpec::As::kPartial);
  EXPECT_TRUE(config.rules.at(3).mask.unsure_strict);
  EXPECT_TRUE(config.rules.at(4).observe);
  EXPECT_EQ(config.data_kinds.at(0).width_max, 8u);
  EXPECT_EQ(config.approvals.at(0).name, "two-eyes");
  EXPECT_EQ(config.approvals.at(0).reviewers.groups, (std::vector<std::string>{"dba", "security"}));
  EXPECT_EQ(config.approvals.at(0).deadline, std::chrono::minutes(10));
  EXPECT_FALSE(config.approvals.at(0).is_for_class);
  EXPECT_EQ(config.approvals.at(1).min_reviewers, 2u);
  EXPECT_TRUE(config.approvals.at(1).is_for_class);
  EXPECT_EQ(config.approvals.at(1).window_max, std::chrono::hours(1));
  EXPECT_EQ(config.record.segment_size, 64u << 20);
  ASSERT_EQ(config.record.witnesses.size(), 1u);
  EXPECT_EQ(config.record.witnesses[0].key_file, "/etc/weir/keys/witness.pub");
  EXPECT_EQ(config.record.timestamps.every, std::chrono::hours(1));
  EXPECT_EQ(config.control.metrics, "127.0.0.1:9464");
  EXPECT_EQ(config.api.listen.at(0).text(), "198.18.1.1:8443");
  EXPECT_EQ(config.api.auditor.subjects, std::vector<std::string>{"user:ann"});
  EXPECT_EQ(config.api.answer_timeout, std::chrono::minutes(5));
  ASSERT_EQ(config.notify.sinks.size(), 3u);
  EXPECT_EQ(config.notify.sinks[0].kind, SinkConfig::Kind::kSlack);
  EXPECT_EQ(config.notify.sinks[0].secret_file, "/etc/weir/keys/hook.secret");
  EXPECT_EQ(config.notify.sinks[0].reviewers.at(0).subject, "user:ann");
  EXPECT_EQ(config.notify.sinks[0].events & bit(NoticeEvent::kRefused), 0u);
  EXPECT_NE(config.notify.sinks[1].events & bit(NoticeEvent::kRefused), 0u);
  EXPECT_EQ(config.notify.sinks[2].url, "tls://logs.example:6514");
  EXPECT_EQ(config.notify.sinks[2].min_severity, NoticeSeverity::kLow);
  EXPECT_EQ(config.notify.drop_burst, 50u);
  EXPECT_EQ(config.notify.repeat, std::chrono::minutes(10));
}

}  // namespace
}  // namespace weir::control

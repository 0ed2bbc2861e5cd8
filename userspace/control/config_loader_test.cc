#include "control/config_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/config_test_support.h"

namespace weir::control {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(ConfigLoader, TheSmallConfigurationHasNoProblem) {
  const LoadedConfig loaded = load_text(kSmallConfig);
  EXPECT_THAT(lines_of(loaded.problems), IsEmpty());
  EXPECT_EQ(loaded.config.control.socket, "/var/lib/weir/control.sock");
  EXPECT_EQ(loaded.config.tls.ca_key_file, "/etc/weir/keys/ca.key");
  EXPECT_EQ(loaded.config.digest.size(), 64u);
}

TEST(ConfigLoader, AllMistakesAreToldInOneRunInFileOrder) {
  EXPECT_THAT(problems_of("version: 1\n"
                          "nam: gw\n"
                          "state: /var/lib/weir\n"
                          "steer: {clients: [], targets: [eth1], tabel: 7}\n"
                          "engine: {limits: {sessions_max: many}, timeouts: {idle: 8}}\n"
                          "targets:\n"
                          "  - name: orders-db\n"
                          "    protocol: postgress\n"
                          "    addresses: [198.18.2.300]\n"
                          "    ports: [5432, 70000]\n"
                          "    mode: enforced\n"
                          "    tls: {to_client: none, to_target: none}\n"
                          "record: {signing: {key_file: keys/log.key}, encryption: {key_file: keys/kek.key}}\n"),
              ElementsAre("weir.yaml:1:1: error: name is missing",
                          "weir.yaml:2:1: error: unknown key \"nam\" (did you mean \"name\"?)",
                          "weir.yaml:4:18: error: steer.clients is empty: at least one entry is needed",
                          "weir.yaml:4:39: error: steer: unknown key \"tabel\" (did you mean \"table\"?)",
                          "weir.yaml:5:33: error: engine.limits.sessions_max: \"many\" is not a whole number",
                          "weir.yaml:5:57: error: engine.timeouts.idle: \"8\" has no unit: write ms, s, m, h or d behind it",
                          "weir.yaml:8:15: error: targets[orders-db].protocol: this build does not read \"postgress\" (did you mean \"postgres\"?)",
                          "weir.yaml:9:17: error: targets[orders-db].addresses: \"198.18.2.300\" is not an IPv4 or IPv6 address",
                          "weir.yaml:10:19: error: targets[orders-db].ports: \"70000\" is not a port, 1 to 65535",
                          "weir.yaml:11:11: error: targets[orders-db].mode: \"enforced\" is not one of enforce or observe (did you mean \"enforce\"?)"));
}

TEST(ConfigLoader, ActsThatNeedASecondPersonAreNamed) {
  const LoadedConfig loaded = load_text(kSmallConfig + "changes: {second_person: [reload, revoke], deadline: 30m}\n");
  EXPECT_THAT(loaded.config.changes_second_person, ElementsAre("reload", "revoke"));
  EXPECT_EQ(loaded.config.changes_deadline, std::chrono::minutes(30));
  EXPECT_THAT(lines_of(loaded.problems), ElementsAre("weir.yaml:13:35: warning: changes.second_person: revoke takes away: until a second person approves, who is to be stopped goes on (leave it out)"));
  EXPECT_THAT(load_text(kSmallConfig + "changes: {require_reviewer: true}\n").config.changes_second_person, ElementsAre("reload")) << "the short form";
  EXPECT_THAT(load_text(kSmallConfig).config.changes_second_person, IsEmpty());
}

TEST(ConfigLoader, ARecordThatIsNotEncryptedIsSaid) {
  const LoadedConfig loaded = load_text(kSmallConfig, {"record.encryption={}"});
  EXPECT_TRUE(loaded.is_usable());
  EXPECT_THAT(lines_of(loaded.problems), ElementsAre(HasSubstr("warning: record.encryption is not set: session archives are compressed, and not encrypted")));
  const LoadedConfig full = load_text(kSmallConfig, {"record.encryption.auditors=[keys/a.pub, keys/b.pub]"});
  EXPECT_THAT(full.problems, IsEmpty());
  EXPECT_EQ(full.config.record.encryption_key_file, "/etc/weir/keys/kek.key");
  EXPECT_THAT(full.config.record.encryption_auditors, ElementsAre("/etc/weir/keys/a.pub", "/etc/weir/keys/b.pub"));
}

TEST(ConfigLoader, AMissingFileIsNamed) {
  MemoryFiles files;
  const LoadedConfig loaded = load_config("/etc/weir/weir.yaml", {}, files);
  EXPECT_THAT(lines_of(loaded.problems), ElementsAre("weir.yaml: error: /etc/weir/weir.yaml cannot be read: No such file or directory"));
}

TEST(ConfigLoader, BrokenYamlHasItsPlace) {
  EXPECT_THAT(problems_of("version: 1\nname: [gw\nstate: x\n"), ElementsAre(HasSubstr("weir.yaml:3:6: error: not valid YAML: ")));
}

TEST(ConfigLoader, TwoEqualKeysAreTold) {
  EXPECT_THAT(problems_of(kSmallConfig + "name: other\n"),
              ElementsAre("weir.yaml:13:1: error: \"name\" stands twice in one map (first on line 2)"));
}

TEST(ConfigLoader, ASecondDocumentIsRefused) {
  EXPECT_THAT(problems_of(kSmallConfig + "---\nname: other\n"), ElementsAre(HasSubstr("a second document (---) in one file")));
}

TEST(ConfigLoader, AnAliasBombEndsAtTheLimit) {
  std::string bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n";
  for (char level = 'b'; level <= 'h'; ++level) {
    const std::string before(1, static_cast<char>(level - 1));
    bomb += std::string(1, level) + ": &" + level + " [";
    for (int i = 0; i < 9; ++i) bomb += "*" + before + ", ";
    bomb += "*" + before + "]\n";
  }
  EXPECT_THAT(problems_of(bomb), ElementsAre(HasSubstr("more than 50000 entries, aliases written out")));
}

TEST(ConfigLoader, DepthAndSizeAreBounded) {
  EXPECT_THAT(problems_of("a: " + std::string(200, '[') + std::string(200, ']')), ElementsAre(HasSubstr("nested more than 24 deep")));
  MemoryFiles files;
  files.every_file_exists = true;
  EXPECT_THAT(lines_of(load_text(std::string(2 << 20, ' '), {}, &files).problems), ElementsAre(HasSubstr("is too large")));
}

TEST(ConfigLoader, SecretFilesMustBeThereAndTheOwnersAlone) {
  MemoryFiles files;
  for (const char* name : {"ca.crt", "ca.key"}) files.files[std::string("/etc/weir/keys/") + name].mode = 0644;
  EXPECT_THAT(lines_of(load_text(kSmallConfig, {}, &files).problems),
              ElementsAre("weir.yaml:5:53: error: tls.ca.key_file: others than its owner can use the secret /etc/weir/keys/ca.key "
                          "(chmod 600 /etc/weir/keys/ca.key)",
                          "weir.yaml:11:20: error: targets[orders-db].tls.ca_file: there is no file /etc/weir/keys/target-ca.crt",
                          "weir.yaml:12:30: warning: record.signing.key_file: there is no file /etc/weir/keys/log.key yet: `weir ca init --keys` or the "
                          "first `weir run` makes it",
                          "weir.yaml:12:68: warning: record.encryption.key_file: there is no file /etc/weir/keys/kek.key yet: `weir ca init --keys` or the "
                          "first `weir run` makes it"));
}

TEST(ConfigLoader, FilesMayBeMissingWhenNobodyNeedsThemYet) {
  MemoryFiles files;
  files.files["/etc/weir/weir.yaml"].text = kSmallConfig;
  EXPECT_TRUE(load_config("/etc/weir/weir.yaml", {{}, false}, files).is_usable());
}

TEST(ConfigLoader, TheDigestCoversEveryFileAndOverride) {
  MemoryFiles files;
  files.every_file_exists = true;
  files.files["/etc/weir/extra.yaml"].text = "rules: []\n";
  const std::string text = kSmallConfig + "rule_files: [extra.yaml]\n";
  const std::string first = load_text(text, {}, &files).config.digest;
  EXPECT_EQ(load_text(text, {}, &files).config.digest, first);
  EXPECT_NE(load_text(text, {"log.level=debug"}, &files).config.digest, first);
  files.files["/etc/weir/extra.yaml"].text = "rules: [ ]\n";
  EXPECT_NE(load_text(text, {}, &files).config.digest, first);
}

TEST(ConfigLoader, RuleFilesComeFirstAndAreNamedInProblems) {
  MemoryFiles files;
  files.every_file_exists = true;
  files.files["/etc/weir/rules/a.yaml"].text = "kinds:\n  - {name: card, pattern: \"[0-9]{16}\", width_max: 16}\n"
                                               "rules:\n  - {id: a, what: {words: [x]}, then: block}\n";
  files.files["/etc/weir/rules/b.yaml"].text = "- {id: b, what: {words: [y], data: [crad]}, then: blok}\n";
  const LoadedConfig loaded = load_text(kSmallConfig + "rule_files: [rules/a.yaml, rules/b.yaml, rules/c.yaml]\n"
                                                       "rules: [{id: a, what: {words: [z]}, then: block}]\n", {}, &files);
  EXPECT_THAT(lines_of(loaded.problems),
              ElementsAre("weir.yaml:13:42: error: /etc/weir/rules/c.yaml cannot be read: No such file or directory",
                          "weir.yaml:14:9: error: rules: two entries are named \"a\" (first at /etc/weir/rules/a.yaml:4)",
                          "rules/b.yaml:1:37: error: rules[b].what.data: there is no data kind \"crad\" (did you mean \"card\"?)",
                          "rules/b.yaml:1:51: error: rules[b].then: \"blok\" is not one of allow, block, terminate, hold, mask or alert "
                          "(did you mean \"block\"?)"));
  ASSERT_EQ(loaded.config.rules.size(), 3u);
  EXPECT_EQ(loaded.config.rules[0].id, "a");
  EXPECT_EQ(loaded.config.rules[1].id, "b");
  EXPECT_EQ(loaded.config.data_kinds.at(0).width_max, 16u);
}

TEST(ConfigLoader, AnEmptyRuleFileHasNoRules) {
  MemoryFiles files;
  files.every_file_exists = true;
  files.files["/etc/weir/extra.yaml"].text = "# nothing yet\n";
  EXPECT_THAT(lines_of(load_text(kSmallConfig + "rule_files: [extra.yaml]\n", {}, &files).problems), IsEmpty());
}

TEST(ConfigLoader, AStateFolderInMemoryIsWarnedOf) {
  MemoryFiles files;
  files.every_file_exists = files.is_on_memory = true;
  const LoadedConfig loaded = load_text(kSmallConfig, {}, &files);
  EXPECT_TRUE(loaded.is_usable());
  EXPECT_THAT(lines_of(loaded.problems), ElementsAre(HasSubstr("warning: state: /var/lib/weir is on a memory file system")));
}

struct OverrideCase {
  const char* override;
  const char* problem;  // Empty: none.
};
class ConfigOverride : public testing::TestWithParam<OverrideCase> {};
TEST_P(ConfigOverride, IsCheckedLikeTheFile) {
  const auto lines = lines_of(load_text(kSmallConfig, {GetParam().override}).problems);
  if (std::string(GetParam().problem).empty()) {
    EXPECT_THAT(lines, IsEmpty());
  } else {
    EXPECT_THAT(lines, ElementsAre(GetParam().problem));
  }
}
INSTANTIATE_TEST_SUITE_P(
    Each, ConfigOverride,
    testing::Values(OverrideCase{"state=/srv/weir", ""}, OverrideCase{"engine.limits.sessions_max=5", "--set engine.limits.sessions_max: warning: engine.limits.sessions_per_identity_max is above sessions_max, which is reached first"},
                    OverrideCase{"engine.cores=[0, 1]", ""}, OverrideCase{"targets[orders-db].unbound=reset", ""}, OverrideCase{"targets[0].ports=[1, 2]", ""},
                    OverrideCase{"log.level", "--set log.level: error: a value is missing (--set key=value)"},
                    OverrideCase{"log..level=info", "--set log..level: error: \"log..level\" is not a key (write one like engine.limits.sessions_max or targets[orders-db].mode)"},
                    OverrideCase{"log.levle=info", "--set log.levle: error: log: unknown key \"levle\" (did you mean \"level\"?)"},
                    OverrideCase{"log.level=loud", "--set log.level: error: log.level: \"loud\" is not one of trace, debug, info, warning or error"},
                    OverrideCase{"targets[people-db].mode=observe", "--set targets[people-db].mode: error: there is no entry \"people-db\" to set (a list entry is named by its name, id or index)"},
                    OverrideCase{"log.level={a: 1, a: 2}", "--set log.level: error: the value is not valid YAML (\"a\" stands twice in one map)"}));

TEST(ConfigOverride, TheLastOneCounts) {
  EXPECT_EQ(load_text(kSmallConfig, {"state=/a", "state=/b"}).config.state, "/b");
}

TEST(RestartNeeded, NamesTheKeysThatAReloadMayNotChange) {
  const Config running = load_text(kSmallConfig).config;
  EXPECT_THAT(restart_needed(running, running), IsEmpty());
  const Config wanted = load_text(kSmallConfig, {"state=/srv/weir", "engine.timeouts.idle=1h", "targets[0].ports=[6432]", "log.level=debug",
                                                 "targets[0].opaque=allow"}).config;
  EXPECT_THAT(lines_of(restart_needed(running, wanted)),
              ElementsAre(HasSubstr("state takes effect at a start only"), HasSubstr("engine.timeouts.idle takes effect at a start only"),
                          HasSubstr("weir.yaml:7:5: error: targets[orders-db].ports takes effect at a start only"), HasSubstr("control.socket")));
}

// It read its files when it started, and signs for the names of then.
TEST(RestartNeeded, WhatTheSignerWasToldIsNotReloaded) {
  const Config running = load_text(kSmallConfig).config;
  Config wanted = running;
  wanted.engine.signer_user = "keys";
  wanted.engine.signer_state = "/srv/keys";
  wanted.tls.ca_key_file = "/srv/ca.key";
  wanted.targets[0].tls.to_client = LegTls::kOffer;
  wanted.targets[0].tls.server_name = "db.example";
  EXPECT_THAT(lines_of(restart_needed(running, wanted)), ElementsAre(HasSubstr("engine.signer_user takes effect at a start only"), HasSubstr("engine.signer_state"), HasSubstr("targets[orders-db].tls.server_name"), HasSubstr("tls.ca.key_file")));
}

TEST(RestartNeeded, RolesOfTheApiAreReloadedAndItsPortsAreNot) {
  const Config running = load_text(kSmallConfig).config;
  Config wanted = running;
  wanted.api.issuers = {"idp"};
  wanted.api.admin.groups = {"platform"};
  EXPECT_THAT(restart_needed(running, wanted), IsEmpty());
  wanted.api.listen = {{*Address::parse("198.18.1.1"), 8443}};
  wanted.api.body_size_max = 1;
  EXPECT_THAT(lines_of(restart_needed(running, wanted)), ElementsAre(HasSubstr("api.listen takes effect at a start only"), HasSubstr("api.limits.body_size_max")));
}

TEST(RestartNeeded, ThePortalIsReloaded) {
  const Config running = load_text(kSmallConfig).config;
  Config wanted = running;
  wanted.identity.portal = {"https://gw.example:8443", "lab-idp", {}};
  EXPECT_THAT(restart_needed(running, wanted), IsEmpty());
}

TEST(ConfigPortal, SaysWhatOpensMoreThanItSeems) {
  const auto warnings = [](const std::string& flows, const std::string& port) {
    return problems_of(kSmallConfig + "identity: {portal: {url: \"https://gw.example:" + port + "\", issuer: lab-idp}, issuers: [{name: lab-idp, url: https://i, audience: a, jwks_file: keys/j, "
                       "algorithms: [RS256], login: {client_id: c, flows: " + flows + "}}]}\napi: {listen: [\"198.18.1.1:8443\"], certificate_file: keys/api.crt, key_file: keys/api.key}\n");
  };
  EXPECT_THAT(warnings("[code]", "8443"), IsEmpty());
  EXPECT_THAT(warnings("[code, device]", "8443"), ElementsAre(HasSubstr("warning: identity.portal: identity.issuers[lab-idp].login.flows holds device: whoever gets a person to enter a code")));
  EXPECT_THAT(warnings("[code]", "443"), ElementsAre(HasSubstr("identity.portal.url has port 443, and api.listen does not")));
  EXPECT_THAT(problems_of(kSmallConfig + "identity: {issuers: [{name: lab-idp, url: https://i, audience: a, jwks_file: keys/j, algorithms: [RS256], login: {client_id: c, flows: [code]}}]}\n"),
              ElementsAre(HasSubstr("code has no effect: identity.portal is not for this issuer")));
}

TEST(RestartNeeded, ATargetThatComesOrGoesNeedsOne) {
  const Config running = load_text(kSmallConfig).config;
  const Config wanted = load_text(changed("name: orders-db", "name: people-db")).config;
  EXPECT_THAT(lines_of(restart_needed(running, wanted)),
              ElementsAre(HasSubstr("a new target \"people-db\""), HasSubstr("\"orders-db\" is gone")));
}

TEST(LimitTable, SumsWhatStandsInItsRows) {
  Config config = load_text(kSmallConfig).config;
  const LimitTable table = limit_table(config, 2);
  EXPECT_EQ(table.fixed, 2u * 2 * 512 * (16 << 10));
  uint64_t sum = 0;
  for (const LimitRow& row : table.rows) {
    EXPECT_FALSE(row.when_hit.empty()) << row.name;
    EXPECT_EQ(row.memory == 0, row.formula.empty()) << row.name;
    EXPECT_EQ(row.value, row.preset) << row.name;
    sum += row.memory;
  }
  EXPECT_EQ(table.at_most, sum);
}

}  // namespace
}  // namespace weir::control

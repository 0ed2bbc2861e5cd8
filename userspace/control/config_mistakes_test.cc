// Each kind of mistake with the message that an operator reads, place included.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/config_test_support.h"

namespace weir::control {
namespace {

struct Mistake {
  const char* name;
  std::string text;       // The whole file.
  std::string expected;   // The only error.
};
void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.name; }

class ConfigMistake : public testing::TestWithParam<Mistake> {};
TEST_P(ConfigMistake, IsTold) {
  std::vector<std::string> errors = problems_of(GetParam().text);
  std::erase_if(errors, [](const std::string& line) { return line.find(": warning: ") != std::string::npos; });
  EXPECT_THAT(errors, testing::ElementsAre(GetParam().expected));
}

std::string with(const std::string& more) { return kSmallConfig + more; }
// Grants and rules need things to point to.
const std::string kGrant = "grants: [{name: g, who: {groups: [a]}, targets: [orders-db], verbs: [read]";

const std::string kIssuer = "identity: {issuers: [{name: lab-idp, url: https://i, audience: a, jwks_file: keys/j, algorithms: [RS256]}]}\n";
const std::string kApi = "api: {listen: [\"198.18.1.1:8443\"], certificate_file: keys/api.crt, key_file: keys/api.key";

std::vector<Mistake> all() {
  return {
      {"WrongVersion", changed("version: 1", "version: 2"),
       "weir.yaml:1:10: error: version: this build reads version 1, not \"2\""},
      {"NameWithSpace", changed("name: gw-test", "name: gw test"),
       "weir.yaml:2:7: error: name: \"gw test\" is not a name (letters, digits, '.', '_' and '-', at most 64)"},
      {"KeyWithoutValue", changed("name: gw-test", "name:"),
       "weir.yaml:2:1: error: name has no value (give it one or take the key out)"},
      {"UnknownUser", with("engine: {user: nobody-here}\n"),
       "weir.yaml:13:16: error: engine.user: there is no user \"nobody-here\" (useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin nobody-here)"},
      {"CoreTwice", with("engine: {cores: [0, 0]}\n"),
       "weir.yaml:13:21: error: engine.cores: core 0 stands twice"},
      {"BufferCountNoPowerOfTwo", with("engine: {limits: {receive_buffer_count: 1000}}\n"),
       "weir.yaml:13:41: error: engine.limits.receive_buffer_count must be a power of two, not 1000"},
      {"LimitOutOfRange", with("engine: {limits: {sessions_max: 0}}\n"),
       "weir.yaml:13:33: error: engine.limits.sessions_max must be 1 to 1000000, not 0"},
      {"SizeWithoutUnit", with("engine: {limits: {unit_size_max: 1024}}\n"),
       "weir.yaml:13:34: error: engine.limits.unit_size_max: \"1024\" has no unit: write B, KiB, MiB or GiB behind it"},
      {"InlineAboveStatement", with("engine: {limits: {statement_size_max: 8KiB}}\n"),
       "weir.yaml:13:18: error: engine.limits.statement_inline_max must not be above statement_size_max"},
      {"InterfaceNameTooLong", changed("clients: [eth0]", "clients: [a-very-long-interface]"),
       "weir.yaml:4:18: error: steer.clients: \"a-very-long-interface\" cannot be an interface name (at most 15 characters, no space or /)"},
      {"MarkOutsideMask", changed("targets: [eth1]}", "targets: [eth1], mark: 0x1/0xff00}"),
       "weir.yaml:4:49: error: steer.mark: \"0x1/0xff00\" has bits outside its mask"},
      {"KernelsOwnTable", changed("targets: [eth1]}", "targets: [eth1], table: 254}"),
       "weir.yaml:4:50: error: steer.table: 254 is one of the kernel's own (default, main, local)"},
      {"DrainWithoutTime", changed("targets: [eth1]}", "targets: [eth1], existing_flows: drain}"),
       "weir.yaml:4:59: error: steer.existing_flows: \"drain\" is not reset, nor drain with a time of 1s to 1d (reset | drain 10m)"},
      {"HalfACa", changed(", key_file: keys/ca.key", ""),
       "weir.yaml:5:11: error: tls.ca: certificate_file and key_file belong together (`weir ca init` makes both)"},
      {"NoCaButLeaves", changed("tls: {ca: {certificate_file: keys/ca.crt, key_file: keys/ca.key}}\n", ""),
       "weir.yaml:6:5: error: tls.ca is missing: a target that offers TLS to clients without a pair of its own needs it (tls: {ca: {certificate_file: keys/ca.crt, key_file: keys/ca.key}} and `weir ca init`)"},
      {"IssuerAlgorithm", with("identity: {issuers: [{name: i, url: https://i, audience: a, jwks_file: keys/j, algorithms: [HS256]}]}\n"),
       "weir.yaml:13:93: error: identity.issuers[i].algorithms: \"HS256\" is not one of RS256, RS384, RS512, PS256, ES256, ES384 or EdDSA (never none, never HMAC)"},
      {"IssuerWithoutAudience", with("identity: {issuers: [{name: i, url: https://i, jwks_file: keys/j, algorithms: [RS256]}]}\n"),
       "weir.yaml:13:22: error: identity.issuers[i].audience is missing"},
      {"StaticBindingAddress", with("identity: {static: [{address: 198.18.1.1/24, subject: s, reason: r}]}\n"),
       "weir.yaml:13:31: error: identity.static[s].address: \"198.18.1.1/24\" has bits after its prefix; did you mean 198.18.1.0/24?"},
      {"StaticBindingTwice", with("identity: {static: [{address: 198.18.1.1, subject: s, reason: r}, {address: 198.18.1.1, subject: t, reason: r}]}\n"),
       "weir.yaml:13:67: error: identity.static: 198.18.1.1 is bound twice (first on line 13)"},
      {"UntilWithoutZone", with("identity: {static: [{address: 198.18.1.1, subject: s, reason: r, until: 2027-12-31}]}\n"),
       "weir.yaml:13:73: error: identity.static[s].until: \"2027-12-31\" is not a time: write RFC 3339 with a zone, like 2027-12-31T00:00:00Z"},
      {"TargetNamesAreNotResolved", changed("addresses: [198.18.2.2]", "names: [db.example]"),
       "weir.yaml:9:12: error: targets[orders-db].names: this version resolves no names, so flows to them would go round the gateway (list the addresses)"},
      {"TargetWithoutAddresses", changed("    addresses: [198.18.2.2]\n", ""),
       "weir.yaml:7:5: error: targets[orders-db].addresses is missing"},
      {"PortOutOfRange", changed("ports: [5432]", "ports: [0]"),
       "weir.yaml:10:13: error: targets[orders-db].ports: \"0\" is not a port, 1 to 65535"},
      {"PortIsNoList", changed("ports: [5432]", "ports: 5432"),
       "weir.yaml:10:12: error: targets[orders-db].ports: a list is needed, not a value (write [5432])"},
      {"PortTwice", changed("ports: [5432]", "ports: [5432, 5432]"),
       "weir.yaml:10:19: error: targets[orders-db].ports: \"5432\" stands twice"},
      {"VerifyFullWithoutAuthority", changed("{ca_file: keys/target-ca.crt}", "{to_target: verify-full}"),
       "weir.yaml:11:10: error: targets[orders-db].tls.ca_file is missing: to_target: verify-full needs the target's authority (ca_file: FILE, or to_target: require)"},
      {"HalfAPair", changed("{ca_file: keys/target-ca.crt}", "{ca_file: keys/a, certificate_file: keys/b}"),
       "weir.yaml:11:10: error: targets[orders-db].tls.certificate_file and key_file belong together"},
      {"InjectWithoutLogins", changed("    ports: [5432]\n", "    ports: [5432]\n    login: inject\n"),
       "weir.yaml:11:12: error: targets[orders-db].logins is missing: login: inject needs what to log in with"},
      {"LoginsButRelay", changed("    ports: [5432]\n", "    ports: [5432]\n    logins: [{client: a, password_file: keys/a}]\n"),
       "weir.yaml:11:13: error: targets[orders-db].logins is given, but login is relay (login: inject)"},
      {"LoginTwice", changed("    ports: [5432]\n", "    ports: [5432]\n    login: inject\n    logins: [{client: a, password_file: keys/a}, {client: a, password_file: keys/a}]\n"),
       "weir.yaml:12:50: error: targets[orders-db].logins: \"a\" stands twice"},
      {"CatalogueWithoutDatabases", changed("    ports: [5432]\n", "    ports: [5432]\n    catalogue: {user: u, password_file: keys/a, databases: []}\n"),
       "weir.yaml:11:60: error: targets[orders-db].catalogue.databases is empty: at least one entry is needed"},
      {"OnFailureCause", changed("    ports: [5432]\n", "    ports: [5432]\n    on_failure: {engin: closed}\n"),
       "weir.yaml:11:18: error: targets[orders-db].on_failure: unknown key \"engin\" (did you mean \"engine\"?)"},
      {"TwoTargetsOfOneName", with("").replace(kSmallConfig.find("record:"), 0, "  - {name: orders-db, protocol: postgres, addresses: [198.18.2.3], ports: [5432], tls: {to_target: none}}\n"),
       "weir.yaml:12:5: error: targets: two entries are named \"orders-db\" (first at /etc/weir/weir.yaml:7)"},
      {"TwoTargetsOnOnePort", with("").replace(kSmallConfig.find("record:"), 0, "  - {name: other, protocol: postgres, addresses: [198.18.2.0/24], ports: [5432], tls: {to_target: none}}\n"),
       "weir.yaml:12:5: error: targets[other]: 198.18.2.0/24 port 5432 belongs to target \"orders-db\" too"},
      {"GrantForNoTarget", with("grants: [{name: g, who: {groups: [a]}, targets: [order-db], verbs: [read]}]\n"),
       "weir.yaml:13:50: error: grants[g].targets: there is no target \"order-db\" (did you mean \"orders-db\"?)"},
      {"GrantWithoutWho", with("grants: [{name: g, targets: [orders-db], verbs: [read]}]\n"),
       "weir.yaml:13:10: error: grants[g].who is missing (who: {groups: [agents]}, or subjects: [\"*\"] for anybody who is bound)"},
      {"GrantVerb", with("grants: [{name: g, who: {groups: [a]}, targets: [orders-db], verbs: [reed]}]\n"),
       "weir.yaml:13:70: error: grants[g].verbs: \"reed\" is not a verb class (did you mean \"read\"?)"},
      {"GrantWithoutVerbs", with("grants: [{name: g, who: {groups: [a]}, targets: [orders-db]}]\n"),
       "weir.yaml:13:10: error: grants[g].verbs is missing"},
      {"GrantAssurance", with(kGrant + ", assurance: strong}]\n"),
       "weir.yaml:13:88: error: grants[g].assurance: \"strong\" is not one of static, network, credential or workload"},
      {"GrantHours", with(kGrant + ", hours: {times: [\"Mon-Fri 22:00-06:00\"]}}]\n"),
       "weir.yaml:13:93: error: grants[g].hours.times: \"Mon-Fri 22:00-06:00\" ends before it begins: write two spans, up to 24:00 and from 00:00"},
      {"GrantZone", with(kGrant + ", hours: {zone: Europe/Berlni, times: [Mon]}}]\n"),
       "weir.yaml:13:91: error: grants[g].hours.zone: there is no time zone \"Europe/Berlni\" (an IANA name such as Europe/Berlin, and the tzdata package)"},
      {"ImpersonateWithoutVerb", with(kGrant + ", impersonate: [x]}]\n"),
       "weir.yaml:13:90: error: grants[g].impersonate names roles, but verbs does not hold impersonate"},
      {"GrantTwice", with(kGrant + "}, {name: g, who: {groups: [a]}, targets: [\"*\"], verbs: [read]}]\n"),
       "weir.yaml:13:78: error: grants: two entries are named \"g\" (first at /etc/weir/weir.yaml:13)"},
      {"GrantLoginNobodyOffers", changed("    ports: [5432]\n", "    ports: [5432]\n    login: inject\n    logins: [{client: app, password_file: keys/a}]\n") + kGrant + ", logins: [ap]}]\n",
       "weir.yaml:15:86: error: grants[g].logins: there is no login \"ap\" (did you mean \"app\"?)"},
      {"RuleWithoutThen", with("rules: [{id: r, what: {words: [x]}}]\n"),
       "weir.yaml:13:9: error: rules[r].then is missing"},
      {"RuleFact", with("rules: [{id: r, what: {facts: [drop-tabel]}, then: block}]\n"),
       "weir.yaml:13:32: error: rules[r].what.facts: \"drop-tabel\" is not a fact (did you mean \"drop-table\"?)"},
      {"RuleDataKind", with("rules: [{id: r, what: {data: [card]}, then: block}]\n"),
       "weir.yaml:13:31: error: rules[r].what.data: there is no data kind \"card\""},
      {"RuleColumn", with("rules: [{id: r, what: {columns: [people.email]}, then: block}]\n"),
       "weir.yaml:13:34: error: rules[r].what.columns: \"people.email\" is not a column (schema.table.column, each may be *)"},
      {"RuleMatchesEverything", with("rules: [{id: r, then: block}]\n"),
       "weir.yaml:13:9: error: rules[r].what is missing: this rule would match every command of everybody"},
      {"MaskWithoutHow", with("rules: [{id: r, what: {columns: [a.b.c]}, then: mask}]\n"),
       "weir.yaml:13:9: error: rules[r].mask is missing: then: mask needs to know how (mask: {as: full})"},
      {"MaskOfNothing", with("rules: [{id: r, what: {words: [x]}, then: mask, mask: {as: full}}]\n"),
       "weir.yaml:13:9: error: rules[r].what: then: mask needs columns or data kinds"},
      {"MaskTowardsTheTarget", with("rules: [{id: r, where: {direction: to_target}, what: {columns: [a.b.c]}, then: mask, mask: {as: full}}]\n"),
       "weir.yaml:13:24: error: rules[r].where.direction: masks are for what comes back (direction: to_client)"},
      {"MaskSettingsWithoutMask", with("rules: [{id: r, what: {words: [x]}, then: block, mask: {as: full}}]\n"),
       "weir.yaml:13:56: error: rules[r].mask belongs to then: mask"},
      {"HashWithoutKey", with("rules: [{id: r, what: {columns: [a.b.c]}, then: mask, mask: {as: hash}}]\n"),
       "weir.yaml:13:9: error: rules[r].mask.as: hash needs masks.hash_key_file"},
      {"KeepLastOfAFullMask", with("rules: [{id: r, what: {columns: [a.b.c]}, then: mask, mask: {as: full, keep_last: 4}}]\n"),
       "weir.yaml:13:83: error: rules[r].mask.keep_last belongs to as: partial"},
      {"AllowWithoutExcept", with("rules: [{id: r, what: {words: [x]}, then: allow}]\n"),
       "weir.yaml:13:9: error: rules[r].except_rules is missing: an allow rule exempts from the rules that it names, and from nothing else"},
      {"ExceptNobody", with("rules: [{id: rule-a, what: {words: [x]}, then: block}, {id: r, then: allow, except_rules: [rule-b]}]\n"),
       "weir.yaml:13:92: error: rules[r].except_rules: there is no rule \"rule-b\" (did you mean \"rule-a\"?)"},
      {"ApprovalOfABlock", with("rules: [{id: r, what: {words: [x]}, then: block, approval: p}]\n"),
       "weir.yaml:13:60: error: rules[r].approval belongs to then: hold"},
      {"ApprovalNowhere", with(kGrant + ", approval: two-eye}]\napprovals: [{name: two-eyes, reviewers: {groups: [b]}}]\n"),
       "weir.yaml:13:87: error: grants[g].approval: there is no approval \"two-eye\" (did you mean \"two-eyes\"?)"},
      {"KindWithoutWidth", with("kinds: [{name: k, pattern: x}]\n"),
       "weir.yaml:13:9: error: kinds[k].width_max is missing: the longest match in bytes"},
      {"KindValidator", with("kinds: [{name: k, pattern: x, width_max: 1, validator: luhm}]\n"),
       "weir.yaml:13:56: error: kinds[k].validator: there is no validator \"luhm\" (did you mean \"luhn\"?)"},
      {"ReviewerIsNotThere", with("changes: {require_reviewer: true}\n"),
       "weir.yaml:13:29: error: changes.require_reviewer: this version cannot make a change wait for another person (false, and review outside)"},
      {"MetricsAddress", with("control: {metrics: localhost}\n"),
       "weir.yaml:13:20: error: control.metrics: \"localhost\" is not an address with a port: write 127.0.0.1:9464 or [::1]:9464"},
      {"ApiWithoutIssuers", with("api: {listen: [\"198.18.1.1:8443\"], certificate_file: keys/a, key_file: keys/b}\n"),
       "weir.yaml:13:16: error: api: identity.issuers is empty: nobody could sign in"},
      {"ApiWithoutListen", with(kIssuer + "api: {certificate_file: keys/a, key_file: keys/b}\n"),
       "weir.yaml:14:6: error: api.listen is missing"},
      {"ApiWithoutKey", with(kIssuer + "api: {listen: [\"198.18.1.1:8443\"], certificate_file: keys/a}\n"),
       "weir.yaml:14:6: error: api.key_file is missing"},
      {"ApiListensEverywhere", with(kIssuer + "api: {listen: [\"0.0.0.0:8443\"], certificate_file: keys/a, key_file: keys/b}\n"),
       "weir.yaml:14:16: error: api.listen: \"0.0.0.0:8443\" is every address of this host, those of the targets' side too (name the addresses that clients and administrators use)"},
      {"ApiListensTwice", with(kIssuer + "api: {listen: [\"198.18.1.1:8443\"], certificate_file: keys/a, key_file: keys/b}\ncontrol: {metrics: \"198.18.1.1:8443\"}\n"),
       "weir.yaml:14:16: error: api.listen: 198.18.1.1:8443 is taken twice"},
      {"ApiRole", with(kIssuer + kApi + ", roles: {admn: {groups: [a]}}}\n"),
       "weir.yaml:14:100: error: api.roles: unknown key \"admn\" (did you mean \"admin\"?)"},
      {"ApiRolePattern", with(kIssuer + kApi + ", roles: {admin: {groups: [\"*\"]}}}\n"),
       "weir.yaml:14:117: error: api.roles.admin.groups: \"*\" is not a name: roles are given by name, not by pattern"},
      {"ApiIssuer", with(kIssuer + kApi + ", issuers: [lab-ipd]}\n"),
       "weir.yaml:14:102: error: api.issuers: there is no issuer \"lab-ipd\" (did you mean \"lab-idp\"?)"},
      {"ApiLimits", with(kIssuer + kApi + ", limits: {connections_max: 4}}\n"),
       "weir.yaml:14:100: error: api.limits.connections_per_source_max must not be above connections_max"},
      {"ApiKeysOfTheControlSection", with("control: {listen: [\"198.18.1.1:8443\"]}\n"),
       "weir.yaml:13:11: error: control: unknown key \"listen\" (one of socket or metrics)"},
      {"SocketPathTooLong", with("control: {socket: /run/" + std::string(120, 'x') + "}\n"),
       "weir.yaml:13:10: error: control.socket: /run/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx is longer than 107 bytes (set control.socket to a shorter path)"},
      {"LogFormat", with("log: {format: yaml}\n"),
       "weir.yaml:13:15: error: log.format: \"yaml\" is not one of text or json"},
      {"BooleanAsText", with("changes: {require_reason: yes}\n"),
       "weir.yaml:13:27: error: changes.require_reason: \"yes\" is neither true nor false"},
      {"MapWhereAListIsNeeded", with("grants: {name: g}\n"),
       "weir.yaml:13:9: error: grants: a list is needed, not a map (begin each entry with \"- \")"},
      {"MergeKeysAreNotRead", with("log: {<<: {level: info}}\n"),
       "weir.yaml:13:7: error: log: unknown key \"<<\" (one of level or format)"},
      {"NotifyEvent", with("notify: [{name: n, url: https://x, events: [tickets]}]\n"),
       "weir.yaml:13:45: error: notify[n].events: \"tickets\" is not an event (did you mean \"ticket\"?)"},
  };
}

INSTANTIATE_TEST_SUITE_P(Each, ConfigMistake, testing::ValuesIn(all()), [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace weir::control

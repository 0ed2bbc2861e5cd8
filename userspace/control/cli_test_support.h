// The command line in a test: a folder with a configuration, an environment, and an engine that answers what the verbs ask.
#pragma once
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "control/cli_text.h"
#include "control/control_server.h"
#include "control/verbs.h"

namespace weir::control {

using nlohmann::json;

inline const std::string kConfig = R"(version: 1
name: gw-test
state: state
steer: {clients: [weir-test-a], targets: [weir-test-b], pin: /sys/fs/bpf/weir-cli-test}
engine: {user: root, signer_user: nobody, cores: [0]}
tls: {ca: {certificate_file: keys/ca.crt, key_file: keys/ca.key}}
identity: {static: [{address: 198.18.1.2, subject: "svc:report", groups: [agents], reason: test}]}
targets:
  - {name: orders-db, protocol: postgres, addresses: [198.18.2.2], ports: [5432], login: relay, tls: {to_client: none, to_target: none}}
grants:
  - {name: read, who: {groups: [agents]}, targets: [orders-db], verbs: [read], until: 2037-01-01T00:00:00Z}
  - {name: write, who: {groups: [team]}, targets: [orders-db], verbs: [read, write], hours: {times: ["Mon-Fri 08:00-18:00"]}}
rules:
  - {id: no-drop, severity: high, tags: [CC8.1], what: {facts: [drop-table]}, then: block, message: "closed here", examples: {match: ["drop table t"], no_match: ["select 1"]}}
record: {signing: {key_file: keys/log.key}, encryption: {key_file: keys/kek.key}}
)";

struct Outcome {
  int code = 0;
  std::string out, err;
};

class Cli : public testing::Test {
 protected:
  Cli() {
    char name[] = "/tmp/weir-cli-XXXXXX";
    folder_ = mkdtemp(name);
    std::filesystem::create_directory(folder_ + "/keys");
    for (const char* file : {"ca.crt", "ca.key", "log.key", "kek.key"}) {
      std::ofstream(folder_ + "/keys/" + file) << (file == std::string("kek.key") ? "weir-key-1 " + std::string(64, 'f') : "fake") << "\n";
      chmod((folder_ + "/keys/" + file).c_str(), 0600);
    }
    std::filesystem::create_directory(folder_ + "/state");
    write(kConfig);
    environment_["WEIR_CONFIG"] = folder_ + "/weir.yaml";
  }
  ~Cli() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& text) { std::ofstream(folder_ + "/weir.yaml") << text; }
  Outcome weir(const std::vector<std::string>& arguments, const std::string& input = "") {
    std::istringstream in(input);
    std::ostringstream out, err;
    Terminal terminal{in, out, err, is_terminal_, is_terminal_, [this](const char* name) {
                        const auto found = environment_.find(name);
                        return found == environment_.end() ? nullptr : found->second.c_str();
                      },
                      [this](std::chrono::milliseconds time) { waited_ += time; }, [this](const identify::HttpsRequest& request) { return provider_(request); }};
    const int code = run_cli(verbs_, arguments, terminal);
    return {code, out.str(), err.str()};
  }

  std::string folder_;
  std::map<std::string, std::string> environment_;
  bool is_terminal_ = false;
  std::chrono::milliseconds waited_{0};
  identify::Https provider_ = [](const identify::HttpsRequest&) -> Result<identify::HttpsAnswer> { return fail(Error::Kind::kUnavailable, "cannot connect: Connection refused"); };
  std::vector<Verb> verbs_ = all_verbs({});
};

// An engine that answers what the verbs ask.
class FakeEngine final : public ControlHandler {
 public:
  Result<json> handle(std::string_view verb, const json& arguments, const ControlPeer&) override {
    asked.emplace_back(std::string(verb), arguments);
    if (verb == "status") return json{{"engine", {{"pid", 4711}, {"sessions", 2}, {"config", {{"generation", 3}, {"on_disk", "configuration on disk refused"}}}}}, {"record", {{"accepting", true}}}};
    if (verb == "reload") return fail(Error::Kind::kInvalid, "weir.yaml:1:1: error: no");
    if (verb == "bind" && late-- > 0) return fail(Error::Kind::kUnavailable, "the set is being fetched again: try again in a few seconds");
    if (verb == "bind") return json{{"id", 9}, {"subject", "user:ann"}, {"address", arguments.at("address")}, {"until", "2037-01-01T00:00:00Z"}, {"text", ""}};
    if (verb == "bound") return bound_after-- > 0 ? json{{"bound", false}} : json{{"bound", true}, {"id", 9}, {"until", "2027-01-15T09:00:00Z"}};
    if (verb == "bindings") return json::array({{{"id", 9}, {"subject", "user:ann\x1b[31m"}, {"address", "198.18.1.7"}, {"groups", {"dba"}}, {"assurance", "network"}, {"refused", 1}}});
    if (waits && (verb == "cut" || verb == "revoke")) return json{{"pending", 7}, {"number", 7}, {"text", "cut session 17"}, {"deadline", "2037-01-01T01:00:00Z"}};
    if (verb == "changes") return arguments.contains("change") ? change : json::array({change});
    if (verb == "change-approve") return change;
    if (verb == "change-deny") return fail(Error::Kind::kDenied, "change 7 was answered: approved");
    if (verb == "cut") return json{{"cut", 1}};
    if (verb == "tickets") return arguments.contains("ticket") ? ticket : json::array({ticket});
    if (verb == "approve") return json{{"by", "local:ann"}, {"what", "approved"}, {"changed", is_changed}};
    if (verb == "alerts") return json::array({{{"number", 17}, {"state", "open"}, {"event", "alert"}, {"severity", "high"}, {"subject", "user:ann\x1b[31m"}, {"count", 3}, {"last", "2037-01-01T00:00:00Z"}}});
    if (verb == "close-alert") return json{{"number", 17}, {"by", "local:ann"}};
    if (verb == "sign-off") return json{{"what", "remove: read, write"}, {"list", "ab"}};
    if (verb == "test-sinks") return json::array({{{"sink", "siem"}, {"id", "n1"}}});
    if (verb == "sink-tests") return json::array({{{"sink", "siem"}, {"id", "n1"}, {"sent", false}, {"error", test_looks-- > 0 ? "" : "cannot connect"}}});
    if (verb == "deny") return fail(Error::Kind::kDenied, "ticket 17 was denied by user:bob");
    if (verb == "view") return can_record ? Result<json>(json::object()) : fail(Error::Kind::kUnavailable, "the record is full");
    return fail(Error::Kind::kNotFound, "nothing fits");
  }
  std::string metrics() override { return ""; }
  std::vector<std::pair<std::string, json>> asked;
  int late = 0;   // How often a bind finds no keys.
  int bound_after = 0, test_looks = 0;
  bool is_changed = true;
  json ticket = {{"number", 17}, {"state", "open"}, {"subject", "svc:agent"}, {"groups", {"agents"}}, {"acting_for", {"user:carl"}}, {"assurance", "network"}, {"target", "orders-db"},
                 {"rule", "whole-table"}, {"approval", "two-eyes"}, {"statement", "delete from orders\n  digest      \x1b[31mfake"}, {"parameters", "[1]"}, {"objects", "public.orders"},
                 {"verbs", {"write"}}, {"digest", "abcd"}, {"opened", "2037-01-01T00:00:00Z"}, {"deadline", "2037-01-01T00:10:00Z"}, {"min_reviewers", 2}, {"session", 3}, {"unit", 4},
                 {"answers", {{{"by", "user:ann"}, {"what", "approve"}, {"at", "2037-01-01T00:01:00Z"}, {"reason", "fine"}}}}};
  bool can_record = true;
  bool waits = false;   // For a second person.
  json change = {{"number", 7}, {"state", "pending"}, {"gateway", "gw"}, {"act", "reload"}, {"text", "rule r\x1b[31m added"}, {"reason", "CHG-1"}, {"by", "uid 0, login uid 1000"},
                 {"asked", "2037-01-01T00:00:00Z"}, {"deadline", "2037-01-01T01:00:00Z"}, {"digest", "abcd"}, {"change", {{"files", {{{"file", "/etc/a"}, {"before", "11"}, {"after", "22"}}}}}}};
};

// The engine's socket, served while it lives.
class Served {
 public:
  Served(const std::string& folder, FakeEngine& engine) {
    ControlServer::Options options;
    options.socket = folder + "/state/control.sock";
    auto server = ControlServer::open(options, engine);
    EXPECT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    server_->start();
  }
  ~Served() { server_->stop(); }
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

 private:
  std::unique_ptr<ControlServer> server_;
};

}  // namespace weir::control

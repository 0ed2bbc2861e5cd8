// A pack of two days in a folder of its own, and what a record's readers would say.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "report/evidence_pack.h"

namespace weir::report {

using nlohmann::json;

inline std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

class Pack : public testing::Test {
 protected:
  Pack() {
    char name[] = "/tmp/weir-report-XXXXXX";
    root_ = mkdtemp(name);
    folder_ = root_ + "/pack";
  }
  ~Pack() override { std::filesystem::remove_all(root_); }

  Scope scope() const {
    using namespace std::chrono;
    Scope scope;
    scope.gateway = "gw-test";
    scope.from = sys_days{2027y / March / 1};
    scope.until = sys_days{2027y / March / 3};
    scope.made_at = "2027-03-03T10:00:00Z";
    scope.made_by = "uid 0";
    scope.command = "weir evidence --from x";
    return scope;
  }
  EvidencePack begin() {
    auto pack = EvidencePack::begin(folder_, scope());
    EXPECT_TRUE(pack) << pack.error().message;
    return std::move(*pack);
  }
  static VerifierResult verified() {
    VerifierResult result;
    result.is_verified = true;
    return result;
  }
  PackSummary finish(EvidencePack& pack, std::vector<std::string> extra = {}) {
    auto done = pack.finish(extra);
    EXPECT_TRUE(done) << done.error().message;
    return *done;
  }
  std::vector<json> rows(const std::string& table) const {
    std::vector<json> rows;
    std::ifstream in(folder_ + "/tables/" + table + ".jsonl");
    for (std::string line; std::getline(in, line);) rows.push_back(json::parse(line));
    return rows;
  }
  // Kinds of exceptions, but for those of a record without access lists and reviews, which have tests of their own.
  std::multiset<std::string> exceptions() const {
    std::multiset<std::string> kinds;
    for (const json& row : rows("exceptions")) kinds.insert(row["kind"]);
    for (const char* kind : {"access-not-known", "grants-not-reviewed"}) kinds.erase(kind);
    return kinds;
  }
  static json session(uint64_t id, const std::string& subject = "svc:report") {
    return {{"id", id}, {"opened", "2027-03-01T08:00:00.000000001Z"}, {"closed", "2027-03-01T08:00:09.000000001Z"}, {"subject", subject}, {"target", "orders-db"}, {"login", "app"}, {"reason", "client closed"},
            {"account", "balanced"}, {"is_interrupted", false}, {"gaps", 0}, {"facts", {{"assurance", "credential"}, {"groups", {"agents"}}, {"mode", "enforce"}}}, {"bytes", {{"to_client", {{"kernel", 900u}, {"opaque", 0u}}}}}};
  }
  static json command(uint64_t seq, const std::string& verdict, const std::string& outcome, const std::string& rule = "") {
    return {{"kind", "command"}, {"seq", seq}, {"at", "2027-03-01T08:00:0" + std::to_string(seq) + ".5Z"}, {"verb", "query"}, {"verdict", verdict}, {"outcome", outcome}, {"rule", rule}, {"grant", "agents-read"}, {"text", "select secret_statement"}};
  }
  static json note(const std::string& text) { return {{"kind", "note"}, {"at", "2027-03-01T08:00:02.5Z"}, {"text", text}}; }

  std::string root_, folder_;
};

}  // namespace weir::report

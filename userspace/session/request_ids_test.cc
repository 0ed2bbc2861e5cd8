#include "session/request_ids.h"

#include <gtest/gtest.h>

#include <vector>

#include "decide/fake_codec.h"

namespace weir::session {
namespace {

constexpr std::string_view kTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const std::vector<std::string> kOrder = {"traceparent", "sqlcommenter", "application_name"};

// Takes "secret" out, and counts how often it was asked to.
class OnePolicy final : public Policy {
 public:
  std::unique_ptr<PolicySession> open(const SessionFacts&) const override { return std::make_unique<PolicySession>(); }
  void decide(DecideContext&, const Codec&, Bytes, uint64_t, std::span<const Unit>, std::span<Verdict>) const override {}
  Bytes redact(DecideContext&, const Codec&, const Unit&, Bytes) const override { return {}; }
  Bytes redact_text(DecideContext&, const Codec&, Bytes text) const override {
    ++asked;
    return as_text(text).find("secret") == std::string_view::npos ? text : as_bytes("****");
  }
  uint64_t generation() const override { return number; }
  std::string_view digest() const override { return ""; }
  mutable int asked = 0;
  uint64_t number = 1;
};
class NoFacts final : public FactsSource {
 public:
  FactsAnswer facts(const FactsQuery&) override { return {}; }
  std::span<const uint64_t> collect() override { return {}; }
};

struct Bench {
  decide::FakeCodec codec;
  RequestIds requests;
  OnePolicy policy;
  NoFacts facts;
  SessionFacts session;
  std::unique_ptr<PolicySession> state = std::make_unique<PolicySession>();
  Arena arena{4096};
  DecideContext context{session, *state, facts, nullptr, arena, {}, nullptr};

  std::string name(Unit& unit, std::span<const std::string> order = kOrder, uint64_t generation = 1) {
    requests.name({&unit, 1}, codec, order, generation);
    return std::string(unit.request_id);
  }
  std::string recorded(const Unit& unit) { return std::string(requests.for_record(unit, policy, context, codec)); }
};

TEST(RequestIds, AStatementsOwnComesBeforeTheSessions) {
  Bench bench;
  bench.codec.login_facts.application_name = "billing";
  EXPECT_EQ(bench.name(bench.codec.query("select 1 /*traceparent='" + std::string(kTrace) + "'*/")), kTrace);
  EXPECT_EQ(bench.name(bench.codec.query("select 1 /*ticket='7'*/")), "ticket='7'");
  EXPECT_EQ(bench.name(bench.codec.query("select 1 /* a hint */")), "billing");
  EXPECT_EQ(bench.name(bench.codec.query("select 1")), "billing");
  EXPECT_EQ(bench.name(bench.codec.other(Direction::kToTarget, UnitKind::kLogin, "login")), "billing");
  EXPECT_EQ(bench.name(bench.codec.other(Direction::kToTarget, UnitKind::kControl, "sync")), "");
}

TEST(RequestIds, AnExecuteHasItsStatements) {
  Bench bench;
  bench.codec.login_facts.application_name = "billing";
  bench.codec.statements[5] = "select $1 /*ticket='5'*/";
  bench.codec.statements[37] = "select $1 /*ticket='37'*/";  // The same place of the cache.
  bench.codec.statements[6] = "select $1 /*+ SeqScan(t) */";
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(bench.name(bench.codec.execute(5)), "ticket='5'");
    EXPECT_EQ(bench.name(bench.codec.bind(5, {"x"})), "ticket='5'");
    EXPECT_EQ(bench.name(bench.codec.execute(37)), "ticket='37'");
    EXPECT_EQ(bench.name(bench.codec.execute(6)), "billing");
    EXPECT_EQ(bench.name(bench.codec.execute(0, 5)), "ticket='5'");
    EXPECT_EQ(bench.name(bench.codec.execute(99)), "billing") << "unknown to the codec";
  }
}

TEST(RequestIds, ANewNameOrOrderIsFollowed) {
  Bench bench;
  bench.codec.statements[6] = "select $1 /* a hint */";
  bench.codec.statements[5] = "select $1 /*ticket='5'*/";
  EXPECT_EQ(bench.name(bench.codec.execute(6)), "");
  bench.codec.login_facts.application_name = "first";
  EXPECT_EQ(bench.name(bench.codec.execute(6)), "first");
  const std::string with_trace = "svc " + std::string(kTrace), too_long(300, 'a');
  bench.codec.login_facts.application_name = with_trace;
  EXPECT_EQ(bench.name(bench.codec.execute(6)), kTrace);
  EXPECT_EQ(bench.name(bench.codec.execute(5)), kTrace) << "a traceparent is looked for first, wherever it stands";
  const std::vector<std::string> comments = {"sqlcommenter"};
  EXPECT_EQ(bench.name(bench.codec.execute(5), comments, 2), "ticket='5'");
  EXPECT_EQ(bench.name(bench.codec.execute(6), comments, 2), "");
  EXPECT_EQ(bench.name(bench.codec.execute(6), {}, 3), "");
  std::vector<std::string> same_place = {"application_name"};
  EXPECT_EQ(bench.name(bench.codec.execute(5), same_place, 4), with_trace);
  same_place[0] = "sqlcommenter";
  EXPECT_EQ(bench.name(bench.codec.execute(5), same_place, 5), "ticket='5'") << "a reload may put the next order where the last one lay";
  bench.codec.login_facts.application_name = too_long;
  EXPECT_EQ(bench.name(bench.codec.execute(6)), "") << "too long to be one";
}

TEST(RequestIds, WhatMasksCoverDoesNotStandInTheRecord) {
  Bench bench;
  Unit& comment = bench.codec.query("select 1 /*card='secret'*/");
  bench.name(comment);
  EXPECT_EQ(bench.recorded(comment), "****");
  Unit& trace = bench.codec.query("select 1 /*traceparent='" + std::string(kTrace) + "'*/");
  bench.name(trace);
  EXPECT_EQ(bench.recorded(trace), kTrace);
  bench.policy.asked = 0;
  bench.codec.login_facts.application_name = "a secret";
  for (int round = 0; round < 3; ++round) {
    Unit& plain = bench.codec.query("select 1");
    bench.name(plain);
    EXPECT_EQ(bench.recorded(plain), "****");
  }
  EXPECT_EQ(bench.policy.asked, 1) << "the session's own is looked at once";
  bench.policy.number = 2;
  Unit& plain = bench.codec.query("select 1");
  bench.name(plain);
  EXPECT_EQ(bench.recorded(plain), "****");
  EXPECT_EQ(bench.policy.asked, 2) << "and again by other rules";
}

}  // namespace
}  // namespace weir::session

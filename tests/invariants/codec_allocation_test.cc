// No allocation per command on the steady path: a counting operator new, and a sink and an outbox that do not allocate.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "base/counting_new_test_support.h"
#include "core/limits.h"
#include "parse/registry.h"
#include "tests/playbook/wire_text.h"

namespace weir::testing {
namespace {

class PlainSides final : public SideFacts {
 public:
  bool is_tls(Side) const override { return false; }
  Bytes peer_certificate_hash(Side) const override { return {}; }
};
class NoRandom final : public RandomSource {
 public:
  void fill(MutableBytes bytes) override { std::fill(bytes.begin(), bytes.end(), std::byte{1}); }
};
class FixedSink final : public UnitSink {
 public:
  bool add(const Unit& unit) override {
    if (count == units.size()) return false;
    units[count++] = unit;
    return true;
  }
  std::array<Unit, 64> units;
  std::size_t count = 0;
};
class CountingBox final : public Outbox {
 public:
  void pass(ByteRange range) override { passed += range.size; }
  void replace(ByteRange, Bytes) override { ++edits; }
  void drop(ByteRange) override { ++edits; }
  void inject(Side, Bytes) override { ++injected; }
  uint64_t passed = 0, edits = 0, injected = 0;
};

class Exchange {
 public:
  Exchange() : environment_{arena_, target_, sides_, random_, limits_}, codec_(find_protocol("postgres")->make_codec(environment_)) {
    codec_->signal({Signal::Kind::kTargetConnected, Side::kTarget, 0, 0, {}, {}}, box);
    run(Direction::kToTarget, front("startup user=alice database=shop"));
    run(Direction::kToClient, back("R ok ; K 7 99 ; Z I"));
  }
  static std::string front(const char* text) { return encode(text, true); }
  static std::string back(const char* text) { return encode(text, false); }
  // Parses and settles all of it; allocates nothing itself.
  void run(Direction direction, const std::string& bytes) {
    uint64_t& at = at_[index_of(direction)];
    sink_.count = 0;
    const Step step = codec_->parse(0, direction, at, as_bytes(bytes), sink_);
    consumed += step.consumed;
    wanted += bytes.size();
    Verdict allow;
    allow.action = Verdict::Action::kAllow;
    for (std::size_t i = 0; i < sink_.count; ++i) {
      const Unit& unit = sink_.units[i];
      const Bytes wire = as_bytes(bytes).subspan(static_cast<std::size_t>(unit.wire.offset - at), unit.wire.size);
      settled += codec_->settle(unit, wire, allow, box).done ? 1 : 0;
      ++units;
    }
    at += step.consumed;
    arena_.reset();
  }
  CountingBox box;
  uint64_t units = 0, settled = 0, consumed = 0, wanted = 0;

 private:
  static std::string encode(const char* text, bool from_client) {
    std::vector<Word> words;
    std::string problem;
    split_words(text, words);
    return encode_messages(words, from_client, problem);
  }
  Limits limits_;
  TargetFacts target_;
  PlainSides sides_;
  NoRandom random_;
  Arena arena_{64u << 10};
  CodecEnvironment environment_;
  CodecPtr codec_;
  FixedSink sink_;
  std::array<uint64_t, 2> at_{};
};

uint64_t allocations_of(Exchange& exchange, const std::string& asked, const std::string& answered) {
  const auto once = [&] {
    exchange.run(Direction::kToTarget, asked);
    exchange.run(Direction::kToClient, answered);
  };
  for (int i = 0; i < 200; ++i) once();
  const uint64_t before = g_news;
  for (int i = 0; i < 1000; ++i) once();
  return g_news - before;
}

TEST(CodecAllocation, ASimpleQueryAllocatesNothing) {
  Exchange exchange;
  EXPECT_EQ(allocations_of(exchange, Exchange::front("Q \"select abalance from pgbench_accounts where aid = 4711 and a_longer_text_than_any_small_string\""),
                           Exchange::back("T abalance:23:16400:3 ; D \"42\" ; C \"SELECT 1\" ; Z I")), 0U);
  EXPECT_EQ(exchange.settled, exchange.units);
  EXPECT_EQ(exchange.consumed, exchange.wanted);
  EXPECT_EQ(exchange.box.edits + exchange.box.injected, 0U);
}

TEST(CodecAllocation, ThePreparedProtocolAllocatesNothing) {
  Exchange exchange;
  exchange.run(Direction::kToTarget, Exchange::front("P \"P0_a_statement_name_beyond_small\" \"select abalance from pgbench_accounts where aid = $1\" ; S"));
  exchange.run(Direction::kToClient, Exchange::back("1 ; Z I"));
  EXPECT_EQ(allocations_of(exchange, Exchange::front("B \"\" \"P0_a_statement_name_beyond_small\" formats=0 results=1 \"4711\" ; D P \"\" ; E \"\" 0 ; S"),
                           Exchange::back("2 ; T abalance:23:16400:3:1 ; D \"42\" ; C \"SELECT 1\" ; Z I")), 0U);
  EXPECT_EQ(exchange.settled, exchange.units);
  EXPECT_EQ(exchange.consumed, exchange.wanted);
}

TEST(CodecAllocation, TheUnnamedExtendedProtocolAllocatesNothing) {
  Exchange exchange;
  EXPECT_EQ(allocations_of(exchange, Exchange::front("P \"\" \"select $1::int + 1 as a_column_of_the_result\" ; B \"\" \"\" \"4711\" ; D P \"\" ; E \"\" 0 ; S"),
                           Exchange::back("1 ; 2 ; T a:23 ; D \"4712\" ; C \"SELECT 1\" ; Z I")), 0U);
  EXPECT_EQ(exchange.settled, exchange.units);
  EXPECT_EQ(exchange.consumed, exchange.wanted);
}

TEST(CodecAllocation, AMixOfStatementsAllocatesNothing) {
  Exchange exchange;
  const std::string a = Exchange::front("Q \"update pgbench_accounts set abalance = abalance + 1 where aid = 1\"");
  const std::string b = Exchange::front("Q \"select abalance, filler from pgbench_accounts where aid = 1\"");
  const auto once = [&] {
    exchange.run(Direction::kToTarget, a);
    exchange.run(Direction::kToClient, Exchange::back("C \"UPDATE 1\" ; Z T"));
  };
  const std::string rows = Exchange::back("T abalance:23 filler:25 ; D \"1\" \"f\" ; D \"2\" null ; C \"SELECT 2\" ; Z T");
  once();
  EXPECT_EQ(allocations_of(exchange, b, rows), 0U);
}

}  // namespace
}  // namespace weir::testing

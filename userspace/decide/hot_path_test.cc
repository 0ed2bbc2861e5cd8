// Claim: a statement that was seen before costs no allocation, with patterns, grants and masks in force.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "decide/judge_fixture.h"

namespace {
std::atomic<bool> g_counts{false};
std::atomic<uint64_t> g_allocations{0};
void* counted(std::size_t size) {
  if (g_counts.load(std::memory_order_relaxed)) g_allocations.fetch_add(1, std::memory_order_relaxed);
  void* made = std::malloc(size == 0 ? 1 : size);
  if (made == nullptr) std::abort();
  return made;
}
}  // namespace

// All of this program's, so that what Hyperscan and the standard library ask for counts too.
void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return counted(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return counted(size); }
void operator delete(void* pointer) noexcept { std::free(pointer); }
void operator delete[](void* pointer) noexcept { std::free(pointer); }
void operator delete(void* pointer, std::size_t) noexcept { std::free(pointer); }
void operator delete[](void* pointer, std::size_t) noexcept { std::free(pointer); }

namespace weir::decide {
namespace {

class HotPath : public ::testing::Test, public Judge {
 protected:
  // Judges the units again and again; the first rounds may allocate.
  uint64_t allocations_of(const std::vector<const Unit*>& units) {
    for (int i = 0; i < 3; ++i) run(units);
    g_allocations = 0;
    g_counts = true;
    for (int i = 0; i < 100; ++i) run(units);
    g_counts = false;
    return g_allocations;
  }
  void run(const std::vector<const Unit*>& units) {
    DecideContext made{session_facts, *state, source, &catalogue, arena, wall, scratch.get()};
    for (const Unit* unit : units) {
      arena.reset();
      Verdict verdict;
      policy->decide(made, codec, as_bytes(codec.stream(unit->direction)).subspan(unit->wire.offset, unit->wire.size),
                     unit->wire.offset, std::span(unit, 1), std::span(&verdict, 1));
      last = verdict.action;
      if (unit->direction == Direction::kToTarget) (void)policy->redact(made, codec, *unit, codec.wire(*unit));
    }
  }
  Verdict::Action last{};
};

TEST_F(HotPath, JudgesWithoutAllocating) {
  kind("token", "TOK-[0-9]{6}", 10);
  RuleConfig& tokens = rule("mask-tokens", RuleAction::kMask);
  tokens.where.direction = Direction::kToClient;
  tokens.what.data = {"token"};
  rule("no-word", RuleAction::kBlock).what.words = {"xyzzy"};
  rule("tells", RuleAction::kAlert).what.shapes = bit(Shape::kSelectStar);
  mask_people();
  reads_people("select id, email from people", {"id", "email"}).shapes = bit(Shape::kSelectStar);
  codec.statements[5] = "select id, email from people";
  codec.described = {{"id", 20001, 1, 23, ValueFormat::kText}, {"email", 20001, 2, 25, ValueFormat::kText}};
  session_facts = session();
  open();
  const Unit& query = codec.query("select id, email from people");
  const Unit& bind = codec.bind(5, {"1"});
  const Unit& execute = codec.execute(5);
  const Unit& row = codec.row(query.id, {"7 TOK-123456", "alice@example.test"});
  EXPECT_EQ(allocations_of({&query, &bind, &execute, &row}), 0u);
  EXPECT_EQ(last, Verdict::Action::kMask);
}

}  // namespace
}  // namespace weir::decide

// Many seeds, each a world of its own with faults of its own.  WEIR_SEEDS: how many (2000), WEIR_SEED: one.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <set>

#include "simulation/run.h"

namespace weir::simulation {
namespace {

uint64_t number_of(const char* name, uint64_t preset) {
  const char* text = std::getenv(name);
  return text == nullptr ? preset : std::strtoull(text, nullptr, 10);
}

TEST(Simulation, OneSeed) {
  const uint64_t seed = number_of("WEIR_SEED", 1);
  const Report report = run(seed);
  EXPECT_TRUE(report.violations.empty()) << report.text(seed);
}

TEST(Simulation, EveryPromiseHoldsInEverySeed) {
  const uint64_t count = number_of("WEIR_SEEDS", 2000), first = number_of("WEIR_FIRST_SEED", 1);
  Report sum;
  uint64_t failures = 0;
  std::set<std::string> checkers;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const Report report = run(seed);
    sum.sessions += report.sessions;
    sum.statements += report.statements;
    sum.events += report.events;
    sum.blocked += report.blocked;
    sum.finished += report.finished;
    sum.compared += report.compared;
    sum.tickets += report.tickets;
    sum.refused_words += report.refused_words;
    if (report.violations.empty()) continue;
    for (const Violation& violation : report.violations) checkers.insert(violation.checker);
    if (++failures <= 5) ADD_FAILURE() << report.text(seed);
  }
  std::cout << count << " seeds: " << sum.sessions << " sessions (" << sum.finished << " to their end, " << sum.compared << " compared with a target alone), " << sum.statements
            << " statements at targets, " << sum.blocked << " blocked, " << sum.tickets << " held, " << sum.refused_words << " words of reviewers that did not count, " << sum.events << " events on the record\n";
  for (const std::string& checker : checkers) std::cout << "caught by: " << checker << "\n";
  EXPECT_EQ(failures, 0u);
  // The world is worth simulating: most sessions end well, and many statements are blocked.
  EXPECT_GT(sum.finished * 3, sum.sessions);
  EXPECT_GT(sum.blocked, count / 4);
  EXPECT_GT(sum.tickets, count / 4);
  EXPECT_GT(sum.refused_words, sum.tickets);
}

TEST(Simulation, SameSeedSameTrace) {  // I10
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto trace = run(seed).trace;
    EXPECT_EQ(trace, run(seed).trace) << "seed " << seed;
    std::printf("trace of seed %llu: %llx\n", static_cast<unsigned long long>(seed), static_cast<unsigned long long>(trace));
  }
}

}  // namespace
}  // namespace weir::simulation

#include "core/metrics.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace weir {
namespace {

TEST(Metrics, TotalIsTheSumOfAllBlocks) {
  MetricsRegistry registry(2);
  registry.core(0).add(Metric::kCommands, 3);
  registry.core(1).add(Metric::kCommands);
  registry.control().add(Metric::kCommands, 10);
  EXPECT_EQ(registry.total(Metric::kCommands), 14u);
}

TEST(Metrics, AGaugeGoesUpOnOneBlockAndDownOnAnother) {
  MetricsRegistry registry(2);
  registry.core(0).add(Metric::kSessionsOpen, 2);
  registry.core(1).subtract(Metric::kSessionsOpen);
  EXPECT_EQ(registry.total(Metric::kSessionsOpen), 1u);
}

TEST(Metrics, EverySeriesIsNamedOnceAndEveryMetricHasHelp) {
  std::set<std::string> series, names;
  std::string_view previous;
  for (const MetricInfo& info : kMetricInfo) {
    EXPECT_TRUE(series.insert(std::string(info.name) + "{" + std::string(info.labels) + "}").second) << info.name;
    if (info.name == previous) continue;
    EXPECT_FALSE(info.help.empty()) << info.name << ": the first line of a metric carries its help";
    EXPECT_TRUE(names.insert(std::string(info.name)).second) << info.name << ": its lines must stand together";
    previous = info.name;
  }
}

}  // namespace
}  // namespace weir

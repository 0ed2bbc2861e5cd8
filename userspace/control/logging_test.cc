#include "control/logging.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "control/metrics_text.h"

namespace weir::control {
namespace {

// What `log` writes with this configuration.
std::string lines_of(const LogConfig& config, void (*log)(spdlog::logger&)) {
  int pipes[2];
  EXPECT_EQ(pipe(pipes), 0);
  {
    Logging logging(config, pipes[1]);
    log(logging.log());
  }  // The end writes what is queued.
  close(pipes[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t size = read(pipes[0], buffer, sizeof buffer); size > 0; size = read(pipes[0], buffer, sizeof buffer)) text.append(buffer, static_cast<std::size_t>(size));
  close(pipes[0]);
  return text;
}

TEST(Logging, APeersBytesCannotEndALineOrReachATerminal) {
  EXPECT_EQ(escape_bytes("a\nb\tc\x1b[31m\x7f"), "a\\nb\\tc\\x1b[31m\\x7f");
  EXPECT_EQ(escape_bytes("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
  EXPECT_EQ(escape_bytes("\xff\xc3\xc0\xaf"), "\\xff\\xc3\\xc0\\xaf") << "broken and overlong sequences";
  EXPECT_EQ(escape_bytes("\xc2\x9b" "31m"), "\\xc2\\x9b31m") << "C1 controls";
  EXPECT_EQ(escape_bytes("\xe2\x80\xae" "x"), "\\xe2\\x80\\xaex") << "right-to-left override";
}

TEST(Logging, TextLinesHaveTimeLevelAndMessage) {
  const std::string text = lines_of({"info", false}, [](spdlog::logger& log) {
    log.debug("not this");
    log.info("peer said {}", "x\ny");
  });
  ASSERT_GT(text.size(), 24u);
  EXPECT_EQ(text.substr(23), "Z info peer said x\\ny\n");
}

TEST(Logging, JsonLinesAreObjects) {
  const std::string text = lines_of({"warning", true}, [](spdlog::logger& log) { log.warn("quote \" and \xff"); });
  const auto line = nlohmann::json::parse(text, nullptr, false);
  ASSERT_TRUE(line.is_object()) << text;
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["message"], "quote \" and \\xff");
}

TEST(MetricsText, HelpAndTypeStandOnceAMetric) {
  MetricsRegistry registry(1);
  registry.core(0).add(Metric::kCommands, 5);
  registry.core(0).add(Metric::kRefusedCapacity, 2);
  const std::vector<MetricSample> more = {{"weir_kernel_packets_total", "action=\"steered\"", "Packets.", MetricType::kCounter, 12}, {"weir_load", "", "Load.", MetricType::kGauge, 0.5}};
  const std::string text = render_metrics(registry, more);
  EXPECT_NE(text.find("# TYPE weir_commands_total counter\nweir_commands_total 5\n"), std::string::npos);
  EXPECT_NE(text.find("\nweir_sessions_refused_total{reason=\"capacity\"} 2\n"), std::string::npos);
  EXPECT_NE(text.find("weir_kernel_packets_total{action=\"steered\"} 12\n"), std::string::npos);
  EXPECT_NE(text.find("weir_load 0.5\n"), std::string::npos);
  std::size_t types = 0;
  for (std::size_t at = text.find("# TYPE weir_sessions_refused_total "); at != std::string::npos; at = text.find("# TYPE weir_sessions_refused_total ", at + 1)) ++types;
  EXPECT_EQ(types, 1u);
}

}  // namespace
}  // namespace weir::control

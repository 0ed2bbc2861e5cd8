// Counters as Prometheus text (exposition format 0.0.4), and the smallest HTTP answer that carries it.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "core/metrics.h"

namespace weir::control {

// A value that is no core's counter: the kernel's counts, the build.  Lines of one metric stand together.
struct MetricSample {
  std::string name, labels, help;
  MetricType type = MetricType::kGauge;
  double value = 0;
};
std::string render_metrics(const MetricsRegistry& registry, std::span<const MetricSample> more = {});

inline constexpr std::size_t kHttpRequestMax = 8u << 10;
// True: `received` holds a whole request head.
bool is_http_head_complete(std::string_view received);
// The whole answer to a request head, "Connection: close".  GET and HEAD of /metrics, else 404, 405 or 400.
std::string answer_http(std::string_view head, const std::function<std::string()>& metrics);

}  // namespace weir::control

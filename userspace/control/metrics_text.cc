#include "control/metrics_text.h"

#include <cmath>
#include <cstdio>

namespace weir::control {
namespace {

std::string_view name_of(MetricType type) { return type == MetricType::kCounter ? "counter" : "gauge"; }

class TextWriter {
 public:
  void line(std::string_view name, std::string_view labels, std::string_view help, MetricType type, const std::string& value) {
    if (name != last_) {
      text_ += "# HELP " + std::string(name) + " " + std::string(help) + "\n# TYPE " + std::string(name) + " " + std::string(name_of(type)) + "\n";
      last_ = name;
    }
    text_ += name;
    if (!labels.empty()) text_ += "{" + std::string(labels) + "}";
    text_ += " " + value + "\n";
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_, last_;
};

std::string number(double value) {
  char text[32];
  if (value == std::floor(value) && std::fabs(value) < 9e15) {
    std::snprintf(text, sizeof text, "%.0f", value);
  } else {
    std::snprintf(text, sizeof text, "%.9g", value);
  }
  return text;
}

std::string http(std::string_view status, std::string_view type, const std::string& body, bool with_body) {
  std::string answer = "HTTP/1.1 " + std::string(status) + "\r\nContent-Type: " + std::string(type) + "\r\nContent-Length: " + std::to_string(body.size()) +
                       "\r\nConnection: close\r\nX-Content-Type-Options: nosniff\r\n\r\n";
  return with_body ? answer + body : answer;
}

}  // namespace

std::string render_metrics(const MetricsRegistry& registry, std::span<const MetricSample> more) {
  TextWriter out;
  for (std::size_t i = 0; i < kMetricCount; ++i) {
    const MetricInfo& info = kMetricInfo[i];
    out.line(info.name, info.labels, info.help, info.type, std::to_string(registry.total(static_cast<Metric>(i))));
  }
  for (const MetricSample& sample : more) out.line(sample.name, sample.labels, sample.help, sample.type, number(sample.value));
  return out.take();
}

bool is_http_head_complete(std::string_view received) {
  return received.find("\r\n\r\n") != std::string_view::npos || received.find("\n\n") != std::string_view::npos;
}

std::string answer_http(std::string_view head, const std::function<std::string()>& metrics) {
  constexpr std::string_view kPlain = "text/plain; charset=utf-8";
  const std::string_view line = head.substr(0, head.find_first_of("\r\n"));
  const std::size_t first = line.find(' '), second = line.rfind(' ');
  if (first == std::string_view::npos || second == first || !line.substr(second + 1).starts_with("HTTP/1.")) {
    return http("400 Bad Request", kPlain, "not HTTP/1\n", true);
  }
  const std::string_view method = line.substr(0, first);
  std::string_view path = line.substr(first + 1, second - first - 1);
  path = path.substr(0, path.find('?'));
  if (method != "GET" && method != "HEAD") return http("405 Method Not Allowed", kPlain, "GET /metrics\n", true);
  if (path != "/metrics") return http("404 Not Found", kPlain, "GET /metrics\n", method == "GET");
  return http("200 OK", "text/plain; version=0.0.4; charset=utf-8", metrics(), method == "GET");
}

}  // namespace weir::control

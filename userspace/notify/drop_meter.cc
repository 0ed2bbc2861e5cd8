#include "notify/drop_meter.h"

namespace weir::notify {

void DropMeter::set(uint32_t count, std::chrono::seconds within) {
  const std::lock_guard lock(mutex_);
  count_ = count;
  within_ = within;
}

std::optional<Notice> DropMeter::add(std::string_view reason, std::string_view source, std::string_view destination, Steady::time_point now) {
  const std::lock_guard lock(mutex_);
  auto found = windows_.find(reason);
  if (found == windows_.end()) {
    if (windows_.size() >= kReasonsMax) return std::nullopt;
    found = windows_.emplace(std::string(reason), Window{now, 0}).first;
  }
  Window& window = found->second;
  if (now - window.since >= within_) window = {now, 0};
  if (++window.count != count_) return std::nullopt;
  Notice notice;
  notice.event = NoticeEvent::kDropBurst;
  notice.severity = NoticeSeverity::kMedium;
  notice.rule = reason;
  notice.text = std::to_string(count_) + " packets were dropped within " + std::to_string(within_.count()) + " s: " + std::string(reason) + "; the last one from " +
                std::string(source) + " to " + std::string(destination);
  return notice;
}

}  // namespace weir::notify

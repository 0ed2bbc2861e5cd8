#include "core/notice.h"

namespace weir {

std::string_view name_of(NoticeEvent event) {
  switch (event) {
    case NoticeEvent::kAlert: return "alert";
    case NoticeEvent::kRefused: return "refused";
    case NoticeEvent::kTicket: return "ticket";
    case NoticeEvent::kRevoked: return "revoked";
    case NoticeEvent::kDropBurst: return "drop-burst";
    case NoticeEvent::kRecordingGap: return "recording-gap";
    case NoticeEvent::kDiskLow: return "disk-low";
    case NoticeEvent::kConfigRefused: return "config-refused";
    case NoticeEvent::kProviderDown: return "provider-down";
    case NoticeEvent::kStoreDown: return "store-down";
    case NoticeEvent::kLogUnwitnessed: return "log-unwitnessed";
    case NoticeEvent::kBypass: return "bypass";
    case NoticeEvent::kNoticesLost: return "notices-lost";
    case NoticeEvent::kTest: return "test";
    case NoticeEvent::kCount: break;
  }
  return "unknown";
}

std::string_view name_of(NoticeSeverity severity) {
  switch (severity) {
    case NoticeSeverity::kInfo: return "info";
    case NoticeSeverity::kLow: return "low";
    case NoticeSeverity::kMedium: return "medium";
    case NoticeSeverity::kHigh: return "high";
    case NoticeSeverity::kCritical: return "critical";
    case NoticeSeverity::kCount: break;
  }
  return "unknown";
}

}  // namespace weir

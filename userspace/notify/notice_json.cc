#include "notify/notice_json.h"

#include <charconv>
#include <cstdio>

#include "core/json_fields.h"
#include "core/time_text.h"

namespace weir::notify {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

uint64_t counted_at(const json& object, const char* key) {
  const std::string text = text_at(object, key);
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

std::string dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

std::string milliseconds_text(std::chrono::sys_time<milliseconds> at) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(at);
  std::string text = utc_text(seconds);
  char fraction[8];
  std::snprintf(fraction, sizeof fraction, ".%03dZ", static_cast<int>((at - seconds).count()));
  text.pop_back();  // The Z.
  return text + fraction;
}

std::optional<NoticeEvent> event_of(std::string_view name) {
  for (uint8_t i = 0; i < static_cast<uint8_t>(NoticeEvent::kCount); ++i) {
    if (name_of(static_cast<NoticeEvent>(i)) == name) return static_cast<NoticeEvent>(i);
  }
  return std::nullopt;
}
std::optional<NoticeSeverity> severity_of(std::string_view name) {
  for (uint8_t i = 0; i < static_cast<uint8_t>(NoticeSeverity::kCount); ++i) {
    if (name_of(static_cast<NoticeSeverity>(i)) == name) return static_cast<NoticeSeverity>(i);
  }
  return std::nullopt;
}

json to_json(const Notice& notice) {
  json object = {{"id", notice.id},
                 {"event", name_of(notice.event)},
                 {"severity", name_of(notice.severity)},
                 {"at", milliseconds_text(notice.at)},
                 {"at_ms", std::to_string(notice.at.time_since_epoch().count())},
                 {"gateway", notice.gateway},
                 {"text", notice.text}};
  const auto text = [&](const char* key, const std::string& value) {
    if (!value.empty()) object[key] = value;
  };
  const auto number = [&](const char* key, uint64_t value) {
    if (value != 0) object[key] = std::to_string(value);
  };
  text("subject", notice.subject);
  text("target", notice.target);
  text("rule", notice.rule);
  text("state", notice.state);
  text("statement", notice.statement);
  number("session", notice.session);
  number("unit", notice.unit);
  number("ticket", notice.ticket);
  number("alert", notice.alert);
  return object;
}

std::optional<Notice> notice_of(const json& object) {
  if (!object.is_object()) return std::nullopt;
  const auto event = event_of(text_at(object, "event"));
  const auto severity = severity_of(text_at(object, "severity"));
  Notice notice;
  notice.id = text_at(object, "id");
  if (!event || !severity || notice.id.empty()) return std::nullopt;
  notice.event = *event;
  notice.severity = *severity;
  notice.at = std::chrono::sys_time<milliseconds>(milliseconds(static_cast<int64_t>(counted_at(object, "at_ms"))));
  notice.gateway = text_at(object, "gateway");
  notice.text = text_at(object, "text");
  notice.subject = text_at(object, "subject");
  notice.target = text_at(object, "target");
  notice.rule = text_at(object, "rule");
  notice.state = text_at(object, "state");
  notice.statement = text_at(object, "statement");
  notice.session = counted_at(object, "session");
  notice.unit = counted_at(object, "unit");
  notice.ticket = counted_at(object, "ticket");
  notice.alert = counted_at(object, "alert");
  return notice;
}

}  // namespace weir::notify

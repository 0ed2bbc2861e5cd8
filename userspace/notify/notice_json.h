// A notice as JSON: what the plain webhook sends, and what the spool keeps.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>

#include "core/notice.h"

namespace weir::notify {

// {id, event, severity, at, gateway, text, and what there is of: subject, target, rule, state, statement, session, unit, ticket,
// alert}; numbers as texts, since readers of JSON may round them.
[[nodiscard]] nlohmann::json to_json(const Notice& notice);
// nullopt: not one of ours.
[[nodiscard]] std::optional<Notice> notice_of(const nlohmann::json& json);

// One line, UTF-8 whatever a peer's bytes were.
[[nodiscard]] std::string dump(const nlohmann::json& json);
// "2027-01-02T03:04:05.678Z"
[[nodiscard]] std::string milliseconds_text(std::chrono::sys_time<std::chrono::milliseconds> at);

[[nodiscard]] std::optional<NoticeEvent> event_of(std::string_view name);
[[nodiscard]] std::optional<NoticeSeverity> severity_of(std::string_view name);

}  // namespace weir::notify

#include "control/export_run.h"

#include <chrono>
#include <optional>

#include "control/version.h"
#include "core/json_fields.h"
#include "core/time_text.h"
#include "record/sealed_parts.h"

namespace weir::control {

using nlohmann::json;

ExportRun::ExportRun(const record::RecordPlace& place, report::ExportFormat format, Sink sink, Tell tell)
    : place_(place), sink_(std::move(sink)), tell_(std::move(tell)), exporter_(report::make_exporter(format, [this](std::string_view line) { is_taken_ = is_taken_ && sink_(line); }, kVersion)) {}

Result<void> ExportRun::add(const record::SessionFilter& filter) {
  return record::list_sessions(place_, filter, [&](const std::string& line) {
    if (const json session = json::parse(line, nullptr, false); session.is_object()) add_session(session);
    return is_taken_;
  });
}

void ExportRun::add_session(const json& session) {
  const uint64_t id = number_at(session, "id");
  ++sessions_;
  // Of one whose manifest cannot be read nobody knows when it was: it is looked for in all days, found, and told of.
  std::optional<std::chrono::sys_seconds> opened;
  if (const auto at_ns = parse_utc_ns(text_at(session, "opened")); at_ns && text_at(session, "broken").empty()) opened = std::chrono::floor<std::chrono::seconds>(std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(*at_ns)));
  auto parts = record::sealed_parts(place_, id, opened);
  if (!parts) return tell(id, parts.error());
  const json facts = session.value("facts", json::object());
  exporter_->begin_session(session, parts->empty() ? text_at(facts, "gateway") : parts->front().gateway);
  std::size_t part = 0;
  const auto replayed = record::replay(place_, id, [&](const std::string& text) {
    const json event = json::parse(text, nullptr, false);
    if (!event.is_object()) return true;
    const uint64_t sequence = number_at(event, "seq");
    while (part < parts->size() && (*parts)[part].last_sequence < sequence) ++part;
    report::Proof proof;
    if (part < parts->size() && sequence >= (*parts)[part].first_sequence) {
      const record::SealedPart& sealed = (*parts)[part];
      proof = {sealed.name, sealed.part, sealed.seal, sealed.digest, sealed.sealed_ns};
    }
    exporter_->add(event, proof);
    ++events_;
    return is_taken_;
  }, opened);
  exporter_->end_session();
  if (!replayed) tell(id, replayed.error());
}

void ExportRun::tell(uint64_t session, const Error& error) {
  ++unread_;
  tell_(session, error);
}

}  // namespace weir::control

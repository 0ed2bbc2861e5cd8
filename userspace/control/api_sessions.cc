#include "control/api_sessions.h"

#include <cstdio>

#include "control/config_values.h"
#include "control/export_run.h"
#include "control/session_filter.h"

namespace weir::control {
namespace {

using nlohmann::json;

constexpr std::size_t kPieceSize = 32u << 10;
constexpr uint64_t kExportMax = 1'000'000;   // Sessions of one answer.

}  // namespace

Result<bool> flag_of(const ApiCall& call, std::string_view name) {
  const std::string text = call.query(name);
  if (text.empty() || text == "false") return false;
  if (text == "true") return true;
  return fail(Error::Kind::kInvalid, "parameter " + std::string(name) + " is neither true nor false");
}

Result<void> span_of(const ApiCall& call, std::optional<std::chrono::sys_seconds>& since, std::optional<std::chrono::sys_seconds>& until) {
  for (const char* name : {"since", "until"}) {
    if (call.query(name).empty()) continue;
    const auto moment = parse_moment(call.query(name));
    if (!moment) return fail(Error::Kind::kInvalid, "parameter " + std::string(name) + ": " + moment.error().message);
    (name[0] == 's' ? since : until) = *moment;
  }
  return {};
}

Result<record::SessionFilter> session_filter_of(const ApiCall& call) {
  record::SessionFilter filter;
  if (auto words = read_session_words(filter, [&](const char* name) { return call.query(name); }); !words) return tl::unexpected<Error>(words.error());
  if (const std::string before = call.query("before"); !before.empty()) {
    const auto number = parse_number(before);
    if (!number) return fail(Error::Kind::kInvalid, "parameter before is the number of a session");
    filter.before = *number;
  }
  const auto is_live = flag_of(call, "live"), is_blocked = flag_of(call, "blocked");
  if (!is_live) return tl::unexpected<Error>(is_live.error());
  if (!is_blocked) return tl::unexpected<Error>(is_blocked.error());
  if (*is_live) filter.is_live = true;
  filter.only_blocked = *is_blocked;
  if (auto span = span_of(call, filter.since, filter.until); !span) return tl::unexpected<Error>(span.error());
  return filter;
}

Result<void> look(ApiCall& call, std::string_view act, const std::string& object) {
  const auto seen = call.services.handler.handle("view", {{"act", act}, {"object", object}}, call.peer);
  if (!seen) return tl::unexpected<Error>(seen.error());
  return {};
}

bool ChunkedAnswer::add(std::string_view bytes) {
  piece_ += bytes;
  return piece_.size() < kPieceSize || flush();
}

bool ChunkedAnswer::end(std::string_view trailer) { return flush() && call_.sink("0\r\n" + std::string(trailer) + "\r\n"); }

bool ChunkedAnswer::flush() {
  if (!call_.is_answered) {
    call_.is_answered = true;
    if (!call_.sink(answer_head(200, content_type_, nullptr, headers_))) return false;
  }
  if (piece_.empty()) return true;
  char size[24];
  std::snprintf(size, sizeof size, "%zx\r\n", piece_.size());
  return call_.sink(size + std::exchange(piece_, {}) + "\r\n");
}

Result<json> api_export(ApiCall& call) {
  const auto format = report::export_format(call.query("format").empty() ? "jsonl" : call.query("format"));
  if (!format) return fail(Error::Kind::kInvalid, "parameter format is one of jsonl, csv, ocsf");
  auto filter = session_filter_of(call);
  if (!filter) return tl::unexpected<Error>(filter.error());
  if (const std::string limit = call.query("limit"); !limit.empty()) {
    const auto number = parse_number(limit);
    if (!number || *number == 0 || *number > kExportMax) return fail(Error::Kind::kInvalid, "parameter limit is 1 to " + std::to_string(kExportMax));
    filter->count_max = *number;
  }
  std::string asked;
  for (const auto& [name, value] : call.request.query) asked += (asked.empty() ? "" : ", ") + name + " " + value;
  if (auto seen = look(call, "export", "sessions " + asked); !seen) return tl::unexpected<Error>(seen.error());
  ChunkedAnswer answer(call, *format == report::ExportFormat::kCsv ? "text/csv; charset=utf-8" : "application/x-ndjson", "Trailer: Weir-Sessions, Weir-Unread\r\n");
  const record::RecordPlace place = call.services.place();
  bool is_taken = true;
  ExportRun run(place, *format, [&](std::string_view line) { return is_taken = is_taken && answer.add(line); }, [](uint64_t, const Error&) {});
  const auto done = run.add(*filter);
  if (!is_taken) return fail(Error::Kind::kUnavailable, "the client went away");
  if (!done) return tl::unexpected<Error>(done.error());   // In the middle of it: the end that is missing tells the client.
  const std::string trailer = "Weir-Sessions: " + std::to_string(run.sessions()) + "\r\nWeir-Unread: " + std::to_string(run.unread()) + "\r\n";
  if (!answer.end(trailer)) return fail(Error::Kind::kUnavailable, "the client went away");
  return json();
}

}  // namespace weir::control

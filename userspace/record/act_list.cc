// `weir events`: the acts of all the gateway's own sessions, newest first.
#include <deque>

#include "record/manifest.h"
#include "record/reader.h"

namespace weir::record {
namespace {

using nlohmann::json;

// What a line of the replay says of an act; null if it is none, or not of those that are wanted.
json act_of(const json& event, uint64_t session, const ActFilter& filter) {
  if (text_at(event, "kind") != "act" || (!filter.act.empty() && text_at(event, "verb") != filter.act)) return nullptr;
  json act = {{"at", text_at(event, "at")}, {"act", text_at(event, "verb")}, {"by", event.value("by", json::object())},
              {"object", text_at(event, "object")}, {"reason", text_at(event, "reason")}, {"outcome", text_at(event, "outcome")},
              {"session", session}, {"seq", number_at(event, "seq")}};
  if (event.contains("change")) act["change"] = event["change"];
  return act;
}

// RFC 3339 in UTC and of one width, as the record writes it: texts stand in the order of time.
bool fits(const std::string& at, const ActFilter& filter) {
  const auto text = [](std::chrono::sys_seconds moment) { return time_text(std::chrono::nanoseconds(moment.time_since_epoch()).count()); };
  return (!filter.since || at >= text(*filter.since)) && (!filter.until || at < text(*filter.until));
}

}  // namespace

Result<void> list_acts(const RecordPlace& place, const ActFilter& filter, const LineSink& sink) {
  uint64_t left = filter.count_max;
  Result<void> replayed;
  SessionFilter sessions;
  sessions.is_gateway = true;
  const auto listed = list_sessions(place, sessions, [&](const std::string& line) {
    const uint64_t session = number_at(parse_object(line), "id");
    std::deque<json> newest;
    replayed = replay(place, session, [&](const std::string& text) {
      json act = act_of(parse_object(text), session, filter);
      if (act.is_null() || !fits(text_at(act, "at"), filter)) return true;
      newest.push_back(std::move(act));
      if (newest.size() > left) newest.pop_front();
      return true;
    });
    if (!replayed) return false;
    for (auto act = newest.rbegin(); act != newest.rend(); ++act) {
      if (!sink(dump(*act))) return false;
    }
    left -= newest.size();
    return left != 0;
  });
  return listed ? replayed : listed;
}

}  // namespace weir::record

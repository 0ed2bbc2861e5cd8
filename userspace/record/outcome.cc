#include "record/outcome.h"

#include "record/manifest.h"

namespace weir::record {
namespace {

using nlohmann::json;
using Kind = RecordEvent::Kind;

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::kOpened: return "opened";
    case Kind::kLogin: return "login";
    case Kind::kCommand: return "command";
    case Kind::kFate: return "fate";
    case Kind::kResponse: return "response";
    case Kind::kStandIn: return "stand-in";
    case Kind::kAlert: return "alert";
    case Kind::kNote: return "note";
    case Kind::kClosed: return "closed";
    case Kind::kAct: return "act";
    case Kind::kIdentified: return "identified";
  }
  return "";
}

std::string outcome_of(Fate fate, std::string_view sqlstate) {
  switch (fate) {
    case Fate::kPassed:
    case Fate::kEdited: return "passed";
    case Fate::kRefusedHere:
    case Fate::kRefusedWithParent: return "blocked";
    case Fate::kRefusedAtTarget: return "error:" + std::string(sqlstate);
    case Fate::kSkipped: return "skipped";
    case Fate::kUnread: return "unread";
    case Fate::kAwaitingTarget: return "";
    case Fate::kUnknown: return "unknown";
  }
  return "";
}

// "schema.name, ..." as a list.
json object_names(std::string_view text) {
  json names = json::array();
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(", "), text.size());
    names.push_back(std::string(text.substr(0, end)));
    text.remove_prefix(std::min(end + 2, text.size()));
  }
  return names;
}

json to_json(const RecordEvent& event) {
  json line = {{"seq", event.sequence}, {"at", time_text(event.at.time_since_epoch().count())}, {"kind", name_of(event.kind)},
               {"verb", std::string(event.verb)}, {"text", std::string(as_text(event.text))}, {"verdict", ""},
               {"rule", std::string(event.rule)}, {"outcome", ""}};
  if (event.kind == Kind::kCommand || event.kind == Kind::kLogin || event.kind == Kind::kResponse || event.kind == Kind::kAlert) {
    line["verdict"] = std::string(weir::name_of(event.action));
  }
  if (!event.reason.empty()) line["reason"] = std::string(event.reason);
  if (event.observed) line["observed"] = true;
  if (!event.request_id.empty()) line["request_id"] = std::string(event.request_id);
  if (!event.grant.empty()) line["grant"] = std::string(event.grant);
  if (event.verbs != 0) line["verbs"] = names_of(event.verbs);
  if (!event.objects.empty()) line["objects"] = object_names(event.objects);
  if (event.unit.id != 0) line["unit"] = event.unit.id;
  if (event.unit.stream != 0) line["stream"] = event.unit.stream;
  if (event.unit.in_reply_to != 0) line["in_reply_to"] = event.unit.in_reply_to;
  if (event.unit.principal != 0) line["principal"] = event.unit.principal;
  if (event.rows != 0 || event.kind == Kind::kResponse) line["rows"] = event.rows;
  if (event.bytes != 0) line["bytes"] = event.bytes;
  if (event.masked != 0) line["masked"] = event.masked;
  if (!event.sqlstate.empty()) line["sqlstate"] = std::string(event.sqlstate);
  if (!event.body.empty()) {
    json body = parse_json(as_text(event.body));
    line[event.kind == Kind::kResponse ? "head" : "params"] = body.is_discarded() ? json(std::string(as_text(event.body))) : std::move(body);
  }
  if (event.kind == Kind::kFate || event.kind == Kind::kResponse) line["outcome"] = outcome_of(event.fate, event.sqlstate);
  if (event.kind == Kind::kAct) {
    const json act = parse_object(as_text(event.text));
    line["by"] = act.value("by", json::object());
    line["object"] = text_at(act, "object");
    line["outcome"] = text_at(act, "outcome");
    if (act.contains("change")) line["change"] = act["change"];
  }
  if (event.kind == Kind::kClosed && event.accounts != nullptr) {
    line["account"] = {{"to_target", account_json(event.accounts[0])}, {"to_client", account_json(event.accounts[1])}};
  }
  return line;
}

}  // namespace

bool ReplayLines::add(const RecordEvent& event) {
  const uint32_t stream = event.unit.stream;
  if (event.kind == Kind::kFate) {
    const std::string outcome = outcome_of(event.fate, event.sqlstate);
    if (!outcome.empty() && event.fate != Fate::kPassed && event.fate != Fate::kEdited) settle(stream, event.unit.id, event.unit.id, 0, outcome);
  } else if (event.kind == Kind::kResponse && event.unit.in_reply_to != 0) {
    const std::string outcome = event.sqlstate.empty() ? "passed" : "error:" + std::string(event.sqlstate);
    settle(stream, 0, event.unit.in_reply_to, event.unit.in_reply_to, outcome);
  }
  Line line{.object = to_json(event), .stream = stream};
  line.size = event.text.size() + event.body.size() + 512;
  if (event.kind == Kind::kCommand) {
    const bool is_refused = event.action == Verdict::Action::kBlock || event.action == Verdict::Action::kTerminate;
    if (is_refused && !event.observed) {
      line.object["outcome"] = "blocked";
    } else if (event.fate != Fate::kAwaitingTarget) {
      line.object["outcome"] = outcome_of(event.fate, event.sqlstate);
    } else {
      line.unit = event.unit.id;
    }
  }
  return push(std::move(line));
}

bool ReplayLines::add_unreadable(uint64_t sequence, int64_t at_ns, uint8_t kind) {
  Line line;
  line.object = {{"seq", sequence}, {"at", time_text(at_ns)}, {"kind", "unreadable:" + std::to_string(kind)}, {"verb", ""}, {"text", ""},
                 {"verdict", ""}, {"rule", ""}, {"outcome", ""}};
  line.size = 512;
  return push(std::move(line));
}

// Commands `from` to `upto` of a stream: `exact` has `outcome`; answers come in order, so what stands before it passed.
void ReplayLines::settle(uint32_t stream, uint64_t from, uint64_t upto, uint64_t exact, const std::string& outcome) {
  for (Line& line : lines_) {
    if (line.unit == 0 || line.stream != stream || line.unit < from || line.unit > upto) continue;
    line.object["outcome"] = exact == 0 || line.unit == exact ? outcome : "passed";
    line.unit = 0;
  }
}

bool ReplayLines::push(Line line) {
  bytes_ += line.size;
  lines_.push_back(std::move(line));
  return flush(false, "waiting");
}

bool ReplayLines::flush(bool all, const char* otherwise) {
  while (!lines_.empty()) {
    Line& line = lines_.front();
    const bool is_full = lines_.size() > kLinesMax || bytes_ > kBytesMax;
    if (line.unit != 0 && !all && !is_full) break;
    if (line.unit != 0) line.object["outcome"] = otherwise;
    const std::string text = dump(line.object);
    bytes_ -= line.size;
    lines_.pop_front();
    if (!sink_(text)) return false;
  }
  return true;
}

bool ReplayLines::finish(bool has_ended) { return flush(true, has_ended ? "unknown" : "waiting"); }

}  // namespace weir::record

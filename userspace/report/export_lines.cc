// JSON Lines and CSV: an event a line, all events of the record, none joined with another.
#include <array>
#include <utility>

#include "core/escape.h"
#include "core/json_fields.h"
#include "report/export.h"
#include "report/pack_table.h"

namespace weir::report {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// What the lines of a session have in common.
struct SessionFacts {
  uint64_t id = 0;
  std::string gateway, target, subject;
  void set(const json& session, const std::string& of_gateway) { *this = {number_at(session, "id"), of_gateway, text_at(session, "target"), text_at(session, "subject")}; }
};

class JsonLines final : public Exporter {
 public:
  explicit JsonLines(Sink sink) : sink_(std::move(sink)) {}
  void begin_session(const json& session, const std::string& gateway) override { session_.set(session, gateway); }
  void add(const json& event, const Proof& proof) override {
    ordered_json line = {{"gateway", session_.gateway}, {"session", session_.id}, {"target", session_.target}, {"subject", session_.subject}};
    for (const auto& [key, value] : event.items()) line[key] = value;
    const bool is_sealed = !proof.archive.empty();
    line["archive"] = is_sealed ? ordered_json(proof.archive) : ordered_json(nullptr);
    line["part"] = is_sealed ? ordered_json(proof.part) : ordered_json(nullptr);
    line["seal"] = is_sealed ? ordered_json(proof.seal) : ordered_json(nullptr);
    line["digest"] = is_sealed ? ordered_json(proof.digest) : ordered_json(nullptr);
    sink_(escape_json(line.dump(-1, ' ', false, ordered_json::error_handler_t::replace)) + "\n");
  }

 private:
  Sink sink_;
  SessionFacts session_;
};

// Columns between those of the session and those of the proof: members of an event.
constexpr std::array kColumns = {"seq",  "at",     "kind", "verb",     "verbs",       "objects", "verdict",    "observed", "rule",  "outcome", "reason",     "text",
                                 "params", "rows", "masked", "bytes",  "sqlstate", "head", "grant",   "request_id", "unit",     "stream", "in_reply_to", "account"};

// As a cell shows it: lists of names with "; " between them, other lists and objects as JSON.
std::string cell_text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "";
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}
std::string names_text(const json& names) {
  std::string text;
  for (const json& name : names) text += (text.empty() ? "" : "; ") + cell_text(name);
  return text;
}

class Csv final : public Exporter {
 public:
  explicit Csv(Sink sink) : sink_(std::move(sink)) {
    std::string head = "gateway,session,target,subject";
    for (const char* column : kColumns) head += std::string(",") + column;
    sink_(head + ",archive,part,seal,digest\r\n");
  }
  void begin_session(const json& session, const std::string& gateway) override { session_.set(session, gateway); }
  void add(const json& event, const Proof& proof) override {
    line_.clear();
    is_first_ = true;
    for (const std::string& text : {session_.gateway, std::to_string(session_.id), session_.target, session_.subject}) put(text);
    for (const std::string_view column : kColumns) {
      const auto found = event.find(column);
      const bool is_names = column == "verbs" || column == "objects";
      put(found == event.end() ? "" : is_names && found->is_array() ? names_text(*found) : cell_text(*found));
    }
    const bool is_sealed = !proof.archive.empty();
    put(proof.archive);
    put(is_sealed ? std::to_string(proof.part) : "");
    put(is_sealed ? std::to_string(proof.seal) : "");
    put(proof.digest);
    line_ += "\r\n";
    sink_(line_);
  }

 private:
  // RFC 4180 has no control characters but line breaks, and a terminal obeys others: they are written out.
  void put(const std::string& text) {
    if (!std::exchange(is_first_, false)) line_ += ",";
    line_ += csv_cell(escape_bytes(text, "\r\n\t"));
  }
  Sink sink_;
  SessionFacts session_;
  std::string line_;
  bool is_first_ = true;
};

}  // namespace

std::optional<ExportFormat> export_format(std::string_view name) {
  if (name == "jsonl") return ExportFormat::kJsonLines;
  if (name == "csv") return ExportFormat::kCsv;
  if (name == "ocsf") return ExportFormat::kOcsf;
  return std::nullopt;
}

std::unique_ptr<Exporter> make_exporter(ExportFormat format, Exporter::Sink sink, std::string version) {
  switch (format) {
    case ExportFormat::kJsonLines: return std::make_unique<JsonLines>(std::move(sink));
    case ExportFormat::kCsv: return std::make_unique<Csv>(std::move(sink));
    case ExportFormat::kOcsf: return make_ocsf_exporter(std::move(sink), std::move(version));
  }
  return nullptr;
}

}  // namespace weir::report

// Events of the record in forms that other tools read: JSON Lines, CSV (RFC 4180), OCSF.  Fed session by session with what the record's
// readers say, in their JSON; each line names the archive and the seal that prove it.  Holds no list of events: what it keeps while it
// waits (an OCSF event, for the answer to its command) is bounded.  Must never: unmask, leave an event out, or add one.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace weir::report {

enum class ExportFormat : uint8_t { kJsonLines, kCsv, kOcsf };
// "jsonl", "csv", "ocsf".
std::optional<ExportFormat> export_format(std::string_view name);

// Where an event stands proved.
struct Proof {
  std::string archive;         // Below archive/: "2027/03/09/17.weir"; empty: not sealed yet.
  uint32_t part = 0;
  uint64_t seal = 0;           // Its number in the gateway's log.
  std::string digest;          // Of the archive's manifest, hex: what that entry of the log holds.
  int64_t sealed_ns = 0;
};

class Exporter {
 public:
  using Sink = std::function<void(std::string_view)>;   // Whole lines.
  virtual ~Exporter() = default;
  // A session as `weir sessions --json` has it, and the gateway that recorded it; then its events as `weir replay --json` has them,
  // in order; then its end.
  virtual void begin_session(const nlohmann::json& session, const std::string& gateway) = 0;
  virtual void add(const nlohmann::json& event, const Proof&) = 0;
  virtual void end_session() {}
};

// `version`: of the product.  Writes what stands before all rows at once.
std::unique_ptr<Exporter> make_exporter(ExportFormat, Exporter::Sink, std::string version);
std::unique_ptr<Exporter> make_ocsf_exporter(Exporter::Sink, std::string version);

}  // namespace weir::report

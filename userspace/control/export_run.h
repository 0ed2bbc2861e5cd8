// An export of sessions, for the command line and for the API.  Streams: holds one event, the parts of one session, and what an exporter
// waits for.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>

#include "record/reader.h"
#include "report/export.h"

namespace weir::control {

class ExportRun {
 public:
  using Sink = std::function<bool(std::string_view)>;              // Whole lines.  False: nobody takes them any more, and it ends.
  using Tell = std::function<void(uint64_t session, const Error&)>;   // Of each session that cannot be read whole.
  ExportRun(const record::RecordPlace& place, report::ExportFormat format, Sink sink, Tell tell);

  // The sessions that fit, the highest number first.
  Result<void> add(const record::SessionFilter& filter);
  [[nodiscard]] uint64_t sessions() const { return sessions_; }
  [[nodiscard]] uint64_t events() const { return events_; }
  [[nodiscard]] uint64_t unread() const { return unread_; }

 private:
  void add_session(const nlohmann::json& session);
  void tell(uint64_t session, const Error& error);

  const record::RecordPlace& place_;
  const Sink sink_;
  const Tell tell_;
  bool is_taken_ = true;
  std::unique_ptr<report::Exporter> exporter_;
  uint64_t sessions_ = 0, events_ = 0, unread_ = 0;
};

}  // namespace weir::control

// One line of a listing: the parts of a session added up, from manifests or events.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "record/session_summary.h"

namespace weir::record {

struct SessionRow {
  SessionSummary total;          // opened_json, login_json, reason, accounts: the newest that has them.
  int64_t opened_ns = 0;
  uint32_t parts = 0;            // Sealed ones.
  bool is_closed = false;
  std::string broken;            // Why a part could not be read.

  void add(const SessionSummary& part);
  void add(const std::string& path);   // The archive's manifest.
};
// README lists the keys; they are fixed.
nlohmann::json to_json(uint64_t session, const SessionRow&);

}  // namespace weir::record

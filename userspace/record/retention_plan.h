// What would expire, when and why, and what is held: for people, from the files alone.  Streams; memory is 24 bytes a session.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "record/reader.h"
#include "record/retention.h"

namespace weir::record {

struct PlanRow {
  uint64_t session = 0;
  uint32_t parts = 1;
  std::string target, subject;
  int64_t sealed_ns = 0, due_ns = 0;
  Ruling by;
  std::vector<std::string> held_by;     // Ids of holds.
  bool is_expiring = false;             // Announced in the log already.
  std::string problem;                  // It cannot be read, so it stays.
};

struct PlanOptions {
  RetentionConfig config;
  std::vector<Hold> holds;              // All of them, the configuration's too.
  // Those that are due then; what is due later at the soonest is not looked at.  nullopt: all that is kept.
  std::optional<std::chrono::sys_seconds> due_by{};
  uint64_t after = 0;                   // Goes on behind the row of this session; 0: from the oldest.
};
// In the order of their seals.  False: enough.
Result<void> plan_retention(const RecordPlace&, const PlanOptions&, const std::function<bool(const PlanRow&)>&);

// What is gone, as the log says of one session.  nullopt: it is not.
struct Gone { std::string policy, at; uint64_t keep_s = 0; };
Result<std::optional<Gone>> gone_by_policy(const std::string& log, uint64_t session);

// How many sessions are gone, by policy and time kept.  Neither the signature nor the tree is looked at.
struct GoneCount { std::string policy, first, last; uint64_t keep_s = 0, sessions = 0; };
Result<std::vector<GoneCount>> count_gone(const std::string& log, std::optional<std::chrono::sys_seconds> since, std::optional<std::chrono::sys_seconds> until);

// The holds of a state folder, and those of a configuration.  A file that is not there yet holds nothing.
Result<std::vector<Hold>> read_holds(const std::string& state, const RetentionConfig&);

}  // namespace weir::record

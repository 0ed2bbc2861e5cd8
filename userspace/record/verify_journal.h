// What verify() needs of the journals: which sessions they hold, and whether they are damaged.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace weir::record {

struct JournalSessions {
  std::set<uint64_t> seen;           // With any event in a journal.
  std::set<uint64_t> open;           // Of these, without an end.
  std::vector<std::string> damage;   // Durable groups that cannot be read.
  bool is_at_rest = false;           // No gateway holds the lock.
};
// Beside a live gateway, too: what looks like damage is looked at again before it counts.
Result<JournalSessions> check_journals(const std::string& journal);

}  // namespace weir::record

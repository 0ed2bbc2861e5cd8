// What the evidence log says of destroyed sessions, checked for verify(): each was over, all of it, not before its time by a policy that
// was in force, announced, and gone once.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "record/verify_log.h"

namespace weir::record {

struct CheckedRetention {
  std::map<uint64_t, Digest> buried;      // Seal -> digest of its manifest: its archive may be away.
  std::set<uint64_t> expiring;            // Sessions: announced, not buried.
  ExpiredByPolicy expired;
  std::vector<Finding> findings;
};
CheckedRetention check_retention(const CheckedLog&);

// Sessions that a log which grew since `before` announces.  Empty: it did not grow, or does not go on from that.
std::set<uint64_t> expiring_since(const VerifyOptions&, const CheckedLog& before);

}  // namespace weir::record

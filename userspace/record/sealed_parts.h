// Where a session stands sealed: its archives, and what names each of them in the evidence log.  Read from manifests, so no key is needed.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "record/reader.h"

namespace weir::record {

struct SealedPart {
  std::string name;                  // Below archive/: "2027/03/09/17.weir".
  uint32_t part = 1;
  uint64_t seal = 0;
  std::string digest;                // Of the manifest, hex: what the seal's entry of the log holds.
  uint64_t first_sequence = 0, last_sequence = 0;
  int64_t sealed_ns = 0;
  std::string gateway;
};

// In order; none: nothing of it is sealed.  `opened`: when it was, if that is known; spares a walk through all days.  An archive that
// cannot be opened is an Error that names it.
Result<std::vector<SealedPart>> sealed_parts(const RecordPlace&, uint64_t session, std::optional<std::chrono::sys_seconds> opened = std::nullopt);

}  // namespace weir::record

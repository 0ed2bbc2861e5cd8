// The newest entries of the evidence log, without those before: for who has read the rest already.
#pragma once
#include <functional>
#include <string>

#include "record/evidence_log.h"

namespace weir::record {

// Entries [from, size) in order; `visit`'s false ends it.  Errors: as read_entries().
Result<void> read_entries_from(const std::string& log, uint64_t from, uint64_t size, const std::function<bool(uint64_t index, Bytes entry)>& visit);
// What entry `index` of a log of `size` hashes to (RFC 6962).  kNotFound: it has none so far.
Result<Digest> entry_hash(const std::string& log, uint64_t index, uint64_t size);

}  // namespace weir::record

// CRC-32C (Castagnoli, RFC 3720 appendix B.4): finds torn and stale frames.  It is no proof against tampering; the chunk
// chain of an archive is.
#pragma once
#include <cstdint>

#include "base/bytes.h"

namespace weir::record {

// Post: the CRC of the bytes that `crc` covered so far, followed by `bytes`.  Start with 0.
uint32_t crc32c(uint32_t crc, Bytes bytes) noexcept;
// The same by table, for machines without SSE4.2 and for the test that holds the two together.
uint32_t crc32c_by_table(uint32_t crc, Bytes bytes) noexcept;

}  // namespace weir::record

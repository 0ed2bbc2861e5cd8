// Time stamps of RFC 3161: the request for one, and what an authority's answer says.  OpenSSL does all of it.
//
// A stamp says that a text was there at a time.  Whoever rewrites a log later cannot have one of then for what is there now.
// Must never: take a stamp for good whose authority's certificate is not for time stamping or not under the CA that was given.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace weir::record {

inline constexpr std::string_view kStampQueryType = "application/timestamp-query", kStampReplyType = "application/timestamp-reply";
inline constexpr std::size_t kStampSizeMax = 64u << 10;

// A TimeStampReq over SHA-256 of `text`, DER, with a nonce of 64 bits, that asks for the authority's certificate.
Result<std::string> stamp_request(std::string_view text);

struct Stamp {
  int64_t at_s = 0;         // The authority's time, of its genTime; fractions are cut.
  std::string serial;       // Hex.
};
// What stands in it, unchecked.  kCorrupt: it is no granted TimeStampResp.
Result<Stamp> read_stamp(Bytes answer);
// The answer to `request` (DER): version, imprint, nonce, signature, and a chain to a CA in `ca_file` as of now.
Result<Stamp> check_stamp_answer(Bytes answer, std::string_view request, const std::string& ca_file);
// A stamp that was kept: as above without the nonce, and with the chain as of the time that it states, since certificates end.
// kInvalid: the CA file cannot be read.  kCorrupt: the stamp does not hold, and why.
Result<Stamp> check_stamp(Bytes answer, std::string_view text, const std::string& ca_file);

}  // namespace weir::record

// Checks what others signed of the log, for verify(): that their signatures hold, and that the log still is what they are over.
// It is these that find what the holder of the log's own key did: a log made anew, a second one, one put back.
#pragma once
#include "record/countersigned.h"
#include "record/verify.h"
#include "record/verify_log.h"

namespace weir::record {

// `kept` was read before the log.  Post: findings, and how far witnesses and time stamps vouch, are in the report.  An Error: there is
// no such CA file.
Result<void> check_countersigned(const VerifyOptions&, const CheckedLog&, const Countersigned& kept, VerifyReport&);

}  // namespace weir::record

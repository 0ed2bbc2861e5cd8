// `weir grants --at` and `weir grants sign-off`: what the record holds of who may do what, and a reviewer's word for it.
#pragma once
#include <chrono>

#include "control/verbs.h"
#include "record/reader.h"
#include "report/access_list.h"

namespace weir::control {

// Feeds `access` with the acts and the evidence log of a record.  Errors: those of the readers; kDenied: it is encrypted, and no key opens it.
Result<void> read_access(const record::RecordPlace& place, std::chrono::sys_seconds at, report::AccessAt& access);

int run_grants_at(VerbCall& call);
int run_sign_off(VerbCall& call);

}  // namespace weir::control

// What the signer may ask of the kernel once its files are open: nothing that starts a program, makes a process, reaches a network or looks
// into another process.
#pragma once
#include "base/result.h"

namespace weir::signer {

// A seccomp filter for good: those calls answer EPERM.  Pre: no_new_privs is set.  Errors: kSystem (a kernel without seccomp).
[[nodiscard]] Result<void> confine();

}  // namespace weir::signer

#include "signer/confine.h"

#include <seccomp.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace weir::signer {

Result<void> confine() {
  const std::unique_ptr<void, decltype(&seccomp_release)> filter(seccomp_init(SCMP_ACT_ALLOW), &seccomp_release);
  if (filter == nullptr) return fail(Error::Kind::kSystem, "no seccomp filter could be made");
  // What is named here and unknown to this kernel is no error: it cannot be called either.
  constexpr int kRefused[] = {
      SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(clone), SCMP_SYS(clone3),
      SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4),
      SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_getfd), SCMP_SYS(kcmp),
      SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(bpf),
      SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
      SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl), SCMP_SYS(kexec_load), SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(open_by_handle_at)};
  for (const int call : kRefused) {
    if (const int error = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), call, 0); error != 0) {
      return fail(Error::Kind::kSystem, std::string("seccomp: ") + std::strerror(-error), -error);
    }
  }
  if (const int error = seccomp_load(filter.get()); error != 0) return fail(Error::Kind::kSystem, std::string("seccomp: ") + std::strerror(-error), -error);
  return {};
}

}  // namespace weir::signer

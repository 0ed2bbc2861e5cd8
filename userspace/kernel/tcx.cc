#include "kernel/tcx.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

namespace weir::kernel {
namespace {

// include/uapi/linux/bpf.h, Linux 6.6.
constexpr uint32_t kTcxIngress = 46, kTcxEgress = 47;
constexpr uint32_t kBefore = 1u << 3;
constexpr uint32_t kProgramsMax = 64;  // As the kernel's own BPF_MPROG_MAX.

struct LinkCreate {
  uint32_t program, interface, attach_type, flags;
  uint32_t relative, zero;
  uint64_t expected_revision;
};
struct ProgramQuery {
  uint32_t interface, attach_type, query_flags, attach_flags;
  uint64_t program_ids;
  uint32_t program_count, zero;
  uint64_t program_flags, link_ids, link_flags, revision;
};
struct AnyLinkInfo {  // bpf_link_info; the kinds that are used here begin with what they are attached to
  uint32_t type, id, program, zero;
  uint32_t object, attach_type;
  uint64_t rest[8];
};
static_assert(sizeof(LinkCreate) == 32 && sizeof(ProgramQuery) == 64);

template <class Attributes>
int call_bpf(bpf_cmd command, Attributes& attributes) {
  return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

uint32_t attach_type(TcSide side) { return side == TcSide::kIngress ? kTcxIngress : kTcxEgress; }

tl::unexpected<Error> system_error(const std::string& what, int code) {
  Error::Kind kind = Error::Kind::kSystem;
  if (code == EPERM || code == EACCES) kind = Error::Kind::kDenied;
  if (code == ENOENT) kind = Error::Kind::kNotFound;
  return fail(kind, what + ": " + std::strerror(code), code);
}

}  // namespace

Result<Fd> tcx_attach(int program, uint32_t interface, TcSide side) {
  LinkCreate create{};
  create.program = static_cast<uint32_t>(program);
  create.interface = interface;
  create.attach_type = attach_type(side);
  create.flags = kBefore;  // Before nothing in particular: the head.
  const int fd = call_bpf(BPF_LINK_CREATE, create);
  if (fd >= 0) return Fd(fd);
  if (errno == EINVAL) return fail(Error::Kind::kUnavailable, "this kernel has no tcx (Linux 6.6)", EINVAL);
  return system_error("attach to interface " + std::to_string(interface), errno);
}

Result<std::vector<uint32_t>> tcx_programs(uint32_t interface, TcSide side) {
  std::array<uint32_t, kProgramsMax> ids{};
  ProgramQuery query{};
  query.interface = interface;
  query.attach_type = attach_type(side);
  query.program_ids = reinterpret_cast<uint64_t>(ids.data());
  query.program_count = kProgramsMax;
  if (call_bpf(BPF_PROG_QUERY, query) != 0) {
    if (errno == EINVAL) return fail(Error::Kind::kUnavailable, "this kernel has no tcx (Linux 6.6)", EINVAL);
    if (errno == ENOENT) return std::vector<uint32_t>{};
    return system_error("programs of interface " + std::to_string(interface), errno);
  }
  return std::vector<uint32_t>(ids.begin(), ids.begin() + std::min(query.program_count, kProgramsMax));
}

Result<LinkInfo> link_info(int link) {
  AnyLinkInfo info{};
  uint32_t size = sizeof info;
  // An older kernel fills less; what it does not know stays 0.
  const int error = bpf_obj_get_info_by_fd(link, &info, &size);
  if (error != 0) return system_error("link", -error);
  return LinkInfo{info.id, info.program, info.object};
}

Result<ProgramInfo> program_info(int program) {
  bpf_prog_info info{};
  uint32_t size = sizeof info;
  const int error = bpf_obj_get_info_by_fd(program, &info, &size);
  if (error != 0) return system_error("program", -error);
  ProgramInfo result{info.id, info.name, {}, info.run_time_ns, info.run_cnt};
  for (const uint8_t byte : info.tag) {
    char hex[3];
    std::snprintf(hex, sizeof hex, "%02x", byte);
    result.tag += hex;
  }
  return result;
}

Result<Fd> program_by_id(uint32_t id) {
  const int fd = bpf_prog_get_fd_by_id(id);
  if (fd < 0) return system_error("program " + std::to_string(id), -fd);
  return Fd(fd);
}

Result<Fd> open_pinned(const std::string& path) {
  const int fd = bpf_obj_get(path.c_str());
  if (fd < 0) return system_error(path, -fd);
  return Fd(fd);
}

uint64_t boot_time_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace weir::kernel

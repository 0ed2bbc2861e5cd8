// tcx: tc programs attached by link (Linux 6.6), which the headers and libbpf of Debian 12 do not know.  Raw bpf(2).
// Also what this product needs to know of any link and program, for status and clashes.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/fd.h"

namespace weir::kernel {

enum class TcSide : uint8_t { kIngress, kEgress };

// At the head of the interface's chain, before what is there.  The program stays attached while the link (or a pin of it)
// lives.  Errors: kUnavailable (no tcx in this kernel), kSystem.
[[nodiscard]] Result<Fd> tcx_attach(int program, uint32_t interface, TcSide side);

// Ids of the programs on that hook, in the order in which they run.  Errors: as above.
[[nodiscard]] Result<std::vector<uint32_t>> tcx_programs(uint32_t interface, TcSide side);

struct LinkInfo {
  uint32_t id = 0;
  uint32_t program = 0;     // Id.
  uint32_t object = 0;      // tcx: the interface's index; network namespace: its inode; cgroup: its id.  0: detached.
};
[[nodiscard]] Result<LinkInfo> link_info(int link);

struct ProgramInfo {
  uint32_t id = 0;
  std::string name;
  std::string tag;          // 16 hex digits, over the instructions: equal code, equal tag.
  uint64_t run_time_ns = 0, run_count = 0;  // With kernel.bpf_stats_enabled.
};
[[nodiscard]] Result<ProgramInfo> program_info(int program);
[[nodiscard]] Result<Fd> program_by_id(uint32_t id);

// A pinned map, program or link.  Errors: kNotFound, kDenied, kSystem.
[[nodiscard]] Result<Fd> open_pinned(const std::string& path);

// CLOCK_BOOTTIME, the programs' clock.
uint64_t boot_time_ns();

}  // namespace weir::kernel

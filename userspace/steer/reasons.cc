#include "steer/reasons.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstring>
#include <numeric>
#include <string>
#include <vector>

namespace weir::steer {

Result<std::array<uint64_t, WEIR_REASON_COUNT>> read_counts(int counts_map) {
  std::array<uint64_t, WEIR_REASON_COUNT> counts{};
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return fail(Error::Kind::kSystem, "the number of CPUs is not known", -cpus);
  std::vector<uint64_t> values(static_cast<std::size_t>(cpus));
  for (uint32_t reason = 0; reason < WEIR_REASON_COUNT; ++reason) {
    const int error = bpf_map_lookup_elem(counts_map, &reason, values.data());
    if (error != 0) return fail(Error::Kind::kSystem, std::string("counts: ") + std::strerror(-error), -error);
    counts[reason] = std::accumulate(values.begin(), values.end(), uint64_t{0});
  }
  return counts;
}

}  // namespace weir::steer

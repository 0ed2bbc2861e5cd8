#include "steer/kernel_bypasses.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cstring>

#include "abi.h"
#include "kernel/tcx.h"
#include "steer/options.h"
#include "steer/pinned_map.h"

namespace weir::steer {
namespace {

std::string target_of(const weir_bypass& value) { return std::string(value.target, strnlen(value.target, sizeof value.target)); }

KernelBypass from_abi(const weir_bypass& value) {
  const uint64_t now = kernel::boot_time_ns();
  KernelBypass bypass;
  bypass.id = value.id;
  bypass.target = target_of(value);
  bypass.left = std::chrono::nanoseconds(value.until_ns > now ? static_cast<int64_t>(value.until_ns - now) : 0);
  bypass.counts = {value.flows, value.packets_to_target, value.bytes_to_target, value.packets_to_client, value.bytes_to_client};
  return bypass;
}

}  // namespace

Result<KernelBypasses> KernelBypasses::open(const Config& config) {
  const auto options = options_of(config);
  if (!options) return tl::unexpected<Error>(options.error());
  auto map = open_map(*options, "bypasses", sizeof(uint32_t), sizeof(weir_bypass));
  if (!map) return tl::unexpected<Error>(map.error());
  return KernelBypasses(std::move(*map));
}

Result<KernelBypasses> KernelBypasses::at(const std::string& folder) {
  auto map = kernel::open_pinned(folder + "/maps/bypasses");
  if (!map) return tl::unexpected<Error>(map.error());
  return KernelBypasses(std::move(*map));
}

Result<void> KernelBypasses::put(uint64_t id, const std::string& target, uint32_t index, std::chrono::seconds time) {
  weir_bypass value{};
  if (id == 0 || time <= std::chrono::seconds(0) || target.empty() || target.size() > sizeof value.target) {
    return fail(Error::Kind::kInvalid, "a bypass needs an id, a target and a time");
  }
  value.id = id;
  value.until_ns = kernel::boot_time_ns() + static_cast<uint64_t>(std::chrono::nanoseconds(time).count());
  std::memcpy(value.target, target.data(), target.size());
  if (const int error = bpf_map_update_elem(map_.get(), &index, &value, BPF_ANY); error != 0) {
    return fail(Error::Kind::kSystem, "bypass " + target + ": " + std::strerror(-error), -error);
  }
  return {};
}

// With the entry its counts are taken, in one step: nothing passes by it after they were read.
std::optional<KernelBypass> KernelBypasses::take(const std::string& target) {
  for (const uint32_t index : map_keys<uint32_t>(map_.get())) {
    weir_bypass value{};
    if (bpf_map_lookup_elem(map_.get(), &index, &value) != 0 || target_of(value) != target) continue;
    if (bpf_map_lookup_and_delete_elem(map_.get(), &index, &value) == 0) return from_abi(value);
  }
  return std::nullopt;
}

std::vector<KernelBypass> KernelBypasses::list() const {
  std::vector<KernelBypass> all;
  for (const uint32_t index : map_keys<uint32_t>(map_.get())) {
    weir_bypass value{};
    if (bpf_map_lookup_elem(map_.get(), &index, &value) == 0) all.push_back(from_abi(value));
  }
  std::sort(all.begin(), all.end(), [](const KernelBypass& a, const KernelBypass& b) { return a.target < b.target; });
  return all;
}

void KernelBypasses::keep_only(const std::vector<TargetConfig>& targets) {
  for (const uint32_t index : map_keys<uint32_t>(map_.get())) {
    weir_bypass value{};
    if (bpf_map_lookup_elem(map_.get(), &index, &value) != 0) continue;
    if (index >= targets.size() || targets[index].name != target_of(value)) bpf_map_delete_elem(map_.get(), &index);
  }
}

}  // namespace weir::steer

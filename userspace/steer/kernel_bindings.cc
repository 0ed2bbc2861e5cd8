#include "steer/kernel_bindings.h"

#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <unordered_set>
#include <utility>

#include "abi.h"
#include "kernel/tcx.h"
#include "steer/pinned_map.h"
#include "steer/target_map.h"

namespace weir::steer {
namespace {

std::chrono::sys_time<std::chrono::nanoseconds> wall_now() { return std::chrono::system_clock::now(); }

std::chrono::sys_seconds wall_end(uint64_t expires_ns) {
  if (expires_ns == 0) return {};
  const auto left = std::chrono::nanoseconds(static_cast<int64_t>(expires_ns - kernel::boot_time_ns()));
  return std::chrono::round<std::chrono::seconds>(wall_now() + left);
}

weir_binding to_abi(const KernelBinding& binding) {
  weir_binding value{};
  value.id = binding.id;
  value.expires_ns = binding.until == std::chrono::sys_seconds{} ? 0 : boot_end_ns(binding.until);
  const LinkKey& link = binding.link;
  if (!link.interface.empty()) {
    value.interface = if_nametoindex(link.interface.c_str());  // 0, which no packet comes in on, where there is none.
    value.checks |= WEIR_BINDING_INTERFACE;
  }
  if (link.vlan) {
    value.vlan = *link.vlan == 0 ? uint16_t{WEIR_VLAN_NONE} : *link.vlan;
    value.checks |= WEIR_BINDING_VLAN;
  }
  if (link.mac) {
    std::copy(link.mac->begin(), link.mac->end(), value.mac);
    value.checks |= WEIR_BINDING_MAC;
  }
  return value;
}

KernelBinding from_abi(const Prefix& where, const weir_binding& value) {
  KernelBinding binding;
  binding.id = value.id;
  binding.where = where;
  binding.until = wall_end(value.expires_ns);
  char name[IF_NAMESIZE] = {};
  if (value.checks & WEIR_BINDING_INTERFACE) binding.link.interface = if_indextoname(value.interface, name) != nullptr ? name : "?";
  if (value.checks & WEIR_BINDING_VLAN) binding.link.vlan = value.vlan == WEIR_VLAN_NONE ? uint16_t{0} : value.vlan;
  if (value.checks & WEIR_BINDING_MAC) {
    binding.link.mac.emplace();
    std::copy(std::begin(value.mac), std::end(value.mac), binding.link.mac->begin());
  }
  return binding;
}

bool is_one_address(const Prefix& prefix) { return prefix.bits == 128; }

}  // namespace

uint64_t boot_end_ns(std::chrono::sys_seconds until) {
  const auto left = std::chrono::sys_time<std::chrono::nanoseconds>(until) - wall_now();
  return kernel::boot_time_ns() + static_cast<uint64_t>(std::max<int64_t>(left.count(), 1));
}

Result<KernelBindings> KernelBindings::open(const Config& config) {
  const auto options = options_of(config);
  if (!options) return tl::unexpected<Error>(options.error());
  auto addresses = open_map(*options, "addresses", sizeof(weir_addr), sizeof(weir_binding));
  if (!addresses) return tl::unexpected<Error>(addresses.error());
  auto networks = open_map(*options, "networks", sizeof(weir_prefix_key), sizeof(weir_binding));
  if (!networks) return tl::unexpected<Error>(networks.error());
  return KernelBindings(std::move(*addresses), std::move(*networks));
}

Result<void> KernelBindings::put(const KernelBinding& binding) {
  if (binding.id == 0) return fail(Error::Kind::kInvalid, "a binding needs an id above 0");
  if (binding.until != std::chrono::sys_seconds{} && binding.until <= wall_now()) {
    return fail(Error::Kind::kInvalid, "the binding of " + binding.where.text() + " has ended already");
  }
  const weir_binding value = to_abi(binding);
  int error = 0;
  if (is_one_address(binding.where)) {
    const weir_addr key = steer::to_abi(binding.where.address);
    error = bpf_map_update_elem(addresses_.get(), &key, &value, BPF_ANY);
  } else {
    const weir_prefix_key key = steer::to_abi(binding.where);
    error = bpf_map_update_elem(networks_.get(), &key, &value, BPF_ANY);
  }
  if (error == 0) return {};
  if (error == -E2BIG || error == -ENOSPC) {
    return fail(Error::Kind::kUnavailable, "the kernel's table of bindings is full (steer.bindings_max): " + binding.where.text() + " stays unbound", -error);
  }
  return fail(Error::Kind::kSystem, "bind " + binding.where.text() + ": " + std::strerror(-error), -error);
}

// A trie answers with the longest prefix that covers the key: an id stands at one place alone, so it tells whether that was it.
bool KernelBindings::remove(const Prefix& where, uint64_t id) {
  const weir_prefix_key key = steer::to_abi(where);
  const int map = is_one_address(where) ? addresses_.get() : networks_.get();
  const void* place = is_one_address(where) ? static_cast<const void*>(&key.addr) : &key;
  weir_binding value{};
  return bpf_map_lookup_elem(map, place, &value) == 0 && value.id == id && bpf_map_delete_elem(map, place) == 0;
}

Result<std::vector<KernelBinding>> KernelBindings::list() const {
  std::vector<KernelBinding> all;
  weir_binding value{};
  for (const weir_addr& key : map_keys<weir_addr>(addresses_.get())) {
    if (bpf_map_lookup_elem(addresses_.get(), &key, &value) == 0) all.push_back(from_abi({steer::from_abi(key), 128}, value));
  }
  for (const weir_prefix_key& key : map_keys<weir_prefix_key>(networks_.get())) {
    if (bpf_map_lookup_elem(networks_.get(), &key, &value) == 0) {
      all.push_back(from_abi({steer::from_abi(key.addr), static_cast<uint8_t>(key.bits)}, value));
    }
  }
  std::sort(all.begin(), all.end(), [](const KernelBinding& a, const KernelBinding& b) { return a.id < b.id; });
  return all;
}

Result<std::vector<uint64_t>> KernelBindings::replace(std::span<const KernelBinding> all) {
  const auto before = list();
  if (!before) return tl::unexpected<Error>(before.error());
  std::unordered_set<uint64_t> ids;
  std::map<std::pair<Address, uint8_t>, uint64_t> wanted;
  for (const KernelBinding& binding : all) {
    if (auto put_in = put(binding); !put_in) return tl::unexpected<Error>(put_in.error());
    ids.insert(binding.id);
    wanted[{binding.where.address, binding.where.bits}] = binding.id;
  }
  std::vector<uint64_t> gone;
  for (const KernelBinding& old : *before) {
    if (!ids.contains(old.id)) gone.push_back(old.id);
    // Where nobody is bound any more: also the former place of one that has moved.
    if (!wanted.contains({old.where.address, old.where.bits})) static_cast<void>(remove(old.where, old.id));
  }
  return gone;
}

}  // namespace weir::steer

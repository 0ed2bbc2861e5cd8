#include "steer/target_map.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace weir::steer {
namespace {

constexpr uint32_t kEntriesMax = 1u << 20;  // Bound of a walk over a map.

uint32_t target_flags(const TargetConfig& target) {
  uint32_t flags = 0;
  if (target.admit != Admit::kAddress) flags |= WEIR_TARGET_ADMIT_WIRE;
  if (target.unbound == Unbound::kReset) flags |= WEIR_TARGET_UNBOUND_RESET;
  if (target.unbound == Unbound::kDrop) flags |= WEIR_TARGET_UNBOUND_DROP;
  if (target.closed_answer == ClosedAnswer::kDrop) flags |= WEIR_TARGET_CLOSED_DROP;
  if (target.on_engine_failure == OnFailure::kOpen) flags |= WEIR_TARGET_FAIL_OPEN;
  return flags;
}

bool covers(const Prefix& wide, const Prefix& narrow) { return wide.bits <= narrow.bits && wide.contains(narrow.address); }

// What holds at `prefix`: the ports of every target that covers it, those of the longest prefix first.
TargetGroup compile_group(const Prefix& prefix, std::span<const TargetConfig> targets) {
  struct Candidate { uint8_t bits; uint32_t index; };
  std::vector<Candidate> candidates;
  for (uint32_t index = 0; index < targets.size(); ++index) {
    int longest = -1;
    for (const Prefix& own : targets[index].addresses) {
      if (covers(own, prefix)) longest = std::max(longest, static_cast<int>(own.bits));
    }
    if (longest >= 0) candidates.push_back({static_cast<uint8_t>(longest), index});
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) { return a.bits > b.bits; });

  TargetGroup group;
  group.prefix = prefix;
  bool is_icmp_passed = true, is_other_dropped = false;
  for (const Candidate& candidate : candidates) {
    const TargetConfig& target = targets[candidate.index];
    for (const uint16_t port : target.ports) group.ports.try_emplace(port, weir_target{target_flags(target), candidate.index});
    if (candidate.bits != candidates.front().bits) continue;  // A wider target's wishes for its other ports end here.
    is_icmp_passed = is_icmp_passed && target.icmp_pass;
    is_other_dropped = is_other_dropped || target.other_ports_drop;
  }
  if (is_icmp_passed) group.flags |= WEIR_PREFIX_ICMP_PASS;
  if (is_other_dropped) group.flags |= WEIR_PREFIX_OTHER_DROP;
  return group;
}

tl::unexpected<Error> map_error(const char* map, int code) {
  const bool is_full = code == E2BIG || code == ENOSPC || code == ENOMEM;
  return fail(Error::Kind::kSystem, std::string("map ") + map + ": " + (is_full ? "full" : std::strerror(code)), code);
}

template <class Key>
std::vector<Key> keys_of(int map) {
  std::vector<Key> keys;
  Key key{}, next{};
  const Key* previous = nullptr;
  while (keys.size() < kEntriesMax && bpf_map_get_next_key(map, previous, &next) == 0) {
    keys.push_back(next);
    key = next;
    previous = &key;
  }
  return keys;
}

uint32_t highest_group(int targets) {
  uint32_t highest = 0;
  for (const weir_target_key& key : keys_of<weir_target_key>(targets)) highest = std::max(highest, key.group);
  return highest;
}

void remove_groups(int targets, uint32_t from, uint32_t to) {
  for (const weir_target_key& key : keys_of<weir_target_key>(targets)) {
    if (key.group >= from && key.group < to) bpf_map_delete_elem(targets, &key);
  }
}

}  // namespace

weir_addr to_abi(const Address& address) {
  weir_addr result;
  static_assert(sizeof result.words == 16);
  std::memcpy(result.words, address.bytes.data(), sizeof result.words);
  return result;
}

Address from_abi(const weir_addr& address) {
  Address result;
  std::memcpy(result.bytes.data(), address.words, sizeof address.words);
  return result;
}

weir_prefix_key to_abi(const Prefix& prefix) { return {prefix.bits, to_abi(prefix.address)}; }

weir_flow_key to_abi(const Endpoint& client, const Endpoint& target) {
  return {to_abi(client.address), to_abi(target.address), htons(client.port), htons(target.port)};
}

std::vector<TargetGroup> compile_targets(std::span<const TargetConfig> targets) {
  std::vector<Prefix> prefixes;
  for (const TargetConfig& target : targets) {
    for (const Prefix& prefix : target.addresses) {
      if (std::find(prefixes.begin(), prefixes.end(), prefix) == prefixes.end()) prefixes.push_back(prefix);
    }
  }
  std::vector<TargetGroup> groups;
  for (const Prefix& prefix : prefixes) groups.push_back(compile_group(prefix, targets));
  return groups;
}

Result<void> write_target_map(int prefixes, int targets, std::span<const TargetGroup> groups) {
  const uint32_t first = highest_group(targets) + 1;
  const uint32_t end = first + static_cast<uint32_t>(groups.size());
  for (uint32_t i = 0; i < groups.size(); ++i) {
    for (const auto& [port, target] : groups[i].ports) {
      const weir_target_key key{first + i, htons(port), 0};
      if (const int error = bpf_map_update_elem(targets, &key, &target, BPF_ANY); error != 0) {
        remove_groups(targets, first, end);
        return map_error("targets", -error);
      }
    }
  }
  for (uint32_t i = 0; i < groups.size(); ++i) {
    const weir_prefix_key key = to_abi(groups[i].prefix);
    const weir_prefix value{first + i, groups[i].flags};
    // After a failure half of the prefixes are new and half old, each of them whole; the old groups stay.
    if (const int error = bpf_map_update_elem(prefixes, &key, &value, BPF_ANY); error != 0) return map_error("prefixes", -error);
  }
  for (const weir_prefix_key& key : keys_of<weir_prefix_key>(prefixes)) {
    const bool is_wanted = std::any_of(groups.begin(), groups.end(), [&](const TargetGroup& group) {
      const weir_prefix_key own = to_abi(group.prefix);
      return std::memcmp(&own, &key, sizeof key) == 0;
    });
    if (!is_wanted) bpf_map_delete_elem(prefixes, &key);
  }
  remove_groups(targets, 0, first);
  return {};
}

}  // namespace weir::steer

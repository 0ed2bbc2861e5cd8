// A pinned map, opened and held to its layout in bpf/abi.h.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <bpf/bpf.h>

#include "base/result.h"
#include "kernel/fd.h"
#include "steer/options.h"

namespace weir::steer {

// Errors: kNotFound ("not up"), kDenied, kInvalid (the map is of another version's programs).
[[nodiscard]] Result<kernel::Fd> open_map(const Options& options, const char* name, uint32_t key_size, uint32_t value_size);

// Entries of a hash or trie, for a walk with changes: keys are taken first, bounded by what a map can hold.
template <class Key>
std::vector<Key> map_keys(int map) {
  constexpr std::size_t kKeysMax = 1u << 21;
  std::vector<Key> keys;
  Key next{};
  while (keys.size() < kKeysMax && bpf_map_get_next_key(map, keys.empty() ? nullptr : &keys.back(), &next) == 0) keys.push_back(next);
  return keys;
}

}  // namespace weir::steer

#include "identify/binding_index.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

namespace weir::identify {
namespace {

constexpr uint32_t kNone = 0xffff'ffff;

Prefix prefix_of(const Address& address, uint8_t bits) {
  Prefix prefix{address, bits};
  for (unsigned bit = bits; bit < 128; bit += 8 - bit % 8) {
    uint8_t& byte = prefix.address.bytes[bit / 8];
    byte = static_cast<uint8_t>(byte & (0xff00u >> (bit % 8)));
  }
  return prefix;
}

}  // namespace

std::size_t BindingIndex::PrefixHash::operator()(const Prefix& prefix) const noexcept {
  uint64_t high = 0, low = 0;
  std::memcpy(&high, prefix.address.bytes.data(), 8);
  std::memcpy(&low, prefix.address.bytes.data() + 8, 8);
  uint64_t mixed = (high ^ prefix.bits ^ (low * 0x9e3779b97f4a7c15ULL)) * 0xbf58476d1ce4e5b9ULL;
  mixed ^= mixed >> 31;
  return static_cast<std::size_t>(mixed);
}

BindingIndex::BindingIndex(const std::vector<Binding>& bindings) : all_(bindings), next_(bindings.size(), kNone) {
  first_.reserve(bindings.size());
  // What is put in last stands first.
  for (const bool is_static : {true, false}) {
    for (auto index = static_cast<uint32_t>(bindings.size()); index-- > 0;) {
      const Binding& binding = bindings[index];
      if (binding.is_static != is_static) continue;
      const auto [place, is_new] = first_.try_emplace(binding.where, index);
      if (!is_new) next_[index] = std::exchange(place->second, index);
      if (std::find(lengths_.begin(), lengths_.end(), binding.where.bits) == lengths_.end()) lengths_.push_back(binding.where.bits);
    }
  }
  std::sort(lengths_.begin(), lengths_.end(), std::greater<>());
}

const Binding* BindingIndex::at(const Prefix& where, std::chrono::sys_seconds now) const {
  const auto found = first_.find(where);
  for (uint32_t index = found == first_.end() ? kNone : found->second; index != kNone; index = next_[index]) {
    if (!has_ended(all_[index], now)) return &all_[index];
  }
  return nullptr;
}

IdentityPtr BindingIndex::find(const Address& address, std::chrono::sys_seconds now) const {
  for (const uint8_t bits : lengths_) {
    if (const Binding* binding = at(prefix_of(address, bits), now)) return binding->identity;
  }
  return nullptr;
}

}  // namespace weir::identify

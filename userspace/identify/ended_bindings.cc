#include "identify/ended_bindings.h"

#include <algorithm>

namespace weir::identify {

void EndedBindings::note(const std::vector<Binding>& ended) {
  if (ended.empty()) return;
  const std::lock_guard lock(mutex_);
  for (const Binding& binding : ended) {
    if (kept_.size() == kKeptMax) kept_.pop_front();
    kept_.push_back({binding.identity->binding_id, binding.where, binding.identity->subject, binding.identity->expires});
  }
}

std::optional<EndedBinding> EndedBindings::find(const Address& address, std::chrono::sys_seconds now) const {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(kept_.rbegin(), kept_.rend(), [&](const EndedBinding& each) { return each.where.contains(address); });
  if (found == kept_.rend() || now - found->at > kKeptFor) return std::nullopt;
  return *found;
}

}  // namespace weir::identify

#include "accept/admission.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace weir::accept {

AdmissionPass::AdmissionPass(AdmissionPass&& other) noexcept
    : owner_(std::exchange(other.owner_, nullptr)), identity_(std::move(other.identity_)), is_pending_(std::exchange(other.is_pending_, false)) {}
AdmissionPass& AdmissionPass::operator=(AdmissionPass&& other) noexcept {
  if (this != &other) {
    give_back();
    owner_ = std::exchange(other.owner_, nullptr);
    identity_ = std::move(other.identity_);
    is_pending_ = std::exchange(other.is_pending_, false);
  }
  return *this;
}
void AdmissionPass::give_back() noexcept {
  if (owner_ == nullptr) return;
  std::exchange(owner_, nullptr)->release(identity_, std::exchange(is_pending_, false));
  identity_.clear();
}

Admission::Answer Admission::admit(AdmissionPass& pass, bool is_pending) {
  const std::lock_guard<std::mutex> lock(mutex_);
  WEIR_CHECK(pass.owner_ == nullptr);
  if (is_closed_) return Answer::kClosed;
  if (open_ >= sessions_max_) return Answer::kFull;
  if (is_pending && pending_ >= std::max(1u, sessions_max_ / 4)) return Answer::kFull;
  ++open_;
  pending_ += is_pending ? 1 : 0;
  pass.is_pending_ = is_pending;
  pass.owner_ = this;
  return Answer::kAdmitted;
}

Admission::Answer Admission::identify(AdmissionPass& pass, std::string_view subject) {
  const std::lock_guard<std::mutex> lock(mutex_);
  WEIR_CHECK(pass.owner_ == this && pass.identity_.empty());
  std::string name(subject);
  uint32_t& count = by_identity_[name];
  if (count >= per_identity_max_) {
    if (count == 0) by_identity_.erase(name);
    return Answer::kIdentityFull;
  }
  ++count;
  pass.identity_ = std::move(name);
  if (std::exchange(pass.is_pending_, false)) --pending_;
  return Answer::kAdmitted;
}

void Admission::release(const std::string& identity, bool is_pending) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  WEIR_CHECK(open_ > 0 && (!is_pending || pending_ > 0));
  --open_;
  if (is_pending) --pending_;
  if (identity.empty()) return;
  const auto found = by_identity_.find(identity);
  WEIR_CHECK(found != by_identity_.end() && found->second > 0);
  if (--found->second == 0) by_identity_.erase(found);
}

void Admission::close() {
  const std::lock_guard<std::mutex> lock(mutex_);
  is_closed_ = true;
}

void Admission::set_limits(const Limits& limits) {
  const std::lock_guard<std::mutex> lock(mutex_);
  sessions_max_ = limits.sessions_max;
  per_identity_max_ = limits.sessions_per_identity_max;
}

uint32_t Admission::open_count() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return open_;
}

uint32_t Admission::open_count(std::string_view subject) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_identity_.find(std::string(subject));
  return found == by_identity_.end() ? 0 : found->second;
}

}  // namespace weir::accept

// How many sessions there may be: all together, and for one identity.  One object for all cores; asked once a session.
// Must never: let a count go below what is open (a pass gives its place back exactly once, when it is destroyed).
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/limits.h"

namespace weir::accept {

class Admission;

// A place taken.  Move-only; outlived by its Admission.
class AdmissionPass {
 public:
  AdmissionPass() = default;
  AdmissionPass(AdmissionPass&& other) noexcept;
  AdmissionPass& operator=(AdmissionPass&& other) noexcept;
  ~AdmissionPass() { give_back(); }
  void give_back() noexcept;
  [[nodiscard]] explicit operator bool() const noexcept { return owner_ != nullptr; }

 private:
  friend class Admission;
  Admission* owner_ = nullptr;
  std::string identity_;        // Empty: counted in the total only (not identified yet).
  bool is_pending_ = false;     // Of a source that is nobody yet, and proves itself on the wire.
};

class Admission {
 public:
  enum class Answer : uint8_t { kAdmitted, kFull /* sessions_max */, kIdentityFull /* sessions_per_identity_max */, kClosed /* draining */ };

  explicit Admission(const Limits& limits) : sessions_max_(limits.sessions_max), per_identity_max_(limits.sessions_per_identity_max) {}

  // A place in the total.  Post: `pass` holds it if the answer is kAdmitted.  `is_pending`: nobody knows yet who it is; such may
  // hold a quarter of sessions_max until they are identified, so that strangers keep out none but themselves.
  [[nodiscard]] Answer admit(AdmissionPass& pass, bool is_pending = false);
  // A place for its identity (subject), once it is known.  Pre: `pass` holds a place without an identity.  If the answer is
  // not kAdmitted the pass is as before.
  [[nodiscard]] Answer identify(AdmissionPass& pass, std::string_view subject);
  // No new session from here on (drain); open ones keep their places.
  void close();
  void set_limits(const Limits&);  // On a reload; sessions above a lower limit go on.
  [[nodiscard]] uint32_t open_count() const;
  [[nodiscard]] uint32_t open_count(std::string_view subject) const;

 private:
  friend class AdmissionPass;
  void release(const std::string& identity, bool is_pending) noexcept;

  mutable std::mutex mutex_;
  uint32_t sessions_max_, per_identity_max_;
  uint32_t open_ = 0, pending_ = 0;
  bool is_closed_ = false;
  std::unordered_map<std::string, uint32_t> by_identity_;
};

}  // namespace weir::accept

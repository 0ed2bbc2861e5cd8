// The list of reasons of bpf/abi.h as names and classes, and the counts as they stand.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "abi.h"

namespace weir::steer {

enum class ReasonClass : uint8_t { kPassed, kSteered, kSent, kDropped, kNotice };
struct Reason {
  std::string_view name;
  ReasonClass kind;
  std::string_view meaning;
};
inline constexpr std::array<Reason, WEIR_REASON_COUNT> kReasons = {{
#define WEIR_CLASS_PASSED ReasonClass::kPassed
#define WEIR_CLASS_STEERED ReasonClass::kSteered
#define WEIR_CLASS_SENT ReasonClass::kSent
#define WEIR_CLASS_DROPPED ReasonClass::kDropped
#define WEIR_CLASS_NOTICE ReasonClass::kNotice
#define X(name, text, class_, meaning) {text, WEIR_CLASS_##class_, meaning},
    WEIR_REASONS(X)
#undef X
}};

// Sums over all CPUs.  Errors: kSystem.
[[nodiscard]] Result<std::array<uint64_t, WEIR_REASON_COUNT>> read_counts(int counts_map);

}  // namespace weir::steer

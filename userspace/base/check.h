// WEIR_CHECK: a fact that only a bug of ours can break.  On in release: a gateway that has lost its own invariants must
// stop rather than forward.  Never used on what a peer or an operator can send.
#pragma once

namespace weir {
[[noreturn]] void check_failed(const char* expression, const char* file, int line) noexcept;
}  // namespace weir

#define WEIR_CHECK(expression) \
  (__builtin_expect(static_cast<bool>(expression), 1) ? static_cast<void>(0) : ::weir::check_failed(#expression, __FILE__, __LINE__))

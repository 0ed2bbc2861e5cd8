#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace weir {

void check_failed(const char* expression, const char* file, int line) noexcept {
  // stderr, not spdlog: the logger may be what broke.
  std::fprintf(stderr, "weir: broken invariant: %s (%s:%d)\n", expression, file, line);
  std::abort();
}

}  // namespace weir

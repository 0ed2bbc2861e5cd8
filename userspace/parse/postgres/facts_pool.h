// The threads that libpg_query runs on: two for the whole gateway, each with a guarded stack sized for the deepest tree
// that depth_limit() admits.  One takes statements up to statement_inline_max, the other one larger statement at a time
// (7 MB of INSERT take 260 MB while they are parsed), so that a small statement never waits behind a large one.
#pragma once
#include <cstdint>
#include <memory>

#include "core/limits.h"

namespace weir::postgres {

class SqlParserPool {
 public:
  explicit SqlParserPool(const Limits& limits);
  ~SqlParserPool();  // Waits for the statements being parsed; what is queued is dropped.
  SqlParserPool(const SqlParserPool&) = delete;
  SqlParserPool& operator=(const SqlParserPool&) = delete;

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::postgres

// The engine process: builds every part by hand in the order of the flow, one thread a core, one control thread.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "core/config.h"

namespace weir::session {

struct EngineOptions {
  Config config;                       // Checked.
  std::string config_file;             // Read again by a reload.
  std::vector<std::string> overrides;  // `--set`, kept over reloads.
};

// `weir run`: serves in the foreground until SIGTERM or SIGINT, then drains.  Pre: one thread, the caller's signals not blocked.
// Errors: what could not be started, with the fix.
[[nodiscard]] Result<void> run_engine(EngineOptions options);

}  // namespace weir::session

// weir.yaml and its rule files to the typed Config, with every mistake found in one run.
// Must never: put a secret into Config, a problem or a digest's input order that depends on anything but the files.
#pragma once
#include <string>
#include <vector>

#include "control/config_files.h"
#include "control/config_problem.h"
#include "core/config.h"

namespace weir::control {

struct ConfigOptions {
  std::vector<std::string> overrides;  // `--set key=value`, in order: "state=/path", "targets[orders-db].mode=observe".
  bool check_files = true;             // False: secret and certificate files may be missing (`weir ca init`, `weir status`).
};

struct LoadedConfig {
  Config config;                       // What could be read; use it only if is_usable(), except for names in messages.
  std::vector<ConfigProblem> problems; // In file order.
  std::vector<std::string> keys;       // Every key of the schema that was asked for, lists as []: "targets[].ports".
  [[nodiscard]] bool is_usable() const { return !has_errors(problems); }
};

// Post: all problems of `path`, its rule files and `options.overrides`; Config::digest covers all of them.
LoadedConfig load_config(const std::string& path, const ConfigOptions& options, ConfigFiles& files);
LoadedConfig load_config(const std::string& path, const ConfigOptions& options = {});

// Keys that differ and take effect at a start only: a reload that changes one is refused with these.
std::vector<ConfigProblem> restart_needed(const Config& running, const Config& wanted);

// Every limit with its value, default, what happens when it is hit, and its share of memory.
struct LimitRow {
  std::string name, value, preset, when_hit;
  uint64_t memory = 0;                 // Bytes that it stands for, all cores and sessions together; 0: none of its own.
  std::string formula;                 // How `memory` comes about.
};
struct LimitTable {
  std::vector<LimitRow> rows;
  uint64_t fixed = 0;                  // Bytes taken at start-up.
  uint64_t at_most = 0;                // Bytes when every limit is reached at once.
};
LimitTable limit_table(const Config& config, uint32_t core_count);

}  // namespace weir::control

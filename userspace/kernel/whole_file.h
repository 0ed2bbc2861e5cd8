// Small files that are read and replaced whole: tables of state that fit in memory.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::kernel {

// Errors: kNotFound; kSystem; kCorrupt: larger than `size_max`.
[[nodiscard]] Result<std::string> read_whole_file(const std::string& path, std::size_t size_max);
// Written aside, synced, renamed, the folder synced: a crash leaves the old one or the new one.  Mode 0600.
// Errors: kSystem; then the old one is still there.
[[nodiscard]] Result<void> replace_whole_file(const std::string& path, std::string_view text);

}  // namespace weir::kernel

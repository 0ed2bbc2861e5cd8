// The folders below archive/: YYYY/MM/DD/<session>[.<part>].weir, newest day first.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::record {

struct ArchiveFile {
  uint64_t session = 0;
  uint32_t part = 1;
  std::string name;          // Below archive/.
};
// nullopt: not a name that archive_name() makes.
std::optional<ArchiveFile> archive_file(std::string_view day, std::string_view file_name);

// Days that may hold what was opened in [since, until), newest first.  False: enough.
Result<void> walk_archive(const std::string& archive, std::optional<std::chrono::sys_seconds> since,
                          std::optional<std::chrono::sys_seconds> until,
                          // `files`: highest session first, parts in order.  `strange`: names that are no archives'.
                          const std::function<bool(const std::vector<ArchiveFile>& files, const std::vector<std::string>& strange)>& visit);

// The parts of one session, in order; all stand in the folder of the day when it was opened.  `opened`, if that is known: its names are
// asked for one by one, and a day of many sessions is not listed.
Result<std::vector<ArchiveFile>> archives_of(const std::string& archive, uint64_t session, std::optional<std::chrono::sys_seconds> opened);

}  // namespace weir::record

#include "simulation/disk.h"

#include <algorithm>
#include <cerrno>

namespace weir::simulation {

std::optional<record::SegmentFile> Disk::take() {
  if (is_full_) return std::nullopt;
  if (faults_.no_segments && world_.random().one_in(3)) return std::nullopt;
  const int file = next_file_++;
  files_[file].assign(segment_size_, '\0');
  return record::SegmentFile{file, static_cast<uint64_t>(file), segment_size_};
}

Disk::Outcome Disk::plan(std::size_t size) {
  const auto delay = world_.delay(faults_.slow_disk ? std::chrono::milliseconds(50) : std::chrono::microseconds(300));
  if (faults_.disk_errors && world_.random().one_in(40)) return {delay, -EIO};
  if (faults_.short_writes && size > 4096 && world_.random().one_in(4)) {
    return {delay, static_cast<int32_t>(4096 * (1 + world_.random().below(size / 4096)))};
  }
  return {delay, static_cast<int32_t>(size)};
}

void Disk::apply(int file, uint64_t offset, std::string_view bytes) {
  std::string& content = files_[file];
  if (content.size() < offset + bytes.size()) content.resize(offset + bytes.size());
  std::copy(bytes.begin(), bytes.end(), content.begin() + static_cast<std::ptrdiff_t>(offset));
}

}  // namespace weir::simulation

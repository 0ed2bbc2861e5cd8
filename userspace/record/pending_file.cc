#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "record/files.h"
#include "record/pending.h"

namespace weir::record {
namespace {

// A real write of every block: fallocate alone leaves unwritten extents, whose first store costs a journal transaction.
Result<void> fill_with_zeros(int file, uint64_t size) {
  const std::vector<std::byte> zeros(1u << 20);
  for (uint64_t offset = 0; offset < size; offset += zeros.size()) {
    const std::size_t part = static_cast<std::size_t>(std::min<uint64_t>(zeros.size(), size - offset));
    if (Result<void> done = write_at(file, offset, Bytes(zeros).first(part)); !done) return done;
  }
  if (::fsync(file) != 0) return system_error("pending memory");
  return {};
}

// What an earlier run left.  Most blocks are zeros already, and are not made dirty.
void clear(MutableBytes memory) {
  const std::vector<std::byte> zeros(kBlockSize);
  for (std::size_t at = 0; at < memory.size(); at += kBlockSize) {
    const MutableBytes block = memory.subspan(at, std::min<std::size_t>(kBlockSize, memory.size() - at));
    if (std::memcmp(block.data(), zeros.data(), block.size()) != 0) std::memset(block.data(), 0, block.size());
  }
}

}  // namespace

Result<PendingFile> PendingFile::create(const std::string& path, PendingShape shape) {
  Result<FileHandle> file = open_file(path, O_RDWR | O_CREAT, 0600);
  if (!file) return tl::unexpected(file.error());
  struct stat status {};
  if (::fstat(file->get(), &status) != 0) return system_error(path);
  if (static_cast<uint64_t>(status.st_size) != shape.bytes()) {
    if (::ftruncate(file->get(), 0) != 0) return system_error(path);
    if (Result<void> done = fill_with_zeros(file->get(), shape.bytes()); !done) return tl::unexpected(done.error());
  }
  void* place = ::mmap(nullptr, shape.bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, file->get(), 0);
  if (place == MAP_FAILED) return system_error(path);
  const MutableBytes memory(static_cast<std::byte*>(place), shape.bytes());
  clear(memory);
  return PendingFile(memory);
}

PendingFile::~PendingFile() {
  if (!memory_.empty()) ::munmap(memory_.data(), memory_.size());
}

}  // namespace weir::record

// What the record asks of the file system.  `Files` is what the sealer changes on disk, one step a call, so that a test
// can stop it between any two (crash at every write); reading goes straight to the system.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace weir::record {

class FileHandle {
 public:
  FileHandle() = default;
  explicit FileHandle(int file) : file_(file) {}
  FileHandle(FileHandle&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  FileHandle& operator=(FileHandle&& other) noexcept;
  ~FileHandle() { close(); }
  void close() noexcept;
  [[nodiscard]] int get() const { return file_; }
  [[nodiscard]] int release() noexcept { return std::exchange(file_, -1); }
  [[nodiscard]] explicit operator bool() const { return file_ >= 0; }

 private:
  int file_ = -1;
};

tl::unexpected<Error> system_error(const std::string& what);   // From errno: "what: No space left on device".
Result<FileHandle> open_file(const std::string& path, int flags, unsigned mode = 0600);
// For reading or writing past the page cache; falls back to the cache where the file system has no O_DIRECT.
Result<FileHandle> open_direct(const std::string& path, int flags);
Result<void> write_at(int file, uint64_t offset, Bytes);
// Post: the bytes read; fewer than out.size() only at the end of the file.
Result<std::size_t> read_at(int file, uint64_t offset, MutableBytes out);
Result<std::string> read_text(const std::string& path, std::size_t size_max);
Result<uint64_t> file_size(const std::string& path);
// Names in a folder, sorted.  A folder that is not there is empty.
Result<std::vector<std::string>> list_folder(const std::string& path);
bool exists(const std::string& path);

// Block-aligned memory for O_DIRECT.
class AlignedBuffer {
 public:
  explicit AlignedBuffer(std::size_t size);
  AlignedBuffer(AlignedBuffer&& other) noexcept : bytes_(std::exchange(other.bytes_, MutableBytes{})) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~AlignedBuffer();
  [[nodiscard]] MutableBytes bytes() const { return bytes_; }

 private:
  MutableBytes bytes_;
};

class Files {
 public:
  virtual ~Files() = default;
  virtual Result<void> make_folder(const std::string& path) = 0;                         // And its parents; 0750.
  virtual Result<void> append(const std::string& path, Bytes) = 0;                       // Made if absent, 0640.
  virtual Result<void> truncate(const std::string& path, uint64_t size) = 0;
  virtual Result<void> sync(const std::string& path) = 0;
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;       // Durable after sync_folder().
  virtual Result<void> sync_folder(const std::string& path) = 0;
  virtual Result<void> remove(const std::string& path) = 0;                              // Absent is success.
  virtual Result<void> remove_folder(const std::string& path) = 0;                       // An empty one; absent is success.
  virtual Result<void> overwrite(const std::string& path);                               // All of it with zeros, synced; absent is success.
};

class PosixFiles final : public Files {
 public:
  Result<void> make_folder(const std::string& path) override;
  Result<void> append(const std::string& path, Bytes) override;
  Result<void> truncate(const std::string& path, uint64_t size) override;
  Result<void> sync(const std::string& path) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> sync_folder(const std::string& path) override;
  Result<void> remove(const std::string& path) override;
  Result<void> remove_folder(const std::string& path) override;
};

// Replaces `path` at once: aside, sync, rename, sync folder.
Result<void> replace_file(Files&, const std::string& path, Bytes);
std::string folder_of(const std::string& path);

}  // namespace weir::record

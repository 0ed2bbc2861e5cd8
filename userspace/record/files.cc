#include "record/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <system_error>

#include "record/layout.h"

namespace weir::record {

FileHandle& FileHandle::operator=(FileHandle&& other) noexcept {
  if (this != &other) {
    close();
    file_ = std::exchange(other.file_, -1);
  }
  return *this;
}
void FileHandle::close() noexcept {
  if (file_ >= 0) ::close(std::exchange(file_, -1));
}

tl::unexpected<Error> system_error(const std::string& what) {
  const int code = errno;
  const Error::Kind kind = code == ENOENT ? Error::Kind::kNotFound : code == EACCES || code == EPERM ? Error::Kind::kDenied : Error::Kind::kSystem;
  return fail(kind, what + ": " + std::generic_category().message(code), code);
}

Result<FileHandle> open_file(const std::string& path, int flags, unsigned mode) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (file < 0) return system_error(path);
  return FileHandle(file);
}

Result<FileHandle> open_direct(const std::string& path, int flags) {
  Result<FileHandle> file = open_file(path, flags | O_DIRECT);
  if (!file && file.error().code == EINVAL) return open_file(path, flags);  // tmpfs and the like.
  return file;
}

Result<void> write_at(int file, uint64_t offset, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error("write");
    if (written == 0) return fail(Error::Kind::kSystem, "write: nothing was written", EIO);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return {};
}

Result<std::size_t> read_at(int file, uint64_t offset, MutableBytes out) {
  std::size_t total = 0;
  while (total < out.size()) {
    const ssize_t size = ::pread(file, out.data() + total, out.size() - total, static_cast<off_t>(offset + total));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return system_error("read");
    if (size == 0) break;
    total += static_cast<std::size_t>(size);
    if (total % kBlockSize != 0) break;  // The end of the file; O_DIRECT could not go on from here.
  }
  return total;
}

Result<std::string> read_text(const std::string& path, std::size_t size_max) {
  const Result<FileHandle> file = open_file(path, O_RDONLY);
  if (!file) return tl::unexpected(file.error());
  struct stat status {};
  if (::fstat(file->get(), &status) != 0) return system_error(path);
  if (static_cast<uint64_t>(status.st_size) > size_max) return fail(Error::Kind::kInvalid, path + ": larger than " + std::to_string(size_max) + " bytes");
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t total = 0;
  while (total < text.size()) {
    const ssize_t size = ::pread(file->get(), text.data() + total, text.size() - total, static_cast<off_t>(total));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return system_error(path);
    if (size == 0) break;
    total += static_cast<std::size_t>(size);
  }
  text.resize(total);
  return text;
}

Result<uint64_t> file_size(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return system_error(path);
  return static_cast<uint64_t>(status.st_size);
}

Result<std::vector<std::string>> list_folder(const std::string& path) {
  std::vector<std::string> names;
  DIR* folder = ::opendir(path.c_str());
  if (folder == nullptr) {
    if (errno == ENOENT) return names;
    return system_error(path);
  }
  while (const dirent* entry = ::readdir(folder)) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  ::closedir(folder);
  std::sort(names.begin(), names.end());
  return names;
}

bool exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0;
}

AlignedBuffer::AlignedBuffer(std::size_t size) {
  const std::size_t rounded = (size + kBlockSize - 1) / kBlockSize * kBlockSize;
  auto* place = static_cast<std::byte*>(std::aligned_alloc(kBlockSize, rounded));
  if (place == nullptr) throw std::bad_alloc();
  bytes_ = MutableBytes(place, rounded);
}
AlignedBuffer::~AlignedBuffer() { std::free(bytes_.data()); }

Result<void> PosixFiles::make_folder(const std::string& path) {
  for (std::size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1)) {
    ::mkdir(path.substr(0, end).c_str(), 0750);  // What cannot be made shows at the last one.
  }
  if (::mkdir(path.c_str(), 0750) != 0 && errno != EEXIST) return system_error(path);
  return {};
}

Result<void> PosixFiles::append(const std::string& path, Bytes bytes) {
  const Result<FileHandle> file = open_file(path, O_WRONLY | O_CREAT | O_APPEND, 0640);
  if (!file) return tl::unexpected(file.error());
  return write_at(file->get(), 0, bytes);  // O_APPEND: the offset does not matter on Linux.
}

Result<void> PosixFiles::truncate(const std::string& path, uint64_t size) {
  if (::truncate(path.c_str(), static_cast<off_t>(size)) != 0) return system_error(path);
  return {};
}

Result<void> PosixFiles::sync(const std::string& path) {
  const Result<FileHandle> file = open_file(path, O_RDONLY);
  if (!file) return tl::unexpected(file.error());
  if (::fdatasync(file->get()) != 0) return system_error(path);
  return {};
}

Result<void> PosixFiles::rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return system_error(to);
  return {};
}

Result<void> PosixFiles::sync_folder(const std::string& path) {
  const Result<FileHandle> folder = open_file(path, O_RDONLY | O_DIRECTORY);
  if (!folder) return tl::unexpected(folder.error());
  if (::fsync(folder->get()) != 0) return system_error(path);
  return {};
}

Result<void> Files::overwrite(const std::string& path) {
  const Result<FileHandle> file = open_file(path, O_WRONLY);
  if (!file) return file.error().kind == Error::Kind::kNotFound ? Result<void>{} : tl::unexpected(file.error());
  struct stat status {};
  if (::fstat(file->get(), &status) != 0) return system_error(path);
  const std::vector<std::byte> zeros(64u << 10);
  for (uint64_t offset = 0, size = static_cast<uint64_t>(status.st_size); offset < size; offset += zeros.size()) {
    if (Result<void> done = write_at(file->get(), offset, Bytes(zeros).first(std::min<std::size_t>(zeros.size(), size - offset))); !done) return done;
  }
  if (::fdatasync(file->get()) != 0) return system_error(path);
  return {};
}

Result<void> PosixFiles::remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return system_error(path);
  return {};
}

Result<void> PosixFiles::remove_folder(const std::string& path) {
  if (::rmdir(path.c_str()) != 0 && errno != ENOENT) return system_error(path);
  return {};
}

Result<void> replace_file(Files& files, const std::string& path, Bytes bytes) {
  const std::string aside = path + ".new";
  Result<void> done = files.remove(aside);
  if (done) done = files.append(aside, bytes);
  if (done) done = files.sync(aside);
  if (done) done = files.rename(aside, path);
  if (done) done = files.sync_folder(folder_of(path));
  return done;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace weir::record

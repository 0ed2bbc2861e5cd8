#include "kernel/whole_file.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "kernel/fd.h"

namespace weir::kernel {
namespace {

tl::unexpected<Error> failed(const std::string& path) {
  const int code = errno;
  return fail(Error::Kind::kSystem, path + ": " + std::strerror(code), code);
}

bool write_fully(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = ::write(fd, text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(size));
  }
  return true;
}

}  // namespace

Result<std::string> read_whole_file(const std::string& path, std::size_t size_max) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    auto error = failed(path).value();
    if (error.code == ENOENT) error.kind = Error::Kind::kNotFound;
    return tl::unexpected<Error>(std::move(error));
  }
  std::string text;
  std::string block(64 << 10, '\0');
  for (;;) {
    const ssize_t size = ::read(file.get(), block.data(), block.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return failed(path);
    if (size == 0) return text;
    text.append(block, 0, static_cast<std::size_t>(size));
    if (text.size() > size_max) return fail(Error::Kind::kCorrupt, path + ": larger than " + std::to_string(size_max) + " bytes");
  }
}

Result<void> replace_whole_file(const std::string& path, std::string_view text) {
  const std::string aside = path + ".new";
  Fd file(::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return failed(aside);
  if (!write_fully(file.get(), text) || ::fsync(file.get()) != 0) {
    auto error = failed(aside);
    ::unlink(aside.c_str());
    return error;
  }
  file.reset();
  if (::rename(aside.c_str(), path.c_str()) != 0) {
    auto error = failed(path);
    ::unlink(aside.c_str());
    return error;
  }
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Fd opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened || ::fsync(opened.get()) != 0) return failed(folder);
  return {};
}

}  // namespace weir::kernel

#include "control/config_files.h"

#include <linux/magic.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace weir::control {

Result<std::string> DiskFiles::read(const std::string& path, std::size_t size_max) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) {
    const auto kind = errno == ENOENT ? Error::Kind::kNotFound : errno == EACCES ? Error::Kind::kDenied : Error::Kind::kSystem;
    return fail(kind, std::string("cannot be read: ") + std::strerror(errno), errno);
  }
  if (!S_ISREG(status.st_mode)) return fail(Error::Kind::kInvalid, "is not a regular file");
  if (static_cast<uint64_t>(status.st_size) > size_max) {
    return fail(Error::Kind::kInvalid, "is larger than " + std::to_string(size_max >> 10) + " KiB");
  }
  std::ifstream in(path, std::ios::binary);
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in) {
    const int code = errno;
    return fail(code == EACCES ? Error::Kind::kDenied : Error::Kind::kSystem, std::string("cannot be read: ") + std::strerror(code), code);
  }
  return text;
}

ConfigFiles::Facts DiskFiles::facts(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return {};
  return {true, S_ISREG(status.st_mode), S_ISDIR(status.st_mode), static_cast<uint32_t>(status.st_mode) & 07777u, status.st_uid, status.st_gid};
}

std::optional<uint32_t> DiskFiles::user_id(const std::string& name) {
  struct passwd entry{};
  struct passwd* found = nullptr;
  std::array<char, 4096> buffer{};
  if (getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return std::nullopt;
  return found->pw_uid;
}

uint32_t DiskFiles::own_user_id() { return geteuid(); }

bool DiskFiles::zone_exists(const std::string& name) {
  if (name == "UTC") return true;
  if (name.empty() || name.front() == '/' || name.find("..") != std::string::npos) return false;
  return facts("/usr/share/zoneinfo/" + name).is_regular;
}

bool DiskFiles::is_volatile(const std::string& folder) {
  // The folder itself may not be there yet: its nearest parent that is decides.
  std::string path = folder;
  struct statfs status{};
  while (statfs(path.c_str(), &status) != 0) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos || path == "/") return false;
    path = slash == 0 ? "/" : path.substr(0, slash);
  }
  return status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC;
}

}  // namespace weir::control

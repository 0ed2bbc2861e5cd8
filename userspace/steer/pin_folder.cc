#include "steer/pin_folder.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

namespace weir::steer {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kLockPatience{3'000}, kLockRetry{10};

bool is_bpffs(const std::string& path) {
  struct statfs info {};
  return ::statfs(path.c_str(), &info) == 0 && info.f_type == static_cast<decltype(info.f_type)>(BPF_FS_MAGIC);
}

std::string mount_namespace(const char* process) {
  std::array<char, 64> buffer;
  const ssize_t size = ::readlink((std::string("/proc/") + process + "/ns/mnt").c_str(), buffer.data(), buffer.size());
  return size < 0 ? std::string() : std::string(buffer.data(), static_cast<std::size_t>(size));
}

}  // namespace

std::string bpffs_parent(const Options& options) { return fs::path(options.pin_folder).parent_path().string(); }

BpffsState bpffs_state(const Options& options) {
  const std::string parent = bpffs_parent(options);
  if (is_bpffs(parent)) return BpffsState::kMounted;
  std::error_code error;
  if (fs::exists(parent, error) && !fs::is_empty(parent, error)) return BpffsState::kHidesFiles;
  const std::string own = mount_namespace("self"), first = mount_namespace("1");
  if (!own.empty() && !first.empty() && own != first) return BpffsState::kPrivateMounts;
  return BpffsState::kToMount;
}

Result<void> mount_bpffs(const Options& options) {
  const std::string parent = bpffs_parent(options);
  std::error_code error;
  fs::create_directories(parent, error);
  if (::mount("bpf", parent.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755") == 0) return {};
  return fail(errno == EPERM ? Error::Kind::kDenied : Error::Kind::kSystem, "mount a bpffs at " + parent + ": " + std::strerror(errno), errno);
}

void unmount_bpffs(const Options& options) { ::umount2(bpffs_parent(options).c_str(), MNT_DETACH); }

bool is_pinned(const Options& options) { return ::access(options.maps_folder().c_str(), F_OK) == 0; }

Result<int> lock_steering(const std::string& state_folder) {
  std::error_code error;
  if (!fs::exists(state_folder, error)) {
    fs::create_directories(state_folder, error);
    ::chmod(state_folder.c_str(), 0700);
  }
  const std::string file = state_folder + "/steer.lock";
  const int fd = ::open(file.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600);  // Not to write: `weir down` works on a disk that takes nothing any more.
  if (fd < 0) return fail(errno == EACCES ? Error::Kind::kDenied : Error::Kind::kSystem, file + ": " + std::strerror(errno), errno);
  // A running engine's watch holds it for a moment each second.
  const auto end = std::chrono::steady_clock::now() + kLockPatience;
  do {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
    std::this_thread::sleep_for(kLockRetry);
  } while (std::chrono::steady_clock::now() < end);
  ::close(fd);
  return fail(Error::Kind::kUnavailable, "another weir up or down is at work (" + file + " is locked)");
}

}  // namespace weir::steer

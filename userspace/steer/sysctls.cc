#include "steer/sysctls.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "kernel/fd.h"

namespace weir::steer {
namespace {

constexpr const char* kRoot = "/proc/sys/";

std::string dotted(std::string name) {
  // As sysctl(8) prints it: separators become dots, dots in an interface's name become slashes.
  for (char& c : name) c = c == '/' ? '.' : c == '.' ? '/' : c;
  return name;
}

// All interfaces' names of one family, with `all` and `default`.
std::vector<std::string> interfaces_of(const char* family) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(kRoot) + "net/" + family + "/conf", error)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::string SysctlSetting::text() const { return "sysctl " + dotted(name) + "=" + value; }

std::vector<SysctlSetting> wanted_sysctls(const Options& options) {
  std::vector<SysctlSetting> wanted = {
      {"net/ipv4/tcp_mtu_probing", "1"},
      {"net/ipv4/conf/all/send_redirects", "0"},
  };
  // `all` and the interface's own are or-ed.
  std::vector<std::string> interfaces = options.clients;
  interfaces.insert(interfaces.end(), options.targets.begin(), options.targets.end());
  std::sort(interfaces.begin(), interfaces.end());
  interfaces.erase(std::unique(interfaces.begin(), interfaces.end()), interfaces.end());
  for (const std::string& interface : interfaces) wanted.push_back({"net/ipv4/conf/" + interface + "/send_redirects", "0"});
  wanted.push_back({"net/ipv4/ip_forward", "1"});
  if (read_sysctl("net/ipv6/conf/all/forwarding")) wanted.push_back({"net/ipv6/conf/all/forwarding", "1"});
  return wanted;
}

std::vector<SysctlBefore> read_before(const Options& options) {
  std::vector<std::string> names;
  for (const SysctlSetting& setting : wanted_sysctls(options)) names.push_back(setting.name);
  // Written after ip_forward when it is put back, since that sets them all.
  for (const std::string& interface : interfaces_of("ipv4")) {
    names.push_back("net/ipv4/conf/" + interface + "/forwarding");
    names.push_back("net/ipv4/conf/" + interface + "/accept_redirects");
  }
  for (const std::string& interface : interfaces_of("ipv6")) names.push_back("net/ipv6/conf/" + interface + "/forwarding");
  std::vector<SysctlBefore> before;
  for (const std::string& name : names) {
    const bool is_known = std::any_of(before.begin(), before.end(), [&](const SysctlBefore& other) { return other.name == name; });
    const auto value = is_known ? std::nullopt : read_sysctl(name);
    if (value) before.push_back({name, *value, *value});
  }
  return before;
}

std::optional<std::string> read_sysctl(const std::string& name) {
  const kernel::Fd file(::open((kRoot + name).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return std::nullopt;
  std::array<char, 256> buffer;
  const ssize_t size = ::read(file.get(), buffer.data(), buffer.size());
  if (size < 0) return std::nullopt;
  std::string value(buffer.data(), static_cast<std::size_t>(size));
  while (!value.empty() && (value.back() == '\n' || value.back() == ' ')) value.pop_back();
  return value;
}

Result<void> write_sysctl(const std::string& name, const std::string& value) {
  const kernel::Fd file(::open((kRoot + name).c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size())) {
    const int code = errno;
    const Error::Kind kind = code == EACCES || code == EPERM || code == EROFS ? Error::Kind::kDenied : Error::Kind::kSystem;
    return fail(kind, "sysctl " + dotted(name) + "=" + value + ": " + std::strerror(code), code);
  }
  return {};
}

std::vector<std::string> put_back(const std::vector<SysctlBefore>& before) {
  std::vector<std::string> left;
  // Which are still ours is seen before anything is written: one write changes others.
  std::vector<const SysctlBefore*> ours;
  for (const SysctlBefore& entry : before) {
    const auto now = read_sysctl(entry.name);
    if (!now) continue;  // The interface went away.
    if (*now == entry.ours) ours.push_back(&entry);
    else if (*now != entry.before) left.push_back("sysctl " + dotted(entry.name) + " is " + *now + ", set by somebody else; it was " + entry.before);
  }
  for (const SysctlBefore* entry : ours) {
    const auto now = read_sysctl(entry->name);
    if (!now || *now == entry->before) continue;
    if (auto written = write_sysctl(entry->name, entry->before); !written) left.push_back(written.error().message);
  }
  return left;
}

}  // namespace weir::steer

#include "control/privileges.h"

#include <grp.h>
#include <pwd.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>

namespace weir::control {
namespace {

using CapabilityState = std::unique_ptr<std::remove_pointer_t<cap_t>, decltype(&cap_free)>;

tl::unexpected<Error> system_error(const std::string& what) {
  return fail(errno == EPERM || errno == EACCES ? Error::Kind::kDenied : Error::Kind::kSystem, what + ": " + std::strerror(errno), errno);
}

struct User {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;
};

// nullopt: keep the user.
Result<std::optional<User>> find_user(const std::string& name, const std::string& key = "engine.user") {
  if (name.empty() || name == "root") return std::nullopt;
  struct passwd entry{};
  struct passwd* found = nullptr;
  std::array<char, 4096> buffer{};
  if (getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return fail(Error::Kind::kNotFound, key + ": there is no user " + name + ": useradd --system --shell /usr/sbin/nologin " + name);
  }
  return User{found->pw_uid, found->pw_gid, name};
}

std::vector<cap_value_t> kept(const PrivilegePlan& plan) {
  std::vector<cap_value_t> values;
  if (plan.net_admin) values.push_back(CAP_NET_ADMIN);
  if (plan.net_bind_service) values.push_back(CAP_NET_BIND_SERVICE);
  if (plan.net_raw) values.push_back(CAP_NET_RAW);
  if (plan.bpf) values.push_back(CAP_BPF);
  return values;
}

std::size_t thread_count() {
  std::size_t count = 0;
  std::error_code ignored;
  for (std::filesystem::directory_iterator it("/proc/self/task", ignored), end; it != end; it.increment(ignored)) ++count;
  return count;
}

// Pre: CAP_SETPCAP while it runs.
Result<void> shrink_bounding_set(const std::vector<cap_value_t>& keep) {
  for (cap_value_t value = 0; cap_get_bound(value) >= 0; ++value) {
    bool is_kept = false;
    for (const cap_value_t wanted : keep) is_kept = is_kept || wanted == value;
    if (!is_kept && cap_get_bound(value) > 0 && cap_drop_bound(value) != 0) return system_error("dropping a capability from the bounding set");
  }
  return {};
}

Result<void> set_capabilities(const std::vector<cap_value_t>& keep) {
  const CapabilityState state(cap_init(), &cap_free);
  if (!state) return system_error("cap_init");
  const int count = static_cast<int>(keep.size());
  if (count > 0 && (cap_set_flag(state.get(), CAP_PERMITTED, count, keep.data(), CAP_SET) != 0 ||
                    cap_set_flag(state.get(), CAP_EFFECTIVE, count, keep.data(), CAP_SET) != 0)) {
    return system_error("cap_set_flag");
  }
  if (cap_set_proc(state.get()) != 0) return system_error("keeping capabilities: start weir as root, or give it them in its unit");
  cap_reset_ambient();
  return {};
}

Result<void> change_user(const User& user) {
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return system_error("PR_SET_KEEPCAPS");
  if (initgroups(user.name.c_str(), user.gid) != 0) return system_error("initgroups");
  if (setresgid(user.gid, user.gid, user.gid) != 0) return system_error("setresgid");
  if (setresuid(user.uid, user.uid, user.uid) != 0) return system_error("setresuid");
  prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
  if (setresuid(0, 0, 0) == 0) return fail(Error::Kind::kSystem, "the kernel let the engine become root again");
  return {};
}

}  // namespace

Result<void> harden_process() {
  const rlimit none{0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) return system_error("RLIMIT_CORE");
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return system_error("PR_SET_DUMPABLE");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return system_error("PR_SET_NO_NEW_PRIVS");
  return {};
}

Result<void> drop_privileges(const PrivilegePlan& plan) {
  if (thread_count() != 1) return fail(Error::Kind::kInvalid, "privileges are dropped before threads are made");
  const auto user = find_user(plan.user, plan.key);
  if (!user) return tl::unexpected<Error>(user.error());
  const std::vector<cap_value_t> keep = kept(plan);
  if (auto shrunk = shrink_bounding_set(keep); !shrunk) return shrunk;
  if (*user) {
    if (auto changed = change_user(**user); !changed) return changed;
  }
  if (auto set = set_capabilities(keep); !set) return set;
  // A change of user makes the process dumpable by its new user again.
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return system_error("PR_SET_DUMPABLE");
  const auto in_force = capabilities_in_force();
  if (in_force.size() != keep.size()) return fail(Error::Kind::kSystem, "the kernel kept other capabilities than were asked for");
  return {};
}

std::vector<std::string> capabilities_in_force() {
  std::vector<std::string> names;
  const CapabilityState state(cap_get_proc(), &cap_free);
  if (!state) return names;
  for (cap_value_t value = 0; cap_get_bound(value) >= 0; ++value) {
    cap_flag_value_t is_set = CAP_CLEAR;
    if (cap_get_flag(state.get(), value, CAP_PERMITTED, &is_set) != 0 || is_set != CAP_SET) continue;
    const std::unique_ptr<char, decltype(&cap_free)> name(cap_to_name(value), &cap_free);
    if (name) names.emplace_back(name.get());
  }
  return names;
}

Result<void> prepare_state_folder(const std::string& folder, const std::string& user_name) {
  const auto user = find_user(user_name);
  if (!user) return tl::unexpected<Error>(user.error());
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) return fail(Error::Kind::kSystem, folder + ": " + failed.message(), failed.value());
  if (chmod(folder.c_str(), 0700) != 0) return system_error(folder);
  if (!*user || geteuid() != 0) return {};
  struct stat status{};
  // A folder that is the user's already was given over as a whole before: a large record is not walked at every start.
  if (stat(folder.c_str(), &status) == 0 && status.st_uid == (*user)->uid) return {};
  for (std::filesystem::recursive_directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed)) {
    // lchown: a link in the folder must not give away what it points to.
    if (lchown(it->path().c_str(), (*user)->uid, (*user)->gid) != 0) return system_error(it->path().string());
  }
  if (failed) return fail(Error::Kind::kSystem, folder + ": " + failed.message(), failed.value());
  // The folder last: a walk that was cut short is done again.
  if (chown(folder.c_str(), (*user)->uid, (*user)->gid) != 0) return system_error(folder);
  return {};
}

}  // namespace weir::control

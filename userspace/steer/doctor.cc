#include <net/if.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/capability.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "kernel/fd.h"
#include "kernel/features.h"
#include "kernel/socket_address.h"
#include "kernel/socket_diag.h"
#include "kernel/upstream_socket.h"
#include "steer/clashes.h"
#include "steer/loader.h"
#include "steer/nft_table.h"
#include "steer/pin_folder.h"
#include "steer/steer.h"
#include "steer/steps.h"
#include "steer/sysctls.h"

namespace weir::steer {
namespace {

using Level = Finding::Level;
using Findings = std::vector<Finding>;
constexpr int kProbeMs = 1000;
constexpr std::size_t kProbesMax = 16;

void check_capabilities(Findings& findings) {
  struct Wanted { cap_value_t value; const char* name; Level level; const char* why; };
  constexpr std::array<Wanted, 4> kWanted = {{
      {CAP_NET_ADMIN, "CAP_NET_ADMIN", Level::kFail, "rules, routes, attachments, transparent sockets, cuts"},
      {CAP_BPF, "CAP_BPF", Level::kFail, "programs and maps"},
      {CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE", Level::kFail, "dialling from a client's port below 1024"},
      {CAP_SYS_ADMIN, "CAP_SYS_ADMIN", Level::kWarn, "mounting a bpffs where there is none"},
  }};
  cap_t own = ::cap_get_proc();
  for (const Wanted& wanted : kWanted) {
    cap_flag_value_t is_set = CAP_CLEAR;
    if (own != nullptr) ::cap_get_flag(own, wanted.value, CAP_EFFECTIVE, &is_set);
    if (is_set == CAP_SET) findings.push_back({"capability", Level::kOk, wanted.name, ""});
    else findings.push_back({"capability", wanted.level, std::string("no ") + wanted.name + " (" + wanted.why + ")", "run as root, or give it to the service"});
  }
  if (own != nullptr) ::cap_free(own);
}

void check_kernel(const Options& options, Findings& findings) {
  for (const kernel::Feature& feature : kernel::probe_features()) {
    if (feature.is_there) findings.push_back({"kernel", Level::kOk, feature.name, ""});
    else findings.push_back({"kernel", feature.is_required ? Level::kFail : Level::kWarn, "no " + feature.name + ", for " + feature.needed_for,
                             "a kernel that has it (this is " + kernel::kernel_release() + ")"});
  }
  const auto tags = own_program_tags(options);
  if (tags) findings.push_back({"programs", Level::kOk, std::to_string(tags->size()) + " programs load", ""});
  else findings.push_back({"programs", Level::kFail, tags.error().message, "see the kernel and capability findings"});
  const auto nft = NftTable{}.check();
  if (nft) findings.push_back({"nftables", Level::kOk, "the kernel has it", ""});
  else findings.push_back({"nftables", Level::kFail, nft.error().message, "load nf_tables (CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET)"});
  if (cgroup_v2_folder().empty()) {
    findings.push_back({"cgroup", Level::kWarn, "no cgroup v2 is mounted: bytes of sockets that outlive a dead engine are not counted",
                        "mount -t cgroup2 none /sys/fs/cgroup/unified"});
  }
}

void check_memlock(Findings& findings) {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  // Since Linux 5.11 maps are charged to the memory cgroup; io_uring's rings still count here.
  constexpr rlim_t kNeeded = 8u << 20;
  if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= kNeeded) findings.push_back({"memlock", Level::kOk, "enough", ""});
  else findings.push_back({"memlock", Level::kWarn, "RLIMIT_MEMLOCK is " + std::to_string(limit.rlim_cur) + " bytes", "LimitMEMLOCK=infinity in the unit"});
}

void check_pin_folder(const Options& options, Findings& findings) {
  const std::string parent = bpffs_parent(options);
  switch (bpffs_state(options)) {
    case BpffsState::kMounted: findings.push_back({"bpffs", Level::kOk, parent, ""}); break;
    case BpffsState::kToMount: findings.push_back({"bpffs", Level::kOk, parent + " is none yet: weir up mounts it", ""}); break;
    case BpffsState::kHidesFiles: findings.push_back({"bpffs", Level::kFail, parent + " is none, and has files", "choose another steer.pin"}); break;
    case BpffsState::kPrivateMounts:
      findings.push_back({"bpffs", Level::kFail, parent + " is none, and mounts from here end with this process", "mount -t bpf bpf " + parent + ", or nsenter --net"});
      break;
  }
}

void check_sysctls(const Options& options, bool is_up, Findings& findings) {
  for (const SysctlSetting& wanted : wanted_sysctls(options)) {
    const auto now = read_sysctl(wanted.name);
    if (now && *now == wanted.value) findings.push_back({"sysctl", Level::kOk, wanted.text(), ""});
    else if (!now) findings.push_back({"sysctl", Level::kWarn, wanted.name + " does not exist", "check the interface's name"});
    else if (is_up) findings.push_back({"sysctl", Level::kFail, wanted.name + " is " + *now, wanted.text()});
    else findings.push_back({"sysctl", Level::kOk, wanted.name + " is " + *now + ": weir up sets it to " + wanted.value, ""});
  }
  if (read_sysctl("net/ipv4/tcp_syncookies") == "0") {
    findings.push_back({"sysctl", Level::kWarn, "net.ipv4.tcp_syncookies is 0: a flood of SYNs fills the listeners' queues", "sysctl net.ipv4.tcp_syncookies=1"});
  }
}

void check_clashes(const Options& options, bool is_up, Netlink& netlink, Findings& findings) {
  const auto clashes = find_clashes(options, is_up, netlink);
  if (!clashes) {
    findings.push_back({"clash", Level::kFail, clashes.error().message, ""});
    return;
  }
  for (const std::string& line : clashes->blocking) findings.push_back({"clash", Level::kFail, line, "as it says"});
  for (const std::string& line : clashes->notes) findings.push_back({"neighbour", Level::kWarn, line, "make sure that it leaves target-bound packets alone"});
  if (clashes->blocking.empty()) findings.push_back({"clash", Level::kOk, "mark, table, priority, nftables table and interfaces are free or ours", ""});
}

void check_pieces(const Options& options, Netlink& netlink, Findings& findings) {
  const auto steps = make_steps(options, options.pin_folder, tc_kind(), netlink);
  if (!steps) return;
  for (const Step& step : *steps) {
    if (step.kind == "sysctl") continue;
    const auto problem = step.problem();
    if (problem) findings.push_back({"piece", step.is_optional ? Level::kWarn : Level::kFail, step.text + ": " + *problem, "weir up puts it back"});
    else findings.push_back({"piece", Level::kOk, step.text, ""});
  }
}

// A listener of the host on a target's port answers for a target as soon as sk_lookup is gone.
void check_listeners(const Config& config, Findings& findings) {
  auto diag = kernel::SocketDiag::open();
  const auto listeners = diag ? diag->listeners() : tl::unexpected<Error>(diag.error());
  if (!listeners) {
    findings.push_back({"listener", Level::kWarn, listeners.error().message, ""});
    return;
  }
  bool is_clean = true;
  for (const kernel::ListeningSocket& listener : *listeners) {
    if (!listener.is_wildcard) continue;
    for (const TargetConfig& target : config.targets) {
      if (std::find(target.ports.begin(), target.ports.end(), listener.local.port) == target.ports.end()) continue;
      is_clean = false;
      findings.push_back({"listener", Level::kWarn, "this host listens on every address on port " + std::to_string(listener.local.port) + ", a port of " + target.name,
                          "bind that service to its own address"});
    }
  }
  if (is_clean) findings.push_back({"listener", Level::kOk, "no wildcard listener on a target's port", ""});
}

void check_routes(const Config& config, const Options& options, Netlink& netlink, Findings& findings) {
  for (const TargetConfig& target : config.targets) {
    for (const Prefix& prefix : target.addresses) {
      const auto route = netlink.route_to(prefix.address);
      const std::string what = target.name + " (" + prefix.text() + ")";
      if (!route || route->is_unreachable) {
        findings.push_back({"route", Level::kFail, "no route to " + what, "a route through an interface of steer.targets"});
        continue;
      }
      std::array<char, IF_NAMESIZE> name{};
      ::if_indextoname(route->interface, name.data());
      const bool is_listed = std::find(options.targets.begin(), options.targets.end(), std::string(name.data())) != options.targets.end();
      if (is_listed) findings.push_back({"route", Level::kOk, what + " is behind " + name.data(), ""});
      else findings.push_back({"route", Level::kFail, what + " is behind " + name.data() + ", which is not in steer.targets: its answers would be lost", "add it to steer.targets"});
    }
  }
}

// Does an answer to a client's address come back through here?  A connection from that address, marked as the engine's own.
Finding probe_return(const TargetConfig& target, const Endpoint& to, const Address& from, uint32_t mark) {
  const std::string what = "from " + target.name + " (" + to.text() + ") to " + from.text();
  const auto socket = kernel::prepare_upstream_socket({to, {from, 0}, true, mark});
  if (!socket) return {"return", Level::kWarn, socket.error().message, ""};
  const kernel::Fd fd(socket->fd);
  sockaddr_storage address{};
  const socklen_t size = kernel::to_sockaddr(to, address);
  timeval patience{kProbeMs / 1000, (kProbeMs % 1000) * 1000};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);  // Bounds connect().
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0 || errno == ECONNREFUSED) {
    return {"return", Level::kOk, "answers " + what + " come through here", ""};
  }
  if (errno == EINPROGRESS || errno == EAGAIN || errno == ETIMEDOUT) {
    return {"return", Level::kFail, "no answer " + what, "is the target up? its route to that address must go through this gateway"};
  }
  return {"return", Level::kFail, "no way " + what + ": " + std::strerror(errno), "see the route findings"};
}

void check_return_routes(const Config& config, const Options& options, bool is_up, Findings& findings) {
  if (!is_up) {
    findings.push_back({"return", Level::kWarn, "whether targets answer through here is probed once steering is up", "weir up, then weir doctor"});
    return;
  }
  std::size_t probes = 0;
  for (const TargetConfig& target : config.targets) {
    if (target.ports.empty()) continue;
    for (const Prefix& prefix : target.addresses) {
      if (prefix.bits != 128) continue;
      const auto bound = std::find_if(config.identity.static_bindings.begin(), config.identity.static_bindings.end(), [&](const StaticBindingConfig& binding) {
        return binding.address.bits == 128 && binding.address.address.is_v4() == prefix.address.is_v4();
      });
      if (bound == config.identity.static_bindings.end() || ++probes > kProbesMax) continue;
      findings.push_back(probe_return(target, {prefix.address, target.ports.front()}, bound->address.address, options.upstream_mark()));
    }
  }
  if (probes == 0) findings.push_back({"return", Level::kWarn, "no static binding names an address to probe with", ""});
}

void check_user(const Options& options, Findings& findings) {
  if (options.user.empty()) return;
  if (::getpwnam(options.user.c_str()) != nullptr) findings.push_back({"user", Level::kOk, options.user, ""});
  else findings.push_back({"user", Level::kFail, "there is no user " + options.user + " (engine.user)", "useradd --system --no-create-home " + options.user});
}

void check_bypasses(const Options& options, Findings& findings) {
  const auto bypasses = KernelBypasses::at(options.pin_folder);
  if (!bypasses) return;  // Not up.
  for (const KernelBypass& bypass : bypasses->list()) {
    if (bypass.left.count() == 0) continue;
    findings.push_back({"bypass", Level::kWarn, "new flows to " + bypass.target + " pass raw, unjudged and unrecorded, for another " + std::to_string(bypass.left.count() / 1'000'000'000) + " s",
                        "weir bypass " + bypass.target + " --end --reason TEXT"});
  }
}

}  // namespace

std::vector<Finding> doctor(const Config& config) {
  Findings findings;
  check_capabilities(findings);
  const auto options = options_of(config);
  if (!options) {
    findings.push_back({"options", Level::kFail, options.error().message, "correct the configuration"});
    return findings;
  }
  check_kernel(*options, findings);
  check_memlock(findings);
  check_pin_folder(*options, findings);
  check_user(*options, findings);
  auto netlink = Netlink::open();
  if (!netlink) {
    findings.push_back({"netlink", Level::kFail, netlink.error().message, ""});
    return findings;
  }
  const bool is_up = is_pinned(*options);
  check_sysctls(*options, is_up, findings);
  check_clashes(*options, is_up, *netlink, findings);
  if (is_up) check_pieces(*options, *netlink, findings);
  else findings.push_back({"steering", Level::kWarn, "it is not up", "weir up"});
  if (is_up) check_bypasses(*options, findings);
  check_listeners(config, findings);
  check_routes(config, *options, *netlink, findings);
  check_return_routes(config, *options, is_up, findings);
  return findings;
}

}  // namespace weir::steer

#include "steer/steps.h"

#include <linux/rtnetlink.h>

#include <algorithm>

#include "steer/nft_table.h"
#include "steer/sysctls.h"

namespace weir::steer {
namespace {

constexpr uint32_t kLoopback = 1;

Step tc_step(const char* step_kind, const std::string& folder, TcAttachment what, TcKind kind) {
  Step step;
  step.kind = step_kind;
  step.text = what.text(kind);
  step.make = [folder, what, kind] { return attach(folder, what, kind); };
  step.undo = [folder, what, kind] { return detach(folder, what, kind); };
  step.problem = [folder, what, kind] { return attachment_problem(folder, what, kind); };
  return step;
}

Step scope_step(const char* step_kind, const std::string& folder, ScopeAttachment what) {
  Step step;
  step.kind = step_kind;
  step.text = what.text();
  step.is_optional = what.is_cgroup;
  step.make = [folder, what] { return attach(folder, what); };
  step.undo = [folder, what]() -> Result<void> {
    detach(folder, what);
    return {};
  };
  step.problem = [folder, what] { return attachment_problem(folder, what); };
  return step;
}

Step nft_step(const Options& options) {
  const NftTable table{options.mark_mask, options.steered_mark(), options.upstream_mark(), options.client_leg_mark(), options.reset_mark()};
  Step step;
  step.kind = "nft";
  step.text = table.text();
  step.make = [table] { return table.create(); };
  step.undo = [] { return NftTable::remove(); };
  step.problem = [table]() -> std::optional<std::string> {
    auto problem = table.check();
    return problem ? *problem : std::optional<std::string>(problem.error().message);
  };
  return step;
}

Step sysctl_step(const SysctlSetting& setting) {
  Step step;
  step.kind = "sysctl";
  step.text = setting.text();
  step.make = [setting] { return write_sysctl(setting.name, setting.value); };
  step.undo = []() -> Result<void> { return {}; };
  step.problem = [setting]() -> std::optional<std::string> {
    const auto now = read_sysctl(setting.name);
    if (now && *now == setting.value) return std::nullopt;
    return now ? "it is " + *now : "this kernel does not have it";
  };
  return step;
}

Step rule_step(const RuleEntry& rule, Netlink& netlink) {
  Step step;
  step.kind = "rule";
  step.text = rule.text();
  step.make = [rule, &netlink] { return netlink.add_rule(rule); };
  step.undo = [rule, &netlink] { return netlink.remove_rule(rule); };
  step.problem = [rule, &netlink]() -> std::optional<std::string> {
    const auto rules = netlink.rules();
    if (!rules) return rules.error().message;
    if (std::find(rules->begin(), rules->end(), rule) != rules->end()) return std::nullopt;
    return "no such rule";
  };
  return step;
}

Step route_step(Family family, uint32_t table, Netlink& netlink) {
  Step step;
  step.kind = "route";
  step.text = std::string("ip ") + (family == Family::kV4 ? "-4" : "-6") + " route local default dev lo table " + std::to_string(table);
  step.make = [family, table, &netlink] { return netlink.add_local_route(family, table); };
  step.undo = [family, table, &netlink] { return netlink.remove_local_route(family, table); };
  step.problem = [family, table, &netlink]() -> std::optional<std::string> {
    const auto routes = netlink.routes(table);
    if (!routes) return routes.error().message;
    for (const RouteEntry& route : *routes) {
      if (route.family == family && route.type == RTN_LOCAL && route.prefix_bits == 0 && route.interface == kLoopback) return std::nullopt;
    }
    return "no such route";
  };
  return step;
}

const LinkEntry* find_link(const std::vector<LinkEntry>& links, const std::string& name) {
  const auto found = std::find_if(links.begin(), links.end(), [&](const LinkEntry& link) { return link.name == name; });
  return found == links.end() ? nullptr : &*found;
}

// An interface of the configuration that does not exist: it cannot be made, and undoing it is done.
Step missing_interface_step(const char* program, const std::string& name) {
  Step step;
  step.kind = "steer";
  step.text = std::string("attach ") + program + " to ingress of " + name;
  step.make = [name]() -> Result<void> {
    return fail(Error::Kind::kInvalid, "there is no interface " + name + " (steer.clients, steer.targets)");
  };
  step.undo = []() -> Result<void> { return {}; };
  step.problem = [name]() -> std::optional<std::string> { return "there is no interface " + name; };
  return step;
}

// "steer_client" or "steer_target" on each of `names`.
void add_steering(std::vector<Step>& steps, const char* program, uint32_t priority, const std::vector<std::string>& names,
                  const std::vector<LinkEntry>& links, const std::string& folder, TcKind kind) {
  for (const std::string& name : names) {
    const LinkEntry* link = find_link(links, name);
    if (link == nullptr) {
      steps.push_back(missing_interface_step(program, name));
      continue;
    }
    const std::string own = std::string(program) + (link->has_ethernet_header ? "" : "_l3");
    steps.push_back(tc_step("steer", folder, {own, name, link->index, kernel::TcSide::kIngress, priority}, kind));
  }
}

}  // namespace

Result<std::vector<Step>> make_steps(const Options& options, const std::string& folder, TcKind kind, Netlink& netlink) {
  const auto links = netlink.links();
  if (!links) return tl::unexpected<Error>(links.error());
  std::vector<Step> steps;
  if (options.is_guarded) {
    for (const LinkEntry& link : *links) {
      const std::string program = link.has_ethernet_header ? "guard" : "guard_l3";
      steps.push_back(tc_step("guard", folder, {program, link.name, link.index, kernel::TcSide::kEgress, 1}, kind));
    }
  }
  steps.push_back(scope_step("lookup", folder, {"dispatch", "/proc/self/ns/net", false}));
  if (const std::string cgroup = cgroup_v2_folder(); !cgroup.empty()) steps.push_back(scope_step("counts", folder, {"count_legs", cgroup, true}));
  steps.push_back(nft_step(options));
  for (const SysctlSetting& setting : wanted_sysctls(options)) steps.push_back(sysctl_step(setting));
  for (const Family family : {Family::kV4, Family::kV6}) {
    if (family == Family::kV6 && !read_sysctl("net/ipv6/conf/all/forwarding")) continue;  // A kernel without IPv6.
    const RuleEntry rule{family, options.priority, options.table, options.steered_mark(), options.mark_mask, true};
    steps.push_back(route_step(family, options.table, netlink));
    steps.push_back(rule_step(rule, netlink));
  }
  add_steering(steps, "steer_client", 1, options.clients, *links, folder, kind);
  add_steering(steps, "steer_target", 2, options.targets, *links, folder, kind);
  return steps;
}

}  // namespace weir::steer

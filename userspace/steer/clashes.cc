#include "steer/clashes.h"

#include <linux/rtnetlink.h>

#include <algorithm>

#include "kernel/tcx.h"
#include "steer/nft_table.h"
#include "steer/pin_folder.h"
#include "steer/sysctls.h"

namespace weir::steer {
namespace {

void find_route_clashes(const Options& options, bool is_up, const std::vector<RouteEntry>& routes, Clashes& clashes) {
  std::size_t ours = 0;
  for (const RouteEntry& route : routes) ours += route.type == RTN_LOCAL && route.prefix_bits == 0 ? 1 : 0;
  if (routes.size() > ours || (!is_up && !routes.empty())) {
    clashes.blocking.push_back("table " + std::to_string(options.table) + " has routes already: choose another steer.table");
  }
}

void find_sysctl_clashes(const Options& options, Clashes& clashes) {
  std::vector<std::string> names = {"all"};
  names.insert(names.end(), options.clients.begin(), options.clients.end());
  names.insert(names.end(), options.targets.begin(), options.targets.end());
  for (const std::string& name : names) {
    if (read_sysctl("net/ipv4/conf/" + name + "/src_valid_mark") == "1") {
      clashes.blocking.push_back("sysctl net.ipv4.conf." + name + ".src_valid_mark is 1: steered packets would fail the source check; set it to 0");
    }
  }
}

void find_link_clashes(const Options& options, const std::vector<LinkEntry>& links, Clashes& clashes) {
  for (const auto* side : {&options.clients, &options.targets}) {
    for (const std::string& name : *side) {
      const auto link = std::find_if(links.begin(), links.end(), [&](const LinkEntry& entry) { return entry.name == name; });
      if (link == links.end()) {
        clashes.blocking.push_back("there is no interface " + name + " (steer." + (side == &options.clients ? "clients)" : "targets)"));
        continue;
      }
      if (link->has_xdp) clashes.notes.push_back("an XDP program runs on " + name + ": what it redirects never meets steering or the guard");
      if (link->master != 0) clashes.notes.push_back(name + " is a port of a bridge or bond: frames that it bridges are not steered, only guarded");
    }
  }
}

// Programs of others on the hooks of our interfaces.  Ours stand at the head, and pass on what is not ours.
void find_program_notes(const Options& options, const std::vector<LinkEntry>& links, Clashes& clashes) {
  std::vector<uint32_t> own;
  for (const char* name : {"steer_client", "steer_client_l3", "steer_target", "steer_target_l3", "guard", "guard_l3"}) {
    const auto program = kernel::open_pinned(options.programs_folder() + "/" + name);
    const auto info = program ? kernel::program_info(program->get()) : tl::unexpected<Error>(program.error());
    if (info) own.push_back(info->id);
  }
  for (const LinkEntry& link : links) {
    for (const kernel::TcSide side : {kernel::TcSide::kIngress, kernel::TcSide::kEgress}) {
      const auto programs = kernel::tcx_programs(link.index, side);
      if (!programs) continue;
      for (const uint32_t id : *programs) {
        if (std::find(own.begin(), own.end(), id) != own.end()) continue;
        const auto program = kernel::program_by_id(id);
        const auto info = program ? kernel::program_info(program->get()) : tl::unexpected<Error>(program.error());
        clashes.notes.push_back("tc program " + (info ? info->name : std::to_string(id)) + " on " +
                                (side == kernel::TcSide::kIngress ? "ingress" : "egress") + " of " + link.name + " runs after ours");
      }
    }
  }
}

void find_pin_clashes(const Options& options, Clashes& clashes) {
  const std::string parent = bpffs_parent(options);
  switch (bpffs_state(options)) {
    case BpffsState::kMounted:
    case BpffsState::kToMount: break;
    case BpffsState::kHidesFiles:
      clashes.blocking.push_back(parent + " is no bpffs, and has files that a mount would hide: choose another steer.pin");
      break;
    case BpffsState::kPrivateMounts:
      clashes.blocking.push_back(parent + " is no bpffs, and a mount from here ends with this process (ip netns exec): mount -t bpf bpf " + parent +
                                 " first, or enter with nsenter --net");
      break;
  }
}

}  // namespace

void find_rule_clashes(const Options& options, const std::vector<RuleEntry>& rules, Clashes& clashes) {
  for (const RuleEntry& rule : rules) {
    const RuleEntry own{rule.family, options.priority, options.table, options.steered_mark(), options.mark_mask, true};
    if (rule == own) continue;
    if (rule.mark != 0 || rule.mark_mask != 0) {
      const uint32_t mask = rule.mark_mask != 0 ? rule.mark_mask : 0xffffffffu;
      // A rule of ours from an earlier configuration shows here as well.
      if ((mask & options.mark_mask) != 0 && (rule.mark & mask & options.mark_mask) != 0) {
        clashes.blocking.push_back(rule.text() + " uses bits of ours: choose another steer.mark");
        continue;
      }
    }
    if (rule.priority == options.priority) clashes.blocking.push_back(rule.text() + " has our priority: choose another steer.priority");
    else if (rule.table == options.table) clashes.blocking.push_back(rule.text() + " looks up our table: choose another steer.table");
  }
}

Result<Clashes> find_clashes(const Options& options, bool is_up, Netlink& netlink) {
  Clashes clashes;
  const auto links = netlink.links();
  if (!links) return tl::unexpected<Error>(links.error());
  const auto rules = netlink.rules();
  if (!rules) return tl::unexpected<Error>(rules.error());
  const auto routes = netlink.routes(options.table);
  if (!routes) return tl::unexpected<Error>(routes.error());
  find_link_clashes(options, *links, clashes);
  find_rule_clashes(options, *rules, clashes);
  find_route_clashes(options, is_up, *routes, clashes);
  find_sysctl_clashes(options, clashes);
  find_pin_clashes(options, clashes);
  find_program_notes(options, *links, clashes);
  if (!is_up) {
    if (const auto nft = NftTable{}.check(); nft && *nft != "no table inet weir") {
      clashes.blocking.push_back("nftables has a table inet weir that is not ours: remove or rename it");
    }
  }
  return clashes;
}

}  // namespace weir::steer

#include <bpf/bpf.h>

#include "abi.h"
#include "kernel/tcx.h"
#include "steer/loader.h"
#include "steer/pin_folder.h"
#include "steer/pinned_map.h"
#include "steer/reasons.h"
#include "steer/saved_state.h"
#include "steer/steer.h"
#include "steer/steps.h"

namespace weir::steer {
namespace {

Result<void> add_counts(const Options& options, Status& status) {
  const auto map = open_map(options, "counts", sizeof(uint32_t), sizeof(uint64_t));
  if (!map) return tl::unexpected<Error>(map.error());
  const auto counts = read_counts(map->get());
  if (!counts) return tl::unexpected<Error>(counts.error());
  for (std::size_t i = 0; i < counts->size(); ++i) {
    const Reason& reason = kReasons[i];
    ReasonCount count{std::string(reason.name), (*counts)[i]};
    switch (reason.kind) {
      case ReasonClass::kDropped: status.dropped.push_back(std::move(count)); continue;
      case ReasonClass::kPassed: status.passed += count.packets; break;
      case ReasonClass::kSteered: status.steered += count.packets; break;
      case ReasonClass::kSent: status.sent += count.packets; break;
      case ReasonClass::kNotice: break;
    }
    status.by_reason.push_back(std::move(count));
  }
  return {};
}

// A sockmap tells a socket's cookie: a listener of a dead engine is not in it.
Result<void> add_engine(const Options& options, Status& status) {
  const auto settings_map = open_map(options, "settings", sizeof(uint32_t), sizeof(weir_settings));
  if (!settings_map) return tl::unexpected<Error>(settings_map.error());
  const auto listeners = open_map(options, "listeners", sizeof(uint32_t), sizeof(uint64_t));
  if (!listeners) return tl::unexpected<Error>(listeners.error());
  const uint32_t zero = 0;
  weir_settings settings{};
  bpf_map_lookup_elem(settings_map->get(), &zero, &settings);
  uint64_t cookie = 0;
  for (uint32_t index = 0; index < 2 * settings.listener_count && index < WEIR_LISTENERS_MAX; ++index) {
    if (bpf_map_lookup_elem(listeners->get(), &index, &cookie) == 0 && cookie != 0) status.is_engine_listening = true;
  }
  return {};
}

Result<void> add_entries(const Options& options, Status& status) {
  const auto addresses = open_map(options, "addresses", sizeof(weir_addr), sizeof(weir_binding));
  if (!addresses) return tl::unexpected<Error>(addresses.error());
  const auto networks = open_map(options, "networks", sizeof(weir_prefix_key), sizeof(weir_binding));
  if (!networks) return tl::unexpected<Error>(networks.error());
  const auto flows = open_map(options, "flows", sizeof(weir_flow_key), sizeof(weir_flow));
  if (!flows) return tl::unexpected<Error>(flows.error());
  status.bindings = map_keys<weir_addr>(addresses->get()).size() + map_keys<weir_prefix_key>(networks->get()).size();
  status.flows = map_keys<weir_flow_key>(flows->get()).size();
  return {};
}

}  // namespace

Result<Status> status(const Config& config) {
  Status result;
  const auto saved = read_saved_state(saved_state_file(config.state));
  const auto configured = options_of(config);
  const bool has_saved = saved && saved->has_value();
  if (!has_saved && !configured) return tl::unexpected<Error>(configured.error());
  const Options options = has_saved ? (*saved)->options : *configured;
  result.is_up = is_pinned(options);
  if (!result.is_up) return result;

  auto netlink = Netlink::open();
  if (!netlink) return tl::unexpected<Error>(netlink.error());
  const auto steps = make_steps(options, options.pin_folder, tc_kind(), *netlink);
  if (!steps) return tl::unexpected<Error>(steps.error());
  for (const Step& step : *steps) {
    const auto problem = step.problem();
    result.pieces.push_back({step.kind, step.text, !problem.has_value(), problem.value_or("")});
  }
  if (auto added = add_counts(options, result); !added) return tl::unexpected<Error>(added.error());
  const auto bypasses = KernelBypasses::at(options.pin_folder);
  if (!bypasses) return tl::unexpected<Error>(bypasses.error());
  result.bypasses = bypasses->list();
  if (auto added = add_engine(options, result); !added) return tl::unexpected<Error>(added.error());
  if (auto added = add_entries(options, result); !added) return tl::unexpected<Error>(added.error());
  result.programs = pinned_program_tags(options.pin_folder);
  return result;
}

}  // namespace weir::steer

#include "steer/options.h"

#include <tuple>

namespace weir::steer {
namespace {

constexpr uint32_t kTableDefault = 253, kTableLocal = 255;  // linux/rtnetlink.h: these and RT_TABLE_MAIN are the kernel's.

Result<void> check_mark(const Options& options) {
  if (options.mark_mask == 0 || (options.mark & ~options.mark_mask) != 0) {
    return fail(Error::Kind::kInvalid, "steer.mark: the value has bits outside its mask");
  }
  const uint64_t last = uint64_t{options.mark} + 3 * uint64_t{options.lowest_bit()};
  bool do_fit = options.mark != 0 && last <= 0xffffffffu;
  for (const uint32_t value : {options.upstream_mark(), options.client_leg_mark(), options.reset_mark()}) {
    do_fit = do_fit && value != 0 && (value & ~options.mark_mask) == 0;
  }
  if (!do_fit) return fail(Error::Kind::kInvalid, "steer.mark: four values are needed within the mask: not 0, and three steps above it must still fit");
  return {};
}

}  // namespace

bool Options::fits(const Options& other) const {
  const auto key = [](const Options& o) {
    return std::tie(o.pin_folder, o.clients, o.targets, o.mark, o.mark_mask, o.table, o.priority, o.is_guarded, o.bindings_max, o.flows_max);
  };
  return key(*this) == key(other);
}

Result<Options> options_of(const Config& config) {
  const SteerConfig& steer = config.steer;
  Options options;
  options.pin_folder = steer.pin_folder;
  options.clients = steer.clients;
  options.targets = steer.targets;
  options.mark = steer.mark;
  options.mark_mask = steer.mark_mask;
  options.table = steer.table;
  options.priority = steer.priority;
  options.is_guarded = steer.egress_guard;
  options.bindings_max = steer.bindings_max;
  options.flows_max = steer.flows_max;
  options.drop_notices_per_second = steer.drop_notices_per_second;
  options.is_draining = steer.existing_flows == ExistingFlows::kDrain;
  options.drain_ns = static_cast<uint64_t>(std::chrono::nanoseconds(steer.drain).count());
  options.user = config.engine.user;

  if (auto mark = check_mark(options); !mark) return tl::unexpected<Error>(mark.error());
  if (options.clients.empty()) return fail(Error::Kind::kInvalid, "steer.clients: name the interfaces that clients come in on");
  if (options.targets.empty()) return fail(Error::Kind::kInvalid, "steer.targets: name the interfaces that targets are behind");
  if (options.table == 0 || (options.table >= kTableDefault && options.table <= kTableLocal)) {
    return fail(Error::Kind::kInvalid, "steer.table: " + std::to_string(options.table) + " is one of the kernel's own tables");
  }
  if (options.priority == 0) return fail(Error::Kind::kInvalid, "steer.priority: 0 is the kernel's own rule");
  const std::size_t slash = options.pin_folder.rfind('/');
  if (options.pin_folder.empty() || options.pin_folder[0] != '/' || slash + 1 == options.pin_folder.size() || slash == 0 ||
      options.pin_folder.find('.', slash) != std::string::npos) {
    return fail(Error::Kind::kInvalid, "steer.pin: an absolute path in a bpffs, its last name without a dot: " + options.pin_folder);
  }
  if (options.bindings_max == 0 || options.flows_max == 0) {
    return fail(Error::Kind::kInvalid, "steer: bindings_max and flows_max must be above 0");
  }
  return options;
}

}  // namespace weir::steer

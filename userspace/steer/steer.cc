#include "steer/steer.h"

#include <bpf/bpf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "abi.h"
#include "kernel/fd.h"
#include "kernel/tcx.h"
#include "steer/clashes.h"
#include "steer/loader.h"
#include "steer/steps.h"
#include "steer/pin_folder.h"
#include "steer/saved_state.h"
#include "steer/target_map.h"

namespace weir::steer {
namespace {

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

std::string pin_text(const Options& options) {
  return "pin " + std::to_string(kMapNames.size()) + " maps and " + std::to_string(kProgramNames.size()) + " programs under " + options.pin_folder;
}

Result<void> write_targets_at(const std::string& folder, const Config& config) {
  const auto prefixes = kernel::open_pinned(folder + "/maps/prefixes");
  if (!prefixes) return tl::unexpected<Error>(prefixes.error());
  const auto targets = kernel::open_pinned(folder + "/maps/targets");
  if (!targets) return tl::unexpected<Error>(targets.error());
  // Ended rather than on for another target: its index is what the kernel goes by.
  auto bypasses = KernelBypasses::at(folder);
  if (!bypasses) return tl::unexpected<Error>(bypasses.error());
  bypasses->keep_only(config.targets);
  return write_target_map(prefixes->get(), targets->get(), compile_targets(config.targets));
}

Result<void> write_settings(const std::string& folder, const Options& options, bool is_new) {
  const auto map = kernel::open_pinned(folder + "/maps/settings");
  if (!map) return tl::unexpected<Error>(map.error());
  const uint32_t zero = 0;
  weir_settings settings{};
  bpf_map_lookup_elem(map->get(), &zero, &settings);
  settings.notices_per_second = options.drop_notices_per_second;
  // The drain is counted from the first up: saying it again does not open it again.
  if (is_new) settings.drain_until_ns = options.is_draining ? kernel::boot_time_ns() + options.drain_ns : 0;
  const int error = bpf_map_update_elem(map->get(), &zero, &settings, BPF_ANY);
  if (error != 0) return fail(Error::Kind::kSystem, std::string("settings: ") + std::strerror(-error), -error);
  return {};
}

// One up(): what it has done so far, and the way back.
class Attempt {
 public:
  Attempt(const Options& options, std::string saved_file, Netlink& netlink) : options_(options), saved_file_(std::move(saved_file)), netlink_(netlink) {}

  Result<void> run(const Config& config, const std::optional<SavedState>& earlier) {
    auto made = make(config, earlier);
    if (!made) undo();
    return made;
  }

 private:
  Result<void> make(const Config& config, const std::optional<SavedState>& earlier) {
    if (auto prepared = prepare(earlier); !prepared) return prepared;
    const std::string aside = options_.aside_folder();
    if (auto loaded = load_and_pin(options_, aside); !loaded) return loaded;
    if (auto written = write_targets_at(aside, config); !written) return written;
    if (auto written = write_settings(aside, options_, true); !written) return written;
    auto steps = make_steps(options_, aside, tc_kind(), netlink_);
    if (!steps) return tl::unexpected<Error>(steps.error());
    steps_ = std::move(*steps);
    for (; made_ < steps_.size(); ++made_) {
      const Step& step = steps_[made_];
      auto made = step.make();
      if (!made && !step.is_optional) return fail(made.error().kind, step.text + ": " + made.error().message, made.error().code);
    }
    return finish();
  }

  Result<void> prepare(const std::optional<SavedState>& earlier) {
    if (bpffs_state(options_) == BpffsState::kToMount) {
      if (auto mounted = mount_bpffs(options_); !mounted) return mounted;
      saved_.is_bpffs_mounted = true;
    }
    // Half of an up that was killed: it goes when the new one stands, so that its guards hold until then.
    if (exists(options_.aside_folder())) {
      remove_pins(options_.stale_folder());
      ::rename(options_.aside_folder().c_str(), options_.stale_folder().c_str());
    }
    saved_.options = options_;
    saved_.boot = boot_id();
    // The same boot: the host's settings may be ours already.
    const bool is_same_boot = earlier && earlier->boot == saved_.boot;
    saved_.sysctls = is_same_boot ? earlier->sysctls : read_before(options_);
    if (is_same_boot) saved_.is_bpffs_mounted = saved_.is_bpffs_mounted || earlier->is_bpffs_mounted;
    return write_saved_state(saved_file_, saved_);
  }

  Result<void> finish() {
    for (SysctlBefore& entry : saved_.sysctls) entry.ours = read_sysctl(entry.name).value_or(entry.before);
    if (auto written = write_saved_state(saved_file_, saved_); !written) return written;
    if (auto given = give_pins_to(options_.aside_folder(), options_.user); !given) return given;
    if (::rename(options_.aside_folder().c_str(), options_.pin_folder.c_str()) != 0) {
      return fail(Error::Kind::kSystem, options_.pin_folder + ": " + std::strerror(errno), errno);
    }
    remove_pins(options_.stale_folder());
    return {};
  }

  void undo() {
    while (made_ > 0) static_cast<void>(steps_[--made_].undo());
    for (SysctlBefore& entry : saved_.sysctls) entry.ours = read_sysctl(entry.name).value_or(entry.before);
    static_cast<void>(put_back(saved_.sysctls));
    remove_pins(options_.aside_folder());
    if (saved_.is_bpffs_mounted) unmount_bpffs(options_);
    remove_saved_state(saved_file_);
  }

  const Options options_;
  const std::string saved_file_;
  Netlink& netlink_;
  SavedState saved_;
  std::vector<Step> steps_;
  std::size_t made_ = 0;
};

// It is up: the maps anew, and what is missing.
Result<void> repair(const Config& config, const Options& options, Netlink& netlink) {
  const auto own = own_program_tags(options);
  if (!own) return tl::unexpected<Error>(own.error());
  if (*own != pinned_program_tags(options.pin_folder)) {
    return fail(Error::Kind::kInvalid, "steering is up with programs of another version: weir down first");
  }
  if (auto written = write_targets_at(options.pin_folder, config); !written) return written;
  if (auto written = write_settings(options.pin_folder, options, false); !written) return written;
  auto steps = make_steps(options, options.pin_folder, tc_kind(), netlink);
  if (!steps) return tl::unexpected<Error>(steps.error());
  for (const Step& step : *steps) {
    if (!step.problem()) continue;
    auto made = step.make();
    if (!made && !step.is_optional) return fail(made.error().kind, step.text + ": " + made.error().message, made.error().code);
  }
  return give_pins_to(options.pin_folder, options.user);
}

std::string join(const std::vector<std::string>& lines) {
  std::string all;
  for (const std::string& line : lines) all += (all.empty() ? "" : "; ") + line;
  return all;
}

}  // namespace

Result<Plan> plan(const Config& config) {
  const auto options = options_of(config);
  if (!options) return tl::unexpected<Error>(options.error());
  auto netlink = Netlink::open();
  if (!netlink) return tl::unexpected<Error>(netlink.error());
  Plan result;
  const auto clashes = find_clashes(*options, is_pinned(*options), *netlink);
  if (!clashes) return tl::unexpected<Error>(clashes.error());
  result.clashes = clashes->blocking;
  result.notes = clashes->notes;
  if (bpffs_state(*options) == BpffsState::kToMount) result.steps.push_back("mount a bpffs at " + bpffs_parent(*options));
  result.steps.push_back("save the host's settings in " + saved_state_file(config.state));
  result.steps.push_back(pin_text(*options));
  for (const TargetConfig& target : config.targets) {
    std::string text = "write target " + target.name + " into the map:";
    for (const Prefix& prefix : target.addresses) text += ' ' + prefix.text();
    text += target.ports.size() == 1 ? ", port" : ", ports";
    for (const uint16_t port : target.ports) text += ' ' + std::to_string(port);
    result.steps.push_back(std::move(text));
  }
  auto steps = make_steps(*options, options->pin_folder, tc_kind(), *netlink);
  if (!steps) return tl::unexpected<Error>(steps.error());
  for (const Step& step : *steps) result.steps.push_back(step.text);
  return result;
}

Result<void> up(const Config& config) {
  const auto options = options_of(config);
  if (!options) return tl::unexpected<Error>(options.error());
  const auto locked = lock_steering(config.state);
  if (!locked) return tl::unexpected<Error>(locked.error());
  const kernel::Fd lock(*locked);
  auto netlink = Netlink::open();
  if (!netlink) return tl::unexpected<Error>(netlink.error());
  const std::string file = saved_state_file(config.state);
  const auto saved = read_saved_state(file);
  if (!saved) return tl::unexpected<Error>(saved.error());
  const bool is_up = is_pinned(*options);
  if (is_up && saved->has_value() && !(*saved)->options.fits(*options)) {
    return fail(Error::Kind::kInvalid, "steering is up with other options (steer: in the configuration): weir down first");
  }
  // Pins that are gone while the rule and the table are ours still: those of a removed folder, on the same boot.
  const bool is_left_over = saved->has_value() && (*saved)->boot == boot_id();
  const auto clashes = find_clashes(*options, is_up || is_left_over, *netlink);
  if (!clashes) return tl::unexpected<Error>(clashes.error());
  if (!clashes->blocking.empty()) return fail(Error::Kind::kInvalid, join(clashes->blocking));
  if (is_up) return repair(config, *options, *netlink);
  return Attempt(*options, file, *netlink).run(config, *saved);
}

Result<std::vector<std::string>> down(const Config& config) {
  const auto locked = lock_steering(config.state);
  if (!locked) return tl::unexpected<Error>(locked.error());
  const kernel::Fd lock(*locked);
  const std::string file = saved_state_file(config.state);
  const auto saved = read_saved_state(file);
  if (!saved) return tl::unexpected<Error>(saved.error());
  const auto configured = options_of(config);
  if (!saved->has_value() && !configured) return tl::unexpected<Error>(configured.error());
  const Options options = saved->has_value() ? (*saved)->options : *configured;
  std::vector<std::string> left;
  const bool has_pins = is_pinned(options) || exists(options.aside_folder()) || exists(options.stale_folder());
  if (!has_pins && !saved->has_value()) return left;

  auto netlink = Netlink::open();
  if (!netlink) return tl::unexpected<Error>(netlink.error());
  // Another name first: an engine that still runs sees that this was meant, and puts nothing back.
  if (is_pinned(options)) {
    remove_pins(options.stale_folder());
    ::rename(options.pin_folder.c_str(), options.stale_folder().c_str());
  }
  auto steps = make_steps(options, options.stale_folder(), tc_kind(), *netlink);
  if (!steps) return tl::unexpected<Error>(steps.error());
  bool is_host_restored = false;
  const auto restore_host = [&] {
    if (std::exchange(is_host_restored, true) || !saved->has_value()) return;
    const std::vector<std::string> lines = put_back((*saved)->sysctls);
    left.insert(left.end(), lines.begin(), lines.end());
  };
  for (auto step = steps->rbegin(); step != steps->rend(); ++step) {
    // The host's settings go back before the guards go, so that nothing is forwarded that was not before.
    if (step->kind == "guard") restore_host();
    if (auto undone = step->undo(); !undone) left.push_back(step->text + ": " + undone.error().message);
  }
  restore_host();
  if (!saved->has_value()) left.push_back("what the sysctls were is not known: " + file + " is gone");
  remove_pins(options.aside_folder());
  remove_pins(options.stale_folder());
  if (saved->has_value() && (*saved)->is_bpffs_mounted) unmount_bpffs(options);
  remove_saved_state(file);
  return left;
}

Result<void> write_targets(const Config& config) {
  const auto options = options_of(config);
  if (!options) return tl::unexpected<Error>(options.error());
  return write_targets_at(options->pin_folder, config);
}

}  // namespace weir::steer

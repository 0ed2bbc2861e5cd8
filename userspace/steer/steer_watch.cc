#include "steer/steer_watch.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <vector>

#include "kernel/fd.h"
#include "kernel/tcx.h"
#include "steer/loader.h"
#include "steer/pin_folder.h"
#include "steer/saved_state.h"
#include "steer/steps.h"

namespace weir::steer {
namespace {

constexpr long kPeriodSeconds = 1;          // The loss of an attachment has no message.
constexpr long kSettleNs = 20'000'000;      // Changes often come in bursts (a routing daemon): one look for all.
constexpr int kDrainMax = 1024;             // Messages taken at once; the socket stays readable if there are more.
constexpr uint64_t kNsPerSecond = 1'000'000'000u;

}  // namespace

struct SteerWatch::State {
  Options options;
  Callback callback;
  TcKind kind{};
  std::optional<Netlink> netlink;
  kernel::Fd poll, events, timer, lock, state_folder;
  std::map<std::string, kernel::Fd> pins;   // Path -> what is pinned there, held so that it outlives its pin.
  std::set<std::string> guarded;            // Guards that were in place once: their absence is a loss.
  std::set<std::string> lost;               // Told, and not restored yet: not told again each second.
  uint64_t checked_ns = 0;
  bool is_down = false;

  void hold_pins();
  void repin();
  void check();
  void check_step(const Step& step);
  void remove_dead_links() const;
  [[nodiscard]] bool is_meant_to_be_up() const;
  void arm(long first_ns) const;
};

void SteerWatch::State::arm(long first_ns) const {
  itimerspec when{};
  when.it_value.tv_sec = first_ns / static_cast<long>(kNsPerSecond);
  when.it_value.tv_nsec = first_ns % static_cast<long>(kNsPerSecond);
  when.it_interval.tv_sec = kPeriodSeconds;
  ::timerfd_settime(timer.get(), 0, &when, nullptr);
}

void SteerWatch::State::hold_pins() {
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(options.pin_folder, error)) {
    if (entry.is_directory(error)) continue;
    const std::string path = entry.path().string();
    if (pins.contains(path)) continue;
    if (auto fd = kernel::open_pinned(path)) pins.emplace(path, std::move(*fd));
  }
}

bool SteerWatch::State::is_meant_to_be_up() const { return ::faccessat(state_folder.get(), "steer.saved", F_OK, 0) == 0; }

// Somebody took the pins away; what they pinned is held here.
void SteerWatch::State::repin() {
  for (const std::string& folder : {options.pin_folder, options.maps_folder(), options.programs_folder(), options.links_folder()}) {
    ::mkdir(folder.c_str(), 0700);
  }
  int failures = 0;
  for (const auto& [path, fd] : pins) {
    const int error = bpf_obj_pin(fd.get(), path.c_str());
    if (error != 0 && error != -EEXIST) ++failures;
  }
  callback({"pins under " + options.pin_folder, failures == 0, false, failures == 0 ? "" : std::to_string(failures) + " could not be pinned again"});
}

void SteerWatch::State::remove_dead_links() const {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(options.links_folder(), error)) {
    const std::string path = entry.path().string();
    const auto link = kernel::open_pinned(path);
    const auto info = link ? kernel::link_info(link->get()) : tl::unexpected<Error>(link.error());
    if (info && info->object == 0) ::unlink(path.c_str());
  }
}

void SteerWatch::State::check_step(const Step& step) {
  const auto problem = step.problem();
  if (!problem) {
    lost.erase(step.text);
    if (step.kind == "guard") guarded.insert(step.text);
    return;
  }
  const bool is_new = step.kind == "guard" && !guarded.contains(step.text);
  const auto made = step.make();
  const auto still = made ? step.problem() : std::optional<std::string>(made.error().message);
  if (!still) {
    lost.erase(step.text);
    if (step.kind == "guard") guarded.insert(step.text);
    callback({step.text, true, is_new, *problem});
  } else if (!step.is_optional && lost.insert(step.text).second) {
    callback({step.text, false, is_new, *still});
  }
}

void SteerWatch::State::check() {
  checked_ns = kernel::boot_time_ns();
  if (is_down) return;
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) return;  // up or down is at work; the timer comes again.
  if (!is_pinned(options)) {
    if (is_meant_to_be_up()) {
      repin();
    } else {
      is_down = true;
      callback({"steering", false, false, "it was taken down (weir down)"});
    }
  }
  if (!is_down) {
    if (auto steps = make_steps(options, options.pin_folder, kind, *netlink)) {
      for (const Step& step : *steps) check_step(step);
    } else if (lost.insert("links").second) {
      callback({"links", false, false, steps.error().message});
    }
    remove_dead_links();
    // Not those whose pin is gone: it may have been taken away a moment ago, and what it pinned would end with it here.
    std::erase_if(pins, [](const auto& pin) {
      if (pin.first.find("/links/") == std::string::npos) return false;
      const auto info = kernel::link_info(pin.second.get());
      return info && info->object == 0;
    });
    hold_pins();
  }
  ::flock(lock.get(), LOCK_UN);
}

SteerWatch::SteerWatch(std::unique_ptr<State> state) : state_(std::move(state)) {}
SteerWatch::~SteerWatch() = default;
int SteerWatch::fd() const { return state_->poll.get(); }

Result<std::unique_ptr<SteerWatch>> SteerWatch::open(const Config& config, Callback callback) {
  auto options = options_of(config);
  if (!options) return tl::unexpected<Error>(options.error());
  if (!is_pinned(*options)) {
    return fail(Error::Kind::kNotFound, "steering is not up (nothing is pinned at " + options->pin_folder + "): weir up first", ENOENT);
  }
  auto state = std::make_unique<State>();
  state->options = std::move(*options);
  state->callback = std::move(callback);
  state->kind = tc_kind();
  auto netlink = Netlink::open();
  if (!netlink) return tl::unexpected<Error>(netlink.error());
  state->netlink.emplace(std::move(*netlink));
  const auto events = open_netlink_events();
  if (!events) return tl::unexpected<Error>(events.error());
  state->events = kernel::Fd(*events);
  state->timer = kernel::Fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  state->poll = kernel::Fd(::epoll_create1(EPOLL_CLOEXEC));
  state->lock = kernel::Fd(::open((config.state + "/steer.lock").c_str(), O_RDONLY | O_CLOEXEC));
  state->state_folder = kernel::Fd(::open(config.state.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!state->timer || !state->poll || !state->lock || !state->state_folder) {
    return fail(Error::Kind::kSystem, std::string("watch of steering: ") + std::strerror(errno), errno);
  }
  for (const int fd : {state->events.get(), state->timer.get()}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (::epoll_ctl(state->poll.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      return fail(Error::Kind::kSystem, std::string("watch of steering: ") + std::strerror(errno), errno);
    }
  }
  state->hold_pins();
  if (const auto steps = make_steps(state->options, state->options.pin_folder, state->kind, *state->netlink)) {
    for (const Step& step : *steps) {
      if (step.kind == "guard" && !step.problem()) state->guarded.insert(step.text);
    }
  }
  state->arm(kSettleNs);
  return std::unique_ptr<SteerWatch>(new SteerWatch(std::move(state)));
}

void SteerWatch::handle() {
  std::array<char, 16384> buffer;
  bool has_events = false;
  for (int i = 0; i < kDrainMax; ++i) {
    const ssize_t size = ::recv(state_->events.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno != ENOBUFS) break;  // ENOBUFS: messages were lost; everything is looked at anyway.
    has_events = true;
  }
  uint64_t expirations = 0;
  const bool is_due = ::read(state_->timer.get(), &expirations, sizeof expirations) == sizeof expirations;
  if (is_due || kernel::boot_time_ns() - state_->checked_ns >= static_cast<uint64_t>(kSettleNs)) {
    state_->check();
  } else if (has_events) {
    state_->arm(kSettleNs);
  }
}

}  // namespace weir::steer

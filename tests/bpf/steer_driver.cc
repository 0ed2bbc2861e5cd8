// The kernel side from a shell, for the namespace tests: up, down, plan, status, doctor, and a small relay in the engine's place
// that passes bytes unread.  It reads a JSON file; it is no product and judges nothing.
// Usage: steer_driver up|down|plan|status|doctor|run FILE
// `run` takes lines on standard input and tells, as JSON lines, what happens:
//   bind ID PREFIX [SECONDS] | unbind ID | cut-binding ID | cut-session ID | flow CLIENT PORT TARGET PORT | sweep | quit
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <iostream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <latch>
#include <thread>

#include "accept/listeners.h"
#include "accept/original_destination.h"
#include "kernel/socket_address.h"
#include "kernel/upstream_socket.h"
#include "steer/drop_notices.h"
#include "steer/kernel_bindings.h"
#include "steer/kernel_steering.h"
#include "steer/steer.h"
#include "steer/steer_watch.h"

namespace {

using namespace weir;
using nlohmann::json;

std::mutex output;
void say(const json& line) {
  const std::lock_guard<std::mutex> lock(output);
  std::cout << line.dump() << std::endl;
}
[[noreturn]] void stop(const std::string& why) {
  std::cerr << why << "\n";
  std::exit(1);
}

TargetConfig read_target(const json& from) {
  TargetConfig target;
  target.name = from.value("name", "target");
  for (const auto& text : from.at("addresses")) target.addresses.push_back(*Prefix::parse(text.get<std::string>()));
  target.ports = from.at("ports").get<std::vector<uint16_t>>();
  target.other_ports_drop = from.value("other_ports", "pass") == "drop";
  target.icmp_pass = from.value("icmp", "drop") == "pass";
  const std::string unbound = from.value("unbound", "explain"), admit = from.value("admit", "address");
  target.unbound = unbound == "reset" ? Unbound::kReset : unbound == "drop" ? Unbound::kDrop : Unbound::kExplain;
  target.admit = admit == "credential" ? Admit::kCredential : admit == "either" ? Admit::kEither : Admit::kAddress;
  target.closed_answer = from.value("closed_answer", "reset") == "drop" ? ClosedAnswer::kDrop : ClosedAnswer::kReset;
  target.on_engine_failure = from.value("on_failure", "closed") == "open" ? OnFailure::kOpen : OnFailure::kClosed;
  target.source = from.value("source", "client") == "gateway" ? SourceMode::kGateway : SourceMode::kClient;
  return target;
}

Config read_config(const char* file) {
  std::ifstream stream(file);
  const json from = json::parse(stream);
  Config config;
  config.state = from.at("state");
  config.engine.user = from.value("user", "");
  config.steer.pin_folder = from.at("pin");
  config.steer.clients = from.at("clients").get<std::vector<std::string>>();
  config.steer.targets = from.at("target_interfaces").get<std::vector<std::string>>();
  config.steer.egress_guard = from.value("egress_guard", true);
  config.steer.table = from.value("table", config.steer.table);
  config.steer.priority = from.value("priority", config.steer.priority);
  config.steer.mark = from.value("mark", config.steer.mark);
  config.steer.bindings_max = from.value("bindings_max", config.steer.bindings_max);
  config.steer.flows_max = from.value("flows_max", config.steer.flows_max);
  if (from.contains("drain_seconds")) {
    config.steer.existing_flows = ExistingFlows::kDrain;
    config.steer.drain = std::chrono::seconds(from.at("drain_seconds").get<int>());
  }
  for (const auto& target : from.at("targets")) config.targets.push_back(read_target(target));
  for (const auto& text : from.value("static", std::vector<std::string>{})) {
    StaticBindingConfig binding;
    binding.address = *Prefix::parse(text);
    config.identity.static_bindings.push_back(binding);
  }
  return config;
}

class Relay {
 public:
  explicit Relay(Config config) : config_(std::move(config)) {
    auto steering = steer::KernelSteering::open(config_);
    if (!steering) stop(steering.error().message);
    steering_ = std::move(*steering);
    auto bindings = steer::KernelBindings::open(config_);
    if (!bindings) stop(bindings.error().message);
    bindings_.emplace(std::move(*bindings));
  }

  void run(uint32_t cores) {
    auto listeners = accept::open_listeners(cores, steering_->client_leg_mark());
    if (!listeners) stop(listeners.error().message);
    std::vector<steer::CoreListeners> pairs;
    for (const auto& core : *listeners) pairs.push_back({core.v4.get(), core.v6.get()});
    if (auto set = steering_->set_listeners(pairs); !set) stop(set.error().message);
    for (const auto& core : *listeners) {
      std::thread([this, fd = core.v4.get()] { accept_loop(fd); }).detach();
      if (core.v6) std::thread([this, fd = core.v6.get()] { accept_loop(fd); }).detach();
    }
    std::thread([this] { watch_loop(); }).detach();
    watches_.wait();
    say({{"event", "ready"}, {"pid", getpid()}});
    std::string line;
    while (std::getline(std::cin, line)) command(line);
    std::_Exit(0);  // The threads are parked in system calls.
  }

 private:
  void command(const std::string& line) {
    std::istringstream words(line);
    std::string verb, text;
    uint64_t id = 0;
    words >> verb;
    if (verb == "bind") {
      steer::KernelBinding binding;
      int seconds = 0;
      words >> binding.id >> text;
      binding.where = *Prefix::parse(text);
      if (words >> seconds) binding.until = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) + std::chrono::seconds(seconds);
      const auto put = bindings_->put(binding);
      say({{"event", "bound"}, {"ok", put.has_value()}, {"error", put ? "" : put.error().message}});
    } else if (verb == "unbind") {
      words >> id;
      bool is_done = false;
      const auto all = bindings_->list();
      for (const steer::KernelBinding& each : *all) is_done = (each.id == id && bindings_->remove(each.where, id)) || is_done;
      say({{"event", "unbound"}, {"ok", is_done}});
    } else if (verb == "cut-binding" || verb == "cut-session") {
      words >> id;
      say({{"event", "cut"}, {"count", verb == "cut-binding" ? steering_->cut_binding(id) : steering_->cut_session(id)}});
    } else if (verb == "sweep") {
      say({{"event", "swept"}, {"count", steering_->sweep()}});
    } else if (verb == "legs") {
      FlowKey key = read_key(words);
      const auto client = steering_->leg_bytes(key, Side::kClient), target = steering_->leg_bytes(key, Side::kTarget);
      say({{"event", "legs"}, {"client", client ? client->received : 0}, {"target", target ? target->received : 0}});
    } else if (verb == "flow") {
      const auto entry = steering_->flow(read_key(words));
      say({{"event", "flow"}, {"known", entry.has_value()}, {"binding", entry ? entry->binding : 0}, {"session", entry ? entry->session : 0}, {"cut", entry && entry->cut}});
    } else if (verb == "quit") {
      std::_Exit(0);
    }
  }

  static FlowKey read_key(std::istringstream& words) {
    std::string client, target;
    FlowKey key;
    words >> client >> key.client.port >> target >> key.target.port;
    key.client.address = *Address::parse(client);
    key.target.address = *Address::parse(target);
    return key;
  }

  void watch_loop() {
    auto watch = steer::SteerWatch::open(config_, [](const steer::Loss& loss) {
      say({{"event", "loss"}, {"piece", loss.piece}, {"restored", loss.is_restored}, {"new", loss.is_new}, {"detail", loss.detail}});
    });
    if (!watch) stop(watch.error().message);
    auto notices = steer::DropNotices::open(config_, [](const steer::DropNotice& notice) {
      say({{"event", "notice"}, {"reason", notice.reason}, {"source", notice.source.text()}, {"destination", notice.destination.text()}});
    });
    if (!notices) stop(notices.error().message);
    watches_.count_down();
    for (;;) {
      pollfd fds[2] = {{(*watch)->fd(), POLLIN, 0}, {(*notices)->fd(), POLLIN, 0}};
      if (::poll(fds, 2, -1) < 0) return;
      if (fds[0].revents != 0) (*watch)->handle();
      if (fds[1].revents != 0) (*notices)->handle();
    }
  }

  void accept_loop(int listener) {
    for (;;) {
      const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd >= 0) std::thread([this, fd] { serve(fd); }).detach();
    }
  }

  void serve(int client_fd) {
    const kernel::Fd client(client_fd);
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    FlowKey key;
    if (::getsockname(client_fd, reinterpret_cast<sockaddr*>(&address), &size) == 0) key.target = kernel::from_sockaddr(address);
    size = sizeof address;
    if (::getpeername(client_fd, reinterpret_cast<sockaddr*>(&address), &size) == 0) key.client = kernel::from_sockaddr(address);
    const TargetConfig* target = accept::find_target(config_.targets, key.target);
    const auto entry = steering_->flow(key);
    if (target == nullptr || !entry) {
      say({{"event", "refused"}, {"local", key.target.text()}, {"peer", key.client.text()}});
      return;
    }
    if (entry->binding == 0 && target->admit == Admit::kAddress) {
      const std::string text = "no identity is bound to " + key.client.address.text() + "\n";
      static_cast<void>(::send(client_fd, text.data(), text.size(), MSG_NOSIGNAL));
      say({{"event", "explained"}, {"peer", key.client.text()}});
      steering_->forget(key, 0);
      return;
    }
    const uint64_t session = ++sessions_;
    if (!steering_->set_session(key, session)) {
      steering_->forget(key, session);
      return;
    }
    dial(client_fd, key, *target, session);
    steering_->forget(key, session);
    say({{"event", "closed"}, {"session", session}});
  }

  void dial(int client_fd, const FlowKey& key, const TargetConfig& target, uint64_t session) {
    DialPlan plan{key.target, key.client, true, steering_->upstream_mark()};
    if (target.source == SourceMode::kGateway) plan = {key.target, {}, false, steering_->upstream_mark()};
    const auto upstream = kernel::prepare_upstream_socket(plan);
    if (!upstream) {
      say({{"event", "dial-failed"}, {"error", upstream.error().message}});
      return;
    }
    const kernel::Fd fd(upstream->fd);
    sockaddr_storage address{};
    socklen_t size = kernel::to_sockaddr(key.target, address);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) {
      say({{"event", "dial-failed"}, {"error", std::strerror(errno)}});
      return;
    }
    size = sizeof address;
    if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0) steering_->set_upstream(key, session, kernel::from_sockaddr(address));
    say({{"event", "opened"}, {"session", session}, {"peer", key.client.text()}, {"target", key.target.text()}, {"kept", upstream->port_kept}});
    std::thread back([&] { pump(fd.get(), client_fd); });
    pump(client_fd, fd.get());
    back.join();
  }

  static void pump(int from, int to) {
    std::vector<char> buffer(65536);
    for (;;) {
      const ssize_t size = ::recv(from, buffer.data(), buffer.size(), 0);
      if (size <= 0 || ::send(to, buffer.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL) != size) break;
    }
    ::shutdown(to, SHUT_WR);
    ::shutdown(from, SHUT_RD);
  }

  const Config config_;
  std::unique_ptr<steer::KernelSteering> steering_;
  std::optional<steer::KernelBindings> bindings_;
  std::atomic<uint64_t> sessions_{0};
  std::latch watches_{1};
};

int show_status(const Config& config) {
  const auto status = steer::status(config);
  if (!status) stop(status.error().message);
  json out = {{"up", status->is_up}, {"listening", status->is_engine_listening}, {"steered", status->steered}, {"passed", status->passed},
              {"sent", status->sent}, {"bindings", status->bindings}, {"flows", status->flows}, {"programs", status->programs}};
  for (const auto& piece : status->pieces) out["pieces"].push_back({{"kind", piece.kind}, {"name", piece.name}, {"in_place", piece.is_in_place}, {"detail", piece.detail}});
  for (const auto& count : status->dropped) out["dropped"][count.name] = count.packets;
  for (const auto& count : status->by_reason) out["by_reason"][count.name] = count.packets;
  std::cout << out.dump() << "\n";
  return 0;
}

int show_doctor(const Config& config) {
  json out = json::array();
  for (const auto& finding : steer::doctor(config)) {
    const char* level = finding.level == steer::Finding::Level::kOk ? "ok" : finding.level == steer::Finding::Level::kWarn ? "warn" : "fail";
    out.push_back({{"check", finding.check}, {"level", level}, {"found", finding.found}, {"fix", finding.fix}});
  }
  std::cout << out.dump() << "\n";
  return 0;
}

int show_plan(const Config& config) {
  const auto plan = steer::plan(config);
  if (!plan) stop(plan.error().message);
  std::cout << json({{"steps", plan->steps}, {"clashes", plan->clashes}, {"notes", plan->notes}}).dump() << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) stop("usage: steer_driver up|down|plan|status|doctor|run FILE");
  const std::string verb = argv[1];
  const Config config = read_config(argv[2]);
  if (verb == "plan") return show_plan(config);
  if (verb == "status") return show_status(config);
  if (verb == "doctor") return show_doctor(config);
  if (verb == "up") {
    const auto up = steer::up(config);
    if (!up) stop(up.error().message);
  } else if (verb == "down") {
    const auto left = steer::down(config);
    if (!left) stop(left.error().message);
    for (const std::string& line : *left) std::cout << line << "\n";
  } else if (verb == "run") {
    Relay(config).run(2);
  } else {
    stop("no such verb: " + verb);
  }
  return 0;
}

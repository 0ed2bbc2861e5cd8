// What one look for a binding costs with 1, 1,000 and 1,000,000 of them: the ingress program over raw frames
// (BPF_PROG_TEST_RUN, the kernel's own time), the engine's index, and the memory of each.  No traffic, no engine; needs root.
// Usage: build/release/bench/bindings_cost [ROUNDS]
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "bpf/abi.h"
#include "identify/binding_index.h"
#include "kernel/socket_address.h"
#include "kernel/tcx.h"
#include "steer/kernel_bindings.h"
#include "steer/loader.h"
#include "steer/target_map.h"
#include "tests/bpf/frame_maker.h"

namespace {

using namespace weir;
using bpf_test::FrameBytes;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kCounts[] = {1, 1'000, 1'000'000};
constexpr std::size_t kBindingsMax = 1u << 20;
constexpr std::size_t kFlows = 1'000, kPackets = 20'000, kRepeats = 1'000'000, kLooks = 1'000'000;

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "bindings_cost: %s\n", why.c_str());
  std::exit(1);
}
template <class T>
T need(Result<T> result) {
  if (!result) stop(result.error().message);
  return std::move(*result);
}

// 10.0.0.0 and up, never the host part 0.
Address source(std::size_t index) {
  const auto host = static_cast<uint32_t>(0x0a000001 + index);
  Address address = *Address::parse("10.0.0.0");
  for (unsigned i = 0; i < 4; ++i) address.bytes[12 + i] = static_cast<uint8_t>(host >> (24 - 8 * i));
  return address;
}
FrameBytes frame(const Address& from, unsigned flags, std::size_t payload) {
  bpf_test::Ipv4 header;
  header.source = from.text();
  return bpf_test::ethernet(bpf_test::kIpv4Type, header.with(bpf_test::tcp(40000, 5432, flags, payload)));
}

// Programs and maps of their own, with so many bindings and a thousand live flows of theirs.
class Kernel {
 public:
  Kernel(const std::string& folder, std::size_t count) {
    config_.steer.pin_folder = folder + "/weir" + std::to_string(count);
    config_.steer.clients = config_.steer.targets = {"lo"};
    config_.steer.bindings_max = kBindingsMax;
    const auto options = need(steer::options_of(config_));
    if (auto loaded = steer::load_and_pin(options, options.pin_folder); !loaded) stop(loaded.error().message);
    program_ = need(kernel::open_pinned(options.programs_folder() + "/steer_client"));
    const auto map = [&](const char* name) { return need(kernel::open_pinned(options.maps_folder() + "/" + name)); };
    TargetConfig target;
    target.addresses = {*Prefix::parse("198.18.2.2")};
    target.ports = {5432};
    const kernel::Fd prefixes = map("prefixes"), targets = map("targets"), flows = map("flows"), settings = map("settings"), listeners = map("listeners");
    addresses_ = map("addresses");
    if (auto written = steer::write_target_map(prefixes.get(), targets.get(), steer::compile_targets({&target, 1})); !written) stop(written.error().message);
    const weir_settings setting{0, 1, 0};
    const uint32_t zero = 0;
    bpf_map_update_elem(settings.get(), &zero, &setting, BPF_ANY);
    listen(listeners.get());

    auto bindings = need(steer::KernelBindings::open(config_));
    const auto begun = Clock::now();
    const auto until = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) + std::chrono::hours(8);
    const LinkKey link{"lo", uint16_t{0}, parse_mac("02:00:00:00:00:02").value()};  // Of the frames.
    for (std::size_t i = 0; i < count; ++i) {
      if (auto put = bindings.put({i + 1, {source(i), 128}, until, link}); !put) stop(put.error().message);
    }
    put_ns = static_cast<double>((Clock::now() - begun).count()) / static_cast<double>(count);
    std::mt19937_64 random(count);
    for (std::size_t i = 0; i < std::min(count, kFlows); ++i) {
      const std::size_t at = random() % count;
      const weir_flow_key key = steer::to_abi({source(at), 40000}, {*Address::parse("198.18.2.2"), 5432});
      weir_flow flow{};
      flow.binding = at + 1;
      flow.bound = key.client;
      bpf_map_update_elem(flows.get(), &key, &flow, BPF_ANY);
      packets_.push_back(frame(source(at), bpf_test::kAck, 100));
      syns_.push_back(frame(source(random() % count), bpf_test::kSyn, 0));
    }
    for (std::size_t i = syns_.size(); i < kPackets; ++i) syns_.push_back(frame(source(random() % count), bpf_test::kSyn, 0));
    const auto removed_at = Clock::now();
    if (!bindings.remove({source(count - 1), 128}, count)) stop("a binding is not where it was put");
    remove_ns = static_cast<double>((Clock::now() - removed_at).count());
    static_cast<void>(bindings.put({count, {source(count - 1), 128}, until, link}));
  }

  double same_flow() const { return run(packets_[0], kRepeats); }
  double any_flow() const { return mean(packets_); }
  double any_source() const { return mean(syns_); }
  uint64_t memory() const {
    std::ifstream info("/proc/self/fdinfo/" + std::to_string(addresses_.get()));
    for (std::string word; info >> word;) {
      uint64_t bytes = 0;
      if (word == "memlock:" && info >> bytes) return bytes;
    }
    return 0;
  }
  double put_ns = 0, remove_ns = 0;

 private:
  void listen(int listeners) {
    listener_ = kernel::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage address{};
    const socklen_t size = kernel::to_sockaddr({*Address::parse("127.0.0.1"), 0}, address);
    const uint32_t index = 0;
    const uint64_t value = static_cast<uint64_t>(listener_.get());
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_.get(), 1) != 0 ||
        bpf_map_update_elem(listeners, &index, &value, BPF_ANY) != 0) {
      stop("no listener");
    }
  }
  double run(const FrameBytes& packet, std::size_t repeats) const {
    FrameBytes data = packet;
    bpf_test_run_opts options{};
    options.sz = sizeof options;
    options.data_in = data.data();
    options.data_size_in = static_cast<uint32_t>(data.size());
    options.repeat = static_cast<int>(repeats);
    if (bpf_prog_test_run_opts(program_.get(), &options) != 0 || options.retval != 0) stop("the program did not steer the packet");
    return static_cast<double>(options.duration);
  }
  double mean(const std::vector<FrameBytes>& packets) const {
    double sum = 0;
    for (std::size_t i = 0; i < kPackets; ++i) sum += run(packets[i % packets.size()], 1);
    return sum / static_cast<double>(kPackets);
  }

  Config config_;
  kernel::Fd program_, addresses_, listener_;
  std::vector<FrameBytes> packets_, syns_;
};

struct Engine {
  std::vector<identify::Binding> all;
  std::unique_ptr<identify::BindingIndex> index;
  double build_ms = 0, index_mib = 0, bindings_mib = 0;
  std::size_t count;

  explicit Engine(std::size_t size) : count(size) {
    const auto used = [] { return static_cast<double>(mallinfo2().uordblks + mallinfo2().hblkhd) / (1 << 20); };
    const double before = used();
    all.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      Identity identity;
      identity.binding_id = i + 1;
      identity.subject = "user:somebody-" + std::to_string(i);
      identity.groups = {"agents"};
      identity.issuer = "example-idp";
      identity.token_id = "01234567-89ab-cdef-0123-456789abcdef";
      identity.assurance = Assurance::kNetwork;
      identify::Binding binding;
      binding.identity = std::make_shared<const Identity>(std::move(identity));
      binding.where = {source(i), 128};
      all.push_back(std::move(binding));
    }
    const double with_bindings = used();
    const auto begun = Clock::now();
    index = std::make_unique<identify::BindingIndex>(all);
    build_ms = std::chrono::duration<double, std::milli>(Clock::now() - begun).count();
    bindings_mib = with_bindings - before;
    index_mib = used() - with_bindings;
  }
  double look() const {
    std::mt19937_64 random(7);
    std::vector<Address> wanted;
    for (std::size_t i = 0; i < kLooks; ++i) wanted.push_back(source(random() % count));
    std::size_t found = 0;
    const auto begun = Clock::now();
    for (const Address& address : wanted) found += index->find(address, std::chrono::sys_seconds(std::chrono::seconds(1))) != nullptr ? 1 : 0;
    const double ns = static_cast<double>((Clock::now() - begun).count());
    if (found != kLooks) stop("the index lost somebody");
    return ns / static_cast<double>(kLooks);
  }
};

std::string spread(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  char text[80];
  std::snprintf(text, sizeof text, "%7.0f [%.0f .. %.0f]", values[values.size() / 2], values.front(), values.back());
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
  char folder[] = "/tmp/weir-bindings-XXXXXX";
  if (rounds < 1) stop("ROUNDS: a number above 0");
  if (unshare(CLONE_NEWNS | CLONE_NEWNET) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 || mkdtemp(folder) == nullptr ||
      mount("bpf", folder, "bpf", 0, nullptr) != 0 || std::system("ip link set lo up") != 0) {
    stop("needs root");
  }
  {
    std::vector<std::unique_ptr<Kernel>> kernels;
    std::vector<std::unique_ptr<Engine>> engines;
    for (const std::size_t count : kCounts) {
      kernels.push_back(std::make_unique<Kernel>(folder, count));
      engines.push_back(std::make_unique<Engine>(count));
    }
    std::vector<double> same[3], any[3], syn[3], look[3];
    for (int round = 0; round < rounds; ++round) {
      for (std::size_t turn = 0; turn < 3; ++turn) {
        const std::size_t i = (turn + static_cast<std::size_t>(round)) % 3;
        same[i].push_back(kernels[i]->same_flow());
        any[i].push_back(kernels[i]->any_flow());
        syn[i].push_back(kernels[i]->any_source());
        look[i].push_back(engines[i]->look());
      }
    }
    std::printf("ns: median [min .. max] of %d rounds.  One call of the program a packet, but for \"one flow\", also reads a cold clock.\n", rounds);
    for (std::size_t i = 0; i < 3; ++i) {
      const Kernel& kernel = *kernels[i];
      const Engine& engine = *engines[i];
      std::printf("%zu binding%s\n", kCounts[i], kCounts[i] == 1 ? "" : "s");
      std::printf("  kernel  a packet of one flow   %s\n", spread(same[i]).c_str());
      std::printf("          of 1,000 flows         %s\n", spread(any[i]).c_str());
      std::printf("          a SYN of any source    %s\n", spread(syn[i]).c_str());
      std::printf("          memory %.1f MiB; put %.0f ns each, remove %.0f ns\n", static_cast<double>(kernel.memory()) / (1 << 20), kernel.put_ns, kernel.remove_ns);
      std::printf("  engine  a look                 %s\n", spread(look[i]).c_str());
      std::printf("          memory %.1f MiB and %.1f MiB of index, which is made in %.1f ms\n", engine.bindings_mib, engine.index_mib, engine.build_ms);
    }
  }
  umount2(folder, MNT_DETACH);
  rmdir(folder);
  return 0;
}

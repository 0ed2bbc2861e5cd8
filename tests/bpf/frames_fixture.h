// Programs and maps for tests that hand raw frames to the programs (BPF_PROG_TEST_RUN), in a mount and a network namespace of
// their own; needs root.
#pragma once
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>

#include "bpf/abi.h"
#include "kernel/socket_address.h"
#include "kernel/tcx.h"
#include "steer/attach.h"
#include "steer/drop_notices.h"
#include "steer/kernel_bindings.h"
#include "steer/kernel_steering.h"
#include "steer/loader.h"
#include "steer/reasons.h"
#include "steer/target_map.h"
#include "tests/bpf/frame_maker.h"

namespace weir::bpf_test {

inline constexpr uint32_t kSteered = 0x57450000, kUpstream = 0x57460000, kClientLeg = 0x57470000, kReset = 0x57480000;
inline constexpr int kNext = -1, kPass = 0, kDrop = 2;
inline constexpr uint32_t kLoopback = 1;

struct Outcome {
  int verdict = 0;
  uint32_t mark = 0;
  std::string reason;   // The counter that moved; several are joined.
};

// Programs and maps, loaded once for all cases; each case empties the maps.
class Frames : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (geteuid() != 0) return;
    char folder[] = "/tmp/weir-frames-XXXXXX";
    ASSERT_EQ(unshare(CLONE_NEWNS | CLONE_NEWNET), 0);
    ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_NE(mkdtemp(folder), nullptr);
    ASSERT_EQ(mount("bpf", folder, "bpf", 0, nullptr), 0);
    ASSERT_EQ(system("ip link set lo up"), 0);
    folder_ = folder;
    config_.steer.pin_folder = folder_ + "/weir";
    config_.steer.clients = config_.steer.targets = {"lo"};
    options_ = *steer::options_of(config_);
    const auto loaded = steer::load_and_pin(options_, options_.pin_folder);
    ASSERT_TRUE(loaded) << loaded.error().message;
  }
  static void TearDownTestSuite() {
    if (folder_.empty()) return;
    umount2(folder_.c_str(), MNT_DETACH);
    rmdir(folder_.c_str());
  }

  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "run the tests as root";
    for (const char* name : {"prefixes", "targets", "addresses", "networks", "flows", "bypasses", "raw_flows"}) empty(name);
    set_settings({0, 0, 1000});
    TargetConfig target;
    target.name = "db";
    target.addresses = {*Prefix::parse("198.18.2.2"), *Prefix::parse("fd57:2::2")};
    target.ports = {5432};
    write(target);
  }

  static int map(const char* name) { return steer_map(name).get(); }
  static kernel::Fd& steer_map(const char* name) {
    static std::map<std::string, kernel::Fd> open;
    const std::string path = options_.maps_folder() + "/" + name;  // Each suite has programs of its own.
    auto& fd = open[path];
    if (!fd) fd = std::move(*kernel::open_pinned(path));
    return fd;
  }
  static void empty(const char* name) {
    char key[64];
    while (bpf_map_get_next_key(map(name), nullptr, key) == 0) ASSERT_EQ(bpf_map_delete_elem(map(name), key), 0);
  }
  static void set_settings(const weir_settings& settings) {
    const uint32_t zero = 0;
    ASSERT_EQ(bpf_map_update_elem(map("settings"), &zero, &settings, BPF_ANY), 0);
  }
  static void write(const TargetConfig& target) {
    target_ = target;
    ASSERT_TRUE(steer::write_target_map(map("prefixes"), map("targets"), steer::compile_targets({&target, 1})));
  }
  static void bind(const char* address, uint64_t id, uint64_t expires_ns = 0) {
    const weir_addr key = steer::to_abi(*Address::parse(address));
    weir_binding value{};
    value.id = id;
    value.expires_ns = expires_ns;
    ASSERT_EQ(bpf_map_update_elem(map("addresses"), &key, &value, BPF_ANY), 0);
  }
  static weir_flow_key key_of(const char* client, uint16_t client_port, const char* target, uint16_t target_port) {
    return steer::to_abi({*Address::parse(client), client_port}, {*Address::parse(target), target_port});
  }
  static void put_flow(const weir_flow_key& key, uint64_t binding, bool cut = false, uint16_t kind = WEIR_FLOW_STEERED) {
    weir_flow flow{};
    flow.binding = binding;
    flow.bound = key.client;
    flow.cut = cut ? 1 : 0;
    flow.kind = kind;
    ASSERT_EQ(bpf_map_update_elem(map("flows"), &key, &flow, BPF_ANY), 0);
  }
  // An engine: listeners of both families in the kernel's table.
  void open_engine() {
    uint32_t index = 0;
    for (const char* host : {"127.0.0.1", "::1"}) {
      kernel::Fd fd(socket(index == 0 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_storage address{};
      const socklen_t size = kernel::to_sockaddr({*Address::parse(host), 0}, address);
      ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
      ASSERT_EQ(listen(fd.get(), 16), 0);
      const uint64_t value = static_cast<uint64_t>(fd.get());
      ASSERT_EQ(bpf_map_update_elem(map("listeners"), &index, &value, BPF_ANY), 0);
      engine_.push_back(std::move(fd));
      ++index;
    }
    set_settings({0, 1, 1000});
  }

  // Runs the program over the frame; `came_in_on` is skb->ingress_ifindex.
  static Outcome run(const char* program_name, const FrameBytes& frame, uint32_t mark = 0, uint32_t came_in_on = 0) {
    const auto program = kernel::open_pinned(options_.programs_folder() + "/" + program_name);
    EXPECT_TRUE(program) << program_name;
    const auto before = steer::read_counts(map("counts"));
    __sk_buff context{};
    context.mark = mark;
    context.ingress_ifindex = came_in_on;
    context.ifindex = kLoopback;
    __sk_buff after{};
    FrameBytes padded = frame;
    std::vector<uint8_t> out(4096);
    bpf_test_run_opts options{};
    options.sz = sizeof options;
    options.data_in = padded.data();
    options.data_size_in = static_cast<uint32_t>(padded.size());
    options.data_out = out.data();
    options.data_size_out = static_cast<uint32_t>(out.size());
    options.ctx_in = &context;
    options.ctx_size_in = sizeof context;
    options.ctx_out = &after;
    options.ctx_size_out = sizeof after;
    options.repeat = 1;
    EXPECT_EQ(bpf_prog_test_run_opts(program->get(), &options), 0) << strerror(errno);
    Outcome outcome{static_cast<int>(options.retval), after.mark, {}};
    const auto counts = steer::read_counts(map("counts"));
    for (std::size_t i = 0; i < counts->size(); ++i) {
      if ((*counts)[i] != (*before)[i] && steer::kReasons[i].kind != steer::ReasonClass::kNotice) {
        outcome.reason += (outcome.reason.empty() ? "" : "+") + std::string(steer::kReasons[i].name);
      }
    }
    return outcome;
  }
  static void expect(const Outcome& outcome, int verdict, uint32_t mark, const char* reason, const char* what) {
    EXPECT_EQ(outcome.verdict, verdict) << what;
    EXPECT_EQ(outcome.mark, mark) << what;
    EXPECT_EQ(outcome.reason, reason) << what;
  }

  // A packet without an Ethernet header.  The kernel's test run takes the EtherType from bytes 12 and 13 all the same: here they
  // are the first two of the IPv4 source, which therefore begins with 8.0.
  static FrameBytes bare_syn4() {
    Ipv4 header;
    header.source = "8.0.1.2";
    return header.with(tcp(40000, 5432, kSyn));
  }
  static FrameBytes syn4(unsigned port = 5432) { return ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, port, kSyn))); }
  static FrameBytes syn6(unsigned port = 5432) { return ethernet(kIpv6Type, Ipv6{}.with(tcp(40000, port, kSyn))); }
  static Ipv4 from_target4() {
    Ipv4 header;
    std::swap(header.source, header.destination);
    return header;
  }
  static Ipv6 from_target6() {
    Ipv6 header;
    std::swap(header.source, header.destination);
    return header;
  }

  static inline std::string folder_;
  static inline Config config_;
  static inline steer::Options options_;
  static inline TargetConfig target_;
  std::vector<kernel::Fd> engine_;
};

}  // namespace weir::bpf_test

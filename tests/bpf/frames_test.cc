// The programs themselves, with raw frames (BPF_PROG_TEST_RUN): what a device that cannot be made here would deliver too, such
// as VLAN tags.  In a mount and a network namespace of its own; needs root.
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
namespace {

constexpr uint32_t kSteered = 0x57450000, kUpstream = 0x57460000, kClientLeg = 0x57470000, kReset = 0x57480000;
constexpr int kNext = -1, kPass = 0, kDrop = 2;
constexpr uint32_t kLoopback = 1;

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
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    for (const char* name : {"prefixes", "targets", "addresses", "networks", "flows"}) empty(name);
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
    auto& fd = open[name];
    if (!fd) fd = std::move(*kernel::open_pinned(options_.maps_folder() + "/" + name));
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

TEST_F(Frames, WhatIsNotTargetBoundIsUntouched) {
  Ipv4 elsewhere;
  elsewhere.destination = "198.18.2.3";
  Ipv6 elsewhere6;
  elsewhere6.destination = "fd57:2::3";
  expect(run("steer_client", ethernet(kIpv4Type, elsewhere.with(tcp(40000, 5432, kSyn))), 0x77), kNext, 0x77, "not_target", "another host");
  expect(run("steer_client", ethernet(kIpv6Type, elsewhere6.with(tcp(40000, 5432, kSyn))), 0x77), kNext, 0x77, "not_target", "another host, IPv6");
  expect(run("steer_client", ethernet(kArpType, FrameBytes(28))), kNext, 0, "not_ip", "ARP");
  expect(run("steer_client", syn4(22)), kNext, 0, "other_port", "another port");
  Ipv4 fragment = elsewhere;
  fragment.fragment = 0x2000;
  expect(run("steer_client", ethernet(kIpv4Type, fragment.with(udp(1, 2)))), kNext, 0, "not_target", "a fragment to another host");
}

TEST_F(Frames, NoEngineMeansAResetOrNothing) {
  bind("198.18.1.2", 7);
  bind("fd57:1::2", 8);
  expect(run("steer_client", syn4()), kPass, kReset, "engine_away", "IPv4");
  expect(run("steer_client", syn6()), kPass, kReset, "engine_away", "IPv6");
  TargetConfig target = target_;
  target.closed_answer = ClosedAnswer::kDrop;
  write(target);
  expect(run("steer_client", syn4()), kDrop, 0, "engine_away", "closed_answer: drop");
  target.on_engine_failure = OnFailure::kOpen;
  write(target);
  expect(run("steer_client", syn4()), kNext, 0, "fail_open", "on_failure: open");
}

TEST_F(Frames, ASynOfABoundSourceIsMarkedAndOtherBitsOfTheMarkStay) {
  open_engine();
  bind("198.18.1.2", 7);
  bind("fd57:1::2", 8);
  expect(run("steer_client", syn4(), 0x000000ab), kPass, kSteered | 0xab, "syn", "IPv4");
  expect(run("steer_client", syn6()), kPass, kSteered, "syn", "IPv6");
  Ipv4 options;
  options.options = 40;
  expect(run("steer_client", ethernet(kIpv4Type, options.with(tcp(40000, 5432, kSyn)))), kPass, kSteered, "syn", "IPv4 options");
  Ipv6 chain;
  chain.next = 60;
  expect(run("steer_client", ethernet(kIpv6Type, chain.with(joined(extension(6), tcp(40000, 5432, kSyn))))), kPass, kSteered, "syn", "extension header");
  bind("8.0.1.2", 9);
  expect(run("steer_client_l3", bare_syn4()), kPass, kSteered, "syn", "no Ethernet header");
}

TEST_F(Frames, TagsDoNotHideATarget) {
  open_engine();
  bind("198.18.1.2", 7);
  const FrameBytes inner = Ipv4{}.with(tcp(40000, 5432, kSyn));
  expect(run("steer_client", ethernet(kIpv4Type, inner, {{kVlanType, 7}})), kPass, kSteered, "syn", "VLAN");
  expect(run("steer_client", ethernet(kIpv4Type, inner, {{kQinqType, 100}, {kVlanType, 7}})), kPass, kSteered, "syn", "QinQ");
  expect(run("steer_client", ethernet(kIpv4Type, inner, std::vector<Tag>(5, Tag{kVlanType, 7}))), kDrop, 0, "vlan_tags", "five tags");
  expect(run("guard", ethernet(kIpv4Type, inner, {{kVlanType, 7}}), 0, kLoopback), kDrop, 0, "guard_foreign", "VLAN at the guard");
  expect(run("guard", ethernet(kIpv4Type, inner, {{kQinqType, 1}, {kVlanType, 7}}), 0, kLoopback), kDrop, 0, "guard_foreign", "QinQ at the guard");
  expect(run("guard", ethernet(kIpv4Type, inner, std::vector<Tag>(5, Tag{kVlanType, 7}))), kDrop, 0, "vlan_tags", "five tags at the guard");
}

TEST_F(Frames, ABindingTiedToItsLinkHoldsThereOnly) {
  open_engine();
  TargetConfig target = target_;
  target.unbound = Unbound::kDrop;
  write(target);
  const weir_addr key = steer::to_abi(*Address::parse("198.18.1.2"));
  weir_binding value{};
  value.id = 7;
  value.checks = WEIR_BINDING_VLAN | WEIR_BINDING_MAC | WEIR_BINDING_INTERFACE;
  value.vlan = 7;
  value.interface = kLoopback;
  const uint8_t mac[6] = {2, 0, 0, 0, 0, 2};  // The frame maker's source.
  std::copy(std::begin(mac), std::end(mac), value.mac);
  ASSERT_EQ(bpf_map_update_elem(map("addresses"), &key, &value, BPF_ANY), 0);
  const FrameBytes inner = Ipv4{}.with(tcp(40000, 5432, kSyn));
  expect(run("steer_client", ethernet(kIpv4Type, inner, {{kVlanType, 7}})), kPass, kSteered, "syn", "as bound");
  expect(run("steer_client", ethernet(kIpv4Type, inner, {{kVlanType, 8}})), kDrop, 0, "unbound", "another VLAN");
  expect(run("steer_client", ethernet(kIpv4Type, inner)), kDrop, 0, "unbound", "no VLAN");
  FrameBytes other_mac = ethernet(kIpv4Type, inner, {{kVlanType, 7}});
  other_mac[11] = 99;
  expect(run("steer_client", other_mac), kDrop, 0, "unbound", "another MAC");
}

TEST_F(Frames, UnboundSourcesGetTheTargetsAnswer) {
  open_engine();
  TargetConfig target = target_;
  expect(run("steer_client", syn4()), kPass, kSteered, "syn", "explain");
  target.unbound = Unbound::kReset;
  write(target);
  expect(run("steer_client", syn4()), kPass, kReset, "unbound_reset", "reset");
  target.unbound = Unbound::kDrop;
  write(target);
  expect(run("steer_client", syn4()), kDrop, 0, "unbound", "drop");
  target.admit = Admit::kCredential;
  write(target);
  expect(run("steer_client", syn4()), kPass, kSteered, "syn", "credential on the wire");
}

TEST_F(Frames, ExpiryIsCheckedHere) {
  open_engine();
  TargetConfig target = target_;
  target.unbound = Unbound::kDrop;
  write(target);
  bind("198.18.1.2", 7, kernel::boot_time_ns() + 60'000'000'000u);
  expect(run("steer_client", syn4()), kPass, kSteered, "syn", "not yet");
  bind("198.18.1.2", 7, kernel::boot_time_ns() - 1);
  expect(run("steer_client", syn4()), kDrop, 0, "unbound", "ended");
  const weir_flow_key key = key_of("198.18.1.2", 40000, "198.18.2.2", 5432);
  put_flow(key, 7);
  expect(run("steer_client", ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, 5432, kAck)))), kDrop, 0, "binding_gone", "a flow that lives");
}

TEST_F(Frames, NetworksBindPrefixes) {
  open_engine();
  TargetConfig target = target_;
  target.unbound = Unbound::kDrop;
  write(target);
  const weir_prefix_key key = steer::to_abi(*Prefix::parse("198.18.1.0/24"));
  weir_binding value{};
  value.id = 9;
  ASSERT_EQ(bpf_map_update_elem(map("networks"), &key, &value, BPF_ANY), 0);
  expect(run("steer_client", syn4()), kPass, kSteered, "syn", "in the prefix");
  Ipv4 outside;
  outside.source = "198.18.3.2";
  expect(run("steer_client", ethernet(kIpv4Type, outside.with(tcp(1, 5432, kSyn)))), kDrop, 0, "unbound", "outside");
}

TEST_F(Frames, AFlowBelongsToTheBindingThatAdmittedIt) {
  open_engine();
  bind("198.18.1.2", 7);
  const weir_flow_key key = key_of("198.18.1.2", 40000, "198.18.2.2", 5432);
  const FrameBytes data = ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, 5432, kAck | kPsh, 5)));
  put_flow(key, 7);
  expect(run("steer_client", data), kPass, kSteered, "flow", "as admitted");
  bind("198.18.1.2", 8);
  expect(run("steer_client", data), kDrop, 0, "binding_other", "bound anew to somebody else");
  bind("198.18.1.2", 7);
  put_flow(key, 7, true);
  expect(run("steer_client", data), kDrop, 0, "cut", "cut");
}

TEST_F(Frames, WhatCannotBeReadDoesNotPass) {
  open_engine();
  bind("198.18.1.2", 7);
  bind("fd57:1::2", 8);
  Ipv4 header;
  header.fragment = 0x2000;
  expect(run("steer_client", ethernet(kIpv4Type, header.with(tcp(40000, 5432, kSyn)))), kDrop, 0, "fragment", "first fragment");
  header.fragment = 0x0003;
  expect(run("steer_client", ethernet(kIpv4Type, header.with(FrameBytes(64)))), kDrop, 0, "fragment", "later fragment");
  Ipv6 six;
  six.next = 44;
  expect(run("steer_client", ethernet(kIpv6Type, six.with(joined(fragment_header(6, 1), tcp(1, 5432, kSyn))))), kDrop, 0, "fragment", "IPv6 fragment");
  expect(run("steer_client", ethernet(kIpv4Type, Ipv4{}.with(FrameBytes(12)))), kDrop, 0, "unreadable", "half a TCP header");
  six.next = 60;
  FrameBytes chain;
  for (int i = 0; i < 12; ++i) append(chain, extension(60));
  expect(run("steer_client", ethernet(kIpv6Type, six.with(chain))), kDrop, 0, "unreadable", "too many extension headers");
  Ipv6 mapped;
  mapped.destination = "::ffff:198.18.2.2";
  expect(run("steer_client", ethernet(kIpv6Type, mapped.with(tcp(1, 5432, kSyn)))), kDrop, 0, "mapped_address", "IPv4-mapped");
  Ipv4 quic;
  quic.protocol = 17;
  expect(run("steer_client", ethernet(kIpv4Type, quic.with(udp(40000, 5432)))), kDrop, 0, "udp", "UDP to the port");
  expect(run("steer_client", ethernet(kIpv4Type, quic.with(udp(40000, 4789)))), kDrop, 0, "tunnel", "VXLAN");
  Ipv4 gre;
  gre.protocol = 47;
  expect(run("steer_client", ethernet(kIpv4Type, gre.with(FrameBytes(40)))), kDrop, 0, "tunnel", "GRE");
  gre.protocol = 4;
  expect(run("steer_client", ethernet(kIpv4Type, gre.with(Ipv4{}.with(tcp(1, 5432, kSyn))))), kDrop, 0, "tunnel", "IPIP");
  Ipv4 ping;
  ping.protocol = 1;
  expect(run("steer_client", ethernet(kIpv4Type, ping.with(icmp(8)))), kDrop, 0, "icmp", "ping");
}

TEST_F(Frames, UnknownMidstreamPacketsAreResetOrDropped) {
  open_engine();
  bind("198.18.1.2", 7);
  expect(run("steer_client", ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, 5432, kAck)))), kPass, kReset, "midstream_reset", "ACK");
  expect(run("steer_client", ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, 5432, kRst)))), kDrop, 0, "midstream", "RST");
  expect(run("steer_client", ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, 5432, kSyn | kAck)))), kPass, kReset, "midstream_reset", "SYN-ACK");
  set_settings({kernel::boot_time_ns() + 60'000'000'000u, 1, 1000});
  expect(run("steer_client", ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, 5432, kAck)))), kNext, 0, "drained", "drain");
  expect(run("guard", ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, 5432, kAck))), 0, kLoopback), kNext, 0, "drained", "the guard lets it out");
  expect(run("steer_client", syn4()), kPass, kSteered, "syn", "a new connection of that tuple is steered all the same");
  expect(run("guard", ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, 5432, kAck))), 0, kLoopback), kDrop, 0, "guard_foreign", "and no longer drains");
}

TEST_F(Frames, TargetsReachOnlyASocketOfOurs) {
  expect(run("steer_target", ethernet(kIpv4Type, from_target4().with(tcp(5432, 40000, kAck, 100)))), kDrop, 0, "return_no_socket", "no socket");
  expect(run("steer_target", ethernet(kIpv6Type, from_target6().with(tcp(5432, 40000, kAck, 100)))), kDrop, 0, "return_no_socket", "no socket, IPv6");
  expect(run("steer_target", ethernet(kIpv4Type, from_target4().with(tcp(5432, 40000, kSyn)))), kDrop, 0, "return_syn", "a call back");
  Ipv4 udp_header = from_target4();
  udp_header.protocol = 17;
  expect(run("steer_target", ethernet(kIpv4Type, udp_header.with(udp(5432, 40000)))), kDrop, 0, "return_udp", "UDP");
  Ipv4 fragment = from_target4();
  fragment.fragment = 0x2000;
  expect(run("steer_target", ethernet(kIpv4Type, fragment.with(tcp(5432, 40000, kAck)))), kDrop, 0, "return_fragment", "fragment");
  expect(run("steer_target", ethernet(kIpv4Type, from_target4().with(tcp(22, 40000, kAck)))), kNext, 0, "other_port", "another port");
  expect(run("steer_target", ethernet(kIpv4Type, from_target4().with(tcp(5432, 40000, kAck)), {{kVlanType, 3}})), kDrop, 0, "return_no_socket", "tagged");
}

TEST_F(Frames, AHostListenerOnTheClientsPortIsNoSocketOfOurs) {
  // On loopback the "client" can be this host: the look-up finds a listener, or a connection without our mark.
  kernel::Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage address{};
  socklen_t size = kernel::to_sockaddr({*Address::parse("127.0.0.1"), 0}, address);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  Ipv4 header;
  header.source = "198.18.2.2";
  header.destination = "127.0.0.1";
  const unsigned port = kernel::from_sockaddr(address).port;
  expect(run("steer_target", ethernet(kIpv4Type, header.with(tcp(5432, port, kAck)))), kDrop, 0, "return_listener", "a listener");
}

TEST_F(Frames, GuardLetsOnlyTheEnginesMarkOut) {
  const FrameBytes data = ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, 5432, kAck | kPsh, 5)));
  expect(run("guard", data, kUpstream), kNext, kUpstream, "sent", "the engine's");
  expect(run("guard", data, kUpstream | 0xab), kNext, kUpstream | 0xab, "sent", "the engine's, with bits of others");
  expect(run("guard", data, 0), kDrop, 0, "guard_foreign", "no mark");
  expect(run("guard", data, kSteered, kLoopback), kDrop, kSteered, "guard_foreign", "steered, its rule gone: forwarded");
  expect(run("guard", data, kReset, kLoopback), kDrop, kReset, "guard_foreign", "to be reset, nftables gone: forwarded");
  expect(run("guard", data, kClientLeg), kDrop, kClientLeg, "guard_foreign", "the other leg's mark");
  expect(run("guard", ethernet(kIpv6Type, Ipv6{}.with(tcp(40000, 5432, kAck)))), kDrop, 0, "guard_foreign", "IPv6");
  expect(run("guard_l3", bare_syn4()), kDrop, 0, "guard_foreign", "no Ethernet header");
  Ipv4 elsewhere;
  elsewhere.destination = "198.18.2.3";
  expect(run("guard", ethernet(kIpv4Type, elsewhere.with(tcp(40000, 5432, kAck)))), kNext, 0, "", "not target-bound");
}

TEST_F(Frames, GuardHoldsCutsBothWays) {
  bind("198.18.1.2", 7);
  const weir_flow_key key = key_of("198.18.1.2", 40000, "198.18.2.2", 5432);
  const FrameBytes to_target = ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, 5432, kAck, 5)));
  const FrameBytes to_client = ethernet(kIpv4Type, from_target4().with(tcp(5432, 40000, kAck, 5)));
  put_flow(key, 7);
  expect(run("guard", to_target, kUpstream), kNext, kUpstream, "sent", "to the target");
  expect(run("guard", to_client, kClientLeg), kNext, kClientLeg, "answered", "to the client");
  put_flow(key, 7, true);
  expect(run("guard", to_target, kUpstream), kDrop, kUpstream, "guard_cut", "cut, to the target");
  expect(run("guard", to_client, kClientLeg), kDrop, kClientLeg, "guard_cut", "cut, to the client");
  expect(run("guard", ethernet(kIpv4Type, from_target4().with(tcp(5432, 40000, kRst))), kClientLeg), kNext, kClientLeg, "answered", "a bare RST");
  expect(run("guard", ethernet(kIpv4Type, from_target4().with(tcp(5432, 40000, kRst, 5))), kClientLeg), kDrop, kClientLeg, "guard_cut", "a RST with bytes");
  put_flow(key, 6);
  expect(run("guard", to_client, kClientLeg), kDrop, kClientLeg, "guard_cut", "bound to somebody else meanwhile");
  empty("addresses");
  expect(run("guard", to_target, kUpstream), kDrop, kUpstream, "guard_cut", "the binding is gone");
}

TEST_F(Frames, GuardForwardsNothingOfATarget) {
  const FrameBytes raw = ethernet(kIpv4Type, from_target4().with(tcp(5432, 40000, kAck, 5)));
  expect(run("guard", raw, 0, kLoopback), kDrop, 0, "guard_forwarded", "forwarded");
  expect(run("guard", raw, 0, 0), kNext, 0, "answered", "of this host");
  Ipv4 other = from_target4();
  expect(run("guard", ethernet(kIpv4Type, other.with(tcp(22, 40000, kAck))), 0, kLoopback), kNext, 0, "other_port", "another port");
}

TEST_F(Frames, OverlappingTargetsKeepTheirPorts) {
  TargetConfig wide, narrow;
  wide.addresses = {*Prefix::parse("198.18.0.0/16")};
  wide.ports = {22};
  narrow.addresses = {*Prefix::parse("198.18.2.2")};
  narrow.ports = {5432};
  narrow.other_ports_drop = true;
  const TargetConfig both[] = {wide, narrow};
  ASSERT_TRUE(steer::write_target_map(map("prefixes"), map("targets"), steer::compile_targets(both)));
  expect(run("steer_client", syn4(22)), kPass, kReset, "engine_away", "the wide target's port at the narrow one's address");
  expect(run("steer_client", syn4(5432)), kPass, kReset, "engine_away", "the narrow target's port");
  expect(run("steer_client", syn4(80)), kDrop, 0, "other_port", "other_ports: drop");
  Ipv4 elsewhere;
  elsewhere.destination = "198.18.9.9";
  expect(run("steer_client", ethernet(kIpv4Type, elsewhere.with(tcp(1, 22, kSyn)))), kPass, kReset, "engine_away", "elsewhere in the prefix");
  expect(run("steer_client", ethernet(kIpv4Type, elsewhere.with(tcp(1, 5432, kSyn)))), kNext, 0, "other_port", "the narrow port elsewhere");
}

TEST_F(Frames, NoticesAreRateLimitedAndTheRestCounted) {
  std::vector<std::string> seen;
  auto notices = steer::DropNotices::open(config_, [&](const steer::DropNotice& notice) {
    seen.push_back(std::string(notice.reason) + " " + notice.source.text() + " " + notice.destination.text());
  });
  ASSERT_TRUE(notices) << notices.error().message;
  (*notices)->handle();
  seen.clear();
  set_settings({0, 0, 5});
  const weir_notice_rate none{};
  const uint32_t zero = 0;
  ASSERT_EQ(bpf_map_update_elem(map("notice_rates"), &zero, &none, BPF_ANY), 0);
  const auto before = steer::read_counts(map("counts"));
  for (int i = 0; i < 50; ++i) run("guard", ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, 5432, kAck))));
  const auto after = steer::read_counts(map("counts"));
  (*notices)->handle();
  const uint64_t suppressed = (*after)[WEIR_NOTICES_SUPPRESSED] - (*before)[WEIR_NOTICES_SUPPRESSED];
  EXPECT_GE(seen.size(), 5u);
  EXPECT_EQ(seen.size() + suppressed, 50u);
  EXPECT_GT(suppressed, 0u);
  EXPECT_EQ(seen.front(), "guard_foreign 198.18.1.2:40000 198.18.2.2:5432");
  EXPECT_EQ((*after)[WEIR_DROP_GUARD_FOREIGN] - (*before)[WEIR_DROP_GUARD_FOREIGN], 50u);
}

TEST_F(Frames, SteeringWritesAndReadsTheSameFlows) {
  auto steering = steer::KernelSteering::open(config_);
  ASSERT_TRUE(steering) << steering.error().message;
  const FlowKey key{{*Address::parse("198.18.1.2"), 40000}, {*Address::parse("198.18.2.2"), 5432}};
  EXPECT_FALSE((*steering)->flow(key));
  EXPECT_FALSE((*steering)->set_session(key, 3));
  put_flow(key_of("198.18.1.2", 40000, "198.18.2.2", 5432), 7);
  ASSERT_TRUE((*steering)->flow(key));
  EXPECT_EQ((*steering)->flow(key)->binding, 7u);
  EXPECT_TRUE((*steering)->set_session(key, 3));
  (*steering)->set_upstream(key, 3, {*Address::parse("198.18.2.1"), 50000});
  EXPECT_EQ((*steering)->cut_session(3), 1u);
  EXPECT_TRUE((*steering)->flow(key)->cut);
  EXPECT_FALSE((*steering)->set_session(key, 4));
  // The target leg has its own source: it is cut with the flow.
  Ipv4 leg;
  leg.source = "198.18.2.1";
  expect(run("guard", ethernet(kIpv4Type, leg.with(tcp(50000, 5432, kAck, 5))), kUpstream), kDrop, kUpstream, "guard_cut", "the alias");
  (*steering)->forget(key, 3);
  EXPECT_FALSE((*steering)->flow(key));
  char any[64];
  EXPECT_NE(bpf_map_get_next_key(map("flows"), nullptr, any), 0);
}

// A client that comes back from the same port needs the entry that the earlier session is about to forget.
TEST_F(Frames, AnEntryThatTheNextConnectionCountsOnIsNotForgotten) {
  auto steering = steer::KernelSteering::open(config_);
  ASSERT_TRUE(steering) << steering.error().message;
  const FlowKey key{{*Address::parse("198.18.1.2"), 40000}, {*Address::parse("198.18.2.2"), 5432}};
  const weir_flow_key abi_key = key_of("198.18.1.2", 40000, "198.18.2.2", 5432);
  put_flow(abi_key, 7);
  ASSERT_TRUE((*steering)->set_session(key, 3));
  ASSERT_TRUE((*steering)->set_session(key, 4));
  (*steering)->forget(key, 3);
  EXPECT_TRUE((*steering)->flow(key)) << "it is session 4's";
  weir_flow flow{};
  ASSERT_EQ(bpf_map_lookup_elem(map("flows"), &abi_key, &flow), 0);
  flow.reopened = 1;  // As a SYN does.
  ASSERT_EQ(bpf_map_update_elem(map("flows"), &abi_key, &flow, BPF_EXIST), 0);
  (*steering)->forget(key, 4);
  ASSERT_TRUE((*steering)->flow(key)) << "a handshake came upon it";
  EXPECT_EQ((*steering)->flow(key)->session, 0u);
  ASSERT_TRUE((*steering)->set_session(key, 5));
  (*steering)->forget(key, 5);
  EXPECT_FALSE((*steering)->flow(key));
}

TEST_F(Frames, ClsactFiltersServeWhereThereIsNoTcx) {
  const auto qdiscs = [] {
    FILE* pipe = popen("tc qdisc show dev lo", "r");
    std::string text(4096, '\0');
    text.resize(fread(text.data(), 1, text.size(), pipe));
    pclose(pipe);
    return text;
  };
  const std::string before = qdiscs();
  const std::string& folder = options_.pin_folder;
  const steer::TcAttachment client{"steer_client", "lo", kLoopback, kernel::TcSide::kIngress, 1};
  const steer::TcAttachment target{"steer_target", "lo", kLoopback, kernel::TcSide::kIngress, 2};
  const steer::TcAttachment guard{"guard", "lo", kLoopback, kernel::TcSide::kEgress, 1};
  for (const auto& what : {guard, client, target}) {
    EXPECT_TRUE(steer::attachment_problem(folder, what, steer::TcKind::kClsact)) << what.program;
    const auto attached = steer::attach(folder, what, steer::TcKind::kClsact);
    ASSERT_TRUE(attached) << attached.error().message;
    EXPECT_FALSE(steer::attachment_problem(folder, what, steer::TcKind::kClsact)) << what.program;
    EXPECT_TRUE(steer::attach(folder, what, steer::TcKind::kClsact)) << "again";
  }
  EXPECT_NE(qdiscs(), before);
  for (const auto& what : {target, client, guard}) {
    EXPECT_TRUE(steer::detach(folder, what, steer::TcKind::kClsact)) << what.program;
    EXPECT_TRUE(steer::attachment_problem(folder, what, steer::TcKind::kClsact)) << what.program;
    EXPECT_TRUE(steer::detach(folder, what, steer::TcKind::kClsact)) << "again";
  }
  EXPECT_EQ(qdiscs(), before);
}

TEST_F(Frames, BindingsAreListedReplacedAndTakenOutById) {
  auto bindings = steer::KernelBindings::open(config_);
  ASSERT_TRUE(bindings) << bindings.error().message;
  const auto soon = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) + std::chrono::hours(1);
  steer::KernelBinding one;
  one.id = 11;
  one.where = *Prefix::parse("198.18.1.2");
  one.until = soon;
  one.vlan = 7;
  steer::KernelBinding two;
  two.id = 12;
  two.where = *Prefix::parse("fd57:1::/64");
  ASSERT_TRUE(bindings->put(one));
  ASSERT_TRUE(bindings->put(two));
  auto all = bindings->list();
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].where, one.where);
  EXPECT_EQ((*all)[0].vlan, one.vlan);
  EXPECT_LE(std::chrono::abs((*all)[0].until - soon), std::chrono::seconds(1));
  EXPECT_EQ((*all)[1].where, two.where);
  EXPECT_EQ((*all)[1].until, std::chrono::sys_seconds{});

  one.id = 13;  // The same address, bound anew.
  const auto gone = bindings->replace({&one, 1});
  ASSERT_TRUE(gone);
  EXPECT_EQ(*gone, (std::vector<uint64_t>{11, 12}));
  all = bindings->list();
  ASSERT_EQ(all->size(), 1u);
  EXPECT_EQ((*all)[0].id, 13u);
  EXPECT_TRUE(*bindings->remove(13));
  EXPECT_FALSE(*bindings->remove(13));
  steer::KernelBinding wrong;
  wrong.where = one.where;
  EXPECT_FALSE(bindings->put(wrong));  // No id.
  wrong.id = 14;
  wrong.until = soon - std::chrono::hours(2);
  EXPECT_FALSE(bindings->put(wrong));  // Over already.
}

}  // namespace
}  // namespace weir::bpf_test

// The guard on every way out, with raw frames.
#include "tests/bpf/frames_fixture.h"

namespace weir::bpf_test {
namespace {

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

TEST_F(Frames, GuardSendsAnAnswerToTheBoundHostAlone) {
  const weir_addr address = steer::to_abi(*Address::parse("198.18.1.2"));
  weir_binding value{};
  value.id = 7;
  value.checks = WEIR_BINDING_MAC | WEIR_BINDING_INTERFACE;
  value.interface = kLoopback;
  const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};  // The frame maker's destination.
  std::copy(std::begin(mac), std::end(mac), value.mac);
  ASSERT_EQ(bpf_map_update_elem(map("addresses"), &address, &value, BPF_ANY), 0);
  put_flow(key_of("198.18.1.2", 40000, "198.18.2.2", 5432), 7);
  FrameBytes answer = ethernet(kIpv4Type, from_target4().with(tcp(5432, 40000, kAck, 5)));
  expect(run("guard", answer, kClientLeg), kNext, kClientLeg, "answered", "to the host that is bound");
  answer[5] = 99;
  expect(run("guard", answer, kClientLeg), kDrop, kClientLeg, "guard_mac", "to who took its place in our neighbour table");
  FrameBytes reset = ethernet(kIpv4Type, from_target4().with(tcp(5432, 40000, kRst)));
  reset[5] = 99;
  expect(run("guard", reset, kClientLeg), kNext, kClientLeg, "answered", "a bare RST tells nothing");
  const FrameBytes to_target = ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, 5432, kAck, 5)));
  expect(run("guard", to_target, kUpstream), kNext, kUpstream, "sent", "the target's MAC is not asked");
}

TEST_F(Frames, GuardForwardsNothingOfATarget) {
  const FrameBytes raw = ethernet(kIpv4Type, from_target4().with(tcp(5432, 40000, kAck, 5)));
  expect(run("guard", raw, 0, kLoopback), kDrop, 0, "guard_forwarded", "forwarded");
  expect(run("guard", raw, 0, 0), kNext, 0, "answered", "of this host");
  Ipv4 other = from_target4();
  expect(run("guard", ethernet(kIpv4Type, other.with(tcp(22, 40000, kAck))), 0, kLoopback), kNext, 0, "other_port", "another port");
}

}  // namespace
}  // namespace weir::bpf_test

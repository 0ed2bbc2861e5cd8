// The programs themselves, with raw frames: what a device that cannot be made here would deliver too, such as VLAN tags.
#include "tests/bpf/frames_fixture.h"

namespace weir::bpf_test {
namespace {

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
  expect(run("steer_client", ethernet(kIpv4Type, inner, {{kVlanType, 8}})), kDrop, 0, "binding_vlan", "another VLAN");
  expect(run("steer_client", ethernet(kIpv4Type, inner)), kDrop, 0, "binding_vlan", "no VLAN");
  expect(run("steer_client", ethernet(kIpv4Type, inner, {{kQinqType, 8}, {kVlanType, 7}})), kDrop, 0, "binding_vlan", "the VLAN within another one");
  FrameBytes other_mac = ethernet(kIpv4Type, inner, {{kVlanType, 7}});
  other_mac[11] = 99;
  expect(run("steer_client", other_mac), kDrop, 0, "binding_mac", "another MAC");
  value.interface = 4711;
  ASSERT_EQ(bpf_map_update_elem(map("addresses"), &key, &value, BPF_ANY), 0);
  expect(run("steer_client", ethernet(kIpv4Type, inner, {{kVlanType, 7}})), kDrop, 0, "binding_interface", "another interface");
  target.unbound = Unbound::kReset;
  write(target);
  expect(run("steer_client", ethernet(kIpv4Type, inner, {{kVlanType, 7}})), kPass, kReset, "binding_interface", "reset");
  target.unbound = Unbound::kExplain;
  write(target);
  expect(run("steer_client", ethernet(kIpv4Type, inner, {{kVlanType, 7}})), kPass, kSteered, "elsewhere", "to be told");
}

TEST_F(Frames, ALiveFlowIsHeldToTheLinkOfItsBinding) {
  open_engine();
  for (const bool is_v6 : {false, true}) {
    const char* client = is_v6 ? "fd57:1::2" : "198.18.1.2";
    const char* server = is_v6 ? "fd57:2::2" : "198.18.2.2";
    const weir_addr key = steer::to_abi(*Address::parse(client));
    weir_binding value{};
    value.id = 7;
    value.checks = WEIR_BINDING_VLAN | WEIR_BINDING_MAC | WEIR_BINDING_INTERFACE;
    value.vlan = WEIR_VLAN_NONE;
    value.interface = kLoopback;
    const uint8_t mac[6] = {2, 0, 0, 0, 0, 2};
    std::copy(std::begin(mac), std::end(mac), value.mac);
    ASSERT_EQ(bpf_map_update_elem(map("addresses"), &key, &value, BPF_ANY), 0);
    const weir_flow_key flow = key_of(client, 40000, server, 5432);
    put_flow(flow, 7);
    const auto packet = [&](unsigned flags, const std::vector<Tag>& tags = {}) {
      return is_v6 ? ethernet(kIpv6Type, Ipv6{}.with(tcp(40000, 5432, flags, 10)), tags) : ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, 5432, flags, 10)), tags);
    };
    expect(run("steer_client", packet(kAck)), kPass, kSteered, "flow", "as bound");
    expect(run("steer_client", packet(kAck, {{kVlanType, 0}})), kPass, kSteered, "flow", "a priority tag");
    expect(run("steer_client", packet(kAck, {{kVlanType, 7}})), kDrop, 0, "binding_vlan", "on a VLAN");
    FrameBytes other = packet(kAck);
    other[11] = 99;
    expect(run("steer_client", other), kDrop, 0, "binding_mac", "from another MAC");
    other = packet(kSyn);
    other[11] = 99;
    expect(run("steer_client", other), kDrop, 0, "binding_mac", "a SYN from another MAC for the tuple of a live flow");
    put_flow(flow, 0);
    other = packet(kAck);
    other[11] = 99;
    expect(run("steer_client", other), kPass, kSteered, "flow", "a flow of nobody, which is told so");
  }
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

TEST_F(Frames, AFlowThatProvesItselfHasAnEndOfItsOwn) {
  open_engine();
  TargetConfig target = target_;
  target.admit = Admit::kCredential;
  write(target);
  const weir_flow_key key = key_of("198.18.1.2", 40000, "198.18.2.2", 5432);
  const auto packet = ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, 5432, kAck)));
  put_flow(key, 0);
  expect(run("steer_client", packet), kPass, kSteered, "flow", "pending, the engine has not looked yet");
  weir_flow flow{};
  ASSERT_EQ(bpf_map_lookup_elem(map("flows"), &key, &flow), 0);
  flow.until_ns = kernel::boot_time_ns() + 60'000'000'000u;
  ASSERT_EQ(bpf_map_update_elem(map("flows"), &key, &flow, BPF_ANY), 0);
  expect(run("steer_client", packet), kPass, kSteered, "flow", "in time");
  flow.until_ns = kernel::boot_time_ns() - 1;
  ASSERT_EQ(bpf_map_update_elem(map("flows"), &key, &flow, BPF_ANY), 0);
  expect(run("steer_client", packet), kDrop, 0, "binding_gone", "no proof came, or it ended");
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

}  // namespace
}  // namespace weir::bpf_test

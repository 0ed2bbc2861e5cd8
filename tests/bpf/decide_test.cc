// decide.h as tables: what each packet meets in each state of the maps.
#include <gtest/gtest.h>

#include "steer/reasons.h"
#include "tests/bpf/decide_on_host.h"
#include "tests/bpf/frame_maker.h"

namespace weir::bpf_test {
namespace {

std::string name_of(uint8_t reason) { return std::string(steer::kReasons[reason].name); }

packet tcp_packet(unsigned flags, unsigned payload = 0) {
  packet result{};
  result.family = 4;
  result.protocol = PROTO_TCP;
  result.shape = PACKET_WHOLE;
  result.tcp_flags = static_cast<uint8_t>(flags);
  result.payload = static_cast<uint16_t>(payload);
  return result;
}
packet other_packet(unsigned protocol, packet_shape shape = PACKET_WHOLE, unsigned destination_port = 0) {
  packet result{};
  result.family = 4;
  result.protocol = static_cast<uint8_t>(protocol);
  result.shape = static_cast<uint8_t>(shape);
  result.destination_port = htons(static_cast<uint16_t>(destination_port));
  return result;
}
packet icmp_packet(unsigned type) {
  packet result = other_packet(PROTO_ICMP);
  result.icmp_type = static_cast<uint8_t>(type);
  return result;
}

void expect(const decision& got, weir_action action, const char* reason, const char* what) {
  EXPECT_EQ(got.action, action) << what;
  EXPECT_EQ(name_of(got.reason), reason) << what;
}

TEST(DecideToTarget, TableOfShapesAndProtocols) {
  struct Row { packet seen; uint32_t prefix_flags; bool is_target_port; weir_action action; const char* reason; };
  const Row rows[] = {
      {tcp_packet(kSyn), 0, true, ACTION_ASK_FLOW, "flow"},
      {tcp_packet(kSyn), 0, false, ACTION_NEXT, "other_port"},
      {tcp_packet(kSyn), WEIR_PREFIX_OTHER_DROP, false, ACTION_DROP, "other_port"},
      {other_packet(PROTO_UDP), 0, true, ACTION_DROP, "udp"},
      {other_packet(PROTO_UDP, PACKET_WHOLE, 53), 0, false, ACTION_NEXT, "other_port"},
      {other_packet(PROTO_UDP, PACKET_WHOLE, 53), WEIR_PREFIX_OTHER_DROP, false, ACTION_DROP, "other_port"},
      {other_packet(PROTO_UDP, PACKET_WHOLE, 4789), 0, false, ACTION_DROP, "tunnel"},
      {other_packet(PROTO_UDP, PACKET_WHOLE, 6081), 0, false, ACTION_DROP, "tunnel"},
      {other_packet(PROTO_GRE), 0, false, ACTION_DROP, "tunnel"},
      {other_packet(PROTO_IPIP), 0, false, ACTION_DROP, "tunnel"},
      {other_packet(PROTO_IPV6), 0, false, ACTION_DROP, "tunnel"},
      {other_packet(PROTO_ESP), 0, false, ACTION_DROP, "tunnel"},
      {other_packet(132 /* SCTP */), 0, false, ACTION_NEXT, "other_protocol"},
      {other_packet(132), WEIR_PREFIX_OTHER_DROP, false, ACTION_DROP, "other_protocol"},
      {other_packet(PROTO_TCP, PACKET_FIRST_FRAGMENT), 0, true, ACTION_DROP, "fragment"},
      {other_packet(PROTO_TCP, PACKET_FRAGMENT), 0, false, ACTION_DROP, "fragment"},
      {other_packet(PROTO_UDP, PACKET_FRAGMENT), 0, false, ACTION_DROP, "fragment"},
      {other_packet(PROTO_TCP, PACKET_UNREADABLE), 0, false, ACTION_DROP, "unreadable"},
      {other_packet(PROTO_TCP, PACKET_MAPPED), 0, true, ACTION_DROP, "mapped_address"},
      {icmp_packet(8), 0, false, ACTION_DROP, "icmp"},
      {icmp_packet(8), WEIR_PREFIX_ICMP_PASS, false, ACTION_NEXT, "icmp"},
      {icmp_packet(3), 0, false, ACTION_ASK_QUOTE, "icmp_error"},
      {icmp_packet(3), WEIR_PREFIX_ICMP_PASS, false, ACTION_ASK_QUOTE, "icmp_error"},
      {icmp_packet(11), 0, false, ACTION_ASK_QUOTE, "icmp_error"},
      {icmp_packet(5 /* redirect: no error of a flow */), 0, false, ACTION_DROP, "icmp"},
  };
  for (const Row& row : rows) {
    const std::string what = "protocol " + std::to_string(row.seen.protocol) + " shape " + std::to_string(row.seen.shape) + " port " +
                             std::to_string(ntohs(row.seen.destination_port)) + " icmp " + std::to_string(row.seen.icmp_type);
    expect(decide_to_target(&row.seen, row.prefix_flags, row.is_target_port), row.action, row.reason, what.c_str());
  }
}

TEST(DecideFlow, TableOfSyns) {
  struct Row { uint32_t flags; binding_state binding; flow_state flow; bool away; weir_action action; const char* reason; weir_flow_change change; };
  constexpr uint32_t kReset = WEIR_TARGET_UNBOUND_RESET, kDrop = WEIR_TARGET_UNBOUND_DROP, kWire = WEIR_TARGET_ADMIT_WIRE;
  const Row rows[] = {
      {0, BINDING_VALID, FLOW_ABSENT, false, ACTION_STEER, "syn", FLOW_KEEP},
      {0, BINDING_VALID, FLOW_LIVE, false, ACTION_STEER, "syn", FLOW_REOPEN},
      {0, BINDING_VALID, FLOW_CUT, false, ACTION_DROP, "cut", FLOW_KEEP},
      {0, BINDING_VALID, FLOW_DRAINS, false, ACTION_STEER, "syn", FLOW_DELETE},
      {0, BINDING_NONE, FLOW_ABSENT, false, ACTION_STEER, "syn", FLOW_KEEP},  // unbound: explain
      {kReset, BINDING_NONE, FLOW_ABSENT, false, ACTION_RESET, "unbound_reset", FLOW_KEEP},
      {kDrop, BINDING_NONE, FLOW_ABSENT, false, ACTION_DROP, "unbound", FLOW_KEEP},
      {kDrop, BINDING_EXPIRED, FLOW_ABSENT, false, ACTION_DROP, "unbound", FLOW_KEEP},
      {0, BINDING_MAC, FLOW_ABSENT, false, ACTION_STEER, "elsewhere", FLOW_KEEP},
      {kDrop, BINDING_INTERFACE, FLOW_ABSENT, false, ACTION_DROP, "binding_interface", FLOW_KEEP},
      {kDrop, BINDING_VLAN, FLOW_ABSENT, false, ACTION_DROP, "binding_vlan", FLOW_KEEP},
      {kReset, BINDING_MAC, FLOW_ABSENT, false, ACTION_RESET, "binding_mac", FLOW_KEEP},
      {kDrop | kWire, BINDING_MAC, FLOW_ABSENT, false, ACTION_STEER, "elsewhere", FLOW_KEEP},
      {0, BINDING_MAC, FLOW_LIVE, false, ACTION_STEER, "elsewhere", FLOW_REOPEN},  // Of nobody: that was pending.
      {0, BINDING_MAC, FLOW_ELSEWHERE, false, ACTION_DROP, "binding_mac", FLOW_KEEP},
      {0, BINDING_MAC, FLOW_CUT, false, ACTION_DROP, "cut", FLOW_KEEP},
      {kDrop | kWire, BINDING_NONE, FLOW_ABSENT, false, ACTION_STEER, "syn", FLOW_KEEP},
      {kReset | kWire, BINDING_NONE, FLOW_ABSENT, false, ACTION_STEER, "syn", FLOW_KEEP},
      {0, BINDING_VALID, FLOW_ABSENT, true, ACTION_RESET, "engine_away", FLOW_KEEP},
      {WEIR_TARGET_CLOSED_DROP, BINDING_VALID, FLOW_ABSENT, true, ACTION_DROP, "engine_away", FLOW_KEEP},
      {WEIR_TARGET_FAIL_OPEN, BINDING_VALID, FLOW_ABSENT, true, ACTION_NEXT, "fail_open", FLOW_KEEP},
      {WEIR_TARGET_FAIL_OPEN, BINDING_VALID, FLOW_ABSENT, false, ACTION_STEER, "syn", FLOW_KEEP},
      {WEIR_TARGET_FAIL_OPEN, BINDING_VALID, FLOW_CUT, true, ACTION_DROP, "cut", FLOW_KEEP},
  };
  const packet syn = tcp_packet(kSyn);
  for (const Row& row : rows) {
    const decision got = decide_flow(&syn, row.flags, row.binding, row.flow, 0, row.away);
    const std::string what = "flags " + std::to_string(row.flags) + " binding " + std::to_string(row.binding) + " flow " + std::to_string(row.flow);
    expect(got, row.action, row.reason, what.c_str());
    EXPECT_EQ(got.flow, row.change) << what;
  }
}

TEST(DecideFlow, TableOfKnownFlows) {
  const packet data = tcp_packet(kAck | kPsh, 10);
  expect(decide_flow(&data, 0, BINDING_VALID, FLOW_LIVE, 0, 0), ACTION_STEER, "flow", "live");
  expect(decide_flow(&data, 0, BINDING_VALID, FLOW_CUT, 0, 0), ACTION_DROP, "cut", "cut");
  expect(decide_flow(&data, 0, BINDING_NONE, FLOW_GONE, 0, 0), ACTION_DROP, "binding_gone", "binding taken away");
  expect(decide_flow(&data, 0, BINDING_VALID, FLOW_OTHER, 0, 0), ACTION_DROP, "binding_other", "address bound to somebody else");
  expect(decide_flow(&data, 0, BINDING_INTERFACE, FLOW_ELSEWHERE, 0, 0), ACTION_DROP, "binding_interface", "on another interface");
  expect(decide_flow(&data, 0, BINDING_VLAN, FLOW_ELSEWHERE, 0, 0), ACTION_DROP, "binding_vlan", "on another VLAN");
  expect(decide_flow(&data, WEIR_TARGET_FAIL_OPEN, BINDING_MAC, FLOW_ELSEWHERE, 0, 1), ACTION_DROP, "binding_mac", "from another MAC");
  expect(decide_flow(&data, 0, BINDING_NONE, FLOW_DRAINS, 1, 0), ACTION_NEXT, "drained", "older than the gateway");
  expect(decide_flow(&data, 0, BINDING_NONE, FLOW_DRAINS, 0, 0), ACTION_ASK_SOCKET, "flow_new", "drain is over");
  expect(decide_flow(&data, 0, BINDING_VALID, FLOW_ABSENT, 0, 0), ACTION_ASK_SOCKET, "flow_new", "unknown");
}

TEST(DecideFlow, ASynWithOtherFlagsBeginsNothing) {
  for (const unsigned flags : {kSyn | kAck, kSyn | kRst}) {
    const packet odd = tcp_packet(flags);
    EXPECT_EQ(decide_flow(&odd, 0, BINDING_VALID, FLOW_ABSENT, 0, 0).action, ACTION_ASK_SOCKET) << flags;
  }
}

TEST(DecideClientSocket, TableOfUnknownFlows) {
  struct Row { unsigned tcp_flags; uint32_t flags; binding_state binding; flow_state flow; socket_state socket; bool drains;
               weir_action action; const char* reason; weir_flow_change change; };
  constexpr uint32_t kReset = WEIR_TARGET_UNBOUND_RESET, kDrop = WEIR_TARGET_UNBOUND_DROP, kClosed = WEIR_TARGET_CLOSED_DROP;
  const Row rows[] = {
      {kAck, 0, BINDING_VALID, FLOW_ABSENT, SOCKET_REQUEST, false, ACTION_STEER, "flow_new", FLOW_CREATE},
      {kAck, 0, BINDING_VALID, FLOW_ABSENT, SOCKET_COOKIE, false, ACTION_STEER, "flow_new", FLOW_CREATE},
      {kAck, 0, BINDING_NONE, FLOW_ABSENT, SOCKET_REQUEST, false, ACTION_STEER, "flow_new", FLOW_CREATE},
      {kAck, kDrop, BINDING_NONE, FLOW_ABSENT, SOCKET_REQUEST, false, ACTION_DROP, "unbound", FLOW_KEEP},
      {kAck, 0, BINDING_MAC, FLOW_ABSENT, SOCKET_REQUEST, false, ACTION_STEER, "elsewhere", FLOW_CREATE},
      {kAck, kDrop, BINDING_MAC, FLOW_ABSENT, SOCKET_COOKIE, false, ACTION_DROP, "binding_mac", FLOW_KEEP},
      {kAck, kReset, BINDING_EXPIRED, FLOW_ABSENT, SOCKET_COOKIE, false, ACTION_RESET, "unbound_reset", FLOW_KEEP},
      {kRst, 0, BINDING_VALID, FLOW_ABSENT, SOCKET_REQUEST, false, ACTION_STEER, "flow_ending", FLOW_KEEP},
      {kAck, 0, BINDING_VALID, FLOW_ABSENT, SOCKET_ENDING, false, ACTION_STEER, "flow_ending", FLOW_KEEP},
      {kAck, 0, BINDING_VALID, FLOW_ABSENT, SOCKET_OPEN, false, ACTION_DROP, "midstream", FLOW_KEEP},
      {kAck, 0, BINDING_VALID, FLOW_ABSENT, SOCKET_LISTENER, false, ACTION_RESET, "midstream_reset", FLOW_KEEP},
      {kAck, 0, BINDING_VALID, FLOW_ABSENT, SOCKET_NONE, false, ACTION_RESET, "midstream_reset", FLOW_KEEP},
      {kAck, kClosed, BINDING_VALID, FLOW_ABSENT, SOCKET_NONE, false, ACTION_DROP, "midstream", FLOW_KEEP},
      {kRst, 0, BINDING_VALID, FLOW_ABSENT, SOCKET_LISTENER, false, ACTION_DROP, "midstream", FLOW_KEEP},
      {kAck, 0, BINDING_NONE, FLOW_ABSENT, SOCKET_LISTENER, true, ACTION_NEXT, "drained", FLOW_CREATE_DRAINING},
      {kAck, 0, BINDING_NONE, FLOW_ABSENT, SOCKET_NONE, true, ACTION_NEXT, "drained", FLOW_CREATE_DRAINING},
      {kAck, 0, BINDING_VALID, FLOW_ABSENT, SOCKET_REQUEST, true, ACTION_STEER, "flow_new", FLOW_CREATE},
      {kAck, 0, BINDING_NONE, FLOW_DRAINS, SOCKET_LISTENER, false, ACTION_RESET, "midstream_reset", FLOW_KEEP},
      {kAck, WEIR_TARGET_FAIL_OPEN, BINDING_NONE, FLOW_ABSENT, SOCKET_NONE, false, ACTION_NEXT, "fail_open", FLOW_KEEP},
      {kAck, WEIR_TARGET_FAIL_OPEN, BINDING_NONE, FLOW_ABSENT, SOCKET_LISTENER, false, ACTION_RESET, "midstream_reset", FLOW_KEEP},
  };
  for (const Row& row : rows) {
    const packet seen = tcp_packet(row.tcp_flags);
    const decision got = decide_client_socket(&seen, row.flags, row.binding, row.flow, row.socket, row.drains);
    const std::string what = "socket " + std::to_string(row.socket) + " flags " + std::to_string(row.flags) + " drains " + std::to_string(row.drains);
    expect(got, row.action, row.reason, what.c_str());
    EXPECT_EQ(got.flow, row.change) << what;
  }
}

TEST(DecideReturn, TableOfShapesAndProtocols) {
  struct Row { packet seen; bool is_target_port; weir_action action; const char* reason; };
  const Row rows[] = {
      {tcp_packet(kAck), true, ACTION_ASK_SOCKET, "return"},
      {tcp_packet(kSyn | kAck), true, ACTION_ASK_SOCKET, "return"},
      {tcp_packet(kSyn), true, ACTION_DROP, "return_syn"},  // A simultaneous open, or a call back.
      {tcp_packet(kAck), false, ACTION_NEXT, "other_port"},
      {other_packet(PROTO_UDP), true, ACTION_DROP, "return_udp"},
      {other_packet(PROTO_UDP), false, ACTION_NEXT, "other_port"},
      {other_packet(PROTO_TCP, PACKET_FRAGMENT), false, ACTION_DROP, "return_fragment"},
      {other_packet(PROTO_TCP, PACKET_FIRST_FRAGMENT), true, ACTION_DROP, "return_fragment"},
      {other_packet(PROTO_UDP, PACKET_FIRST_FRAGMENT), true, ACTION_DROP, "return_udp"},
      {other_packet(PROTO_UDP, PACKET_FRAGMENT), false, ACTION_NEXT, "other_port"},
      {other_packet(PROTO_TCP, PACKET_UNREADABLE), false, ACTION_DROP, "return_unreadable"},
      {other_packet(PROTO_TCP, PACKET_MAPPED), true, ACTION_DROP, "return_unreadable"},
      {icmp_packet(0), false, ACTION_NEXT, "icmp"},
  };
  for (const Row& row : rows) expect(decide_from_target(&row.seen, row.is_target_port), row.action, row.reason, row.reason);
}

TEST(DecideReturn, TableOfSockets) {
  struct Row { uint32_t flags; socket_state socket; flow_state flow; bool drains, away; weir_action action; const char* reason; };
  const Row rows[] = {
      {0, SOCKET_OPEN, FLOW_LIVE, false, false, ACTION_STEER, "return"},
      {0, SOCKET_OPEN, FLOW_ABSENT, false, false, ACTION_STEER, "return"},  // source: gateway, and a cancel request's own connection
      {0, SOCKET_ENDING, FLOW_ABSENT, false, false, ACTION_STEER, "return"},
      {0, SOCKET_OPEN, FLOW_CUT, false, false, ACTION_DROP, "cut"},
      {0, SOCKET_OPEN, FLOW_GONE, false, false, ACTION_DROP, "binding_gone"},
      {0, SOCKET_OPEN, FLOW_OTHER, false, false, ACTION_DROP, "binding_other"},
      {0, SOCKET_NONE, FLOW_LIVE, false, false, ACTION_DROP, "return_no_socket"},
      {0, SOCKET_NONE, FLOW_ABSENT, false, true, ACTION_DROP, "return_no_socket"},
      {0, SOCKET_LISTENER, FLOW_ABSENT, false, false, ACTION_DROP, "return_listener"},
      {0, SOCKET_FOREIGN, FLOW_ABSENT, false, false, ACTION_DROP, "return_foreign"},
      {0, SOCKET_NONE, FLOW_DRAINS, true, false, ACTION_NEXT, "drained"},
      {0, SOCKET_NONE, FLOW_DRAINS, false, false, ACTION_DROP, "return_no_socket"},
      {0, SOCKET_NONE, FLOW_LIVE, true, false, ACTION_DROP, "return_no_socket"},  // Ours: never passed raw, drain or not.
      {WEIR_TARGET_FAIL_OPEN, SOCKET_NONE, FLOW_ABSENT, false, true, ACTION_NEXT, "fail_open"},
      {WEIR_TARGET_FAIL_OPEN, SOCKET_NONE, FLOW_ABSENT, false, false, ACTION_DROP, "return_no_socket"},
  };
  for (const Row& row : rows) expect(decide_return_socket(row.flags, row.socket, row.flow, row.drains, row.away), row.action, row.reason, row.reason);
  EXPECT_EQ(decide_return_socket(0, SOCKET_NONE, FLOW_ABSENT, 1, 0).flow, FLOW_CREATE_DRAINING);
}

TEST(DecideQuote, ErrorsOfOurTuplesAreOurs) {
  expect(decide_quote(0, 1, 1, 0), ACTION_STEER, "icmp_error", "client side");
  expect(decide_quote(1, 1, 1, 0), ACTION_STEER, "icmp_error", "target side");
  expect(decide_quote(0, 1, 0, 0), ACTION_DROP, "icmp", "client side, no flow");
  expect(decide_quote(0, 0, 0, WEIR_PREFIX_ICMP_PASS), ACTION_NEXT, "icmp", "client side, icmp: pass");
  expect(decide_quote(1, 1, 0, 0), ACTION_DROP, "return_icmp", "target side, a target's port and no flow");
  expect(decide_quote(1, 0, 0, 0), ACTION_NEXT, "icmp", "target side, somebody else's");
}

TEST(DecideGuard, TableToTargets) {
  struct Row { packet seen; uint32_t prefix_flags, target_flags; bool is_target_port; guard_sender sender; bool has_socket; flow_state flow;
               bool drains, away; weir_action action; const char* reason; };
  const packet data = tcp_packet(kAck, 10), reset = tcp_packet(kRst | kAck);
  const Row rows[] = {
      {data, 0, 0, true, SENDER_ENGINE, true, FLOW_LIVE, false, false, ACTION_NEXT, "sent"},
      {data, 0, 0, true, SENDER_ENGINE, true, FLOW_ABSENT, false, false, ACTION_NEXT, "sent"},
      {data, 0, 0, true, SENDER_ENGINE, true, FLOW_CUT, false, false, ACTION_DROP, "guard_cut"},
      {data, 0, 0, true, SENDER_ENGINE, true, FLOW_GONE, false, false, ACTION_DROP, "guard_cut"},
      {data, 0, 0, true, SENDER_ENGINE, true, FLOW_OTHER, false, false, ACTION_DROP, "guard_cut"},
      {reset, 0, 0, true, SENDER_ENGINE, true, FLOW_CUT, false, false, ACTION_NEXT, "sent"},
      {data, 0, 0, true, SENDER_FORWARDED, false, FLOW_ABSENT, false, false, ACTION_DROP, "guard_no_socket"},
      {data, 0, 0, true, SENDER_FORWARDED, false, FLOW_LIVE, true, false, ACTION_DROP, "guard_no_socket"},
      {reset, 0, 0, true, SENDER_FORWARDED, false, FLOW_ABSENT, false, false, ACTION_DROP, "guard_no_socket"},
      {data, 0, 0, true, SENDER_LOCAL, true, FLOW_ABSENT, false, false, ACTION_DROP, "guard_foreign"},
      {data, 0, 0, true, SENDER_LOCAL, false, FLOW_ABSENT, false, false, ACTION_DROP, "guard_no_socket"},
      {data, 0, 0, true, SENDER_FORWARDED, false, FLOW_DRAINS, true, false, ACTION_NEXT, "drained"},
      {data, 0, 0, true, SENDER_FORWARDED, false, FLOW_DRAINS, false, false, ACTION_DROP, "guard_no_socket"},
      {data, 0, 0, true, SENDER_LOCAL, true, FLOW_DRAINS, true, false, ACTION_DROP, "guard_foreign"},
      {data, 0, WEIR_TARGET_FAIL_OPEN, true, SENDER_FORWARDED, false, FLOW_ABSENT, false, true, ACTION_NEXT, "fail_open"},
      {data, 0, WEIR_TARGET_FAIL_OPEN, true, SENDER_FORWARDED, false, FLOW_ABSENT, false, false, ACTION_DROP, "guard_no_socket"},
      {other_packet(PROTO_TCP, PACKET_FRAGMENT), 0, 0, false, SENDER_FORWARDED, false, FLOW_ABSENT, false, false, ACTION_DROP, "guard_fragment"},
      {other_packet(PROTO_TCP, PACKET_UNREADABLE), 0, 0, false, SENDER_FORWARDED, false, FLOW_ABSENT, false, false, ACTION_DROP, "guard_unreadable"},
      {other_packet(PROTO_UDP), 0, 0, true, SENDER_FORWARDED, false, FLOW_ABSENT, false, false, ACTION_DROP, "guard_udp"},
      {other_packet(PROTO_UDP, PACKET_WHOLE, 53), 0, 0, false, SENDER_FORWARDED, false, FLOW_ABSENT, false, false, ACTION_NEXT, "other_port"},
      {other_packet(PROTO_UDP, PACKET_WHOLE, 4789), 0, 0, false, SENDER_FORWARDED, false, FLOW_ABSENT, false, false, ACTION_DROP, "guard_tunnel"},
      {tcp_packet(kSyn), WEIR_PREFIX_OTHER_DROP, 0, false, SENDER_FORWARDED, false, FLOW_ABSENT, false, false, ACTION_DROP, "guard_other_port"},
      {tcp_packet(kSyn), WEIR_PREFIX_OTHER_DROP, 0, false, SENDER_LOCAL, true, FLOW_ABSENT, false, false, ACTION_NEXT, "other_port"},
  };
  for (const Row& row : rows) {
    expect(decide_guard_to_target(&row.seen, row.prefix_flags, row.target_flags, row.is_target_port, row.sender, row.has_socket, row.flow, row.drains, row.away),
           row.action, row.reason, row.reason);
  }
}

TEST(DecideGuard, TableFromTargets) {
  struct Row { packet seen; uint32_t flags; bool is_target_port; guard_sender sender; flow_state flow; bool drains, away; weir_action action; const char* reason; };
  const packet data = tcp_packet(kAck, 10), reset = tcp_packet(kRst);
  const Row rows[] = {
      {data, 0, true, SENDER_LOCAL, FLOW_LIVE, false, false, ACTION_NEXT, "answered"},
      {data, 0, true, SENDER_LOCAL, FLOW_ELSEWHERE, false, false, ACTION_DROP, "guard_mac"},
      {reset, 0, true, SENDER_LOCAL, FLOW_ELSEWHERE, false, false, ACTION_NEXT, "answered"},
      {data, 0, true, SENDER_LOCAL, FLOW_CUT, false, false, ACTION_DROP, "guard_cut"},
      {data, 0, true, SENDER_LOCAL, FLOW_GONE, false, false, ACTION_DROP, "guard_cut"},
      {data, 0, true, SENDER_LOCAL, FLOW_OTHER, false, false, ACTION_DROP, "guard_cut"},
      {reset, 0, true, SENDER_LOCAL, FLOW_CUT, false, false, ACTION_NEXT, "answered"},
      {data, 0, true, SENDER_FORWARDED, FLOW_LIVE, false, false, ACTION_DROP, "guard_forwarded"},
      {data, 0, true, SENDER_FORWARDED, FLOW_ABSENT, false, false, ACTION_DROP, "guard_forwarded"},
      {data, 0, true, SENDER_FORWARDED, FLOW_DRAINS, true, false, ACTION_NEXT, "drained"},
      {data, WEIR_TARGET_FAIL_OPEN, true, SENDER_FORWARDED, FLOW_ABSENT, false, true, ACTION_NEXT, "fail_open"},
      {data, 0, false, SENDER_FORWARDED, FLOW_ABSENT, false, false, ACTION_NEXT, "other_port"},
      {other_packet(PROTO_TCP, PACKET_FRAGMENT), 0, false, SENDER_FORWARDED, FLOW_ABSENT, false, false, ACTION_DROP, "guard_forwarded"},
      {other_packet(PROTO_UDP), 0, true, SENDER_FORWARDED, FLOW_ABSENT, false, false, ACTION_DROP, "guard_forwarded"},
  };
  for (const Row& row : rows) {
    expect(decide_guard_from_target(&row.seen, row.flags, row.is_target_port, row.sender, row.flow, row.drains, row.away), row.action, row.reason, row.reason);
  }
}

TEST(DecideBinding, EndsAndTies) {
  weir_binding binding{};
  binding.id = 5;
  EXPECT_EQ(decide_binding(nullptr, 10, 3, WEIR_VLAN_NONE, nullptr), BINDING_NONE);
  EXPECT_EQ(decide_binding(&binding, 10, 3, WEIR_VLAN_NONE, nullptr), BINDING_VALID);
  binding.expires_ns = 11;
  EXPECT_EQ(decide_binding(&binding, 10, 3, WEIR_VLAN_NONE, nullptr), BINDING_VALID);
  EXPECT_EQ(decide_binding(&binding, 11, 3, WEIR_VLAN_NONE, nullptr), BINDING_EXPIRED);
  binding.checks = WEIR_BINDING_INTERFACE;
  binding.interface = 4;
  EXPECT_EQ(decide_binding(&binding, 10, 3, WEIR_VLAN_NONE, nullptr), BINDING_INTERFACE);
  EXPECT_EQ(decide_binding(&binding, 10, 4, WEIR_VLAN_NONE, nullptr), BINDING_VALID);
  binding.checks = WEIR_BINDING_VLAN;
  binding.vlan = 7;
  EXPECT_EQ(decide_binding(&binding, 10, 4, WEIR_VLAN_NONE, nullptr), BINDING_VLAN);
  EXPECT_EQ(decide_binding(&binding, 10, 4, 7, nullptr), BINDING_VALID);
  binding.vlan = WEIR_VLAN_NONE;
  EXPECT_EQ(decide_binding(&binding, 10, 4, 7, nullptr), BINDING_VLAN);
  EXPECT_EQ(decide_binding(&binding, 10, 4, 0, nullptr), BINDING_VALID);  // A priority tag.
  binding.checks = WEIR_BINDING_MAC;
  const uint8_t mac[6] = {2, 0, 0, 0, 0, 2}, other[6] = {2, 0, 0, 0, 0, 3};
  std::memcpy(binding.mac, mac, 6);
  EXPECT_EQ(decide_binding(&binding, 10, 4, 7, mac), BINDING_VALID);
  EXPECT_EQ(decide_binding(&binding, 10, 4, 7, other), BINDING_MAC);
  EXPECT_EQ(decide_binding(&binding, 10, 4, 7, nullptr), BINDING_MAC);
  for (unsigned i = 0; i < 6; ++i) {
    uint8_t near[6];
    std::memcpy(near, mac, 6);
    near[i] = static_cast<uint8_t>(near[i] ^ 1);
    EXPECT_EQ(decide_binding(&binding, 10, 4, 7, near), BINDING_MAC) << i;
  }
}

TEST(DecideFlowLink, AFlowOfABindingIsHeldToItsLink) {
  EXPECT_EQ(decide_flow_link(FLOW_LIVE, 5, BINDING_VALID), FLOW_LIVE);
  for (const auto state : {BINDING_INTERFACE, BINDING_VLAN, BINDING_MAC}) {
    EXPECT_EQ(decide_flow_link(FLOW_LIVE, 5, state), FLOW_ELSEWHERE);
    EXPECT_EQ(decide_flow_link(FLOW_LIVE, 0, state), FLOW_LIVE);  // Pending, or to be told.
    EXPECT_EQ(decide_flow_link(FLOW_CUT, 5, state), FLOW_CUT);
    EXPECT_EQ(decide_flow_link(FLOW_ABSENT, 0, state), FLOW_ABSENT);
  }
}

TEST(DecideFlowLink, AnAnswerGoesToTheBoundHost) {
  const uint8_t mac[6] = {2, 0, 0, 0, 0, 2}, other[6] = {2, 0, 0, 0, 0, 3};
  weir_binding bound{};
  bound.interface = 4;
  std::memcpy(bound.mac, mac, 6);
  EXPECT_EQ(decide_answer_link(FLOW_LIVE, &bound, 4, other), FLOW_LIVE);  // Its MAC is not asked.
  bound.checks = WEIR_BINDING_MAC | WEIR_BINDING_INTERFACE;
  EXPECT_EQ(decide_answer_link(FLOW_LIVE, &bound, 4, mac), FLOW_LIVE);
  EXPECT_EQ(decide_answer_link(FLOW_LIVE, &bound, 4, other), FLOW_ELSEWHERE);
  EXPECT_EQ(decide_answer_link(FLOW_LIVE, &bound, 5, other), FLOW_LIVE);  // Routed another way.
  EXPECT_EQ(decide_answer_link(FLOW_CUT, &bound, 4, other), FLOW_CUT);
  EXPECT_EQ(decide_answer_link(FLOW_LIVE, nullptr, 4, other), FLOW_LIVE);
}

TEST(DecideFlowState, FollowsTheBindingThatAdmittedIt) {
  weir_flow flow{};
  flow.binding = 5;
  weir_binding same{}, other{};
  same.id = 5;
  other.id = 6;
  EXPECT_EQ(decide_flow_state(nullptr, nullptr, 0), FLOW_ABSENT);
  EXPECT_EQ(decide_flow_state(&flow, &same, 0), FLOW_LIVE);
  EXPECT_EQ(decide_flow_state(&flow, &other, 0), FLOW_OTHER);
  EXPECT_EQ(decide_flow_state(&flow, nullptr, 0), FLOW_GONE);
  same.expires_ns = 10;
  EXPECT_EQ(decide_flow_state(&flow, &same, 9), FLOW_LIVE);
  EXPECT_EQ(decide_flow_state(&flow, &same, 10), FLOW_GONE);
  flow.cut = 1;
  EXPECT_EQ(decide_flow_state(&flow, &same, 9), FLOW_CUT);
  weir_flow pending{};
  EXPECT_EQ(decide_flow_state(&pending, nullptr, 0), FLOW_LIVE);
  pending.until_ns = 10;  // A proof is due, or what was proven ends.
  EXPECT_EQ(decide_flow_state(&pending, nullptr, 9), FLOW_LIVE);
  EXPECT_EQ(decide_flow_state(&pending, nullptr, 10), FLOW_GONE);
  pending.kind = WEIR_FLOW_DRAINING;
  EXPECT_EQ(decide_flow_state(&pending, nullptr, 0), FLOW_DRAINS);
}

TEST(DecideBypass, HasAnEndAndItsOwnFlowsAlone) {
  weir_bypass bypass{};
  bypass.id = 7;
  bypass.until_ns = 100;
  EXPECT_TRUE(is_bypass_on(&bypass, 99));
  EXPECT_FALSE(is_bypass_on(&bypass, 100));
  EXPECT_FALSE(is_bypass_on(nullptr, 0));
  EXPECT_TRUE(is_raw_flow(FLOW_ABSENT, 7, &bypass));
  EXPECT_FALSE(is_raw_flow(FLOW_ABSENT, 6, &bypass));  // Of an earlier one.
  EXPECT_FALSE(is_raw_flow(FLOW_ABSENT, 0, &bypass));
  EXPECT_FALSE(is_raw_flow(FLOW_ABSENT, 7, nullptr));
  for (const auto state : {FLOW_LIVE, FLOW_DRAINS, FLOW_CUT, FLOW_GONE, FLOW_OTHER, FLOW_ELSEWHERE}) EXPECT_FALSE(is_raw_flow(state, 7, &bypass)) << state;
}

TEST(DecideCore, IsAFunctionOfTheTupleAndSpreads) {
  weir_addr client{}, target{};
  weir_fold(&client, htonl(0xc6120102));
  weir_fold(&target, htonl(0xc6120202));
  for (const uint32_t cores : {1u, 2u, 3u, 8u}) {
    std::vector<unsigned> hits(cores);
    for (unsigned port = 32768; port < 61000; ++port) {
      const uint32_t core = decide_core(&client, htons(static_cast<uint16_t>(port)), &target, htons(5432), cores);
      ASSERT_LT(core, cores);
      EXPECT_EQ(core, decide_core(&client, htons(static_cast<uint16_t>(port)), &target, htons(5432), cores));
      ++hits[core];
    }
    for (const unsigned count : hits) EXPECT_NEAR(count, (61000.0 - 32768.0) / cores, 0.05 * 28232) << cores;
  }
  EXPECT_EQ(decide_core(&client, 1, &target, 2, 0), 0u);
}

TEST(Reasons, HaveDistinctNamesInTheirClass) {
  for (std::size_t i = 0; i < steer::kReasons.size(); ++i) {
    for (std::size_t j = i + 1; j < steer::kReasons.size(); ++j) {
      EXPECT_FALSE(steer::kReasons[i].name == steer::kReasons[j].name && steer::kReasons[i].kind == steer::kReasons[j].kind) << steer::kReasons[i].name;
    }
  }
}

}  // namespace
}  // namespace weir::bpf_test

/*
 * The one header that kernel and user space share: keys, values, settings, and the list of reasons.
 * Must never include anything but linux/types.h, or hold logic.
 *
 * Addresses are 16 bytes; IPv4 is ::ffff:a.b.c.d, as in core/address.h.  Ports and address words are in network order.
 */
#ifndef WEIR_ABI_H
#define WEIR_ABI_H

#include <linux/types.h>

#ifdef __cplusplus
#define WEIR_ABI_ASSERT(fact) static_assert(fact)
#else
#define WEIR_ABI_ASSERT(fact) _Static_assert(fact, #fact)
#endif

/*
 * Every way through the programs ends in one of these, and is counted under it.  X(NAME, "name in status", class, "meaning")
 * Classes: PASSED not ours and untouched; STEERED given to the engine; SENT the engine's own, let out; DROPPED (a reset that
 * is provoked counts as a drop: nothing of that packet reaches a target).
 */
#define WEIR_REASONS(X)                                                                                                  \
	X(NOT_IP, "not_ip", PASSED, "neither IPv4 nor IPv6")                                                             \
	X(NOT_TARGET, "not_target", PASSED, "no target's address")                                                       \
	X(OTHER_PORT, "other_port", PASSED, "another port of a target, other_ports: pass")                              \
	X(OTHER_PROTOCOL, "other_protocol", PASSED, "another protocol to a target, other_ports: pass")                   \
	X(ICMP, "icmp", PASSED, "ICMP to a target with icmp: pass, or from one")                                         \
	X(DRAINED, "drained", PASSED, "a flow older than the gateway, existing_flows: drain")                            \
	X(BYPASSED, "bypassed", PASSED, "a flow that began while a bypass was on for its target")                       \
	X(FAIL_OPEN, "fail_open", PASSED, "no engine, and the target's on_failure is open")                              \
	X(SYN, "syn", STEERED, "a new connection to a target")                                                           \
	X(FLOW, "flow", STEERED, "a packet of a known flow")                                                             \
	X(FLOW_NEW, "flow_new", STEERED, "the packet that completes a handshake")                                        \
	X(ELSEWHERE, "elsewhere", STEERED, "from a bound address on another interface, VLAN or MAC: unbound, to be told so") \
	X(FLOW_ENDING, "flow_ending", STEERED, "a packet for a socket that is closing, its flow forgotten")              \
	X(RETURN, "return", STEERED, "from a target to the engine's socket")                                             \
	X(ICMP_ERROR, "icmp_error", STEERED, "an ICMP error that quotes a tuple of the engine's")                        \
	X(SENT, "sent", SENT, "the engine's own packet to a target")                                                     \
	X(ANSWERED, "answered", SENT, "the engine's own packet to a client")                                             \
	X(DROP_FRAGMENT, "fragment", DROPPED, "a fragment to a target")                                                  \
	X(DROP_UDP, "udp", DROPPED, "UDP to a target's port (QUIC)")                                                     \
	X(DROP_UNREADABLE, "unreadable", DROPPED, "headers to a target that could not be read")                          \
	X(DROP_TAGS, "vlan_tags", DROPPED, "more VLAN tags than can be read")                                            \
	X(DROP_MAPPED, "mapped_address", DROPPED, "an IPv4-mapped address in an IPv6 header")                            \
	X(DROP_TUNNEL, "tunnel", DROPPED, "a tunnel protocol or port to a target")                                       \
	X(DROP_OTHER_PORT, "other_port", DROPPED, "another port of a target, other_ports: drop")                         \
	X(DROP_OTHER_PROTOCOL, "other_protocol", DROPPED, "another protocol to a target, other_ports: drop")             \
	X(DROP_ICMP, "icmp", DROPPED, "ICMP to a target that quotes no flow, icmp: drop")                                \
	X(DROP_UNBOUND, "unbound", DROPPED, "no identity is bound to the source, unbound: drop")                         \
	X(DROP_UNBOUND_RESET, "unbound_reset", DROPPED, "no identity is bound to the source, unbound: reset")            \
	X(DROP_BINDING_GONE, "binding_gone", DROPPED, "the flow's binding or proof ended, or none came in time")                      \
	X(DROP_BINDING_OTHER, "binding_other", DROPPED, "the source is bound to another identity than the flow")         \
	X(DROP_INTERFACE, "binding_interface", DROPPED, "the source is bound on another interface")                      \
	X(DROP_VLAN, "binding_vlan", DROPPED, "the source is bound on another VLAN")                                     \
	X(DROP_MAC, "binding_mac", DROPPED, "the source is bound to another MAC")                                        \
	X(DROP_CUT, "cut", DROPPED, "the flow was cut")                                                                  \
	X(DROP_FLOWS_FULL, "flows_full", DROPPED, "the flows map is full")                                               \
	X(DROP_MIDSTREAM, "midstream", DROPPED, "a packet in the middle of a flow that nobody knows")                    \
	X(DROP_MIDSTREAM_RESET, "midstream_reset", DROPPED, "the same, answered with a RST (existing_flows: reset)")   \
	X(DROP_ENGINE_AWAY, "engine_away", DROPPED, "no engine listens")                                                 \
	X(DROP_NO_LISTENER, "no_listener", DROPPED, "the engine went away between steering and sk_lookup")               \
	X(DROP_ASSIGN, "assign", DROPPED, "the listener could not be given the connection")                              \
	X(DROP_RETURN_SYN, "return_syn", DROPPED, "a connection attempt from a target's port")                           \
	X(DROP_RETURN_NO_SOCKET, "return_no_socket", DROPPED, "from a target to no socket of the engine")                \
	X(DROP_RETURN_LISTENER, "return_listener", DROPPED, "from a target to a listener of the host")                   \
	X(DROP_RETURN_FOREIGN, "return_foreign", DROPPED, "from a target to a socket that is not the engine's")          \
	X(DROP_RETURN_FRAGMENT, "return_fragment", DROPPED, "a TCP fragment from a target")                              \
	X(DROP_RETURN_UDP, "return_udp", DROPPED, "UDP from a target's port")                                            \
	X(DROP_RETURN_UNREADABLE, "return_unreadable", DROPPED, "headers from a target that could not be read")          \
	X(DROP_RETURN_ICMP, "return_icmp", DROPPED, "an ICMP error that quotes a target's port and no flow")             \
	X(DROP_GUARD_NO_SOCKET, "guard_no_socket", DROPPED, "egress to a target that no socket sent")                    \
	X(DROP_GUARD_FOREIGN, "guard_foreign", DROPPED, "egress to a target by a socket without the engine's mark")      \
	X(DROP_GUARD_FRAGMENT, "guard_fragment", DROPPED, "egress of a TCP fragment that the engine did not send")       \
	X(DROP_GUARD_UDP, "guard_udp", DROPPED, "egress of UDP to a target's port")                                      \
	X(DROP_GUARD_UNREADABLE, "guard_unreadable", DROPPED, "egress to a target that could not be read")               \
	X(DROP_GUARD_OTHER_PORT, "guard_other_port", DROPPED, "egress to another port of a target, other_ports: drop")   \
	X(DROP_GUARD_TUNNEL, "guard_tunnel", DROPPED, "egress of a forwarded tunnel packet to a target")                 \
	X(DROP_GUARD_FORWARDED, "guard_forwarded", DROPPED, "egress of a target's packet that was forwarded")            \
	X(DROP_GUARD_CUT, "guard_cut", DROPPED, "egress of the engine's packet of a flow that was cut or unbound")       \
	X(DROP_GUARD_MAC, "guard_mac", DROPPED, "egress of a flow's answer to another MAC than its binding's")           \
	X(NOTICES_SUPPRESSED, "notices_suppressed", NOTICE, "drop notices over the rate or the ring's size")

enum weir_reason {
#define X(name, text, class_, meaning) WEIR_##name,
	WEIR_REASONS(X)
#undef X
	WEIR_REASON_COUNT
};

struct weir_addr {
	__u32 words[4];
};

/* prefixes: which addresses are a target's.  `bits` of the 16-byte form. */
struct weir_prefix_key {
	__u32 bits;
	struct weir_addr addr;
};
#define WEIR_PREFIX_OTHER_DROP 1 /* other_ports: drop */
#define WEIR_PREFIX_ICMP_PASS 2
struct weir_prefix {
	__u32 group; /* Into targets; a new number each time targets are written. */
	__u32 flags;
};

/* targets: which ports of a group of addresses are a target's. */
struct weir_target_key {
	__u32 group;
	__be16 port;
	__u16 zero;
};
#define WEIR_TARGET_ADMIT_WIRE 1    /* admit: credential or either: an unbound source may prove itself to the engine */
#define WEIR_TARGET_UNBOUND_RESET 2 /* neither: explain (the engine answers) */
#define WEIR_TARGET_UNBOUND_DROP 4
#define WEIR_TARGET_CLOSED_DROP 8 /* closed_answer: drop */
#define WEIR_TARGET_FAIL_OPEN 16  /* on_failure.engine: open */
struct weir_target {
	__u32 flags;
	__u32 index; /* In the configuration, for people. */
};

/* addresses, networks: who is bound where.  What is checked and does not fit makes the source unbound. */
#define WEIR_BINDING_INTERFACE 1
#define WEIR_BINDING_VLAN 2
#define WEIR_BINDING_MAC 4
#define WEIR_VLAN_NONE 0xffff
struct weir_binding {
	__u64 id;         /* Never 0. */
	__u64 expires_ns; /* CLOCK_BOOTTIME; 0: never. */
	__u32 interface; /* That packets come in on: one of steer.clients. */
	__u16 vlan;      /* Outermost tag in the frame, or WEIR_VLAN_NONE. */
	__u8 mac[6];     /* Of the host itself, where it is on link. */
	__u32 checks; /* WEIR_BINDING_* */
	__u32 zero;
};

/* flows: one TCP connection; both legs have this tuple. */
struct weir_flow_key {
	struct weir_addr client, target;
	__be16 client_port, target_port;
};
enum weir_flow_kind {
	WEIR_FLOW_STEERED = 0,
	WEIR_FLOW_DRAINING = 1, /* Older than the gateway; passed until settings.drain_until_ns. */
	WEIR_FLOW_ALIAS = 2,    /* The target leg of a flow, where it has a tuple of its own. */
};
struct weir_flow {
	__u64 binding; /* 0: the source was unbound (to be told why not), or proves itself to the engine. */
	__u64 session; /* Written by the engine; 0: not yet. */
	__u64 created_ns;
	__u64 until_ns; /* Written by the engine, CLOCK_BOOTTIME: when a proof is due, then when what was proven ends.  0: by the binding alone. */
	struct weir_addr bound; /* The address whose binding it is. */
	__u32 cut;
	__u16 kind;
	__u16 reopened; /* A SYN came for the tuple while this entry lived: the next connection may count on it. */
};

/* bypasses: a target whose new flows pass raw, by weir_target.index.  It ends by itself, whether or not anybody runs. */
#define WEIR_NAME_MAX 64
struct weir_bypass {
	__u64 id;                 /* Never 0, never reused: flows of an earlier one are not this one's. */
	__u64 until_ns;           /* CLOCK_BOOTTIME */
	char target[WEIR_NAME_MAX]; /* Its name, padded with zeros: indices change with the configuration. */
	/* What passed, added up by steer. */
	__u64 flows;
	__u64 packets_to_target, bytes_to_target; /* Of IP packets. */
	__u64 packets_to_client, bytes_to_client;
};

/* settings, one entry.  All zero (no engine yet): nothing is dispatched, nothing drains. */
struct weir_settings {
	__u64 drain_until_ns; /* CLOCK_BOOTTIME */
	__u32 listener_count; /* Cores. */
	__u32 notices_per_second;
};

/* listeners: 2 * core for IPv4, 2 * core + 1 for IPv6. */
#define WEIR_CORES_MAX 256
#define WEIR_LISTENERS_MAX (2 * WEIR_CORES_MAX)

/* legs: what a socket had counted when it ended. */
struct weir_leg_key {
	struct weir_flow_key flow; /* As the socket has it. */
	__u32 side;                /* 0: client, 1: target (core/unit.h, Side). */
};
struct weir_leg {
	__u64 received, acknowledged, ended_ns;
};

/* notices: one drop. */
struct weir_notice {
	__u64 boot_ns;
	__u32 reason;
	__u32 interface;
	struct weir_addr source, destination;
	__be16 source_port, destination_port;
	__u8 protocol, tcp_flags;
	__u16 zero;
};

/* notice_rates: one second's allowance. */
struct weir_notice_rate {
	__u64 second;
	__u64 count;
};

WEIR_ABI_ASSERT(sizeof(struct weir_addr) == 16);
WEIR_ABI_ASSERT(sizeof(struct weir_prefix_key) == 20);
WEIR_ABI_ASSERT(sizeof(struct weir_prefix) == 8);
WEIR_ABI_ASSERT(sizeof(struct weir_target_key) == 8);
WEIR_ABI_ASSERT(sizeof(struct weir_target) == 8);
WEIR_ABI_ASSERT(sizeof(struct weir_binding) == 40);
WEIR_ABI_ASSERT(sizeof(struct weir_flow_key) == 36);
WEIR_ABI_ASSERT(sizeof(struct weir_flow) == 56);
WEIR_ABI_ASSERT(sizeof(struct weir_bypass) == 120);
WEIR_ABI_ASSERT(sizeof(struct weir_settings) == 16);
WEIR_ABI_ASSERT(sizeof(struct weir_leg_key) == 40);
WEIR_ABI_ASSERT(sizeof(struct weir_leg) == 24);
WEIR_ABI_ASSERT(sizeof(struct weir_notice) == 56);

#endif

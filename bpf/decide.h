/*
 * What becomes of a packet: (packet view, what the maps say) -> action and reason.  Pure, and compiled for the host, where
 * tests/bpf goes through its tables.  The programs only look things up and carry out.
 * Must never: answer NEXT for a packet to a target's port (but for a flow older than the gateway, or on_failure: open).
 */
#ifndef WEIR_DECIDE_H
#define WEIR_DECIDE_H

#include "packet.h"

enum weir_action {
	ACTION_NEXT,       /* Not ours: the next program, then the kernel as ever. */
	ACTION_STEER,      /* Mark: the policy route delivers it to this host. */
	ACTION_RESET,      /* Drop, and the sender gets a RST: marked so that nftables rejects it before it is routed. */
	ACTION_DROP,
	ACTION_ASK_FLOW,   /* Look up binding and flow, then call decide_flow(). */
	ACTION_ASK_SOCKET, /* Look up the tuple's socket, then call decide_*_socket(). */
	ACTION_ASK_QUOTE,  /* Read the quoted tuple, look up its socket, then call decide_quote(). */
};

enum weir_flow_change {
	FLOW_KEEP,
	FLOW_CREATE,
	FLOW_CREATE_DRAINING,
	FLOW_DELETE,
	FLOW_REOPEN,
};

struct decision {
	__u8 action;
	__u8 reason;
	__u8 flow; /* weir_flow_change */
	__u8 zero;
};

enum binding_state {
	BINDING_NONE,
	BINDING_VALID,
	BINDING_EXPIRED,
	/* Bound, but not there: */
	BINDING_INTERFACE,
	BINDING_VLAN,
	BINDING_MAC,
};

enum flow_state {
	FLOW_ABSENT,
	FLOW_LIVE,
	FLOW_DRAINS,
	FLOW_CUT,
	FLOW_GONE,  /* Its binding ended or was taken away. */
	FLOW_OTHER, /* Its source is bound to another identity now. */
	FLOW_ELSEWHERE, /* It lives, but this packet is not from, or not to, where its binding is. */
};

enum socket_state {
	SOCKET_NONE,
	SOCKET_LISTENER, /* For a client's packet: the engine's, by sk_lookup. */
	SOCKET_COOKIE,   /* The same, and the packet's SYN cookie fits. */
	SOCKET_REQUEST,  /* A handshake of ours waits for this packet. */
	SOCKET_OPEN,     /* SYN-SENT to FIN-WAIT: a full socket; towards targets only with the engine's mark. */
	SOCKET_ENDING,   /* LAST-ACK, CLOSING, TIME-WAIT, FIN-WAIT. */
	SOCKET_FOREIGN,  /* Towards targets: without the engine's mark. */
};

#define DECIDE(action_, reason_) ((struct decision){ACTION_##action_, WEIR_##reason_, FLOW_KEEP, 0})
#define DECIDE_FLOW(action_, reason_, flow_) ((struct decision){ACTION_##action_, WEIR_##reason_, (__u8)(flow_), 0})

WEIR_INLINE int is_elsewhere(enum binding_state binding)
{
	return binding == BINDING_INTERFACE || binding == BINDING_VLAN || binding == BINDING_MAC;
}

WEIR_INLINE int is_same_mac(const __u8 *a, const __u8 *b)
{
	return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]) | (a[5] ^ b[5])) == 0;
}

/* `mac`: 0 where frames have none.  A tag with the id 0 gives a priority and no VLAN (IEEE 802.1Q, 9.6). */
WEIR_INLINE enum binding_state decide_binding(const struct weir_binding *binding, __u64 now_ns, __u32 interface, __u16 vlan,
					      const __u8 *mac)
{
	if (!binding)
		return BINDING_NONE;
	if (binding->expires_ns != 0 && binding->expires_ns <= now_ns)
		return BINDING_EXPIRED;
	if ((binding->checks & WEIR_BINDING_INTERFACE) && binding->interface != interface)
		return BINDING_INTERFACE;
	if ((binding->checks & WEIR_BINDING_VLAN) && binding->vlan != (vlan ? vlan : WEIR_VLAN_NONE))
		return BINDING_VLAN;
	if ((binding->checks & WEIR_BINDING_MAC) && (!mac || !is_same_mac(binding->mac, mac)))
		return BINDING_MAC;
	return BINDING_VALID;
}

/* `bound`: the binding that flow->bound has now.  A flow without a binding (pending, credential) ends by cut, or at its own end. */
WEIR_INLINE enum flow_state decide_flow_state(const struct weir_flow *flow, const struct weir_binding *bound, __u64 now_ns)
{
	if (!flow)
		return FLOW_ABSENT;
	if (flow->cut)
		return FLOW_CUT;
	if (flow->kind == WEIR_FLOW_DRAINING)
		return FLOW_DRAINS;
	if (flow->until_ns != 0 && flow->until_ns <= now_ns)
		return FLOW_GONE;
	if (flow->binding == 0)
		return FLOW_LIVE;
	if (!bound || (bound->expires_ns != 0 && bound->expires_ns <= now_ns))
		return FLOW_GONE;
	return bound->id == flow->binding ? FLOW_LIVE : FLOW_OTHER;
}

/* `source`: what decide_binding() says of this packet.  A flow without a binding may come from anywhere. */
WEIR_INLINE enum flow_state decide_flow_link(enum flow_state state, __u64 flow_binding, enum binding_state source)
{
	return state == FLOW_LIVE && flow_binding != 0 && is_elsewhere(source) ? FLOW_ELSEWHERE : state;
}

/* To the client, egress: `mac` is the one that the frame is for, on the interface that it goes out on. */
WEIR_INLINE enum flow_state decide_answer_link(enum flow_state state, const struct weir_binding *bound, __u32 interface, const __u8 *mac)
{
	if (state != FLOW_LIVE || !bound || !(bound->checks & WEIR_BINDING_MAC) || bound->interface != interface)
		return state;
	return is_same_mac(bound->mac, mac) ? FLOW_LIVE : FLOW_ELSEWHERE;
}

/* Why a packet is dropped that is not from where its source is bound; `otherwise` where that is not so. */
WEIR_INLINE __u8 elsewhere_reason(enum binding_state binding, __u8 otherwise)
{
	if (binding == BINDING_INTERFACE)
		return WEIR_DROP_INTERFACE;
	if (binding == BINDING_VLAN)
		return WEIR_DROP_VLAN;
	return binding == BINDING_MAC ? (__u8)WEIR_DROP_MAC : otherwise;
}

WEIR_INLINE int packet_is_syn(const struct packet *packet)
{
	return (packet->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
}

WEIR_INLINE int is_bypass_on(const struct weir_bypass *bypass, __u64 now_ns)
{
	return bypass && now_ns < bypass->until_ns;
}

/* May the packet pass raw?  A flow that the engine has, or that was cut, stays what it is.  `raw`: the bypass that it began in, or 0. */
WEIR_INLINE int is_raw_flow(enum flow_state flow, __u64 raw, const struct weir_bypass *bypass)
{
	return flow == FLOW_ABSENT && bypass && raw != 0 && raw == bypass->id;
}

/* A bare RST tells a peer that its connection ended; it carries nothing. */
WEIR_INLINE int packet_is_bare_reset(const struct packet *packet)
{
	return (packet->tcp_flags & TCP_RST) && packet->payload == 0;
}

/* Client side, ingress.  Pre: the destination is an address of a target. */
WEIR_INLINE struct decision decide_to_target(const struct packet *packet, __u32 prefix_flags, int is_target_port)
{
	switch (packet->shape) {
	case PACKET_MAPPED:
		return DECIDE(DROP, DROP_MAPPED);
	case PACKET_FIRST_FRAGMENT:
	case PACKET_FRAGMENT:
		return DECIDE(DROP, DROP_FRAGMENT);
	case PACKET_WHOLE:
		break;
	default:
		return DECIDE(DROP, DROP_UNREADABLE);
	}
	if (packet->protocol == PROTO_TCP && is_target_port)
		return DECIDE(ASK_FLOW, FLOW);
	if (packet->protocol == PROTO_UDP && is_target_port)
		return DECIDE(DROP, DROP_UDP);
	if (packet_is_icmp(packet)) {
		if (packet_is_icmp_error(packet))
			return DECIDE(ASK_QUOTE, ICMP_ERROR);
		return prefix_flags & WEIR_PREFIX_ICMP_PASS ? DECIDE(NEXT, ICMP) : DECIDE(DROP, DROP_ICMP);
	}
	if (packet_is_tunnel(packet))
		return DECIDE(DROP, DROP_TUNNEL);
	if (packet->protocol == PROTO_TCP || packet->protocol == PROTO_UDP)
		return prefix_flags & WEIR_PREFIX_OTHER_DROP ? DECIDE(DROP, DROP_OTHER_PORT) : DECIDE(NEXT, OTHER_PORT);
	return prefix_flags & WEIR_PREFIX_OTHER_DROP ? DECIDE(DROP, DROP_OTHER_PROTOCOL) : DECIDE(NEXT, OTHER_PROTOCOL);
}

/* An unbound source's packet that would begin a flow: to the engine, which asks for proof or explains, or not at all. */
WEIR_INLINE struct decision decide_unbound(__u32 target_flags, enum binding_state binding, __u8 reason, __u8 flow)
{
	if (is_elsewhere(binding))
		reason = WEIR_ELSEWHERE;
	if (target_flags & WEIR_TARGET_ADMIT_WIRE)
		return (struct decision){ACTION_STEER, reason, flow, 0};
	if (target_flags & WEIR_TARGET_UNBOUND_DROP)
		return (struct decision){ACTION_DROP, elsewhere_reason(binding, WEIR_DROP_UNBOUND), FLOW_KEEP, 0};
	if (target_flags & WEIR_TARGET_UNBOUND_RESET)
		return (struct decision){ACTION_RESET, elsewhere_reason(binding, WEIR_DROP_UNBOUND_RESET), FLOW_KEEP, 0};
	return (struct decision){ACTION_STEER, reason, flow, 0};
}

/* Pre: TCP to a target's port.  `is_engine_away` is asked of SYNs only. */
WEIR_INLINE struct decision decide_flow(const struct packet *packet, __u32 target_flags, enum binding_state binding,
					enum flow_state flow, int is_drain_open, int is_engine_away)
{
	__u8 change;

	if (flow == FLOW_ELSEWHERE) /* Also a SYN: the live connection on that tuple is not to see it. */
		return (struct decision){ACTION_DROP, elsewhere_reason(binding, WEIR_DROP_MAC), FLOW_KEEP, 0};
	if (packet_is_syn(packet)) {
		if (flow == FLOW_CUT)
			return DECIDE(DROP, DROP_CUT);
		if (is_engine_away) {
			if (target_flags & WEIR_TARGET_FAIL_OPEN)
				return DECIDE(NEXT, FAIL_OPEN);
			return target_flags & WEIR_TARGET_CLOSED_DROP ? DECIDE(DROP, DROP_ENGINE_AWAY) : DECIDE(RESET, DROP_ENGINE_AWAY);
		}
		change = flow == FLOW_DRAINS ? FLOW_DELETE : flow == FLOW_LIVE ? FLOW_REOPEN : FLOW_KEEP;
		if (binding != BINDING_VALID)
			return decide_unbound(target_flags, binding, WEIR_SYN, change);
		return DECIDE_FLOW(STEER, SYN, change);
	}
	switch (flow) {
	case FLOW_LIVE:
		return DECIDE(STEER, FLOW);
	case FLOW_CUT:
		return DECIDE(DROP, DROP_CUT);
	case FLOW_GONE:
		return DECIDE(DROP, DROP_BINDING_GONE);
	case FLOW_OTHER:
		return DECIDE(DROP, DROP_BINDING_OTHER);
	case FLOW_DRAINS:
		if (is_drain_open)
			return DECIDE(NEXT, DRAINED);
		break;
	case FLOW_ELSEWHERE:
	case FLOW_ABSENT:
		break;
	}
	return DECIDE(ASK_SOCKET, FLOW_NEW);
}

/* Pre: decide_flow() asked.  `flow` is FLOW_ABSENT, or FLOW_DRAINS after the drain's end. */
WEIR_INLINE struct decision decide_client_socket(const struct packet *packet, __u32 target_flags, enum binding_state binding,
						 enum flow_state flow, enum socket_state socket, int is_drain_open)
{
	switch (socket) {
	case SOCKET_REQUEST:
	case SOCKET_COOKIE:
		if (packet->tcp_flags & TCP_RST) /* The end of a handshake, not its completion. */
			return DECIDE(STEER, FLOW_ENDING);
		if (binding != BINDING_VALID) /* Bound at the SYN perhaps, and no longer. */
			return decide_unbound(target_flags, binding, WEIR_FLOW_NEW, FLOW_CREATE);
		return DECIDE_FLOW(STEER, FLOW_NEW, FLOW_CREATE);
	case SOCKET_ENDING:
		return DECIDE(STEER, FLOW_ENDING);
	case SOCKET_OPEN:
	case SOCKET_FOREIGN:
		return DECIDE(DROP, DROP_MIDSTREAM);
	case SOCKET_NONE:
	case SOCKET_LISTENER:
		break;
	}
	if (is_drain_open && flow == FLOW_ABSENT)
		return DECIDE_FLOW(NEXT, DRAINED, FLOW_CREATE_DRAINING);
	if (socket == SOCKET_NONE && (target_flags & WEIR_TARGET_FAIL_OPEN))
		return DECIDE(NEXT, FAIL_OPEN);
	if ((packet->tcp_flags & TCP_RST) || (socket == SOCKET_NONE && (target_flags & WEIR_TARGET_CLOSED_DROP)))
		return DECIDE(DROP, DROP_MIDSTREAM);
	return DECIDE(RESET, DROP_MIDSTREAM_RESET); /* The peer learns that the old flow is over. */
}

/* Target side, ingress.  Pre: the source is an address of a target. */
WEIR_INLINE struct decision decide_from_target(const struct packet *packet, int is_target_port)
{
	switch (packet->shape) {
	case PACKET_MAPPED:
	case PACKET_UNREADABLE:
		return DECIDE(DROP, DROP_RETURN_UNREADABLE);
	case PACKET_FIRST_FRAGMENT:
	case PACKET_FRAGMENT:
		if (packet->protocol == PROTO_TCP)
			return DECIDE(DROP, DROP_RETURN_FRAGMENT);
		if (packet->protocol == PROTO_UDP && is_target_port)
			return DECIDE(DROP, DROP_RETURN_UDP);
		return DECIDE(NEXT, OTHER_PORT);
	default:
		break;
	}
	if (packet->protocol == PROTO_TCP && is_target_port) {
		if (packet_is_syn(packet))
			return DECIDE(DROP, DROP_RETURN_SYN);
		return DECIDE(ASK_SOCKET, RETURN);
	}
	if (packet->protocol == PROTO_UDP && is_target_port)
		return DECIDE(DROP, DROP_RETURN_UDP);
	if (packet->protocol == PROTO_TCP || packet->protocol == PROTO_UDP)
		return DECIDE(NEXT, OTHER_PORT);
	return packet_is_icmp(packet) ? DECIDE(NEXT, ICMP) : DECIDE(NEXT, OTHER_PROTOCOL);
}

/* Pre: decide_from_target() asked.  `flow` is that of (destination, source). */
WEIR_INLINE struct decision decide_return_socket(__u32 target_flags, enum socket_state socket, enum flow_state flow,
						 int is_drain_open, int is_engine_away)
{
	if (socket == SOCKET_OPEN || socket == SOCKET_ENDING) {
		if (flow == FLOW_CUT)
			return DECIDE(DROP, DROP_CUT);
		if (flow == FLOW_GONE)
			return DECIDE(DROP, DROP_BINDING_GONE);
		if (flow == FLOW_OTHER)
			return DECIDE(DROP, DROP_BINDING_OTHER);
		return DECIDE(STEER, RETURN);
	}
	if (is_drain_open && flow == FLOW_DRAINS)
		return DECIDE(NEXT, DRAINED);
	if (is_drain_open && flow == FLOW_ABSENT)
		return DECIDE_FLOW(NEXT, DRAINED, FLOW_CREATE_DRAINING);
	if (is_engine_away && (target_flags & WEIR_TARGET_FAIL_OPEN))
		return DECIDE(NEXT, FAIL_OPEN);
	if (socket == SOCKET_LISTENER)
		return DECIDE(DROP, DROP_RETURN_LISTENER);
	if (socket == SOCKET_FOREIGN)
		return DECIDE(DROP, DROP_RETURN_FOREIGN);
	return DECIDE(DROP, DROP_RETURN_NO_SOCKET);
}

/* An ICMP error of which the quoted tuple was read (is_quote_ours: it is a target's port, and a connection of ours stands on it). */
WEIR_INLINE struct decision decide_quote(int is_from_target_side, int is_target_port, int is_quote_ours, __u32 prefix_flags)
{
	if (is_quote_ours)
		return DECIDE(STEER, ICMP_ERROR);
	if (is_from_target_side)
		return is_target_port ? DECIDE(DROP, DROP_RETURN_ICMP) : DECIDE(NEXT, ICMP);
	return prefix_flags & WEIR_PREFIX_ICMP_PASS ? DECIDE(NEXT, ICMP) : DECIDE(DROP, DROP_ICMP);
}

enum guard_sender {
	SENDER_FORWARDED, /* It came in on an interface. */
	SENDER_LOCAL,     /* Of this host, by a socket without the engine's mark, or the kernel itself. */
	SENDER_ENGINE,    /* A socket with the engine's upstream mark. */
};

/* Egress.  Pre: the destination is an address of a target. */
WEIR_INLINE struct decision decide_guard_to_target(const struct packet *packet, __u32 prefix_flags, __u32 target_flags,
						   int is_target_port, enum guard_sender sender, int has_socket,
						   enum flow_state flow, int is_drain_open, int is_engine_away)
{
	if (packet->shape == PACKET_MAPPED || packet->shape == PACKET_UNREADABLE)
		return DECIDE(DROP, DROP_GUARD_UNREADABLE);
	if (packet->protocol == PROTO_TCP && packet->shape != PACKET_WHOLE)
		return sender == SENDER_ENGINE ? DECIDE(NEXT, SENT) : DECIDE(DROP, DROP_GUARD_FRAGMENT);
	if (packet->protocol == PROTO_TCP && is_target_port) {
		if (sender == SENDER_ENGINE) {
			if ((flow == FLOW_CUT || flow == FLOW_GONE || flow == FLOW_OTHER) && !packet_is_bare_reset(packet))
				return DECIDE(DROP, DROP_GUARD_CUT);
			return DECIDE(NEXT, SENT);
		}
		if (sender == SENDER_FORWARDED && flow == FLOW_DRAINS && is_drain_open)
			return DECIDE(NEXT, DRAINED);
		if (sender == SENDER_FORWARDED && is_engine_away && (target_flags & WEIR_TARGET_FAIL_OPEN))
			return DECIDE(NEXT, FAIL_OPEN);
		return has_socket ? DECIDE(DROP, DROP_GUARD_FOREIGN) : DECIDE(DROP, DROP_GUARD_NO_SOCKET);
	}
	if (packet->protocol == PROTO_UDP && is_target_port)
		return DECIDE(DROP, DROP_GUARD_UDP);
	if (sender != SENDER_FORWARDED)
		return DECIDE(NEXT, OTHER_PORT);
	if (packet_is_tunnel(packet))
		return DECIDE(DROP, DROP_GUARD_TUNNEL);
	if (prefix_flags & WEIR_PREFIX_OTHER_DROP && !packet_is_icmp(packet))
		return DECIDE(DROP, DROP_GUARD_OTHER_PORT);
	return DECIDE(NEXT, OTHER_PORT);
}

/* Egress.  Pre: the source is an address of a target. */
WEIR_INLINE struct decision decide_guard_from_target(const struct packet *packet, __u32 target_flags, int is_target_port,
						     enum guard_sender sender, enum flow_state flow, int is_drain_open,
						     int is_engine_away)
{
	if (packet->shape != PACKET_WHOLE && packet->protocol == PROTO_TCP)
		return sender == SENDER_FORWARDED ? DECIDE(DROP, DROP_GUARD_FORWARDED) : DECIDE(NEXT, ANSWERED);
	if (!is_target_port || (packet->protocol != PROTO_TCP && packet->protocol != PROTO_UDP))
		return DECIDE(NEXT, OTHER_PORT);
	if (sender == SENDER_FORWARDED) {
		if (packet->protocol == PROTO_TCP && flow == FLOW_DRAINS && is_drain_open)
			return DECIDE(NEXT, DRAINED);
		if (packet->protocol == PROTO_TCP && is_engine_away && (target_flags & WEIR_TARGET_FAIL_OPEN))
			return DECIDE(NEXT, FAIL_OPEN);
		return DECIDE(DROP, DROP_GUARD_FORWARDED);
	}
	if ((flow == FLOW_CUT || flow == FLOW_GONE || flow == FLOW_OTHER) && !packet_is_bare_reset(packet))
		return DECIDE(DROP, DROP_GUARD_CUT);
	if (flow == FLOW_ELSEWHERE && !packet_is_bare_reset(packet))
		return DECIDE(DROP, DROP_GUARD_MAC);
	return DECIDE(NEXT, ANSWERED);
}

/* Which core's listener: a pure function of the tuple, so that a SYN cookie is checked against the listener that made it. */
WEIR_INLINE __u32 decide_core(const struct weir_addr *client, __be16 client_port, const struct weir_addr *target, __be16 target_port,
			      __u32 cores)
{
	__u32 hash = 2166136261u;
	int i;

	for (i = 0; i < 4; i++) {
		hash = (hash ^ client->words[i]) * 16777619u;
		hash = (hash ^ target->words[i]) * 16777619u;
	}
	hash = (hash ^ (((__u32)client_port << 16) | target_port)) * 16777619u;
	/* The multiplications mix upwards only. */
	hash ^= hash >> 16;
	hash *= 0x85ebca6bu;
	hash ^= hash >> 13;
	return cores ? hash % cores : 0;
}

#endif

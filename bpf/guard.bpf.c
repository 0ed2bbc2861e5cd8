/*
 * tc egress on every interface: the last word.  A packet to a target leaves only if a socket with the engine's mark sent it; a
 * packet from a target's port leaves only if this host sent it; neither leaves for a flow that was cut.  It holds with the
 * rule, the route, the listeners and the other programs gone.
 * sock_ops: the byte counts of the engine's sockets at their end, for when the engine could not ask.
 * Must never: depend on anything that user space keeps up to date by running.
 */
#include "notices.h"

WEIR_INLINE int carry_out(struct __sk_buff *skb, const struct packet *packet, const struct decision *decision)
{
	count(decision->reason);
	if (decision->action == ACTION_NEXT)
		return VERDICT_NEXT;
	notice_drop(packet, decision->reason, skb->ifindex);
	return VERDICT_DROP;
}

/* ingress_ifindex is the interface that a forwarded packet came in on; what this host sends has none. */
WEIR_INLINE enum guard_sender find_sender(struct __sk_buff *skb, int *has_socket)
{
	struct bpf_sock *socket = skb->sk;

	*has_socket = socket != 0;
	if (socket && (skb->mark & mark_mask) == mark_upstream)
		return SENDER_ENGINE;
	return skb->ingress_ifindex ? SENDER_FORWARDED : SENDER_LOCAL;
}

/* An answer goes to the host that its flow's binding is tied to, or nowhere: else who poisons our neighbour table reads along. */
WEIR_INLINE enum flow_state find_answered_flow(struct __sk_buff *skb, __u32 offset, const struct weir_flow_key *key)
{
	const struct weir_binding *bound;
	enum flow_state flow = find_flow_and_binding(key, &bound);
	__u8 mac[6] = {};

	if (offset == 0 || !bound || !(bound->checks & WEIR_BINDING_MAC))
		return flow;
	if (bpf_skb_load_bytes(skb, 0, mac, sizeof(mac)) != 0)
		return FLOW_ELSEWHERE;
	return decide_answer_link(flow, bound, skb->ifindex, mac);
}

/* Forwarded, of a flow that a bypass which is on let begin. */
WEIR_INLINE int is_let_raw(const struct packet *packet, const struct weir_target *target, const struct weir_flow_key *key,
			   enum flow_state flow, enum guard_sender sender)
{
	return sender == SENDER_FORWARDED && target && packet->protocol == PROTO_TCP && packet->shape == PACKET_WHOLE &&
	       find_raw(target, key, flow) != 0;
}

WEIR_INLINE int guard_packet(struct __sk_buff *skb, __u32 offset)
{
	const struct weir_prefix *to, *from;
	const struct weir_target *target;
	struct packet packet = {};
	struct weir_flow_key key = {};
	struct decision decision = DECIDE(NEXT, NOT_TARGET);
	enum flow_state flow = FLOW_ABSENT;
	enum guard_sender sender;
	int has_socket, away;

	parse_frame(skb, &packet, offset);
	if (packet.shape == PACKET_NOT_IP)
		return VERDICT_NEXT; /* Counted where it came in. */
	if (packet.shape == PACKET_TAGS) {
		decision = DECIDE(DROP, DROP_TAGS);
		return carry_out(skb, &packet, &decision);
	}
	to = find_prefix(&packet.destination);
	from = find_prefix(&packet.source);
	/* Apart, or clang joins them ("R1 pointer |= pointer prohibited"). */
	asm volatile("" : "+r"(to));
	if (!to && !from)
		return VERDICT_NEXT;
	sender = find_sender(skb, &has_socket);
	if (to) {
		target = find_target(to, packet.destination_port);
		flow_key(&key, &packet.source, packet.source_port, &packet.destination, packet.destination_port);
		if (target && packet.protocol == PROTO_TCP)
			flow = find_flow(&key);
		away = target && (target->flags & WEIR_TARGET_FAIL_OPEN) && is_engine_away(&key);
		decision = decide_guard_to_target(&packet, to->flags, target ? target->flags : 0, target != 0, sender, has_socket, flow,
						  flow == FLOW_DRAINS && is_drain_open(), away);
		if (is_let_raw(&packet, target, &key, flow, sender))
			decision = DECIDE(NEXT, BYPASSED);
	}
	if (from && decision.action == ACTION_NEXT) {
		target = find_target(from, packet.source_port);
		flow = FLOW_ABSENT;
		flow_key(&key, &packet.destination, packet.destination_port, &packet.source, packet.source_port);
		if (target && packet.protocol == PROTO_TCP)
			flow = find_answered_flow(skb, offset, &key);
		away = target && (target->flags & WEIR_TARGET_FAIL_OPEN) && is_engine_away(&key);
		decision = decide_guard_from_target(&packet, target ? target->flags : 0, target != 0, sender, flow,
						    flow == FLOW_DRAINS && is_drain_open(), away);
		if (is_let_raw(&packet, target, &key, flow, sender))
			decision = DECIDE(NEXT, BYPASSED);
	}
	return carry_out(skb, &packet, &decision);
}

SEC("tc")
int guard(struct __sk_buff *skb)
{
	return guard_packet(skb, ETH_HLEN);
}

/* For interfaces without an Ethernet header (tun, WireGuard). */
SEC("tc")
int guard_l3(struct __sk_buff *skb)
{
	return guard_packet(skb, 0);
}

/* Set by the loader: sock_ops sees the sockets of every network namespace, the target's own among them in a lab. */
const volatile __u64 netns_cookie = 0;

/* The socket's tuple as a flow of a target.  Returns the side that the socket is on, or -1: neither end is a target's. */
WEIR_INLINE int leg_key(const struct bpf_sock_ops *ops, struct weir_leg_key *key)
{
	struct weir_addr local = {}, remote = {};
	__be16 local_port = bpf_htons(ops->local_port), remote_port = bpf_htons(bpf_ntohl(ops->remote_port));
	const struct weir_prefix *prefix;
	__be32 local4, remote4;

	if (ops->family == 2 /* AF_INET */) {
		local4 = ops->local_ip4;
		LOAD_HERE(local4);
		remote4 = ops->remote_ip4;
		LOAD_HERE(remote4);
		weir_fold(&local, local4);
		weir_fold(&remote, remote4);
	} else {
		local.words[0] = ops->local_ip6[0];
		local.words[1] = ops->local_ip6[1];
		local.words[2] = ops->local_ip6[2];
		local.words[3] = ops->local_ip6[3];
		remote.words[0] = ops->remote_ip6[0];
		remote.words[1] = ops->remote_ip6[1];
		remote.words[2] = ops->remote_ip6[2];
		remote.words[3] = ops->remote_ip6[3];
	}
	prefix = find_prefix(&local);
	if (prefix && find_target(prefix, local_port)) {
		flow_key(&key->flow, &remote, remote_port, &local, local_port);
		key->side = 0;
		return 0;
	}
	prefix = find_prefix(&remote);
	if (prefix && find_target(prefix, remote_port)) {
		flow_key(&key->flow, &local, local_port, &remote, remote_port);
		key->side = 1;
		return 0;
	}
	return -1;
}

SEC("sockops")
int count_legs(struct bpf_sock_ops *ops)
{
	struct weir_leg_key key = {};
	struct weir_leg leg = {};

	switch (ops->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		if (bpf_get_netns_cookie(ops) == netns_cookie && leg_key(ops, &key) == 0)
			bpf_sock_ops_cb_flags_set(ops, BPF_SOCK_OPS_STATE_CB_FLAG);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ops->args[1] != BPF_TCP_CLOSE || leg_key(ops, &key) != 0)
			break;
		leg.received = ops->bytes_received;
		leg.acknowledged = ops->bytes_acked;
		leg.ended_ns = bpf_ktime_get_boot_ns();
		bpf_map_update_elem(&legs, &key, &leg, BPF_ANY);
		break;
	default:
		break;
	}
	return 1;
}

char _license[] SEC("license") = "GPL";

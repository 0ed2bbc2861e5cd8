/*
 * tc ingress.  On client interfaces: packets to a target are marked for this host (a policy route delivers them, sk_lookup
 * picks the listener) or dropped.  On target interfaces: packets from a target go to the engine's established socket of their
 * tuple or are dropped.  Everything else goes on untouched.
 * Must never: let a packet to or from a target's port go on to forwarding, whatever state user space is in.
 */
#include "notices.h"

/* What stands on the tuple of a client's packet.  LISTENER: sk_lookup found the engine's, since no connection is there. */
static __attribute__((noinline)) int find_client_socket(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_sock_tuple tuple = {};
	__u8 ip[40] = {}, tcp[20] = {};
	struct bpf_sock *socket;
	__u32 size, ip_size, state;
	int found = SOCKET_OPEN;

	if (!packet)
		return SOCKET_NONE;
	size = socket_tuple(packet, &tuple);
	ip_size = packet->family == 4 ? 20 : 40;
	socket = bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return SOCKET_NONE;
	state = socket->state;
	if (state == BPF_TCP_NEW_SYN_RECV || state == BPF_TCP_SYN_RECV) {
		found = SOCKET_REQUEST;
	} else if (state == BPF_TCP_LISTEN) {
		found = SOCKET_LISTENER;
		if (!(packet->tcp_flags & TCP_SYN) && bpf_skb_load_bytes(skb, packet->network_offset, ip, 20) == 0 &&
		    (ip_size == 20 || bpf_skb_load_bytes(skb, packet->network_offset, ip, 40) == 0) &&
		    bpf_skb_load_bytes(skb, packet->transport_offset, tcp, sizeof(tcp)) == 0 &&
		    bpf_tcp_check_syncookie(socket, ip, ip_size, (struct tcphdr *)tcp, sizeof(tcp)) == 0)
			found = SOCKET_COOKIE;
	} else if (is_ending(state)) {
		found = SOCKET_ENDING;
	}
	bpf_sk_release(socket);
	return found;
}

/* What stands on the tuple of a target's packet: the engine's upstream socket, or nothing that may have it. */
static __attribute__((noinline)) int find_upstream_socket(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *socket, *full;
	__u32 size, state;
	int found = SOCKET_FOREIGN;

	if (!packet)
		return SOCKET_NONE;
	size = socket_tuple(packet, &tuple);
	socket = bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return SOCKET_NONE;
	state = socket->state;
	if (state == BPF_TCP_LISTEN || state == BPF_TCP_NEW_SYN_RECV) {
		found = SOCKET_LISTENER;
	} else if (state == BPF_TCP_TIME_WAIT) {
		found = SOCKET_ENDING; /* Carries no mark here; only the guard's own senders came this far. */
	} else {
		full = bpf_sk_fullsock(socket);
		if (full && (full->mark & mark_mask) == mark_upstream)
			found = is_ending(state) ? SOCKET_ENDING : SOCKET_OPEN;
	}
	bpf_sk_release(socket);
	return found;
}

/* The tuple that an ICMP error quotes belongs to a connection of this host on a target's port. */
static __attribute__((noinline)) int is_quote_ours(struct __sk_buff *skb, const struct packet *quoted)
{
	struct bpf_sock_tuple tuple = {};
	struct packet answer = {};
	struct bpf_sock *socket;
	__u32 size, state;

	if (!quoted)
		return 0;
	/* The error quotes what our socket sent: its peer's packets have the tuple the other way round. */
	answer.family = quoted->family;
	answer.source = quoted->destination;
	answer.destination = quoted->source;
	answer.source_port = quoted->destination_port;
	answer.destination_port = quoted->source_port;
	size = socket_tuple(&answer, &tuple);
	socket = bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return 0;
	state = socket->state;
	bpf_sk_release(socket);
	return state != BPF_TCP_LISTEN;
}

/* Returns 0, or the reason to drop the packet after all. */
static __attribute__((noinline)) int change_flow(const struct weir_flow_key *key, __u32 change, __u64 binding)
{
	struct weir_flow flow = {}, *entry;
	long error;

	if (!key)
		return 0;
	if (change == FLOW_REOPEN) {
		/* The earlier connection's session may be about to forget the entry: this one needs it. */
		entry = bpf_map_lookup_elem(&flows, key);
		if (entry)
			entry->reopened = 1;
		return 0;
	}
	if (change == FLOW_DELETE) {
		bpf_map_delete_elem(&flows, key);
		return 0;
	}
	flow.binding = binding;
	flow.bound = key->client;
	flow.created_ns = bpf_ktime_get_boot_ns();
	flow.kind = change == FLOW_CREATE_DRAINING ? WEIR_FLOW_DRAINING : WEIR_FLOW_STEERED;
	error = bpf_map_update_elem(&flows, key, &flow, BPF_NOEXIST);
	/* -EEXIST: another CPU was first with the same handshake. */
	return error == 0 || error == -17 ? 0 : WEIR_DROP_FLOWS_FULL;
}

WEIR_INLINE int carry_out(struct __sk_buff *skb, const struct packet *packet, const struct decision *decision)
{
	count(decision->reason);
	switch (decision->action) {
	case ACTION_NEXT:
		return VERDICT_NEXT;
	case ACTION_STEER:
		if (decision->reason == WEIR_ELSEWHERE)
			notice_drop(packet, decision->reason, skb->ifindex); /* Told to the engine, which refuses it. */
		set_mark(skb, mark_steered);
		return VERDICT_PASS;
	case ACTION_RESET:
		/* With the rule for it gone the packet would be forwarded, and end at the guard. */
		set_mark(skb, mark_reset);
		notice_drop(packet, decision->reason, skb->ifindex);
		return VERDICT_PASS;
	default:
		notice_drop(packet, decision->reason, skb->ifindex);
		return VERDICT_DROP;
	}
}

/* A SYN in a bypass: the flow is raw from here on.  Without room for it (never seen: the oldest goes) it is inspected. */
static __attribute__((noinline)) int begin_raw(const struct weir_flow_key *key, struct weir_bypass *bypass)
{
	const __u64 *raw;
	__u64 id;

	if (!key || !bypass)
		return 0;
	id = bypass->id;
	raw = bpf_map_lookup_elem(&raw_flows, key);
	if (raw && *raw == id)
		return 1;
	if (bpf_map_update_elem(&raw_flows, key, &id, BPF_ANY) != 0)
		return 0;
	__sync_fetch_and_add(&bypass->flows, 1);
	return 1;
}

WEIR_INLINE int passes_raw(struct __sk_buff *skb, const struct packet *packet, const struct weir_target *target,
			   const struct weir_flow_key *key, enum flow_state flow, int is_to_target)
{
	struct weir_bypass *bypass = flow == FLOW_ABSENT ? find_bypass(target) : 0;
	__u32 size = skb->len - packet->network_offset;
	const __u64 *raw;

	if (!bypass)
		return 0;
	if (is_to_target && packet_is_syn(packet)) {
		if (!begin_raw(key, bypass))
			return 0;
	} else {
		raw = bpf_map_lookup_elem(&raw_flows, key);
		if (!is_raw_flow(flow, raw ? *raw : 0, bypass))
			return 0;
	}
	__sync_fetch_and_add(is_to_target ? &bypass->packets_to_target : &bypass->packets_to_client, 1);
	__sync_fetch_and_add(is_to_target ? &bypass->bytes_to_target : &bypass->bytes_to_client, size);
	return 1;
}

WEIR_INLINE struct decision decide_client_tcp(struct __sk_buff *skb, const struct packet *packet, const struct weir_target *target,
					      const __u8 *mac)
{
	const struct weir_binding *binding = find_binding(&packet->source);
	__u64 now_ns = time_for(binding);
	enum binding_state bound = decide_binding(binding, now_ns, skb->ifindex, packet->vlan, mac);
	const struct weir_flow *entry;
	struct weir_flow_key key = {};
	struct decision decision;
	enum flow_state flow;
	int drains, away, socket, reason;

	flow_key(&key, &packet->source, packet->source_port, &packet->destination, packet->destination_port);
	entry = bpf_map_lookup_elem(&flows, &key);
	/* The binding that counts for it is its client's, which is the packet's source: one look for both. */
	flow = entry && weir_same_addr(&entry->bound, &packet->source) ? decide_flow_state(entry, binding, flow_time(entry, binding)) : find_flow(&key);
	flow = decide_flow_link(flow, entry ? entry->binding : 0, bound);
	if (passes_raw(skb, packet, target, &key, flow, 1))
		return DECIDE(NEXT, BYPASSED);
	/* A packet of a flow that lives asks for neither. */
	drains = flow == FLOW_LIVE ? 0 : is_drain_open();
	away = packet_is_syn(packet) || flow != FLOW_LIVE ? is_engine_away(&key) : 0;
	decision = decide_flow(packet, target->flags, bound, flow, drains, away);
	if (decision.action == ACTION_ASK_SOCKET) {
		socket = away ? SOCKET_NONE : find_client_socket(skb, packet);
		decision = decide_client_socket(packet, target->flags, bound, flow, socket, drains);
	}
	if (decision.flow != FLOW_KEEP) {
		reason = change_flow(&key, decision.flow, bound == BINDING_VALID && binding ? binding->id : 0);
		if (reason)
			decision = (struct decision){ACTION_DROP, reason, FLOW_KEEP, 0};
	}
	return decision;
}

WEIR_INLINE int from_client(struct __sk_buff *skb, __u32 offset, const __u8 *mac)
{
	const struct weir_prefix *prefix;
	const struct weir_target *target = 0;
	struct packet packet = {}, quoted = {};
	struct weir_flow_key key = {};
	struct decision decision;
	int ours = 0;

	parse_frame(skb, &packet, offset);
	if (packet.shape == PACKET_NOT_IP) {
		count(WEIR_NOT_IP);
		return VERDICT_NEXT;
	}
	if (packet.shape == PACKET_TAGS) {
		decision = DECIDE(DROP, DROP_TAGS);
		return carry_out(skb, &packet, &decision);
	}
	prefix = find_prefix(&packet.destination);
	if (!prefix) {
		count(WEIR_NOT_TARGET);
		return VERDICT_NEXT;
	}
	target = find_target(prefix, packet.destination_port);
	decision = decide_to_target(&packet, prefix->flags, target != 0);
	if (decision.action == ACTION_ASK_FLOW && target) {
		decision = decide_client_tcp(skb, &packet, target, mac);
	} else if (decision.action == ACTION_ASK_QUOTE) {
		if (packet_parse_quote(skb, &packet, &quoted) == 0 && weir_same_addr(&quoted.source, &packet.destination)) {
			target = find_target(prefix, quoted.source_port);
			ours = target && is_quote_ours(skb, &quoted);
		}
		decision = decide_quote(0, target != 0, ours, prefix->flags);
		flow_key(&key, &quoted.destination, quoted.destination_port, &quoted.source, quoted.source_port);
		if (target && !ours && find_raw(target, &key, find_flow(&key)))
			decision = DECIDE(NEXT, BYPASSED);
	}
	return carry_out(skb, &packet, &decision);
}

WEIR_INLINE int from_target(struct __sk_buff *skb, __u32 offset)
{
	const struct weir_prefix *prefix, *quoted_prefix;
	const struct weir_target *target;
	struct packet packet = {}, quoted = {};
	struct weir_flow_key key = {};
	struct decision decision;
	enum flow_state flow;
	int drains, away, socket, ours = 0;

	parse_frame(skb, &packet, offset);
	if (packet.shape == PACKET_NOT_IP || packet.shape == PACKET_TAGS) {
		count(WEIR_NOT_IP);
		return VERDICT_NEXT;
	}
	/* A router before the target may be the sender of an error: what counts is the tuple that it quotes. */
	if (packet.shape == PACKET_WHOLE && packet_is_icmp_error(&packet)) {
		target = 0;
		if (packet_parse_quote(skb, &packet, &quoted) == 0 && weir_same_addr(&quoted.source, &packet.destination)) {
			quoted_prefix = find_prefix(&quoted.destination);
			if (quoted_prefix)
				target = find_target(quoted_prefix, quoted.destination_port);
			ours = target && is_quote_ours(skb, &quoted);
		}
		decision = decide_quote(1, target != 0, ours, 0);
		flow_key(&key, &quoted.source, quoted.source_port, &quoted.destination, quoted.destination_port);
		if (target && !ours && find_raw(target, &key, find_flow(&key)))
			decision = DECIDE(NEXT, BYPASSED);
		return carry_out(skb, &packet, &decision);
	}
	prefix = find_prefix(&packet.source);
	if (!prefix) {
		count(WEIR_NOT_TARGET);
		return VERDICT_NEXT;
	}
	target = find_target(prefix, packet.source_port);
	decision = decide_from_target(&packet, target != 0);
	if (decision.action == ACTION_ASK_SOCKET && target) {
		flow_key(&key, &packet.destination, packet.destination_port, &packet.source, packet.source_port);
		flow = find_flow(&key);
		if (passes_raw(skb, &packet, target, &key, flow, 0)) {
			decision = DECIDE(NEXT, BYPASSED);
			return carry_out(skb, &packet, &decision);
		}
		socket = find_upstream_socket(skb, &packet);
		drains = socket == SOCKET_OPEN ? 0 : is_drain_open();
		away = (target->flags & WEIR_TARGET_FAIL_OPEN) && is_engine_away(&key);
		decision = decide_return_socket(target->flags, socket, flow, drains, away);
		if (decision.flow != FLOW_KEEP && change_flow(&key, decision.flow, 0))
			decision = DECIDE(DROP, DROP_FLOWS_FULL);
	}
	return carry_out(skb, &packet, &decision);
}

SEC("tc")
int steer_client(struct __sk_buff *skb)
{
	__u8 mac[6];

	if (bpf_skb_load_bytes(skb, ETH_ALEN, mac, sizeof(mac)) != 0)
		return VERDICT_NEXT; /* Shorter than an Ethernet header: no IP packet is in there. */
	return from_client(skb, ETH_HLEN, mac);
}

/* For interfaces without an Ethernet header (tun, WireGuard). */
SEC("tc")
int steer_client_l3(struct __sk_buff *skb)
{
	return from_client(skb, 0, 0);
}

SEC("tc")
int steer_target(struct __sk_buff *skb)
{
	return from_target(skb, ETH_HLEN);
}

SEC("tc")
int steer_target_l3(struct __sk_buff *skb)
{
	return from_target(skb, 0);
}

char _license[] SEC("license") = "GPL";

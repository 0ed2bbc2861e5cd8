/*
 * What the programs have in common: load-time options, counting, notices, look-ups.
 */
#ifndef WEIR_PROGRAMS_H
#define WEIR_PROGRAMS_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define weir_load(frame, offset, to, size) bpf_skb_load_bytes((struct __sk_buff *)(frame), (offset), (to), (size))

#include "abi.h"
#include "maps.h"
#include "decide.h"

/* Both tcx and clsact know these (linux/pkt_cls.h, and tcx's own names for them). */
#define VERDICT_NEXT (-1)
#define VERDICT_PASS 0
#define VERDICT_DROP 2

/* Set by the loader: the bits that are ours in a mark, and what they hold. */
const volatile __u32 mark_mask = 0xffff0000;
const volatile __u32 mark_steered = 0x57450000;  /* On its way to this host's sockets. */
const volatile __u32 mark_upstream = 0x57460000; /* Sent by the engine to a target. */
const volatile __u32 mark_reset = 0x57480000;    /* For nftables to reject with a RST. */

/*
 * The value is loaded here.  Else clang joins the loads of two branches into one through a pointer ("dereference of modified
 * ctx ptr R2 off=40 disallowed").
 */
#define LOAD_HERE(value) asm volatile("%0 = %0" : "+r"(value))

WEIR_INLINE void count(__u32 reason)
{
	__u64 *packets = bpf_map_lookup_elem(&counts, &reason);

	if (packets)
		*packets += 1; /* Per CPU, and no program interrupts another on its CPU. */
}

WEIR_INLINE const struct weir_settings *get_settings(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&settings, &zero);
}

WEIR_INLINE const struct weir_prefix *find_prefix(const struct weir_addr *addr)
{
	struct weir_prefix_key key = {.bits = 128, .addr = *addr};

	return bpf_map_lookup_elem(&prefixes, &key);
}

WEIR_INLINE const struct weir_target *find_target(const struct weir_prefix *prefix, __be16 port)
{
	struct weir_target_key key = {.group = prefix->group, .port = port};

	return bpf_map_lookup_elem(&targets, &key);
}

WEIR_INLINE const struct weir_binding *find_binding(const struct weir_addr *addr)
{
	struct weir_prefix_key key = {.bits = 128, .addr = *addr};
	const struct weir_binding *binding = bpf_map_lookup_elem(&addresses, addr);

	return binding ? binding : bpf_map_lookup_elem(&networks, &key);
}

/* Only a binding that ends asks for the time. */
WEIR_INLINE __u64 time_for(const struct weir_binding *binding)
{
	return binding && binding->expires_ns != 0 ? bpf_ktime_get_boot_ns() : 0;
}

WEIR_INLINE void flow_key(struct weir_flow_key *key, const struct weir_addr *client, __be16 client_port,
			  const struct weir_addr *target, __be16 target_port)
{
	key->client = *client;
	key->target = *target;
	key->client_port = client_port;
	key->target_port = target_port;
}

/* The clock, where the flow or its binding has an end; reading it costs. */
WEIR_INLINE __u64 flow_time(const struct weir_flow *flow, const struct weir_binding *bound)
{
	return flow && flow->until_ns != 0 ? bpf_ktime_get_boot_ns() : time_for(bound);
}

/* The state of a flow and, for one that was admitted by a binding, of that binding, which is then in `bound`. */
WEIR_INLINE enum flow_state find_flow_and_binding(const struct weir_flow_key *key, const struct weir_binding **bound)
{
	const struct weir_flow *flow = bpf_map_lookup_elem(&flows, key);

	*bound = 0;
	if (flow && flow->binding != 0 && !flow->cut)
		*bound = find_binding(&flow->bound);
	return decide_flow_state(flow, *bound, flow_time(flow, *bound));
}

WEIR_INLINE enum flow_state find_flow(const struct weir_flow_key *key)
{
	const struct weir_binding *bound;

	return find_flow_and_binding(key, &bound);
}

WEIR_INLINE int is_drain_open(void)
{
	const struct weir_settings *setting = get_settings();

	return setting && setting->drain_until_ns != 0 && bpf_ktime_get_boot_ns() < setting->drain_until_ns;
}

/* The bypass that is on for a target now, or 0. */
WEIR_INLINE struct weir_bypass *find_bypass(const struct weir_target *target)
{
	__u32 index = target->index;
	struct weir_bypass *bypass = bpf_map_lookup_elem(&bypasses, &index);

	return bypass && is_bypass_on(bypass, bpf_ktime_get_boot_ns()) ? bypass : 0;
}

/* The bypass that a flow passes raw by, or 0. */
WEIR_INLINE struct weir_bypass *find_raw(const struct weir_target *target, const struct weir_flow_key *key, enum flow_state flow)
{
	struct weir_bypass *bypass = flow == FLOW_ABSENT ? find_bypass(target) : 0;
	const __u64 *raw;

	if (!bypass)
		return 0;
	raw = bpf_map_lookup_elem(&raw_flows, key);
	return is_raw_flow(flow, raw ? *raw : 0, bypass) ? bypass : 0;
}

WEIR_INLINE __u32 listener_index(const struct weir_flow_key *key, __u32 cores)
{
	__u32 core = decide_core(&key->client, key->client_port, &key->target, key->target_port, cores);

	return 2 * core + (weir_is_v4(&key->target) ? 0 : 1);
}

/* The listeners of a dead engine leave the map by themselves. */
WEIR_INLINE int is_engine_away(const struct weir_flow_key *key)
{
	const struct weir_settings *setting = get_settings();
	struct bpf_sock *listener;
	__u32 index;

	if (!setting || setting->listener_count == 0)
		return 1;
	index = listener_index(key, setting->listener_count);
	listener = bpf_map_lookup_elem(&listeners, &index);
	if (!listener)
		return 1;
	bpf_sk_release(listener);
	return 0;
}

WEIR_INLINE __u16 frame_vlan(const struct __sk_buff *skb)
{
	return skb->vlan_present ? skb->vlan_tci & 0x0fff : WEIR_VLAN_NONE;
}

/*
 * The headers of a frame whose network header (or whose tags) start at `offset`.  A global function: the verifier looks at it once
 * by itself.  Inlined, each way through its loops is walked again with every branch that comes after, a quarter of a second a program.
 */
__attribute__((noinline)) int parse_frame(struct __sk_buff *skb, struct packet *packet, __u32 offset)
{
	if (!packet)
		return 1;
	packet_parse(skb, offset, skb->protocol, frame_vlan(skb), packet);
	return 0;
}

/* Bits of others stay. */
WEIR_INLINE void set_mark(struct __sk_buff *skb, __u32 mark)
{
	skb->mark = (skb->mark & ~mark_mask) | mark;
}

/* include/net/tcp_states.h as bpf_sock has it (enum in linux/bpf.h: BPF_TCP_*). */
WEIR_INLINE int is_ending(__u32 state)
{
	return state == BPF_TCP_FIN_WAIT1 || state == BPF_TCP_FIN_WAIT2 || state == BPF_TCP_TIME_WAIT || state == BPF_TCP_LAST_ACK ||
	       state == BPF_TCP_CLOSING || state == BPF_TCP_CLOSE_WAIT;
}

/* The tuple of a packet as the receiving socket's look-up wants it.  Returns its size. */
WEIR_INLINE __u32 socket_tuple(const struct packet *packet, struct bpf_sock_tuple *tuple)
{
	if (packet->family == 4) {
		tuple->ipv4.saddr = packet->source.words[3];
		tuple->ipv4.daddr = packet->destination.words[3];
		tuple->ipv4.sport = packet->source_port;
		tuple->ipv4.dport = packet->destination_port;
		return sizeof(tuple->ipv4);
	}
	__builtin_memcpy(tuple->ipv6.saddr, packet->source.words, 16);
	__builtin_memcpy(tuple->ipv6.daddr, packet->destination.words, 16);
	tuple->ipv6.sport = packet->source_port;
	tuple->ipv6.dport = packet->destination_port;
	return sizeof(tuple->ipv6);
}

#endif

/*
 * Every map.  Each object file has them all by name; the loader makes them once and gives them to all three.
 * They are pinned: what they hold outlives the engine, and without an engine it closes the way.
 */
#ifndef WEIR_MAPS_H
#define WEIR_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

/* Written by weir up and reload, read by all programs.  No entry: not a target, the packet is not ours. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weir_prefix_key);
	__type(value, struct weir_prefix);
} prefixes SEC(".maps");

/* Written with prefixes, group first.  No entry: another port of a target's address. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct weir_target_key);
	__type(value, struct weir_target);
} targets SEC(".maps");

/* Written by the engine (identities), read by steer, dispatch and guard.  No entry: ask networks. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weir_addr);
	__type(value, struct weir_binding);
} addresses SEC(".maps");

/* As addresses, for prefixes.  No entry: the source is unbound. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weir_prefix_key);
	__type(value, struct weir_binding);
} networks SEC(".maps");

/*
 * Made by steer when a handshake completes (so that a flood of SYNs fills nothing), marked and removed by the engine.  No
 * entry: a packet that is no SYN and completes no handshake belongs to nobody.  Full: the packet is dropped.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weir_flow_key);
	__type(value, struct weir_flow);
} flows SEC(".maps");

/* Written by the engine for `weir bypass`; steer adds to its counts.  Key: weir_target.index.  No entry: no bypass is on. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct weir_bypass);
} bypasses SEC(".maps");

/*
 * Made by steer with a SYN while a bypass is on, the bypass's id; nobody reads it when none is.  A map of its own, so that a flood
 * of SYNs in a bypass takes no room of inspected flows: full, the oldest raw flow is forgotten.  No entry: no raw flow.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct weir_flow_key);
	__type(value, __u64);
} raw_flows SEC(".maps");

/* Written by the engine; the kernel takes a socket out when it closes.  No entry: no engine, the way is closed. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, WEIR_LISTENERS_MAX);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps");

/* Written by weir up and the engine, read by all. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_settings);
} settings SEC(".maps");

/* Written by all programs, read by status and metrics.  Index: enum weir_reason. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WEIR_REASON_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

/* Written by sock_ops at a socket's end, read by the engine and by recovery after its death.  No entry: not known. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct weir_leg_key);
	__type(value, struct weir_leg);
} legs SEC(".maps");

/* Drops on their way to user space.  Full: counted as suppressed. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} notices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_notice_rate);
} notice_rates SEC(".maps");

#endif

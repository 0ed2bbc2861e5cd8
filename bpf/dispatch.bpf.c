/*
 * sk_lookup: which of the engine's listeners gets a connection to a target's port.  Who may connect was decided by steer.
 * Must never: fall through to the host's own listeners for a target's address and port.
 */
#include "programs.h"

WEIR_INLINE int refuse(__u32 reason)
{
	count(reason);
	return SK_DROP;
}

WEIR_INLINE void lookup_key(const struct bpf_sk_lookup *lookup, struct weir_flow_key *key)
{
	__be32 remote, local;

	if (lookup->family == 2 /* AF_INET */) {
		remote = lookup->remote_ip4;
		LOAD_HERE(remote);
		local = lookup->local_ip4;
		LOAD_HERE(local);
		weir_fold(&key->client, remote);
		weir_fold(&key->target, local);
	} else {
		key->client.words[0] = lookup->remote_ip6[0];
		key->client.words[1] = lookup->remote_ip6[1];
		key->client.words[2] = lookup->remote_ip6[2];
		key->client.words[3] = lookup->remote_ip6[3];
		key->target.words[0] = lookup->local_ip6[0];
		key->target.words[1] = lookup->local_ip6[1];
		key->target.words[2] = lookup->local_ip6[2];
		key->target.words[3] = lookup->local_ip6[3];
	}
	key->client_port = lookup->remote_port;
	key->target_port = bpf_htons(lookup->local_port);
}

SEC("sk_lookup")
int dispatch(struct bpf_sk_lookup *lookup)
{
	const struct weir_settings *setting = get_settings();
	const struct weir_prefix *prefix;
	struct weir_flow_key key = {};
	struct bpf_sock *listener;
	__u32 index;
	long error;

	if (lookup->protocol != PROTO_TCP)
		return SK_PASS;
	lookup_key(lookup, &key);
	prefix = find_prefix(&key.target);
	if (!prefix)
		return SK_PASS;
	if (!find_target(prefix, key.target_port))
		return SK_PASS;
	if (!setting || setting->listener_count == 0)
		return refuse(WEIR_DROP_NO_LISTENER);
	index = listener_index(&key, setting->listener_count);
	listener = bpf_map_lookup_elem(&listeners, &index);
	if (!listener)
		return refuse(WEIR_DROP_NO_LISTENER);
	error = bpf_sk_assign(lookup, listener, 0);
	bpf_sk_release(listener);
	return error ? refuse(WEIR_DROP_ASSIGN) : SK_PASS;
}

char _license[] SEC("license") = "GPL";

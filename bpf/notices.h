/*
 * Drops on their way to user space: one record each, within settings.notices_per_second.
 */
#ifndef WEIR_NOTICES_H
#define WEIR_NOTICES_H

#include "programs.h"

/* One allowance a second for all CPUs; a race at its turn lets a few more through, which the ring takes. */
WEIR_INLINE int take_notice_allowance(__u64 now_ns)
{
	const struct weir_settings *setting = get_settings();
	struct weir_notice_rate *rate;
	__u32 zero = 0;
	__u64 second = now_ns / 1000000000u;

	rate = bpf_map_lookup_elem(&notice_rates, &zero);
	if (!setting || !rate)
		return 0;
	if (rate->second != second) {
		rate->second = second;
		rate->count = 0;
	}
	return __sync_fetch_and_add(&rate->count, 1) < setting->notices_per_second;
}

static __attribute__((noinline)) int notice_drop(const struct packet *packet, __u32 reason, __u32 interface)
{
	__u64 now_ns = bpf_ktime_get_boot_ns();
	struct weir_notice *notice;

	if (!packet || !take_notice_allowance(now_ns)) {
		count(WEIR_NOTICES_SUPPRESSED);
		return 0;
	}
	notice = bpf_ringbuf_reserve(&notices, sizeof(*notice), 0);
	if (!notice) {
		count(WEIR_NOTICES_SUPPRESSED);
		return 0;
	}
	notice->boot_ns = now_ns;
	notice->reason = reason;
	notice->interface = interface;
	notice->source = packet->source;
	notice->destination = packet->destination;
	notice->source_port = packet->source_port;
	notice->destination_port = packet->destination_port;
	notice->protocol = packet->protocol;
	notice->tcp_flags = packet->tcp_flags;
	notice->zero = 0;
	bpf_ringbuf_submit(notice, 0);
	return 0;
}

#endif

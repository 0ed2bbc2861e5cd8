/*
 * A frame's headers, read with bounds checks into one flat view.  Pure: bytes come through weir_load(), which the BPF side
 * defines as bpf_skb_load_bytes (it reads non-linear packets too, so nothing needs to be pulled) and the host tests as a copy
 * from an array.  Returns 0, or non-zero if the bytes are not there.
 * Must never: take a packet for another address's than the kernel's own IP input would.
 */
#ifndef WEIR_PACKET_H
#define WEIR_PACKET_H

#include <linux/if_ether.h>
#include <linux/types.h>

#include "abi.h"

#define WEIR_INLINE static inline __attribute__((always_inline))

enum packet_shape {
	PACKET_NOT_IP,
	PACKET_TAGS,           /* More VLAN tags than VLAN_TAGS_MAX. */
	PACKET_WHOLE,
	PACKET_FIRST_FRAGMENT, /* Ports are known, unless they read as 0. */
	PACKET_FRAGMENT,
	PACKET_UNREADABLE,     /* Addresses are known, the transport header is not. */
	PACKET_MAPPED,         /* An IPv4-mapped address in an IPv6 header: would fold into an IPv4 one. */
};

#define VLAN_TAGS_MAX 4
#define EXTENSIONS_MAX 8

struct packet {
	struct weir_addr source, destination;
	__be16 source_port, destination_port; /* TCP, UDP */
	__u16 vlan;                           /* Outermost tag in the frame, or WEIR_VLAN_NONE. */
	__u16 payload;                        /* TCP: bytes after the header. */
	__u32 network_offset, transport_offset;
	__u8 shape;
	__u8 family; /* 4, 6 */
	__u8 protocol;
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 zero[3];
};

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* The numbers of IP protocols; linux/in.h and netinet/in.h do not live in one file. */
enum {
	PROTO_HOP_BY_HOP = 0, PROTO_ICMP = 1, PROTO_IPIP = 4, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_IPV6 = 41, PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44, PROTO_GRE = 47, PROTO_ESP = 50, PROTO_AH = 51, PROTO_ICMPV6 = 58, PROTO_NONE = 59,
	PROTO_DESTINATION = 60, PROTO_ETHERIP = 97, PROTO_L2TP = 115, PROTO_MOBILITY = 135, PROTO_MPLS = 137, PROTO_HIP = 139,
	PROTO_SHIM6 = 140,
};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define WEIR_BE16(x) ((__u16)((((__u16)(x)) >> 8) | (((__u16)(x)) << 8)))
#define WEIR_BE32(x) __builtin_bswap32(x)
#else
#define WEIR_BE16(x) ((__u16)(x))
#define WEIR_BE32(x) (x)
#endif

struct vlan_bytes {
	__be16 control, protocol;
};
struct ipv4_bytes {
	__u8 version_length, service;
	__be16 size, id, fragment;
	__u8 hops, protocol;
	__be16 checksum;
	__be32 source, destination;
};
struct ipv6_bytes {
	__be32 version_flow;
	__be16 payload;
	__u8 next, hops;
	struct weir_addr source, destination;
};
struct extension_bytes {
	__u8 next, length;
	__be16 fragment;
};
struct tcp_bytes {
	__be16 source, destination;
	__be32 sequence, acknowledged;
	__u8 offset, flags;
	__be16 window, checksum, urgent;
};
WEIR_ABI_ASSERT(sizeof(struct ipv4_bytes) == 20);
WEIR_ABI_ASSERT(sizeof(struct ipv6_bytes) == 40);
WEIR_ABI_ASSERT(sizeof(struct tcp_bytes) == 20);

WEIR_INLINE void weir_fold(struct weir_addr *addr, __be32 v4)
{
	addr->words[0] = 0;
	addr->words[1] = 0;
	addr->words[2] = WEIR_BE32(0x0000ffff);
	addr->words[3] = v4;
}

WEIR_INLINE int weir_is_v4(const struct weir_addr *addr)
{
	return addr->words[0] == 0 && addr->words[1] == 0 && addr->words[2] == WEIR_BE32(0x0000ffff);
}

WEIR_INLINE int weir_same_addr(const struct weir_addr *a, const struct weir_addr *b)
{
	return a->words[0] == b->words[0] && a->words[1] == b->words[1] && a->words[2] == b->words[2] && a->words[3] == b->words[3];
}

/* `end`: offset after the last byte of the IP packet, for the TCP payload's size. */
WEIR_INLINE void packet_parse_transport(void *frame, struct packet *packet, __u32 end)
{
	struct tcp_bytes tcp = {};
	__u32 header;

	switch (packet->protocol) {
	case PROTO_TCP:
		if (weir_load(frame, packet->transport_offset, &tcp, sizeof(tcp)) != 0)
			break;
		header = (tcp.offset >> 4) * 4u;
		if (header < sizeof(tcp))
			break;
		packet->source_port = tcp.source;
		packet->destination_port = tcp.destination;
		packet->tcp_flags = tcp.flags;
		if (end > packet->transport_offset + header)
			packet->payload = (__u16)(end - packet->transport_offset - header);
		return;
	case PROTO_UDP:
		if (weir_load(frame, packet->transport_offset, &tcp, 8) != 0)
			break;
		packet->source_port = tcp.source;
		packet->destination_port = tcp.destination;
		return;
	case PROTO_ICMP:
	case PROTO_ICMPV6:
		if (weir_load(frame, packet->transport_offset, &packet->icmp_type, 1) != 0)
			break;
		return;
	default:
		return;
	}
	/* A first fragment too short for its ports stays a fragment: it is dropped as such. */
	if (packet->shape == PACKET_WHOLE)
		packet->shape = PACKET_UNREADABLE;
}

WEIR_INLINE void packet_parse_ipv4(void *frame, struct packet *packet)
{
	struct ipv4_bytes ip = {};
	__u32 header;
	__u16 fragment;

	/* What cannot be read as IPv4 here, the kernel's own input drops. */
	if (weir_load(frame, packet->network_offset, &ip, sizeof(ip)) != 0 || ip.version_length >> 4 != 4)
		return;
	header = (ip.version_length & 15) * 4u;
	if (header < sizeof(ip))
		return;
	packet->family = 4;
	packet->protocol = ip.protocol;
	packet->transport_offset = packet->network_offset + header;
	weir_fold(&packet->source, ip.source);
	weir_fold(&packet->destination, ip.destination);
	fragment = WEIR_BE16(ip.fragment);
	if (fragment & 0x1fff) {
		packet->shape = PACKET_FRAGMENT;
		return;
	}
	packet->shape = fragment & 0x2000 ? PACKET_FIRST_FRAGMENT : PACKET_WHOLE;
	packet_parse_transport(frame, packet, packet->network_offset + WEIR_BE16(ip.size));
}

/* Walks the extension headers (RFC 8200, section 4).  Returns 0 once packet->protocol is a transport's. */
WEIR_INLINE int packet_walk_extensions(void *frame, struct packet *packet)
{
	struct extension_bytes extension = {};
	int i;

	for (i = 0; i < EXTENSIONS_MAX; i++) {
		switch (packet->protocol) {
		case PROTO_HOP_BY_HOP:
		case PROTO_ROUTING:
		case PROTO_DESTINATION:
		case PROTO_MOBILITY:
		case PROTO_HIP:
		case PROTO_SHIM6:
		case PROTO_AH:
		case PROTO_FRAGMENT:
			break;
		default:
			return 0;
		}
		if (weir_load(frame, packet->transport_offset, &extension, sizeof(extension)) != 0)
			return 1;
		if (packet->protocol == PROTO_FRAGMENT) {
			/* Also an "atomic" one (RFC 6946): a fragment header is a fragment. */
			packet->shape = WEIR_BE16(extension.fragment) & 0xfff8 ? PACKET_FRAGMENT : PACKET_FIRST_FRAGMENT;
			packet->transport_offset += 8;
		} else if (packet->protocol == PROTO_AH) {
			packet->transport_offset += (extension.length + 2) * 4u;
		} else {
			packet->transport_offset += (extension.length + 1) * 8u;
		}
		packet->protocol = extension.next;
		if (packet->shape == PACKET_FRAGMENT)
			return 0;
	}
	return 1;
}

WEIR_INLINE void packet_parse_ipv6(void *frame, struct packet *packet)
{
	struct ipv6_bytes ip = {};

	if (weir_load(frame, packet->network_offset, &ip, sizeof(ip)) != 0 || (WEIR_BE32(ip.version_flow) >> 28) != 6)
		return;
	packet->family = 6;
	packet->protocol = ip.next;
	packet->transport_offset = packet->network_offset + sizeof(ip);
	packet->source = ip.source;
	packet->destination = ip.destination;
	if (weir_is_v4(&packet->source) || weir_is_v4(&packet->destination)) {
		packet->shape = PACKET_MAPPED;
		return;
	}
	packet->shape = PACKET_WHOLE;
	if (packet_walk_extensions(frame, packet) != 0) {
		packet->shape = PACKET_UNREADABLE;
		return;
	}
	if (packet->shape != PACKET_FRAGMENT)
		packet_parse_transport(frame, packet, packet->network_offset + sizeof(ip) + WEIR_BE16(ip.payload));
}

/*
 * `protocol` is the frame's EtherType as the kernel has it (skb->protocol): tags that the kernel took off are in `vlan`, tags
 * still in the frame start at `offset`, which else is where the network header stands.
 */
WEIR_INLINE void packet_parse(void *frame, __u32 offset, __be16 protocol, __u16 vlan, struct packet *packet)
{
	struct vlan_bytes tag = {};
	int i;

	packet->vlan = vlan;
	packet->shape = PACKET_NOT_IP;
	for (i = 0; i < VLAN_TAGS_MAX; i++) {
		if (protocol != WEIR_BE16(ETH_P_8021Q) && protocol != WEIR_BE16(ETH_P_8021AD))
			break;
		if (weir_load(frame, offset, &tag, sizeof(tag)) != 0)
			return;
		if (packet->vlan == WEIR_VLAN_NONE)
			packet->vlan = WEIR_BE16(tag.control) & 0x0fff;
		protocol = tag.protocol;
		offset += sizeof(tag);
	}
	packet->network_offset = offset;
	if (protocol == WEIR_BE16(ETH_P_IP))
		packet_parse_ipv4(frame, packet);
	else if (protocol == WEIR_BE16(ETH_P_IPV6))
		packet_parse_ipv6(frame, packet);
	else if (protocol == WEIR_BE16(ETH_P_8021Q) || protocol == WEIR_BE16(ETH_P_8021AD))
		packet->shape = PACKET_TAGS;
}

/* The TCP tuple that an ICMP error quotes (RFC 792; RFC 4443, section 3), as its sender sent it.  Returns 0 if there is one. */
WEIR_INLINE int packet_parse_quote(void *frame, const struct packet *packet, struct packet *quoted)
{
	__be16 ports[2] = {};

	quoted->network_offset = packet->transport_offset + 8;
	if (packet->family == 4) {
		struct ipv4_bytes ip = {};

		if (weir_load(frame, quoted->network_offset, &ip, sizeof(ip)) != 0 || ip.version_length >> 4 != 4)
			return 1;
		quoted->protocol = ip.protocol;
		quoted->transport_offset = quoted->network_offset + (ip.version_length & 15) * 4u;
		weir_fold(&quoted->source, ip.source);
		weir_fold(&quoted->destination, ip.destination);
	} else {
		struct ipv6_bytes ip = {};

		if (weir_load(frame, quoted->network_offset, &ip, sizeof(ip)) != 0)
			return 1;
		quoted->protocol = ip.next;
		quoted->transport_offset = quoted->network_offset + sizeof(ip);
		quoted->source = ip.source;
		quoted->destination = ip.destination;
		if (weir_is_v4(&quoted->source) || weir_is_v4(&quoted->destination))
			return 1;
	}
	if (quoted->protocol != PROTO_TCP || weir_load(frame, quoted->transport_offset, &ports, sizeof(ports)) != 0)
		return 1;
	quoted->family = packet->family;
	quoted->source_port = ports[0];
	quoted->destination_port = ports[1];
	return 0;
}

WEIR_INLINE int packet_is_icmp_error(const struct packet *packet)
{
	if (packet->family == 4)
		return packet->protocol == PROTO_ICMP &&
		       (packet->icmp_type == 3 || packet->icmp_type == 4 || packet->icmp_type == 11 || packet->icmp_type == 12);
	return packet->protocol == PROTO_ICMPV6 && packet->icmp_type >= 1 && packet->icmp_type <= 4;
}

WEIR_INLINE int packet_is_icmp(const struct packet *packet)
{
	return packet->protocol == (packet->family == 4 ? PROTO_ICMP : PROTO_ICMPV6);
}

/* Protocols that carry other packets to where they end. */
WEIR_INLINE int packet_is_tunnel(const struct packet *packet)
{
	switch (packet->protocol) {
	case PROTO_IPIP:
	case PROTO_IPV6:
	case PROTO_GRE:
	case PROTO_ETHERIP:
	case PROTO_L2TP:
	case PROTO_MPLS:
	case PROTO_ESP:
		return 1;
	case PROTO_UDP:
		/* VXLAN, its older Linux port, Geneve, GRE-in-UDP, GTP-U */
		return packet->destination_port == WEIR_BE16(4789) || packet->destination_port == WEIR_BE16(8472) ||
		       packet->destination_port == WEIR_BE16(6081) || packet->destination_port == WEIR_BE16(4754) ||
		       packet->destination_port == WEIR_BE16(2152);
	default:
		return 0;
	}
}

#endif

#include <gtest/gtest.h>

#include "tests/bpf/decide_on_host.h"
#include "tests/bpf/frame_maker.h"

namespace weir::bpf_test {
namespace {

packet parse(FrameBytes bytes, uint32_t offset = 14, uint16_t vlan = WEIR_VLAN_NONE) {
  // The kernel hands the EtherType over apart from the frame.
  const auto type = static_cast<uint16_t>(offset >= 14 ? bytes[12] * 256u + bytes[13] : kIpv4Type);
  HostFrame frame{std::move(bytes)};
  packet result{};
  packet_parse(&frame, offset, htons(type), vlan, &result);
  return result;
}
weir_addr v4(const char* text) {
  weir_addr result{};
  __be32 bytes = 0;
  inet_pton(AF_INET, text, &bytes);
  weir_fold(&result, bytes);
  return result;
}
weir_addr v6(const char* text) {
  weir_addr result{};
  inet_pton(AF_INET6, text, &result);
  return result;
}
bool is_same(const weir_addr& a, const weir_addr& b) { return weir_same_addr(&a, &b) != 0; }

TEST(Packet, ReadsIpv4AndFoldsItsAddresses) {
  const packet read = parse(ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, 5432, kPsh | kAck, 7))));
  EXPECT_EQ(read.shape, PACKET_WHOLE);
  EXPECT_EQ(read.family, 4);
  EXPECT_TRUE(is_same(read.source, v4("198.18.1.2")));
  EXPECT_TRUE(is_same(read.destination, v4("198.18.2.2")));
  EXPECT_EQ(read.source_port, htons(40000));
  EXPECT_EQ(read.destination_port, htons(5432));
  EXPECT_EQ(read.tcp_flags, kPsh | kAck);
  EXPECT_EQ(read.payload, 7);
  EXPECT_TRUE(weir_is_v4(&read.source));
}

TEST(Packet, Ipv4OptionsMoveThePorts) {
  for (std::size_t options = 0; options <= 40; options += 4) {
    Ipv4 header;
    header.options = options;
    const packet read = parse(ethernet(kIpv4Type, header.with(tcp(40000, 5432, kSyn))));
    EXPECT_EQ(read.shape, PACKET_WHOLE) << options;
    EXPECT_EQ(read.destination_port, htons(5432)) << options;
  }
}

TEST(Packet, EthernetPaddingIsNoPayload) {
  FrameBytes bytes = ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, 5432, kRst)));
  bytes.resize(bytes.size() + 18);
  EXPECT_EQ(parse(bytes).payload, 0);
}

TEST(Packet, EveryCutIsUnreadableOrNotIpAndNeverWhole) {
  const FrameBytes whole = ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, 5432, kSyn)));
  for (std::size_t size = 14; size < whole.size(); ++size) {
    const packet read = parse(FrameBytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    EXPECT_EQ(read.shape, size < 34 ? PACKET_NOT_IP : PACKET_UNREADABLE) << size;
  }
  const FrameBytes six = ethernet(kIpv6Type, Ipv6{}.with(tcp(40000, 5432, kSyn)));
  for (std::size_t size = 14; size < six.size(); ++size) {
    const packet read = parse(FrameBytes(six.begin(), six.begin() + static_cast<std::ptrdiff_t>(size)));
    EXPECT_EQ(read.shape, size < 54 ? PACKET_NOT_IP : PACKET_UNREADABLE) << size;
  }
}

TEST(Packet, TellsFragmentsApart) {
  Ipv4 header;
  header.fragment = 0x2000;
  packet read = parse(ethernet(kIpv4Type, header.with(tcp(40000, 5432, kSyn))));
  EXPECT_EQ(read.shape, PACKET_FIRST_FRAGMENT);
  EXPECT_EQ(read.destination_port, htons(5432));
  header.fragment = 0x0001;
  read = parse(ethernet(kIpv4Type, header.with(tcp(40000, 5432, kSyn))));
  EXPECT_EQ(read.shape, PACKET_FRAGMENT);
  EXPECT_EQ(read.destination_port, 0);  // Bytes of a later fragment are no ports.
  header.fragment = 0x2000;
  EXPECT_EQ(parse(ethernet(kIpv4Type, header.with({1, 2, 3, 4}))).shape, PACKET_FIRST_FRAGMENT);  // Too short for its ports.
  header.fragment = 0x4000;  // Don't fragment.
  EXPECT_EQ(parse(ethernet(kIpv4Type, header.with(tcp(1, 2, kSyn)))).shape, PACKET_WHOLE);
}

TEST(Packet, WalksIpv6Extensions) {
  Ipv6 header;
  header.next = 0;
  // Hop-by-hop, destination options of 24 bytes, routing, authentication (4-byte units less 2), then TCP.
  FrameBytes authentication = {6, 4};
  authentication.resize(24, 0);
  const FrameBytes chain = joined(joined(joined(extension(60), extension(43, 2)), extension(51)), authentication);
  const packet read = parse(ethernet(kIpv6Type, header.with(joined(chain, tcp(40000, 5432, kSyn)))));
  EXPECT_EQ(read.shape, PACKET_WHOLE);
  EXPECT_EQ(read.protocol, PROTO_TCP);
  EXPECT_EQ(read.destination_port, htons(5432));
  EXPECT_TRUE(is_same(read.destination, v6("fd57:2::2")));
}

TEST(Packet, TooManyExtensionsAreUnreadable) {
  for (unsigned count = 1; count <= 12; ++count) {
    Ipv6 header;
    header.next = 60;
    FrameBytes chain;
    for (unsigned i = 1; i <= count; ++i) append(chain, extension(i == count ? 6 : 60));
    const packet read = parse(ethernet(kIpv6Type, header.with(joined(chain, tcp(1, 5432, kSyn)))));
    EXPECT_EQ(read.shape, count < EXTENSIONS_MAX ? PACKET_WHOLE : PACKET_UNREADABLE) << count;
  }
}

TEST(Packet, Ipv6FragmentsAndAtomicFragments) {
  Ipv6 header;
  header.next = 44;
  const FrameBytes inner = tcp(40000, 5432, kSyn);
  EXPECT_EQ(parse(ethernet(kIpv6Type, header.with(joined(fragment_header(6, 0x0001), inner)))).shape, PACKET_FIRST_FRAGMENT);
  EXPECT_EQ(parse(ethernet(kIpv6Type, header.with(joined(fragment_header(6, 0x0000), inner)))).shape, PACKET_FIRST_FRAGMENT);
  const packet later = parse(ethernet(kIpv6Type, header.with(joined(fragment_header(6, 0x0008), inner))));
  EXPECT_EQ(later.shape, PACKET_FRAGMENT);
  EXPECT_EQ(later.protocol, PROTO_TCP);
  EXPECT_EQ(later.destination_port, 0);
}

TEST(Packet, MappedAddressesInIpv6AreToldApartFromIpv4) {
  Ipv6 header;
  header.destination = "::ffff:198.18.2.2";
  EXPECT_EQ(parse(ethernet(kIpv6Type, header.with(tcp(1, 5432, kSyn)))).shape, PACKET_MAPPED);
  header = {};
  header.source = "::ffff:198.18.1.2";
  EXPECT_EQ(parse(ethernet(kIpv6Type, header.with(tcp(1, 5432, kSyn)))).shape, PACKET_MAPPED);
}

TEST(Packet, ReadsThroughVlanTags) {
  const FrameBytes inner = Ipv4{}.with(tcp(40000, 5432, kSyn));
  packet read = parse(ethernet(kIpv4Type, inner, {{kVlanType, 7}}));
  EXPECT_EQ(read.destination_port, htons(5432));
  EXPECT_EQ(read.vlan, 7);
  read = parse(ethernet(kIpv4Type, inner, {{kQinqType, 100}, {kVlanType, 7}}));
  EXPECT_EQ(read.destination_port, htons(5432));
  EXPECT_EQ(read.vlan, 100);
  // One that the kernel took off already is the outermost.
  EXPECT_EQ(parse(ethernet(kIpv4Type, inner, {{kVlanType, 7}}), 14, 42).vlan, 42);
  const std::vector<Tag> four(VLAN_TAGS_MAX, Tag{kVlanType, 1}), five(VLAN_TAGS_MAX + 1, Tag{kVlanType, 1});
  EXPECT_EQ(parse(ethernet(kIpv4Type, inner, four)).shape, PACKET_WHOLE);
  EXPECT_EQ(parse(ethernet(kIpv4Type, inner, five)).shape, PACKET_TAGS);
}

TEST(Packet, NetworkFramesWithoutEthernetHeader) {
  const packet read = parse(Ipv4{}.with(tcp(40000, 5432, kSyn)), 0);
  EXPECT_EQ(read.shape, PACKET_WHOLE);
  EXPECT_EQ(read.destination_port, htons(5432));
}

TEST(Packet, OtherProtocolsAreNotIp) {
  EXPECT_EQ(parse(ethernet(kArpType, FrameBytes(28))).shape, PACKET_NOT_IP);
  Ipv4 header;
  header.version = 5;
  EXPECT_EQ(parse(ethernet(kIpv4Type, header.with(tcp(1, 2, kSyn)))).shape, PACKET_NOT_IP);
}

TEST(Packet, QuotedTupleOfAnError) {
  Ipv4 sent;  // As the engine's client leg sent it.
  sent.source = "198.18.2.2";
  sent.destination = "198.18.1.2";
  FrameBytes quoted = sent.with(tcp(5432, 40000, kAck));
  quoted.resize(28);  // A router quotes 8 bytes beyond the header at least.
  Ipv4 error;
  error.protocol = 1;
  HostFrame frame{ethernet(kIpv4Type, error.with(icmp(3, 4, quoted)))};
  packet outer{}, inner{};
  packet_parse(&frame, 14, htons(kIpv4Type), WEIR_VLAN_NONE, &outer);
  EXPECT_TRUE(packet_is_icmp_error(&outer));
  ASSERT_EQ(packet_parse_quote(&frame, &outer, &inner), 0);
  EXPECT_EQ(inner.source_port, htons(5432));
  EXPECT_EQ(inner.destination_port, htons(40000));
  EXPECT_TRUE(weir_same_addr(&inner.source, &outer.destination));

  frame.bytes = ethernet(kIpv4Type, error.with(icmp(3, 4, FrameBytes(quoted.begin(), quoted.begin() + 22))));
  EXPECT_NE(packet_parse_quote(&frame, &outer, &inner), 0);  // Cut within the ports.
}

TEST(Packet, QuotedTupleOfAnIcmpv6Error) {
  Ipv6 sent;
  sent.source = "fd57:2::2";
  sent.destination = "fd57:1::2";
  Ipv6 error;
  error.next = 58;
  HostFrame frame{ethernet(kIpv6Type, error.with(icmp(2, 0, sent.with(tcp(5432, 40000, kAck)))))};
  packet outer{}, inner{};
  packet_parse(&frame, 14, htons(kIpv6Type), WEIR_VLAN_NONE, &outer);
  EXPECT_TRUE(packet_is_icmp_error(&outer));
  ASSERT_EQ(packet_parse_quote(&frame, &outer, &inner), 0);
  EXPECT_EQ(inner.destination_port, htons(40000));
}

}  // namespace
}  // namespace weir::bpf_test

// Frames for the tests, built from the outside in.
#pragma once
#include <arpa/inet.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace weir::bpf_test {

using FrameBytes = std::vector<uint8_t>;

inline void put16(FrameBytes& to, unsigned value) {
  to.push_back(static_cast<uint8_t>(value >> 8));
  to.push_back(static_cast<uint8_t>(value));
}
inline void put32(FrameBytes& to, uint32_t value) {
  put16(to, value >> 16);
  put16(to, value & 0xffff);
}
inline void append(FrameBytes& to, const FrameBytes& what) { to.insert(to.end(), what.begin(), what.end()); }

enum : unsigned { kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16 };

inline FrameBytes tcp(unsigned source, unsigned destination, unsigned flags, std::size_t payload = 0) {
  FrameBytes out;
  put16(out, source);
  put16(out, destination);
  put32(out, 1000);
  put32(out, 2000);
  out.push_back(5 << 4);
  out.push_back(static_cast<uint8_t>(flags));
  put16(out, 512);
  put32(out, 0);
  out.resize(out.size() + payload, 'x');
  return out;
}
inline FrameBytes udp(unsigned source, unsigned destination, std::size_t payload = 4) {
  FrameBytes out;
  put16(out, source);
  put16(out, destination);
  put16(out, static_cast<unsigned>(8 + payload));
  put16(out, 0);
  out.resize(out.size() + payload, 'x');
  return out;
}
inline FrameBytes icmp(unsigned type, unsigned code = 0, const FrameBytes& quoted = {}) {
  FrameBytes out = {static_cast<uint8_t>(type), static_cast<uint8_t>(code), 0, 0, 0, 0, 0, 0};
  append(out, quoted);
  return out;
}

struct Ipv4 {
  std::string source = "198.18.1.2", destination = "198.18.2.2";
  unsigned protocol = 6;
  unsigned fragment = 0;             // Flags and offset, as on the wire.
  std::size_t options = 0;           // Bytes, a multiple of 4.
  unsigned version = 4;
  [[nodiscard]] FrameBytes with(const FrameBytes& payload) const {
    FrameBytes out;
    out.push_back(static_cast<uint8_t>(version << 4 | (5 + options / 4)));
    out.push_back(0);
    put16(out, static_cast<unsigned>(20 + options + payload.size()));
    put16(out, 7);
    put16(out, fragment);
    out.push_back(64);
    out.push_back(static_cast<uint8_t>(protocol));
    put16(out, 0);
    for (const std::string& text : {source, destination}) {
      uint8_t bytes[4] = {};
      inet_pton(AF_INET, text.c_str(), bytes);
      out.insert(out.end(), bytes, bytes + 4);
    }
    out.resize(out.size() + options, 1);
    append(out, payload);
    return out;
  }
};
struct Ipv6 {
  std::string source = "fd57:1::2", destination = "fd57:2::2";
  unsigned next = 6;
  [[nodiscard]] FrameBytes with(const FrameBytes& payload) const {
    FrameBytes out;
    put32(out, 6u << 28);
    put16(out, static_cast<unsigned>(payload.size()));
    out.push_back(static_cast<uint8_t>(next));
    out.push_back(64);
    for (const std::string& text : {source, destination}) {
      uint8_t bytes[16] = {};
      inet_pton(AF_INET6, text.c_str(), bytes);
      out.insert(out.end(), bytes, bytes + 16);
    }
    append(out, payload);
    return out;
  }
};
// An extension header of 8 bytes times (1 + more).
inline FrameBytes extension(unsigned next, unsigned more = 0) {
  FrameBytes out = {static_cast<uint8_t>(next), static_cast<uint8_t>(more)};
  out.resize(8u * (1 + more), 0);
  return out;
}
inline FrameBytes fragment_header(unsigned next, unsigned offset_and_more) {
  FrameBytes out = {static_cast<uint8_t>(next), 0};
  put16(out, offset_and_more);
  put32(out, 99);
  return out;
}
inline FrameBytes joined(FrameBytes first, const FrameBytes& second) {
  append(first, second);
  return first;
}

// tags: EtherType and VLAN id of each, outermost first.
struct Tag { unsigned type, id; };
inline FrameBytes ethernet(unsigned type, const FrameBytes& payload, const std::vector<Tag>& tags = {}) {
  FrameBytes out = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
  for (const Tag& tag : tags) {
    put16(out, tag.type);
    put16(out, tag.id);
  }
  put16(out, type);
  append(out, payload);
  return out;
}
inline constexpr unsigned kIpv4Type = 0x0800, kIpv6Type = 0x86dd, kVlanType = 0x8100, kQinqType = 0x88a8, kArpType = 0x0806;

}  // namespace weir::bpf_test

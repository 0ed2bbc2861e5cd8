// Addresses of IPv4 and IPv6 as one 16-byte form (IPv4 as ::ffff:a.b.c.d), the same in bpf/abi.h.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir {

struct Address {
  std::array<uint8_t, 16> bytes{};
  [[nodiscard]] bool is_v4() const;
  [[nodiscard]] std::string text() const;
  static Result<Address> parse(std::string_view text);
  friend bool operator==(const Address&, const Address&) = default;
  friend auto operator<=>(const Address&, const Address&) = default;
};
struct Prefix {
  Address address;
  uint8_t bits = 128;  // Of the 16-byte form: 96 + n for IPv4.
  [[nodiscard]] bool contains(const Address&) const;
  static Result<Prefix> parse(std::string_view text);  // "198.18.2.2", "198.18.0.0/15", "fd57:2::/64".
  [[nodiscard]] std::string text() const;
  friend bool operator==(const Prefix&, const Prefix&) = default;
};
struct Endpoint {
  Address address;
  uint16_t port = 0;  // Host order.
  [[nodiscard]] std::string text() const;  // "198.18.2.2:5432", "[fd57:2::2]:5432".
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

}  // namespace weir

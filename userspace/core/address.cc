#include "core/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace weir {
namespace {
constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
}

bool Address::is_v4() const { return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin()); }

std::string Address::text() const {
  char buffer[INET6_ADDRSTRLEN] = {};
  const bool v4 = is_v4();
  inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? bytes.data() + 12 : bytes.data(), buffer, sizeof buffer);
  return buffer;
}

Result<Address> Address::parse(std::string_view text) {
  const std::string copy(text);
  Address address;
  if (inet_pton(AF_INET, copy.c_str(), address.bytes.data() + 12) == 1) {
    std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), address.bytes.begin());
    return address;
  }
  if (inet_pton(AF_INET6, copy.c_str(), address.bytes.data()) == 1) return address;
  return fail(Error::Kind::kInvalid, "\"" + copy + "\" is not an IPv4 or IPv6 address");
}

Result<Prefix> Prefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  auto address = Address::parse(text.substr(0, slash));
  if (!address) return tl::unexpected<Error>(address.error());
  Prefix prefix{*address, 128};
  if (slash == std::string_view::npos) return prefix;
  const std::string_view digits = text.substr(slash + 1);
  const unsigned bits_max = address->is_v4() ? 32 : 128;
  unsigned bits = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  if (error != std::errc{} || end != digits.data() + digits.size() || bits > bits_max) {
    return fail(Error::Kind::kInvalid, "\"" + std::string(text) + "\": the prefix length must be 0 to " + std::to_string(bits_max));
  }
  prefix.bits = static_cast<uint8_t>(128 - bits_max + bits);
  Address masked = prefix.address;
  for (unsigned bit = prefix.bits; bit < 128; ++bit) {
    masked.bytes[bit / 8] = static_cast<uint8_t>(masked.bytes[bit / 8] & ~(0x80u >> (bit % 8)));
  }
  if (masked != prefix.address) {
    return fail(Error::Kind::kInvalid, "\"" + std::string(text) + "\" has bits after its prefix; did you mean " +
                                           Prefix{masked, prefix.bits}.text() + "?");
  }
  return prefix;
}

bool Prefix::contains(const Address& other) const {
  const unsigned whole = bits / 8;
  if (std::memcmp(address.bytes.data(), other.bytes.data(), whole) != 0) return false;
  const unsigned rest = bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff00u >> rest);
  return (address.bytes[whole] & mask) == (other.bytes[whole] & mask);
}

std::string Prefix::text() const {
  if (bits == 128) return address.text();
  return address.text() + "/" + std::to_string(address.is_v4() && bits >= 96 ? bits - 96 : bits);
}

std::string Endpoint::text() const {
  return address.is_v4() ? address.text() + ":" + std::to_string(port) : "[" + address.text() + "]:" + std::to_string(port);
}

}  // namespace weir

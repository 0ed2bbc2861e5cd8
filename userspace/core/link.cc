#include "core/link.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace weir {

Result<MacAddress> parse_mac(std::string_view text) {
  MacAddress mac{};
  bool is_good = text.size() == 17;
  for (std::size_t i = 0; is_good && i < mac.size(); ++i) {
    const char* const begin = text.data() + 3 * i;
    const auto [end, error] = std::from_chars(begin, begin + 2, mac[i], 16);
    is_good = error == std::errc{} && end == begin + 2 && (i == 5 || *end == ':');
  }
  const bool is_zero = std::all_of(mac.begin(), mac.end(), [](uint8_t byte) { return byte == 0; });
  if (!is_good || is_zero || (mac[0] & 1) != 0) {
    return fail(Error::Kind::kInvalid, "\"" + std::string(text) + "\" is not the MAC of one host, as 02:00:5e:10:00:01");
  }
  return mac;
}

std::string text_of(const MacAddress& mac) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  return text;
}

std::string LinkKey::text() const {
  std::string all = interface;
  const auto add = [&all](const std::string& part) { all += (all.empty() ? "" : " ") + part; };
  if (vlan && *vlan != 0) add("vlan " + std::to_string(*vlan));
  if (vlan && *vlan == 0 && interface.empty()) add("untagged");
  if (mac) add(text_of(*mac));
  return all;
}

}  // namespace weir

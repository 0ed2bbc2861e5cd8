// Where an address is, as this kernel's own routes and neighbours have it: a veth pair in the test's network namespace.
#include "steer/client_link.h"

#include "tests/bpf/frames_fixture.h"

namespace weir::bpf_test {
namespace {

using steer::find_client_link;
using std::chrono::milliseconds;

class ClientLink : public Frames {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "run the tests as root";
    ASSERT_EQ(system("ip link add c0 type veth peer name c1 && ip addr add 198.18.1.1/24 dev c0 && ip -6 addr add fd57:1::1/64 dev c0 nodad && "
                     "ip link set c0 up && ip link set c1 up && ip route add 198.18.7.0/24 via 198.18.1.9 && ip -6 route add fd57:7::/64 via fd57:1::9 && "
                     "ip neigh add 198.18.1.2 lladdr 02:00:00:00:00:22 dev c0 && ip -6 neigh add fd57:1::2 lladdr 02:00:00:00:00:66 dev c0 && "
                     "ip neigh add 198.18.1.9 lladdr 02:00:00:00:00:99 dev c0"), 0);
  }
  void TearDown() override { ASSERT_EQ(system("ip link del c0"), 0); }
  static Result<LinkKey> find(const char* address, bool with_mac = true) { return find_client_link(*Address::parse(address), clients, with_mac, milliseconds(100)); }
  static inline const std::vector<std::string> clients = {"c0", "eth9"};
};

TEST_F(ClientLink, AHostOnLinkHasItsOwnMac) {
  EXPECT_EQ(find("198.18.1.2").value(), (LinkKey{"c0", uint16_t{0}, parse_mac("02:00:00:00:00:22").value()}));
  EXPECT_EQ(find("fd57:1::2").value(), (LinkKey{"c0", uint16_t{0}, parse_mac("02:00:00:00:00:66").value()}));
  EXPECT_EQ(find("198.18.1.2", false).value(), (LinkKey{"c0", uint16_t{0}, {}})) << "mac: never";
}

TEST_F(ClientLink, ARoutersMacIsNobodys) {
  EXPECT_EQ(find("198.18.7.2").value(), (LinkKey{"c0", uint16_t{0}, {}}));
  EXPECT_EQ(find("fd57:7::2").value(), (LinkKey{"c0", uint16_t{0}, {}}));
}

TEST_F(ClientLink, WhoDoesNotAnswerIsNotBound) {
  const auto nobody = find("198.18.1.77");
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().kind, Error::Kind::kNotFound);
  EXPECT_TRUE(find("198.18.1.77", false));
}

TEST_F(ClientLink, ThisHostAndWhatHasNoRouteAreTiedToNothing) {
  EXPECT_TRUE(find("198.18.1.1").value().is_empty());
  EXPECT_TRUE(find("203.0.113.9").value().is_empty());
}

TEST_F(ClientLink, AVlanDeviceStandsForItsParent) {
  const auto link = [](uint32_t index, const char* name, uint32_t under, std::optional<uint16_t> vlan) {
    steer::LinkEntry entry;
    entry.index = index;
    entry.name = name;
    entry.parent = under;
    entry.vlan = vlan;
    return entry;
  };
  const std::vector<steer::LinkEntry> links = {link(2, "eth0", 0, {}), link(3, "eth0.7", 2, uint16_t{7}), link(4, "br0", 0, {}), link(5, "veth1", 2, {})};
  const std::vector<std::string> parent = {"eth0"}, device = {"eth0.7"};
  EXPECT_EQ(steer::link_key_of(links, 3, parent), (LinkKey{"eth0", uint16_t{7}, {}}));
  EXPECT_EQ(steer::link_key_of(links, 3, device), (LinkKey{"eth0.7", uint16_t{0}, {}}));  // The kernel has taken the tag off by then.
  EXPECT_EQ(steer::link_key_of(links, 2, parent), (LinkKey{"eth0", uint16_t{0}, {}}));
  EXPECT_TRUE(steer::link_key_of(links, 4, parent).is_empty());
  EXPECT_TRUE(steer::link_key_of(links, 5, parent).is_empty());  // A peer's index, no VLAN.
  EXPECT_TRUE(steer::link_key_of(links, 99, parent).is_empty());
}

}  // namespace
}  // namespace weir::bpf_test

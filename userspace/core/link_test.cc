#include "core/link.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(Link, ReadsTheMacOfOneHost) {
  EXPECT_EQ(text_of(*parse_mac("02:00:5e:10:00:01")), "02:00:5e:10:00:01");
  EXPECT_EQ(text_of(*parse_mac("02:00:5E:AB:00:01")), "02:00:5e:ab:00:01");
  for (const char* wrong : {"", "02:00:5e:10:00", "02:00:5e:10:00:01:02", "02-00-5e-10-00-01", "0x:00:5e:10:00:01", "02:00:5e:10:00:0g", "00:00:00:00:00:00",
                            "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "+2:00:5e:10:00:01", "02:00:5e:10:00:-1"}) {
    EXPECT_FALSE(parse_mac(wrong)) << wrong;
  }
}

TEST(Link, TellsWhatIsAsked) {
  EXPECT_TRUE(LinkKey{}.is_empty());
  EXPECT_EQ((LinkKey{"eth0", 0, {}}).text(), "eth0");
  EXPECT_EQ((LinkKey{"eth0", 7, parse_mac("02:00:5e:10:00:01").value()}).text(), "eth0 vlan 7 02:00:5e:10:00:01");
  EXPECT_EQ((LinkKey{"", 0, {}}).text(), "untagged");
  EXPECT_NE((LinkKey{"eth0", 0, {}}), (LinkKey{"eth0", {}, {}}));
}

}  // namespace
}  // namespace weir

#include "core/address.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(Prefix, ContainsItsAddressesAndNoOthers) {
  const Prefix net = *Prefix::parse("198.18.2.0/23");
  EXPECT_TRUE(net.contains(*Address::parse("198.18.3.255")));
  EXPECT_FALSE(net.contains(*Address::parse("198.18.4.0")));
  EXPECT_FALSE(net.contains(*Address::parse("fd57::1")));
  EXPECT_TRUE(Prefix::parse("fd57:2::/64")->contains(*Address::parse("fd57:2::2")));
  EXPECT_TRUE(Prefix::parse("0.0.0.0/0")->contains(*Address::parse("198.18.4.0")));
  EXPECT_FALSE(Prefix::parse("0.0.0.0/0")->contains(*Address::parse("fd57::1")));
}

TEST(Prefix, RefusesHostBitsAndSaysWhatWasMeant) {
  const auto bad = Prefix::parse("198.18.2.2/24");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("198.18.2.0/24"), std::string::npos);
  EXPECT_FALSE(Prefix::parse("198.18.2.0/33"));
  EXPECT_FALSE(Prefix::parse("198.18.2.0/"));
  EXPECT_FALSE(Prefix::parse("198.18.2"));
}

TEST(Endpoint, PrintsBothFamilies) {
  EXPECT_EQ((Endpoint{*Address::parse("198.18.2.2"), 5432}.text()), "198.18.2.2:5432");
  EXPECT_EQ((Endpoint{*Address::parse("fd57:2::2"), 5432}.text()), "[fd57:2::2]:5432");
}

}  // namespace
}  // namespace weir

#include "transport/ssh/wire.h"

#include "transport/ssh/ssh_test_support.h"

namespace weir::ssh::testing {
namespace {

std::string mpint_of(std::string_view magnitude_hex) {
  Buffer out;
  WireWriter(out).mpint(from_hex(magnitude_hex));
  return to_hex(out);
}
bool reads_mpint(std::string_view hex, std::string_view magnitude) {
  const Buffer bytes = from_hex(hex);
  WireReader reader(bytes);
  const Bytes read = reader.mpint();
  return reader.done() && to_hex(read) == magnitude;
}

TEST(Wire, NumbersAreWrittenAsTheRfcHasThem) {  // RFC 4251 section 5
  EXPECT_EQ(mpint_of(""), "00000000");
  EXPECT_EQ(mpint_of("0000"), "00000000");
  EXPECT_EQ(mpint_of("09a378f9b2e332a7"), "0000000809a378f9b2e332a7");
  EXPECT_EQ(mpint_of("80"), "000000020080");
  EXPECT_EQ(mpint_of("0080"), "000000020080");
}

TEST(Wire, NumbersHaveOneSpelling) {
  EXPECT_TRUE(reads_mpint("00000000", ""));
  EXPECT_TRUE(reads_mpint("0000000809a378f9b2e332a7", "09a378f9b2e332a7"));
  EXPECT_TRUE(reads_mpint("000000020080", "80"));
  EXPECT_FALSE(reads_mpint("00000002edcc", "edcc"));      // -1234
  EXPECT_FALSE(reads_mpint("000000020001", "01"));        // Padded without need.
  EXPECT_FALSE(reads_mpint("0000000100", ""));
  EXPECT_FALSE(reads_mpint("00000003000080", "80"));
  EXPECT_FALSE(reads_mpint("0000000501", "01"));
}

TEST(Wire, StringsEndWithTheMessage) {
  const Buffer bytes = from_hex("00000003616263ffffffff61");
  WireReader reader(bytes);
  EXPECT_EQ(reader.text(), "abc");
  EXPECT_FALSE(reader.failed());
  EXPECT_TRUE(reader.string().empty());
  EXPECT_TRUE(reader.failed());
}

TEST(Wire, NameListsAreTakenApart) {
  std::string_view list = "one,two,three";
  EXPECT_TRUE(has_name(list, "two"));
  EXPECT_FALSE(has_name(list, "tw"));
  EXPECT_FALSE(has_name("", ""));
  EXPECT_EQ(take_name(list), "one");
  EXPECT_EQ(take_name(list), "two");
  EXPECT_EQ(take_name(list), "three");
  EXPECT_TRUE(list.empty());
  for (const char* good : {"", "a", "a,b", "x@y.example,z"}) EXPECT_TRUE(is_name_list(good)) << good;
  for (const char* bad : {",", "a,", ",a", "a,,b", "a b", "a\n", "\x7f"}) EXPECT_FALSE(is_name_list(bad)) << bad;
  EXPECT_TRUE(is_name_list(std::string(64, 'a')));
  EXPECT_FALSE(is_name_list(std::string(65, 'a')));
}

}  // namespace
}  // namespace weir::ssh::testing

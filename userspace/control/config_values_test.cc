#include "control/config_values.h"

#include <gtest/gtest.h>

namespace weir::control {
namespace {

using namespace std::chrono_literals;

TEST(ConfigValues, DurationsNeedAUnit) {
  EXPECT_EQ(*parse_duration("250ms"), 250ms);
  EXPECT_EQ(*parse_duration("90d"), 90 * 24h);
  EXPECT_EQ(*parse_duration("0"), 0s);
  EXPECT_EQ(parse_duration("5").error().message, "\"5\" has no unit: write ms, s, m, h or d behind it");
  EXPECT_EQ(parse_duration("7y").error().message, "\"7y\" is not a duration: write one like 250ms, 5s, 10m, 8h, 90d");
  EXPECT_EQ(*parse_duration("7y", true), 7 * 365 * 24h);
  for (const char* text : {"", "s", "-5s", "5 s", "5sec", "1.5h", "99999999999999999999s"}) EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(ConfigValues, DurationsAreShownAsTheyAreRead) {
  for (const char* text : {"0s", "2ms", "250us", "5s", "10m", "8h", "90d"}) EXPECT_EQ(text_of(*parse_duration(text)), text);
}

TEST(ConfigValues, SizesNeedAUnit) {
  EXPECT_EQ(*parse_size("64KiB"), 65536u);
  EXPECT_EQ(*parse_size("2GiB"), 2ull << 30);
  for (const char* text : {"64", "64KB", "64kib", "", "-1KiB", "99999999999TiB"}) EXPECT_FALSE(parse_size(text)) << text;
  EXPECT_EQ(size_text(65536), "64KiB");
  EXPECT_EQ(size_text(65537), "65537B");
}

TEST(ConfigValues, TimesNeedAZone) {
  EXPECT_EQ(text_of(*parse_time("2027-12-31T00:00:00Z")), "2027-12-31T00:00:00Z");
  EXPECT_EQ(text_of(*parse_time("2027-12-31T01:30:00+02:00")), "2027-12-30T23:30:00Z");
  EXPECT_EQ(text_of(*parse_time("2028-02-29T00:00:00-05:30")), "2028-02-29T05:30:00Z");
  for (const char* text : {"2027-12-31", "2027-12-31T00:00:00", "2027-02-29T00:00:00Z", "2027-12-31T24:00:00Z", "2027-12-31T00:00:00.5Z", "2027-12-31T00:00:00+2:00", "20271231T000000Z----"}) {
    EXPECT_FALSE(parse_time(text)) << text;
  }
}

TEST(ConfigValues, HoursAreDaysAndTimes) {
  const auto week = parse_hours("Mon-Fri 08:00-18:00");
  ASSERT_TRUE(week);
  EXPECT_EQ(week->size(), 1u);
  EXPECT_EQ(week->front().last_day, 4);
  EXPECT_EQ(week->front().from_minute, 480);
  EXPECT_EQ(parse_hours("08:00-24:00")->front().to_minute, 1440);
  EXPECT_EQ(parse_hours("Sun")->front().first_day, 6);
  const auto over_sunday = parse_hours("Fri-Mon 10:00-12:00");
  ASSERT_TRUE(over_sunday);
  ASSERT_EQ(over_sunday->size(), 2u);
  EXPECT_EQ((*over_sunday)[0].last_day, 6);
  EXPECT_EQ((*over_sunday)[1].last_day, 0);
  for (const char* text : {"", "Mon-Fri 8-18", "mon 08:00-18:00", "Mon-Fri 22:00-06:00", "Mon 08:00-08:00", "Mon  08:00-18:00", "Mon 08:00-24:30", "Mon "}) EXPECT_FALSE(parse_hours(text)) << text;
}

TEST(ConfigValues, MarksHaveAValueInsideTheirMask) {
  EXPECT_EQ(parse_mark("0x57450000/0xffff0000")->second, 0xffff0000u);
  for (const char* text : {"0x1", "0x1/0x0", "0x0/0xff", "0x100/0xff", "1/1", "0x1/0x1/0x1", "0x123456789/0xff"}) EXPECT_FALSE(parse_mark(text)) << text;
}

TEST(ConfigValues, EndpointsHaveAPort) {
  EXPECT_EQ(parse_endpoint("127.0.0.1:9464")->text(), "127.0.0.1:9464");
  EXPECT_EQ(parse_endpoint("[::1]:80")->text(), "[::1]:80");
  for (const char* text : {"127.0.0.1", ":80", "::1:80", "[::1]", "127.0.0.1:0", "127.0.0.1:70000", "host:80", "[]:1"}) EXPECT_FALSE(parse_endpoint(text)) << text;
}

TEST(ConfigValues, NamesAreSafeInPaths) {
  for (const char* text : {"gw-1", "a", "A.b_c-9"}) EXPECT_TRUE(is_plain_name(text)) << text;
  for (const char* text : {"", ".", "..", "-x", "a/b", "a b", "\xc3\xa4", "a\n"}) EXPECT_FALSE(is_plain_name(text)) << text;
}

}  // namespace
}  // namespace weir::control

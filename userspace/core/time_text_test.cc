#include "core/time_text.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(TimeText, IsRfc3339InUtc) {
  using std::chrono::seconds;
  EXPECT_EQ(utc_text(std::chrono::sys_seconds(seconds(0))), "1970-01-01T00:00:00Z");
  EXPECT_EQ(utc_text(std::chrono::sys_seconds(seconds(1'767'225'600))), "2026-01-01T00:00:00Z");
}

TEST(TimeText, TimesOfARecordAreReadToTheNanosecond) {
  EXPECT_EQ(parse_utc_ns("1970-01-01T00:00:01Z"), 1'000'000'000);
  EXPECT_EQ(parse_utc_ns("2026-01-01T00:00:00.000000001Z"), 1'767'225'600'000'000'001);
  EXPECT_EQ(parse_utc_ns("2026-01-01T00:00:00.5Z"), 1'767'225'600'500'000'000);
  for (const char* wrong : {"", "Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00.1234567890Z", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01 00:00:00Z",
                            "1969-01-01T00:00:00Z", "2026-01-01T00:00:00.x1Z", "2026-01-01T00:00:00+01:00"}) {
    EXPECT_FALSE(parse_utc_ns(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace weir

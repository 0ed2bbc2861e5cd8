#include "core/time_text.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(TimeText, IsRfc3339InUtc) {
  using std::chrono::seconds;
  EXPECT_EQ(utc_text(std::chrono::sys_seconds(seconds(0))), "1970-01-01T00:00:00Z");
  EXPECT_EQ(utc_text(std::chrono::sys_seconds(seconds(1'767'225'600))), "2026-01-01T00:00:00Z");
}

}  // namespace
}  // namespace weir

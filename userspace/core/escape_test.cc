#include "core/escape.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(Escape, NoControlCharacterIsLeftButThoseThatAreKept) {
  EXPECT_EQ(escape_bytes("a\nb\tc\rd\x1b]0;x\x07\x7f\xc2\x9b"), "a\\nb\\tc\\rd\\x1b]0;x\\x07\\x7f\\xc2\\x9b");
  EXPECT_EQ(escape_bytes("a\nb\tc\rd\x1b", "\n\t"), "a\nb\tc\\rd\\x1b");
  EXPECT_EQ(escape_bytes("\x7f\xc2\x9b\xff", "\x7f\xc2\x9b\xff"), "\\x7f\\xc2\\x9b\\xff") << "only what stands below a space may be kept";
  EXPECT_EQ(escape_bytes("gr\xc3\xbcn"), "gr\xc3\xbcn");
}

TEST(Escape, JsonSaysTheSameAndNoTerminalObeysIt) {
  EXPECT_EQ(escape_json("\"a\\u001b \xe2\x82\xac \xc2\xa0\""), "\"a\\u001b \xe2\x82\xac \xc2\xa0\"");
  EXPECT_EQ(escape_json("\"\x7f\xc2\x9b\xe2\x80\xae\xe2\x81\xa6\""), "\"\\u007f\\u009b\\u202e\\u2066\"");
}

}  // namespace
}  // namespace weir

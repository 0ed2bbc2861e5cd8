// Any bytes become valid JSON text: what a target sends is not trusted to be UTF-8.
#include "session/json_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/prng.h"

namespace weir::session {
namespace {

std::string escaped(std::string_view value, std::size_t size_max = 4096) {
  std::string text;
  append_json_escaped(text, as_bytes(value), size_max);
  return text;
}

TEST(JsonText, ValidTextStaysAndTheRestIsEscaped) {
  EXPECT_EQ(nlohmann::json::parse("\"" + escaped("a\"b\\c\n\t") + "\""), "a\"b\\c\n\t");
  EXPECT_EQ(nlohmann::json::parse("\"" + escaped("gr\xc3\xbc\xc3\x9f" "e") + "\""), "gr\xc3\xbc\xc3\x9f" "e");
  EXPECT_EQ(escaped(std::string_view("\0", 1)), "\\u0000");
  EXPECT_EQ(escaped("\xff"), "\\u00ff");
}

TEST(JsonText, AnyBytesParse) {
  Prng random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string value;
    for (uint64_t n = random.below(40); n > 0; --n) value += static_cast<char>(random.below(256));
    EXPECT_TRUE(nlohmann::json::accept("\"" + escaped(value) + "\"")) << i;
    EXPECT_TRUE(nlohmann::json::accept("\"" + escaped(value, 10) + "\"")) << "cut short: " << i;
  }
}

TEST(JsonText, ACutIsTold) {
  std::string text;
  EXPECT_FALSE(append_json_escaped(text, as_bytes(std::string(100, 'x')), 20));
  EXPECT_LE(text.size(), 30u);
  text.clear();
  EXPECT_TRUE(append_json_escaped(text, as_bytes("short"), 20));
}

}  // namespace
}  // namespace weir::session

#include "identify/first_bytes.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::identify {
namespace {

// Speaks "HELLO": a module as small as can be.
Identification identify_hello(const FlowHint&, Bytes from_client, Bytes) {
  static constexpr std::string_view kHello = "HELLO";
  const std::string_view text = as_text(from_client);
  if (text.starts_with(kHello)) return {Identification::Answer::kYes, 0};
  if (kHello.starts_with(text)) return {Identification::Answer::kMaybe, static_cast<uint32_t>(kHello.size() - text.size())};
  return {Identification::Answer::kNo, 0};
}
Identification never_sure(const FlowHint&, Bytes, Bytes) { return {Identification::Answer::kMaybe, 0}; }
const ProtocolModule kHello{"hello", 1, false, identify_hello, nullptr};
const ProtocolModule kUnsure{"unsure", 1, false, never_sure, nullptr};
using Answer = FirstBytes::Answer;

TEST(FirstBytes, TheModuleDecides) {
  EXPECT_EQ(identify_protocol(kHello, {}, as_bytes("HELLO you"), {}).answer, Answer::kYes);
  const FirstBytes waiting = identify_protocol(kHello, {}, as_bytes("HE"), {});
  EXPECT_EQ(waiting.answer, Answer::kWait);
  EXPECT_EQ(waiting.need, 3u);
  EXPECT_EQ(identify_protocol(kHello, {}, as_bytes("NO"), {}).answer, Answer::kNo);
}

TEST(FirstBytes, AModuleThatNeverKnowsIsNotWaitedForEndlessly) {
  EXPECT_EQ(identify_protocol(kUnsure, {}, as_bytes("x"), {}).need, 1u);
  const std::string much(kFirstBytesMax, 'x');
  EXPECT_EQ(identify_protocol(kUnsure, {}, as_bytes(much), {}).answer, Answer::kNo);
  EXPECT_EQ(identify_protocol(kUnsure, {}, {}, as_bytes(much)).answer, Answer::kNo);
}

TEST(FirstBytes, TheRefusalSaysWhatItLooksLike) {
  struct {
    std::string_view bytes;
    std::string_view says;
  } const cases[] = {{"GET / HTTP/1.1\r\n", "not hello: this looks like HTTP"},
                     {"SSH-2.0-OpenSSH\r\n", "not hello: this looks like SSH"},
                     {std::string_view("\x16\x03\x01\x02\x00", 5), "not hello: this looks like TLS"},
                     {"PRI * HTTP/2.0\r\n", "not hello: this looks like HTTP/2"},
                     {std::string_view("\x03\x00\x00\x13", 4), "not hello: this looks like RDP"},
                     {"*1\r\n$4\r\nPING\r\n", "not hello: this looks like Redis"},
                     {"\xff\xfe", "not hello"}};
  for (const auto& each : cases) EXPECT_EQ(explain(identify_protocol(kHello, {}, as_bytes(each.bytes), {}), kHello), each.says);
}

}  // namespace
}  // namespace weir::identify
